//! A call that runs: drives its guest under the deadline, and tears it down in one place whatever ends it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use wasmtime::{PoolConcurrencyLimitError, Trap};

use super::admission::Permit;
use super::guest::{Guest, Instance, Usage};
use super::kept::Kept;
use super::request::BodyFailure;
use super::{CallError, Counters, Outcome, OverloadLimit};
use crate::lease::{End, Scope};
use crate::plugin::{LogLevel, Plugin};

/// A turn that lasts longer than this is one of computing. A guest's turn ends after about a millisecond of it at the latest.
const LONG_TURN: Duration = Duration::from_micros(500);
/// A guest that has had so many of them in a row computes rather than waits.
const LONG_TURNS: u32 = 4;

/// A call that has an instance, or is about to. Dropping it ends it as `ClientGone`: nobody wants its answer.
pub(super) struct Running {
    guest: Option<Guest>,
    permit: Option<Permit>,
    kept: Arc<Kept>,
    scope: Arc<Scope>,
    plugin: Arc<Plugin>,
    usage: Arc<Usage>,
    counters: Arc<Counters>,
    sent: Option<oneshot::Sender<()>>,
    body_failure: Option<BodyFailure>,
    started: Instant,
    shutdown: CancellationToken,
    // Made at the first wait: a handler that answers at once needs neither.
    alarm: Option<Pin<Box<Sleep>>>,
    stopping: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// How many turns of computing the guest has had one after the other.
    long_turns: u32,
    finished: bool,
}

/// What [`Running`] is made of.
pub(super) struct Parts {
    pub(super) guest: Guest,
    pub(super) permit: Permit,
    pub(super) kept: Arc<Kept>,
    pub(super) scope: Arc<Scope>,
    pub(super) plugin: Arc<Plugin>,
    pub(super) usage: Arc<Usage>,
    pub(super) counters: Arc<Counters>,
    pub(super) sent: oneshot::Sender<()>,
    pub(super) body_failure: BodyFailure,
    pub(super) started: Instant,
    pub(super) shutdown: CancellationToken,
}

impl Running {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { guest, permit, kept, scope, plugin, usage, counters, sent, body_failure, started, shutdown } = parts;
        counters.started();
        Self {
            guest: Some(guest),
            permit: Some(permit),
            kept,
            scope,
            plugin,
            usage,
            counters,
            sent: Some(sent),
            body_failure: Some(body_failure),
            started,
            shutdown,
            alarm: None,
            stopping: None,
            long_turns: 0,
            finished: false,
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
        if self.shutdown.is_cancelled() {
            return Poll::Ready(Err(self.end(CallError::ShuttingDown)));
        }
        if let Err(error) = self.poll_guest(cx) {
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
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if alarm.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(self.end(CallError::DeadlineExceeded)));
        }
        let shutdown = &self.shutdown;
        let stopping = self.stopping.get_or_insert_with(|| Box::pin(shutdown.clone().cancelled_owned()));
        if stopping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(self.end(CallError::ShuttingDown)));
        }
        Poll::Pending
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
            Ok(Poll::Ready(Err(error))) => Err(classify(&error, &self.usage)),
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
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.release(outcome.end(), None);
        self.record(outcome, error);
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
            self.kept.put(&self.plugin, instance, permit.host);
        }
    }

    fn record(&self, outcome: Outcome, error: Option<&CallError>) {
        let fuel = self.plugin.limits().fuel.saturating_sub(self.usage.fuel_left());
        self.counters.finished(outcome, fuel);
        let call = self.scope.call();
        let (plugin, request_id, outcome) = (&*call.plugin, &*call.request_id, outcome.as_str());
        let duration_us = self.started.elapsed().as_micros();
        let memory_peak_bytes = self.usage.memory_peak();
        match error {
            None => {
                tracing::debug!(target: "wharf::call", plugin, request_id, outcome, duration_us, fuel, memory_peak_bytes, "call ended");
            }
            Some(_) if self.plugin.limits().log < LogLevel::Warn => {}
            Some(error) => {
                tracing::warn!(target: "wharf::call", plugin, request_id, outcome, duration_us, fuel, memory_peak_bytes, "call ended: {error}");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let error = if self.shutdown.is_cancelled() { CallError::ShuttingDown } else { CallError::ClientGone };
        self.finish(error.outcome(), Some(&error));
    }
}

/// What a guest's error means. The Store is gone by now, so its account is complete.
fn classify(error: &wasmtime::Error, usage: &Usage) -> CallError {
    if error.is::<PoolConcurrencyLimitError>() {
        return CallError::Overloaded { limit: OverloadLimit::HostInstances };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => CallError::FuelExhausted,
        // An allocator that gets no more memory aborts, which looks like any other trap.
        _ if usage.refused_memory() => CallError::MemoryExhausted,
        _ => CallError::Trapped { detail: format!("{error:?}") },
    }
}
