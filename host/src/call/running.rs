//! A call that runs: drives its guest under the deadline, and tears it down in one place whatever ends it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use wasmtime::{PoolConcurrencyLimitError, Trap};

use super::admission::Permit;
use super::alarm::{self, Alarm};
use super::caller::Shared;
use super::guest::{Guest, Instance};
use super::request::BodyFailure;
use super::roster::Entry;
use super::{CallError, Outcome, OverloadLimit};
use crate::lease::{End, Life, Scope, Stage};
use crate::plugin::{LogLevel, Plugin};
use crate::telemetry::{self, trace::CallSpan};

/// A turn that lasts longer than this is one of computing. A guest's turn ends after about a millisecond of it at the latest.
const LONG_TURN: Duration = Duration::from_micros(500);
/// A guest that has had so many of them in a row computes rather than waits.
const LONG_TURNS: u32 = 4;

/// A call that has an instance, or is about to. Dropping it ends it as `ClientGone`: nobody wants its answer.
pub(super) struct Running {
    shared: Arc<Shared>,
    guest: Option<Guest>,
    permit: Option<Permit>,
    scope: Arc<Scope>,
    plugin: Arc<Plugin>,
    /// If it is traced.
    span: Option<CallSpan>,
    sent: Option<oneshot::Sender<()>>,
    body_failure: Option<BodyFailure>,
    started: Instant,
    // Made at the first wait: a handler that answers at once needs none.
    alarm: Option<Alarm>,
    /// How many turns of computing the guest has had one after the other.
    long_turns: u32,
    /// In the roster, until it is finished.
    entry: Option<Entry>,
}

/// What [`Running`] is made of.
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    pub(super) guest: Guest,
    pub(super) permit: Permit,
    pub(super) scope: Arc<Scope>,
    pub(super) plugin: Arc<Plugin>,
    pub(super) span: Option<CallSpan>,
    pub(super) sent: oneshot::Sender<()>,
    pub(super) body_failure: BodyFailure,
    pub(super) started: Instant,
}

impl Running {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { shared, guest, permit, scope, plugin, span, sent, body_failure, started } = parts;
        let entry = Some(shared.roster.enter(&scope, started, plugin.limits().fuel));
        Self {
            shared,
            guest: Some(guest),
            permit: Some(permit),
            scope,
            plugin,
            span,
            sent: Some(sent),
            body_failure: Some(body_failure),
            started,
            alarm: None,
            long_turns: 0,
            entry,
        }
    }

    /// The plugin that is called.
    pub(super) fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Whether the guest has returned and its Store is gone.
    pub(super) fn guest_returned(&self) -> bool {
        self.guest.is_none()
    }

    /// The answer has begun: from now on a broken request body is the handler's business.
    pub(super) fn answer_begun(&mut self) {
        self.body_failure = None;
    }

    /// Tells who looks at it where it stands from now on.
    pub(super) fn stands(&self, stage: Stage) {
        self.life().stands(stage);
    }

    fn life(&self) -> &Life {
        self.scope.life()
    }

    /// Runs the guest until `until` is ready.
    ///
    /// # Errors
    /// Whatever ended the call before; it is torn down by then.
    /// # Cancellation
    /// The guest merely rests. Drop `self` to end the call.
    pub(super) async fn drive<F: Future>(&mut self, until: F) -> Result<F::Output, CallError> {
        let mut until = pin!(until);
        std::future::poll_fn(|cx| self.poll_drive(cx, until.as_mut())).await
    }

    /// The same, but gives up with `None` when the guest turns out to compute for long.
    ///
    /// # Errors
    /// As [`Self::drive`].
    pub(super) async fn drive_briefly<F: Future>(&mut self, until: F) -> Result<Option<F::Output>, CallError> {
        let mut until = pin!(until);
        std::future::poll_fn(|cx| match self.poll_drive(cx, until.as_mut()) {
            Poll::Pending if self.long_turns >= LONG_TURNS => Poll::Ready(Ok(None)),
            polled => polled.map(|driven| driven.map(Some)),
        })
        .await
    }

    /// Runs the guest as far as it goes without waiting, then looks at `until` once.
    ///
    /// # Errors
    /// As [`Self::drive`].
    pub(super) async fn drive_once<F: Future>(&mut self, until: F) -> Result<Poll<F::Output>, CallError> {
        let mut until = pin!(until);
        std::future::poll_fn(|cx| match self.poll_drive(cx, until.as_mut()) {
            Poll::Ready(Ok(output)) => Poll::Ready(Ok(Poll::Ready(output))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Ready(Ok(Poll::Pending)),
        })
        .await
    }

    /// Runs the guest until it has returned, with everything it started.
    ///
    /// # Errors
    /// As [`Self::drive`].
    pub(super) async fn drive_to_end(&mut self) -> Result<(), CallError> {
        std::future::poll_fn(|cx| {
            if self.guest_returned() {
                return Poll::Ready(Ok(()));
            }
            match self.poll_drive(cx, pin!(std::future::pending::<()>())) {
                Poll::Pending if self.guest_returned() => Poll::Ready(Ok(())),
                polled => polled,
            }
        })
        .await
    }

    fn poll_drive<F: Future>(&mut self, cx: &mut Context<'_>, until: Pin<&mut F>) -> Poll<Result<F::Output, CallError>> {
        // By the clock and not only by the alarm: a guest that always has something to do never waits for an alarm.
        let now = Instant::now();
        if now >= self.scope.call().deadline {
            return Poll::Ready(Err(self.end(CallError::DeadlineExceeded)));
        }
        if let Some(error) = self.unwanted() {
            return Poll::Ready(Err(self.end(error)));
        }
        let polled = self.poll_guest(cx);
        // Before whatever the handler makes of the loss of its connections.
        if self.life().is_cancelled() {
            return Poll::Ready(Err(self.end(CallError::Cancelled)));
        }
        if let Err(error) = polled {
            return Poll::Ready(Err(self.end(error)));
        }
        self.long_turns = if now.elapsed() >= LONG_TURN { self.long_turns + 1 } else { 0 };
        // Before the answer: a handler must not turn half a body into one.
        if let Some(failed) = self.body_failure.as_ref().and_then(|failure| failure.get().copied()) {
            return Poll::Ready(Err(self.end(failed.into())));
        }
        match catch_unwind(AssertUnwindSafe(|| until.poll(cx))) {
            Ok(Poll::Ready(output)) => return Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => {}
            Err(_panic) => return Poll::Ready(Err(self.end(CallError::HostPanicked))),
        }
        let deadline = self.scope.call().deadline;
        let alarm = self.alarm.get_or_insert_with(|| alarm::at(deadline));
        if alarm.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(self.end(CallError::DeadlineExceeded)));
        }
        self.life().wait(cx.waker());
        match self.unwanted() {
            Some(error) => Poll::Ready(Err(self.end(error))),
            None => Poll::Pending,
        }
    }

    /// Why it is to end from outside, if it is.
    fn unwanted(&self) -> Option<CallError> {
        if self.life().is_cancelled() {
            Some(CallError::Cancelled)
        } else if self.shared.roster.is_stopping() {
            Some(CallError::ShuttingDown)
        } else {
            None
        }
    }

    fn poll_guest(&mut self, cx: &mut Context<'_>) -> Result<(), CallError> {
        let Some(guest) = self.guest.as_mut() else { return Ok(()) };
        // The guest is dropped after a panic and never polled again, so nothing sees what the panic left behind.
        match catch_unwind(AssertUnwindSafe(|| guest.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Ok(()),
            Ok(Poll::Ready(Ok(instance))) => {
                self.release(End::Returned, instance);
                Ok(())
            }
            Ok(Poll::Ready(Err(error))) => Err(classify(&error, self.life())),
            Err(_panic) => Err(CallError::HostPanicked),
        }
    }

    /// Ends the call with an error, and gives the error back.
    pub(super) fn end(&mut self, error: CallError) -> CallError {
        self.finish(error.outcome(), Some(&error));
        error
    }

    /// Ends the call whose answer is handed over to the last byte and whose guest has returned.
    pub(super) fn end_answered(mut self) {
        self.all_sent();
        self.finish(Outcome::Answered, None);
    }

    /// Tells a 0.3 handler that its answer is handed over.
    pub(super) fn all_sent(&mut self) {
        if let Some(sent) = self.sent.take() {
            let _unwatched = sent.send(());
        }
    }

    /// The one teardown. Counts only the first time.
    fn finish(&mut self, outcome: Outcome, error: Option<&CallError>) {
        let Some(entry) = self.entry.take() else { return };
        self.release(outcome.end(), None);
        self.record(outcome, error);
        self.shared.roster.leave(entry);
    }

    /// Gives everything back that the guest held: leases first, so that nothing is acquired while the Store is being dropped. An instance
    /// that may serve another call is kept, with its place.
    fn release(&mut self, end: End, instance: Option<Instance>) {
        self.scope.end(end);
        if let Some(guest) = self.guest.take()
            && catch_unwind(AssertUnwindSafe(|| drop(guest))).is_err()
        {
            tracing::error!(target: "wharf::call", plugin = %self.plugin.name(), "dropping a Store panicked");
        }
        // After the Store, whose memory it stands for.
        if let (Some(permit), Some(instance)) = (self.permit.take(), instance) {
            self.shared.kept.put(&self.plugin, instance, permit.host);
        }
    }

    fn record(&self, outcome: Outcome, error: Option<&CallError>) {
        let fuel = self.plugin.limits().fuel.saturating_sub(self.life().fuel_left());
        let (took, memory_peak_bytes) = (self.started.elapsed(), self.life().memory_peak());
        let stats = self.plugin.stats();
        outcome.count_in(stats);
        stats.used(took, fuel, memory_peak_bytes);
        let call = self.scope.call();
        let (plugin, request_id, outcome) = (&*call.plugin, &*call.request_id, outcome.as_str());
        let duration_ms = telemetry::millis(took);
        if let Some(span) = &self.span {
            span.edit(|span| {
                span.add("wharf.outcome", outcome);
                span.add("wharf.fuel", fuel);
                span.add("wharf.memory_peak_bytes", memory_peak_bytes);
            });
        }
        match error {
            None => {
                tracing::debug!(target: "wharf::call", plugin, request_id, outcome, duration_ms, fuel, memory_peak_bytes, "call ended");
            }
            Some(_) if self.plugin.limits().log < LogLevel::Warn => {}
            Some(error) => {
                tracing::warn!(target: "wharf::call", plugin, request_id, outcome, duration_ms, fuel, memory_peak_bytes, "call ended: {error}");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.entry.is_some() {
            let error = if self.shared.shutdown.is_cancelled() { CallError::ShuttingDown } else { CallError::ClientGone };
            self.finish(error.outcome(), Some(&error));
        }
    }
}

/// What a guest's error means, once the account of its call is written.
pub(super) fn classify(error: &wasmtime::Error, life: &Life) -> CallError {
    match outcome(error, life) {
        Outcome::Overloaded => CallError::Overloaded { limit: OverloadLimit::HostInstances },
        Outcome::FuelExhausted => CallError::FuelExhausted,
        Outcome::MemoryExhausted => CallError::MemoryExhausted,
        _ => CallError::Trapped { detail: format!("{error:?}") },
    }
}

/// The same, for who needs no more.
pub(super) fn outcome(error: &wasmtime::Error, life: &Life) -> Outcome {
    if error.is::<PoolConcurrencyLimitError>() {
        return Outcome::Overloaded;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Outcome::FuelExhausted,
        // An allocator that gets no more memory aborts, which looks like any other trap.
        _ if life.refused_memory() => Outcome::MemoryExhausted,
        _ => Outcome::Trapped,
    }
}
