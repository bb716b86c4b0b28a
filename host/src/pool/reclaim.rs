//! The way of a connection from the end of a lease to the pool, or to its close.
//!
//! Each step has its bound; one that fails or times out leads to the next, harsher one. Doubt means discard.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::FutureExt;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Borrower, Counter, Ended,
    control::ControlPath,
    database::Inner,
    journal::{During, Reclaim, Step},
    serve::{Left, Rest},
    slot::{Closing, Owner, Slot, refuse},
    state::Phase,
    tenancy::Tenancy,
};
use crate::{
    driver::{Connection, Failure, FailureKind, Operation, Session},
    telemetry::trace::{Kind, Span},
};

/// How long to wait before the server is asked again about a session that it would not confirm as gone.
/// Short even at last: the place is needed as soon as the server is back.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_millis(400);

/// A connection that is being taken back, as the journal will have it, and a trace.
pub(super) struct Taken {
    borrower: Borrower,
    reason: Ended,
    held: Duration,
    since: Instant,
    step: Step,
    /// If the call is traced.
    span: Option<Span>,
}

impl Taken {
    fn write(self, database: &Inner, session: i64) {
        self.audit(database);
        let Self { borrower, reason, held, since, step, span } = self;
        if let Some(mut span) = span {
            span.add("wharf.database", &*database.name);
            span.add("wharf.session", session);
            span.add("wharf.reason", reason.name());
            span.add("wharf.step", step.name());
            span.add("wharf.held_us", u64::try_from(held.as_micros()).unwrap_or(u64::MAX));
            if matches!(step, Step::Killed | Step::Unconfirmed) {
                span.fail(step.name());
            }
        }
        let took = since.elapsed();
        database.timings.reclaims.record([reason.name()], took);
        // What is remembered asks for no more lines.
        let borrower = Borrower { trail: None, ..borrower };
        let reclaim = Reclaim { number: 0, at: Instant::now(), borrower, session, reason, step, held, took };
        database.journal.reclaimed(reclaim);
    }

    /// What was open has ended here, and nothing else says so.
    fn audit(&self, database: &Inner) {
        if !matches!(self.step, Step::Clean | Step::Reset) {
            self.borrower.audit(database, self.reason.name(), self.step);
        }
    }

    /// It came back from its holder as it should, and nobody is told but the audit log.
    fn forget(self, database: &Inner) {
        self.audit(database);
        if let Some(span) = self.span {
            span.discard();
        }
    }
}

/// Tells the trace, if there is one, that a step is done.
fn done(taken: &mut Option<Taken>, step: &'static str) {
    if let Some(span) = taken.as_mut().and_then(|taken| taken.span.as_mut()) {
        span.event(step);
    }
}

impl Owner {
    /// Takes a connection back. `None` when it is clean, otherwise how it has to be closed.
    pub(super) async fn reclaim(&mut self, left: Left, tenancy: &Tenancy) -> Option<Closing> {
        self.database.counters.add(if left.why == Ended::Released { Counter::Released } else { Counter::Reclaimed });
        let is_clean = left.rest == Rest::Quiet { in_transaction: false } && !self.connection.needs_reset();
        if left.why != Ended::Released || !is_clean {
            let since = left.since.unwrap_or_else(Instant::now);
            let name = || format!("reclaim {}", self.database.name);
            let span = tenancy.trace.get().map(|trace| trace.span(name(), Kind::Internal, since.elapsed()));
            self.taken = Some(Taken {
                borrower: tenancy.borrower.clone(),
                reason: left.why,
                held: tenancy.since.elapsed(),
                since,
                // Unless more is known: its driver may panic.
                step: Step::Killed,
                span,
            });
        }
        if left.rest == Rest::Settled {
            done(&mut self.taken, Step::Cancelled.name());
        }
        let closing = match left.rest {
            Rest::Broken => Some(Closing::Kill(left.why)),
            Rest::Settled => Some(Closing::Polite),
            Rest::Quiet { .. } if is_clean => None,
            Rest::Quiet { in_transaction } => self.clean(in_transaction).await.err(),
        };
        if let Some(taken) = &mut self.taken {
            taken.step = match (left.rest, closing) {
                (Rest::Settled, _) => Step::Cancelled,
                (_, Some(Closing::Kill(_))) => Step::Killed,
                (_, Some(Closing::Polite)) => Step::Closed,
                (Rest::Quiet { in_transaction: true }, None) => Step::RolledBack,
                (_, None) if is_clean => Step::Clean,
                (_, None) => Step::Reset,
            };
        }
        if closing.is_some() {
            self.database.counters.add(Counter::Discarded);
        } else if let Some(taken) = self.taken.take() {
            if left.why == Ended::Released {
                taken.forget(&self.database);
            } else {
                taken.write(&self.database, self.connection.session().id);
            }
        }
        if left.why != Ended::Released || closing.is_some() {
            tracing::debug!(
                database = %self.database.name,
                plugin = %tenancy.borrower.plugin,
                request_id = %tenancy.borrower.request_id,
                session = self.connection.session().id,
                why = ?left.why,
                rest = ?left.rest,
                ?closing,
                "lease reclaimed"
            );
        }
        if tenancy.warned.load(Ordering::Relaxed) {
            let Borrower { plugin, request_id, .. } = &tenancy.borrower;
            let age_ms = u64::try_from(tenancy.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            let database = &self.database.name;
            tracing::warn!(%database, %plugin, %request_id, age_ms, why = ?left.why, "the lease that was held for too long has ended");
        }
        closing
    }

    /// Rolls back and resets.
    async fn clean(&mut self, in_transaction: bool) -> Result<(), Closing> {
        // What still waits for an answer is told at once.
        while let Ok(command) = self.inbox.commands.try_recv() {
            refuse(command);
        }
        self.database.move_to(self.slot.index, Phase::Reclaiming);
        let bounds = self.database.settings.load().bounds;
        let counters = &self.database.counters;
        if in_transaction {
            counters.add(Counter::RolledBack);
            match timeout(bounds.rollback, self.connection.run(Operation::Rollback)).await {
                Ok(Ok(_)) => done(&mut self.taken, Step::RolledBack.name()),
                failed => {
                    self.note_failure(During::Rollback, failed.ok().and_then(Result::err).as_ref());
                    return Err(Closing::Kill(Ended::Lost));
                }
            }
        }
        if !self.connection.needs_reset() {
            return Ok(());
        }
        match timeout(bounds.reset, self.connection.reset()).await {
            Ok(Ok(())) => {
                counters.add(Counter::Reset);
                done(&mut self.taken, Step::Reset.name());
                Ok(())
            }
            Ok(Err(failure)) => {
                counters.add(Counter::ResetFailures);
                self.note_failure(During::Reset, Some(&failure));
                let (kind, code) = (failure.kind.name(), failure.code.as_deref());
                tracing::debug!(database = %self.database.name, kind, code, "a connection could not be proven clean");
                Err(if failure.lost { Closing::Kill(Ended::Lost) } else { Closing::Polite })
            }
            Err(_elapsed) => {
                counters.add(Counter::ResetFailures);
                self.note_failure(During::Reset, None);
                Err(Closing::Kill(Ended::Lost))
            }
        }
    }

    /// Writes down what a session failed at, or did not do in time. What its server said may be of what guests did there.
    fn note_failure(&self, during: During, failure: Option<&Failure>) {
        let (kind, code) = failure.map_or((FailureKind::Disconnected, None), |failure| (failure.kind, failure.code.as_deref()));
        let message = if failure.is_some() { "a session could not be proven clean" } else { "a session did not answer in time" };
        self.database.journal.trouble(during, kind, code, message);
    }
}

/// Closes a connection and waits until the server no longer lists its session, however long that takes, but no longer than its database
/// is there. Whether the session is gone.
pub(super) async fn close(
    database: &Arc<Inner>,
    slot: &Arc<Slot>,
    connection: Box<dyn Connection>,
    closing: Closing,
    session: &Session,
    mut taken: Option<Taken>,
) -> bool {
    let said = match closing {
        // A panic of a driver counts as no good-bye; the place of the slot is given back all the same.
        Closing::Polite => {
            let bound = database.settings.load().bounds.close;
            let closing = AssertUnwindSafe(async move { connection.close().await }).catch_unwind();
            matches!(timeout(bound, closing).await, Ok(Ok(Ok(()))))
        }
        Closing::Kill(_) => {
            // Whatever its Drop does, the place of the slot is given back.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(connection)));
            false
        }
    };
    done(&mut taken, if said { Step::Closed.name() } else { "dropped" });
    let ending = end(Arc::clone(database), Arc::clone(slot), session.clone(), said, taken);
    database.shards.aside(ending).await.unwrap_or(false)
}

/// Waits until the server no longer lists a session whose connection is closed, `said` with a good-bye; it is killed unless it goes by itself.
async fn end(database: Arc<Inner>, slot: Arc<Slot>, session: Session, said: bool, mut taken: Option<Taken>) -> bool {
    let write = |taken: &mut Option<Taken>, step: Option<Step>| {
        if let Some(taken) = taken.take() {
            let step = step.unwrap_or(taken.step);
            Taken { step, ..taken }.write(&database, session.id);
        }
    };
    let bounds = database.settings.load().bounds;
    let control = &slot.home.control;
    if said && confirm(&database, control, &session).await {
        done(&mut taken, "confirmed");
        write(&mut taken, None);
        return true;
    }
    database.counters.add(Counter::Killed);
    // Whether it took effect is what `confirm` finds out.
    if let Err(failure) = control.terminate(&session, bounds.kill).await {
        database.journal.failed(During::Control, &failure);
        if failure.lost {
            database.trip(&slot.home, &failure, |_| ());
        }
    }
    done(&mut taken, Step::Killed.name());
    if confirm(&database, control, &session).await {
        done(&mut taken, "confirmed");
        write(&mut taken, Some(Step::Killed));
        return true;
    }
    write(&mut taken, Some(Step::Unconfirmed));
    database.counters.add(Counter::Unconfirmed);
    let unconfirmed = "the server did not confirm that a session is gone";
    database.journal.trouble(During::Confirm, FailureKind::Disconnected, None, unconfirmed);
    database.move_to(slot.index, Phase::Unconfirmed);
    tracing::error!(
        database = %database.name,
        session = session.id,
        "the server could not confirm that a session is gone; its place stays taken until it does"
    );
    database.forsake();
    let mut pause = FIRST_RETRY;
    loop {
        tokio::select! {
            () = sleep(pause.mul_f64(rand::random_range(0.75..=1.25))) => {}
            () = database.closed.cancelled() => return false,
        }
        pause = (pause * 2).min(LAST_RETRY);
        let _ = control.terminate(&session, bounds.kill).await;
        if confirm(&database, control, &session).await {
            tracing::info!(database = %database.name, session = session.id, "the server has confirmed that the session is gone");
            return true;
        }
    }
}

/// Asks the server, within the bound, until it no longer lists the session.
async fn confirm(database: &Inner, control: &ControlPath, session: &Session) -> bool {
    let deadline = Instant::now() + database.settings.load().bounds.confirm;
    // A server process takes about a millisecond to go away after its client has.
    let mut pause = Duration::from_micros(500);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        if let Ok(false) = control.is_listed(session, left).await {
            return true;
        }
        sleep(pause.min(left)).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
