//! One lease on a slot: what its handles may do, and how an operation ends early.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Counter, End, Ended, Limit, OperationError, Until, Via,
    database::{Inner, Pool},
    journal::{During, Step},
    slot::{Command, Inbox, Notice, Owner, Work, refuse},
    state::Phase,
    tenancy::Tenancy,
};
use crate::driver::{Answer, Begin, Connection, Failure, FailureKind, Operation, Session, TransactionOptions};

/// Cursors that one transaction may have open at once.
const MAX_CURSORS: usize = 32;

/// Savepoints that one transaction may have at once. PostgreSQL keeps 64 subtransactions of a session in shared memory; with more, every
/// other session pays for looking them up.
const MAX_SAVEPOINTS: usize = 64;

/// How soon a server is asked once more to cancel what still runs: it forgets a wish that reaches it before the statement does.
const CANCEL_AGAIN: Duration = Duration::from_millis(100);

/// How a lease left its connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) why: Ended,
    pub(super) rest: Rest,
    /// When it ended, if something had to be ended first.
    pub(super) since: Option<Instant>,
}

/// What is known of a connection at the end of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing runs.
    Quiet {
        /// A transaction is open, or may be.
        in_transaction: bool,
    },
    /// A statement was cancelled and has ended; a late cancel may still come, so the connection is not used again.
    Settled,
    /// Broken, or a statement may still run.
    Broken,
}

impl Left {
    pub(super) fn unused(why: Ended) -> Self {
        Self { why, rest: Rest::Quiet { in_transaction: false }, since: None }
    }

    pub(super) fn broken(why: Ended) -> Self {
        Self { why, rest: Rest::Broken, since: None }
    }
}

/// The transaction of a lease.
#[derive(Debug)]
struct Transaction {
    number: u32,
    since: Instant,
    used: Instant,
    savepoints: Vec<Arc<str>>,
    /// A statement failed: only rolling back is left, wholly or to a savepoint.
    doomed: bool,
    cursors: Vec<u32>,
}

/// What a lease is at, besides what it runs.
struct Lease<'a> {
    tenancy: &'a Tenancy,
    transaction: Option<Transaction>,
    /// Notices that came while an operation ran.
    pending: VecDeque<Notice>,
}

/// What woke a lease that ran nothing.
enum Next {
    Command(Command),
    Notice(Notice),
    /// A time limit of the open transaction.
    Expired(Ended),
}

impl Owner {
    /// Serves a lease until it ends, whoever ends it.
    pub(super) async fn serve(&mut self, tenancy: &Tenancy, first: Command) -> Left {
        self.connection.lent();
        let mut lease = Lease { tenancy, transaction: None, pending: VecDeque::new() };
        let mut next = Next::Command(first);
        loop {
            let ended = match next {
                Next::Command(command) => self.command(&mut lease, command).await,
                Next::Notice(notice) => self.notice(&mut lease, notice).await,
                Next::Expired(why) => Some(lease.quiet(why)),
            };
            if let Some(left) = ended {
                return left;
            }
            next = match lease.pending.pop_front() {
                Some(notice) => Next::Notice(notice),
                None => self.next(&lease).await,
            };
        }
    }

    async fn next(&mut self, lease: &Lease<'_>) -> Next {
        let Some(transaction) = &lease.transaction else {
            return tokio::select! {
                biased;
                Some(notice) = self.inbox.notices.recv() => Next::Notice(notice),
                Some(command) = self.inbox.commands.recv() => Next::Command(command),
            };
        };
        let idle = transaction.used + self.database.settings.load().idle_in_transaction_timeout;
        let whole = transaction.since + lease.tenancy.max_transaction_time;
        let why = if idle < whole { Ended::IdleInTransaction } else { Ended::TransactionTooLong };
        tokio::select! {
            biased;
            Some(notice) = self.inbox.notices.recv() => Next::Notice(notice),
            Some(command) = self.inbox.commands.recv() => Next::Command(command),
            () = self.alarm.at(idle.min(whole)) => Next::Expired(why),
        }
    }

    async fn notice(&mut self, lease: &mut Lease<'_>, notice: Notice) -> Option<Left> {
        let current = lease.tenancy.generation;
        match notice {
            Notice::Released { generation, why } if generation == current => Some(lease.quiet(why)),
            Notice::Revoke => Some(lease.quiet(Ended::Revoked)),
            Notice::TransactionDropped { generation, transaction } if generation == current && lease.is_in(transaction) => {
                lease.transaction = None;
                self.database.counters.add(Counter::RolledBack);
                let left = self.roll_back().await;
                if left.is_none() {
                    lease.tenancy.borrower.audit(&self.database, "transaction-dropped", Step::RolledBack);
                }
                left
            }
            Notice::CursorDropped { generation, transaction, cursor } if generation == current && lease.is_in(transaction) => {
                let open = lease.transaction.as_mut()?;
                open.cursors.retain(|other| *other != cursor);
                let bound = self.database.settings.load().bounds.reset;
                match timeout(bound, self.connection.run(Operation::CloseCursor(cursor))).await {
                    Ok(Ok(_)) => None,
                    Ok(Err(failure)) if !failure.lost => {
                        open.doomed = true;
                        None
                    }
                    Ok(Err(_)) | Err(_) => Some(Left::broken(Ended::Lost)),
                }
            }
            // Of another lease, or of a handle whose transaction has ended; `Retire` is sent to idle slots only.
            _ => None,
        }
    }

    /// Rolls back within its bound; a connection that cannot is given up.
    async fn roll_back(&mut self) -> Option<Left> {
        let bound = self.database.settings.load().bounds.rollback;
        match timeout(bound, self.connection.run(Operation::Rollback)).await {
            Ok(Ok(_)) => None,
            Ok(Err(_)) | Err(_) => Some(Left::broken(Ended::Lost)),
        }
    }

    async fn command(&mut self, lease: &mut Lease<'_>, command: Command) -> Option<Left> {
        let Command { generation, work, mut until, answer } = command;
        if generation != lease.tenancy.generation {
            refuse(Command { generation, work, until, answer });
            return None;
        }
        // Nobody waits for it any more, and it has not started. Whoever gave it up cannot know that: the transaction ends as if it had.
        if answer.is_closed() {
            let given_up = match &work {
                Work::Run(via, _) | Work::RunLast(via, _) => via.transaction().is_some_and(|number| lease.is_in(number)),
                Work::Test => false,
            };
            return given_up.then(|| lease.quiet(Ended::Cancelled));
        }
        let (via, operation, is_last) = match work {
            Work::Test => return self.test(lease, until, answer).await,
            Work::Run(via, operation) => (via, operation, false),
            Work::RunLast(via, operation) => (via, operation, true),
        };
        if let Err(error) = lease.may(via, &operation) {
            let _ = answer.send(Err(error));
            return None;
        }
        if let Some(transaction) = &lease.transaction {
            let whole = transaction.since + lease.tenancy.max_transaction_time;
            if whole < until.at {
                until = Until { at: whole, limit: Limit::Transaction };
            }
        }
        // Behind others its time may have run out: then it is not started, so that its outcome is certain.
        let started = Instant::now();
        if started >= until.at {
            let why = self.database.ran_out(until);
            lease.tenancy.end(why);
            let _ = answer.send(Err(OperationError::TimedOut { limit: until.limit, after: Duration::ZERO }));
            return Some(lease.quiet(why));
        }
        self.database.counters.add(Counter::Operations);
        let (effect, name) = (Effect::of(via, &operation), operation.name());
        lease.tenancy.stands(name, operation.text());
        let performed = self.perform(lease, via, operation, until, started, answer).await;
        let (error, ended) = performed.verdict();
        self.database.timings.operations.record([name, error], ended.saturating_duration_since(started));
        match performed {
            Performed::Finished(result, answer) => {
                let lost = result.as_ref().is_err_and(|failure| failure.lost);
                if let Err(Failure { kind, code, lost: true, .. }) = &result {
                    self.database.journal.trouble(During::Operation, *kind, code.as_deref(), "a connection was lost");
                }
                let must_roll_back = lease.apply(effect, result.as_ref().err());
                let is_over = is_last && !lost && !must_roll_back && lease.transaction.is_none();
                if is_over {
                    // Before the answer: whoever has it need not say any more that the connection is given back.
                    lease.tenancy.end(Ended::Released);
                } else {
                    lease.tenancy.stands(if lease.transaction.is_some() { "idle in transaction" } else { "ready" }, None);
                }
                let _ = answer.send(result.map_err(OperationError::Failed));
                if lost {
                    return Some(Left::broken(Ended::Lost));
                }
                if is_over {
                    return Some(lease.quiet(Ended::Released));
                }
                // A BEGIN or COMMIT that failed may have left a transaction open (SQLite, when busy); the connection stays its holder's.
                if must_roll_back { self.roll_back().await } else { None }
            }
            Performed::Interrupted(left) => Some(left),
        }
    }

    /// Pings a connection before its borrower gets it. One that does not answer, or not in time to be told, is broken.
    async fn test(
        &mut self,
        lease: &mut Lease<'_>,
        until: Until,
        mut answer: oneshot::Sender<Result<Answer, OperationError>>,
    ) -> Option<Left> {
        let bound = until.at.min(Instant::now() + self.database.settings.load().bounds.reset);
        let Self { database, inbox, connection, alarm, .. } = self;
        let why = tokio::select! {
            biased;
            pinged = connection.ping() => match pinged {
                Ok(()) => {
                    let _ = answer.send(Ok(Answer::Done));
                    return None;
                }
                Err(_) => Ended::Lost,
            },
            why = interruption(lease.tenancy.generation, &mut lease.pending, inbox) => why,
            () = answer.closed() => Ended::Cancelled,
            () = alarm.at(bound) => Ended::Lost,
        };
        if why == Ended::Lost {
            database.counters.add(Counter::TestFailures);
        }
        let _ = answer.send(Err(OperationError::Ended(why)));
        Some(Left::broken(why))
    }

    /// Runs an operation to its end or until something ends it early; then cancels it on the server and waits for it to settle.
    async fn perform(
        &mut self,
        lease: &mut Lease<'_>,
        via: Via,
        operation: Operation,
        until: Until,
        started: Instant,
        mut answer: oneshot::Sender<Result<Answer, OperationError>>,
    ) -> Performed {
        let committing = AtomicBool::new(matches!(operation, Operation::Commit));
        let Self { database, slot, inbox, connection, alarm, .. } = self;
        let session = connection.session().clone();
        let mut running = pin!(execute(connection.as_mut(), via, operation, until.at, &committing));
        let (why, error) = tokio::select! {
            biased;
            result = &mut running => return Performed::Finished(result, answer),
            why = interruption(lease.tenancy.generation, &mut lease.pending, inbox) => (why, OperationError::Ended(why)),
            () = answer.closed() => (Ended::Cancelled, OperationError::Ended(Ended::Cancelled)),
            () = alarm.at(until.at) => {
                (database.ran_out(until), OperationError::TimedOut { limit: until.limit, after: started.elapsed() })
            }
        };
        let interrupted = Instant::now();
        lease.tenancy.end(why);
        let _ = answer.send(Err(match committing.load(Ordering::Relaxed) {
            true => OperationError::Failed(Failure::new(
                FailureKind::CommitUnknown,
                "the commit was interrupted before its answer came",
            )),
            false => error,
        }));
        database.move_to(slot.index, Phase::Reclaiming);
        let settled = tokio::select! {
            biased;
            settled = cancel(database, &slot.home, &session, running) => settled,
            never = refuse_all(inbox) => never,
        };
        let rest = if settled { Rest::Settled } else { Rest::Broken };
        Performed::Interrupted(Left { why, rest, since: Some(interrupted) })
    }
}

impl Inner {
    /// What an operation's running out of time ends its lease for. Its own limits are counted; at the deadline it is the call that ends,
    /// whichever of the two hears of it first.
    fn ran_out(&self, until: Until) -> Ended {
        if until.limit == Limit::Call {
            return Ended::CallEnded(End::DeadlineExceeded);
        }
        self.counters.add(Counter::OperationTimeouts);
        Ended::TimedOut
    }
}

/// How an operation ended.
enum Performed {
    Finished(Result<Answer, Failure>, oneshot::Sender<Result<Answer, OperationError>>),
    Interrupted(Left),
}

impl Performed {
    /// What went wrong, in a word, empty for nothing; and when it was over for who asked for it.
    fn verdict(&self) -> (&'static str, Instant) {
        let (error, ended) = match self {
            Self::Finished(Ok(_), _) => ("", None),
            Self::Finished(Err(failure), _) => (failure.kind.name(), None),
            Self::Interrupted(left) => (left.why.name(), left.since),
        };
        (error, ended.unwrap_or_else(Instant::now))
    }
}

/// A list of parameters sent through a bare connection runs all or nothing, in a transaction of its own.
///
/// `committing` tells, once the future is interrupted, whether the outcome is unknown. Time runs out for all of it at `until`, which the
/// caller looks after.
async fn execute(
    connection: &mut dyn Connection,
    via: Via,
    operation: Operation,
    until: Instant,
    committing: &AtomicBool,
) -> Result<Answer, Failure> {
    let left = || until.saturating_duration_since(Instant::now());
    if via != Via::Connection || !matches!(operation, Operation::ExecuteMany(..)) {
        return connection.run_within(operation, left()).await;
    }
    let begin = Begin::Sql(TransactionOptions { isolation: None, read_only: false });
    connection.run_within(Operation::Begin(begin), left()).await?;
    let failure = match connection.run_within(operation, left()).await {
        Ok(answer) => {
            committing.store(true, Ordering::Relaxed);
            match connection.run_within(Operation::Commit, left()).await {
                Ok(_) => return Ok(answer),
                Err(failure) => failure,
            }
        }
        Err(failure) => failure,
    };
    if failure.lost {
        return Err(failure);
    }
    // A COMMIT that failed may have left its transaction open (SQLite). What cannot be rolled back is not used again.
    match connection.run(Operation::Rollback).await {
        Ok(_) => Err(failure),
        Err(_) => Err(failure.lost()),
    }
}

/// Waits for a reason to end the running operation; other notices are kept for later.
async fn interruption(current: u64, pending: &mut VecDeque<Notice>, inbox: &mut Inbox) -> Ended {
    loop {
        match inbox.notices.recv().await {
            Some(Notice::Released { generation, why }) if generation == current => return why,
            Some(Notice::Revoke) => return Ended::Revoked,
            // As many as the handles of the lease send, so bounded as the channel is.
            Some(notice) => pending.push_back(notice),
            // The slot itself holds a sender.
            None => std::future::pending().await,
        }
    }
}

/// Answers whoever sends a command, or has sent one: their lease is over.
async fn refuse_all<T>(inbox: &mut Inbox) -> T {
    while let Some(command) = inbox.commands.recv().await {
        refuse(command);
    }
    // The slot itself holds a sender.
    std::future::pending().await
}

/// Cancels what runs; whether it has ended within `cancel` and, once the server has been asked, `settle`.
async fn cancel(
    database: &Inner,
    home: &Pool,
    session: &Session,
    running: impl Future<Output = Result<Answer, Failure>>,
) -> bool {
    let mut running = pin!(running);
    let bounds = database.settings.load().bounds;
    let mut until = None;
    loop {
        let bound =
            until.map_or(bounds.cancel, |until: Instant| until.saturating_duration_since(Instant::now()).min(bounds.cancel));
        let mut asking = pin!(home.control.cancel(session, bound));
        let (ended, asked) = tokio::select! {
            biased;
            // By itself, while the server is asked. Until that answer comes the next question would open another session.
            _ = &mut running => (true, asking.await),
            asked = &mut asking => (false, asked),
        };
        if asked.is_ok() && until.is_none() {
            database.counters.add(Counter::Cancelled);
        }
        let now = Instant::now();
        let until = *until.get_or_insert(now + bounds.settle);
        if ended || (asked.is_ok() && timeout_at(until.min(now + CANCEL_AGAIN), &mut running).await.is_ok()) {
            return true;
        }
        if asked.is_err() || Instant::now() >= until {
            database.counters.add(Counter::CancelFailures);
            match asked {
                Err(failure) => database.journal.failed(During::Cancel, &failure),
                Ok(()) => database.journal.trouble(During::Cancel, FailureKind::Database, None, "a statement did not end"),
            }
            return false;
        }
    }
}

/// What a successful operation does to the transaction of its lease.
#[derive(Clone, Debug)]
enum Effect {
    None,
    Begin(u32),
    Commit,
    Rollback,
    Savepoint(Arc<str>),
    RollbackTo(Arc<str>),
    Release(Arc<str>),
    OpenCursor(u32),
    CloseCursor(u32),
}

impl Effect {
    fn of(via: Via, operation: &Operation) -> Self {
        match (operation, via) {
            (Operation::Begin(_), Via::Transaction(number)) => Self::Begin(number),
            (Operation::Commit, _) => Self::Commit,
            (Operation::Rollback, _) => Self::Rollback,
            (Operation::Savepoint(name), _) => Self::Savepoint(Arc::clone(name)),
            (Operation::RollbackTo(name), _) => Self::RollbackTo(Arc::clone(name)),
            (Operation::Release(name), _) => Self::Release(Arc::clone(name)),
            (Operation::OpenCursor(cursor, _), _) => Self::OpenCursor(*cursor),
            (Operation::CloseCursor(cursor), _) => Self::CloseCursor(*cursor),
            _ => Self::None,
        }
    }
}

impl Lease<'_> {
    fn quiet(&self, why: Ended) -> Left {
        Left { why, rest: Rest::Quiet { in_transaction: self.transaction.is_some() }, since: None }
    }

    fn is_in(&self, number: u32) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| transaction.number == number)
    }

    /// Whether the handle may do this now.
    fn may(&self, via: Via, operation: &Operation) -> Result<(), OperationError> {
        let ended = OperationError::Invalid("the transaction has ended");
        let number = match via {
            Via::Connection if self.transaction.is_some() => {
                return Err(OperationError::Busy("a transaction is open on this connection; use it, or end it first"));
            }
            Via::Connection => return Ok(()),
            Via::Transaction(number) => number,
            Via::Cursor { transaction, .. } => transaction,
        };
        if matches!(operation, Operation::Begin(_)) {
            let busy = OperationError::Busy("a transaction is open on this connection already; use a savepoint");
            return if self.transaction.is_some() { Err(busy) } else { Ok(()) };
        }
        let Some(transaction) = self.transaction.as_ref().filter(|open| open.number == number) else { return Err(ended) };
        if let Via::Cursor { cursor, .. } = via
            && !matches!(operation, Operation::OpenCursor(..) | Operation::CloseCursor(_))
            && !transaction.cursors.contains(&cursor)
        {
            return Err(OperationError::Invalid("the cursor is closed"));
        }
        match operation {
            Operation::Rollback | Operation::CloseCursor(_) => Ok(()),
            Operation::RollbackTo(name) | Operation::Release(name) if !transaction.savepoints.contains(name) => {
                Err(OperationError::Invalid("there is no savepoint of this name"))
            }
            Operation::RollbackTo(_) => Ok(()),
            _ if transaction.doomed => Err(OperationError::Aborted),
            Operation::OpenCursor(..) if transaction.cursors.len() >= MAX_CURSORS => {
                Err(OperationError::TooMany { what: "cursors", maximum: MAX_CURSORS })
            }
            Operation::Savepoint(_) if transaction.savepoints.len() >= MAX_SAVEPOINTS => {
                Err(OperationError::TooMany { what: "savepoints", maximum: MAX_SAVEPOINTS })
            }
            _ => Ok(()),
        }
    }

    /// Keeps the books after an operation. Whether a transaction that the holder has ended must still be rolled back.
    fn apply(&mut self, effect: Effect, failure: Option<&Failure>) -> bool {
        if let Effect::Begin(number) = effect {
            let now = Instant::now();
            let (savepoints, cursors) = (Vec::new(), Vec::new());
            let open = Transaction { number, since: now, used: now, savepoints, doomed: false, cursors };
            // A BEGIN that failed may still have begun.
            self.transaction = failure.is_none().then_some(open);
            return failure.is_some();
        }
        let Some(transaction) = &mut self.transaction else { return false };
        transaction.used = Instant::now();
        let place = |savepoints: &[Arc<str>], name: &Arc<str>| savepoints.iter().rposition(|other| other == name).unwrap_or(0);
        match (effect, failure) {
            (Effect::Commit | Effect::Rollback, failure) => {
                self.transaction = None;
                return failure.is_some();
            }
            (_, Some(failure)) => transaction.doomed |= failure.kind != FailureKind::Busy,
            (Effect::Savepoint(name), None) => transaction.savepoints.push(name),
            (Effect::RollbackTo(name), None) => {
                transaction.savepoints.truncate(place(&transaction.savepoints, &name) + 1);
                transaction.doomed = false;
            }
            (Effect::Release(name), None) => transaction.savepoints.truncate(place(&transaction.savepoints, &name)),
            (Effect::OpenCursor(cursor), None) => transaction.cursors.push(cursor),
            (Effect::CloseCursor(cursor), None) => transaction.cursors.retain(|other| *other != cursor),
            (Effect::None | Effect::Begin(_), None) => {}
        }
        false
    }
}
