//! A counted door with a bounded, fair queue before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Lets at most a fixed number in at a time; a bounded number waits, in order of arrival.
#[derive(Debug)]
pub struct Gate {
    places: Arc<Semaphore>,
    capacity: usize,
    waiting: AtomicUsize,
    max_waiting: usize,
}

/// One place behind the gate; dropping it lets the next one in.
#[derive(Debug)]
pub struct GatePermit(#[expect(dead_code, reason = "held for its Drop")] OwnedSemaphorePermit);

/// Why nobody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateError {
    /// `max_waiting` others wait already.
    QueueFull,
    /// No place became free in time.
    TimedOut,
}

impl Gate {
    /// A gate with `capacity` places and room for `max_waiting` to wait.
    #[must_use]
    pub fn new(capacity: usize, max_waiting: usize) -> Self {
        let capacity = capacity.min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(capacity)), capacity, waiting: AtomicUsize::new(0), max_waiting }
    }

    /// Waits for a place, in order of arrival.
    ///
    /// # Bounds
    /// At most `max_waiting` callers wait, none past `deadline`.
    /// # Errors
    /// `QueueFull` at once, `TimedOut` at the deadline.
    /// # Cancellation
    /// Dropping the future gives up the place in the queue; no capacity is lost.
    pub async fn enter(&self, deadline: Instant) -> Result<GatePermit, GateError> {
        self.enter_with(deadline, || ()).await
    }

    /// As [`Gate::enter`]; `make_room` is called once before a wait, when the caller counts as waiting already.
    ///
    /// # Bounds
    /// As for [`Gate::enter`].
    /// # Errors
    /// As for [`Gate::enter`]; when the queue is full `make_room` is not called.
    /// # Cancellation
    /// As for [`Gate::enter`]; the room that was made stays.
    pub async fn enter_with(&self, deadline: Instant, make_room: impl FnOnce()) -> Result<GatePermit, GateError> {
        // A free place means that nobody waits: the semaphore hands places that come free to its queue first.
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(GatePermit(permit));
        }
        let _queued = self.queue()?;
        make_room();
        match timeout_at(deadline, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(GatePermit(permit)),
            // The semaphore is never closed, so the inner error does not happen.
            Ok(Err(_)) | Err(_) => Err(GateError::TimedOut),
        }
    }

    /// Places that are taken.
    #[must_use]
    pub fn running(&self) -> usize {
        self.capacity.saturating_sub(self.places.available_permits())
    }

    /// Callers that wait for a place.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn queue(&self) -> Result<Queued<'_>, GateError> {
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| (waiting < self.max_waiting).then_some(waiting + 1))
            .map(|_| Queued(&self.waiting))
            .map_err(|_| GateError::QueueFull)
    }
}

struct Queued<'a>(&'a AtomicUsize);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let gate = Gate::new(1, 1);
        let held = gate.enter(soon()).await.unwrap();
        let mut waiter = Box::pin(gate.enter(soon()));
        assert!((&mut waiter).now_or_never().is_none());
        assert_eq!((gate.running(), gate.waiting()), (1, 1));
        assert_eq!(gate.enter(soon()).await.unwrap_err(), GateError::QueueFull);
        drop(held);
        let _held = waiter.await.unwrap();
        assert_eq!((gate.running(), gate.waiting()), (1, 0));
    }

    #[tokio::test]
    async fn nobody_waits_past_the_deadline() {
        let gate = Gate::new(1, 1);
        let held = gate.enter(soon()).await.unwrap();
        assert_eq!(gate.enter(Instant::now() + Duration::from_millis(5)).await.unwrap_err(), GateError::TimedOut);
        drop(held);
        assert_eq!((gate.running(), gate.waiting()), (0, 0));
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_loses_no_capacity() {
        let gate = Gate::new(1, 4);
        let held = gate.enter(soon()).await.unwrap();
        let mut waiter = Box::pin(gate.enter(soon()));
        assert!((&mut waiter).now_or_never().is_none());
        drop(held);
        drop(waiter);
        assert_eq!((gate.running(), gate.waiting()), (0, 0));
        let _held = gate.enter(soon()).now_or_never().unwrap().unwrap();
    }

    #[tokio::test]
    async fn places_are_given_in_order_of_arrival() {
        let gate = Gate::new(1, 4);
        let held = gate.enter(soon()).await.unwrap();
        let mut first = Box::pin(gate.enter(soon()));
        let mut second = Box::pin(gate.enter(soon()));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        drop(held);
        assert!((&mut second).now_or_never().is_none());
        let held = first.await.unwrap();
        drop(held);
        second.await.unwrap();
    }
}
