//! A counted door with a bounded, fair queue before it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

/// Lets at most so many in at a time; a bounded number waits, in order of arrival. How many may change.
#[derive(Debug)]
pub struct Gate {
    places: Arc<Places>,
    waiting: AtomicUsize,
    max_waiting: AtomicUsize,
}

/// The places behind a gate. `free + taken - debt` is the capacity, always.
#[derive(Debug)]
struct Places {
    free: Semaphore,
    /// Locked while it changes.
    capacity: Mutex<usize>,
    /// Places that are to go, once they are given back.
    debt: AtomicUsize,
}

/// One place behind the gate; dropping it lets the next one in.
#[derive(Debug)]
pub struct GatePermit(Arc<Places>);

impl GatePermit {
    fn new(places: &Arc<Places>, permit: SemaphorePermit<'_>) -> Self {
        permit.forget();
        Self(Arc::clone(places))
    }
}

impl Drop for GatePermit {
    fn drop(&mut self) {
        if !self.0.pay() {
            self.0.free.add_permits(1);
        }
    }
}

impl Places {
    /// Whether a place that comes free is one of those that are to go.
    fn pay(&self) -> bool {
        // Mostly there is no debt, and then nothing is written.
        self.debt.load(Ordering::Acquire) > 0
            && self.debt.fetch_update(Ordering::AcqRel, Ordering::Acquire, |debt| debt.checked_sub(1)).is_ok()
    }

    fn resize(&self, to: usize) {
        let mut capacity = self.capacity.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in *capacity..to {
            // One that was to go stays instead.
            if !self.pay() {
                self.free.add_permits(1);
            }
        }
        self.debt.fetch_add(capacity.saturating_sub(to), Ordering::AcqRel);
        *capacity = to;
        // Those that nobody has go now.
        while self.debt.load(Ordering::Acquire) > 0 {
            let Ok(permit) = self.free.try_acquire() else { return };
            if self.pay() {
                permit.forget();
            }
        }
    }
}

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
        let places = Places { free: Semaphore::new(capacity), capacity: Mutex::new(capacity), debt: AtomicUsize::new(0) };
        Self { places: Arc::new(places), waiting: AtomicUsize::new(0), max_waiting: AtomicUsize::new(max_waiting) }
    }

    /// Changes how many it lets in, and how many may wait. Whoever is in stays, and whoever waits may go on waiting: when there are to be
    /// fewer, nobody comes in until enough have left.
    pub fn resize(&self, capacity: usize, max_waiting: usize) {
        self.max_waiting.store(max_waiting, Ordering::Relaxed);
        self.places.resize(capacity.min(Semaphore::MAX_PERMITS));
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
        if let Ok(permit) = self.places.free.try_acquire() {
            return Ok(GatePermit::new(&self.places, permit));
        }
        let _queued = self.queue()?;
        make_room();
        match timeout_at(deadline, self.places.free.acquire()).await {
            Ok(Ok(permit)) => Ok(GatePermit::new(&self.places, permit)),
            // The semaphore is never closed, so the inner error does not happen.
            Ok(Err(_)) | Err(_) => Err(GateError::TimedOut),
        }
    }

    /// Places that are taken.
    #[must_use]
    pub fn running(&self) -> usize {
        (self.capacity() + self.places.debt.load(Ordering::Acquire)).saturating_sub(self.places.free.available_permits())
    }

    /// How many it lets in.
    #[must_use]
    pub fn capacity(&self) -> usize {
        *self.places.capacity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Places that are to go, once they are given back.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.places.debt.load(Ordering::Acquire)
    }

    /// Callers that wait for a place.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn queue(&self) -> Result<Queued<'_>, GateError> {
        let most = self.max_waiting.load(Ordering::Relaxed);
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| (waiting < most).then_some(waiting + 1))
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

    #[tokio::test]
    async fn fewer_places_are_there_as_they_are_given_back_and_more_at_once() {
        let gate = Gate::new(3, 1);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(gate.enter(soon()).await.unwrap());
        }
        gate.resize(1, 4);
        assert_eq!((gate.capacity(), gate.running()), (1, 3));
        let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(gate.enter(soon()))).collect();
        for waiter in &mut waiters {
            assert!(waiter.now_or_never().is_none(), "as many may wait as there may be now");
        }
        // The first two that leave take their places with them.
        held.truncate(1);
        assert!((&mut waiters[0]).now_or_never().is_none());
        held.clear();
        held.push(waiters.remove(0).await.unwrap());
        assert_eq!((gate.running(), gate.waiting()), (1, 2));
        gate.resize(3, 4);
        for waiter in waiters {
            held.push(waiter.now_or_never().unwrap().unwrap());
        }
        assert_eq!(gate.running(), 3);
        drop(held);
        assert_eq!(gate.running(), 0);
    }

    #[tokio::test]
    async fn places_that_are_to_go_stay_when_there_are_to_be_more_again() {
        let gate = Gate::new(4, 0);
        let held = gate.enter(soon()).await.unwrap();
        let other = gate.enter(soon()).await.unwrap();
        // Two are free and go, one more is owed.
        gate.resize(1, 0);
        gate.resize(2, 0);
        drop(held);
        let held = gate.enter(soon()).await.unwrap();
        assert_eq!((gate.running(), gate.enter(soon()).await.unwrap_err()), (2, GateError::QueueFull));
        drop((held, other));
        assert_eq!((gate.running(), gate.capacity()), (0, 2));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_place_is_lost_or_made_while_many_come_and_go() {
        let gate = Arc::new(Gate::new(2, 100));
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let gate = Arc::clone(&gate);
                tokio::spawn(async move {
                    for _ in 0..500 {
                        let place = gate.enter(soon()).await.unwrap();
                        tokio::task::yield_now().await;
                        drop(place);
                    }
                })
            })
            .collect();
        for round in 0..500 {
            gate.resize(1 + round % 5, 100);
            tokio::task::yield_now().await;
        }
        for caller in callers {
            caller.await.unwrap();
        }
        gate.resize(3, 100);
        assert_eq!(gate.running(), 0);
        let held: Vec<_> = (0..3).map(|_| gate.enter(soon()).now_or_never().unwrap().unwrap()).collect();
        gate.resize(3, 0);
        assert_eq!(gate.enter(soon()).await.unwrap_err(), GateError::QueueFull);
        drop(held);
    }
}
