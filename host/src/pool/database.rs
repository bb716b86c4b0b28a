//! One database: its limit, its pools, its queue, and how a call gets a connection of it.

use std::{
    fmt,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    AcquireError, Counter, Counters, Granted, Hold, HostCapacity, Limit, Quota, Settings, Timings, Until,
    control::ControlPath,
    journal::{Journal, Step},
    queue::{Place, Told, Waiter},
    state::State,
};
use crate::{
    driver::{Driver, Engine, Failure},
    shards::Shards,
    sync::{Live, Mutex, MutexGuard},
    telemetry::{audit::Trail, beat::Pulse},
};

/// One pool of a database: a credential.
#[derive(Debug)]
pub struct PoolSpec {
    /// Opens its connections.
    pub driver: Arc<dyn Driver>,
    /// The number of an earlier pool whose control path serves this one too, when both use the same control credential.
    pub shares_control_of: Option<usize>,
}

/// Who borrows, for logs and the operator's view.
#[derive(Clone, Debug)]
pub struct Borrower {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// The call's request id.
    pub request_id: Arc<str>,
    /// Where it is told what was open on a connection that is taken back, if an audit log is kept.
    pub trail: Option<Arc<Trail>>,
}

impl Borrower {
    /// Has the audit log say that what this one left open was ended, how and why.
    pub(super) fn audit(&self, database: &Inner, reason: &str, step: Step) {
        if let Some(trail) = &self.trail {
            trail.reclaimed(&database.name, reason, step.name());
        }
    }
}

/// A database with its pools. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database(pub(super) Arc<Inner>);

/// What all sessions of a pool have in common. Each slot has it at hand, whatever becomes of the pool meanwhile.
pub(super) struct Pool {
    /// Its place among the pools of its database.
    pub(super) number: usize,
    pub(super) driver: Arc<dyn Driver>,
    pub(super) control: ControlPath,
    /// What the driver says of where its server is.
    pub(super) address: Option<String>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Pool {
    /// Whether its server is at another address than that of another pool. Who is asked over one control path is one server.
    pub(super) fn is_elsewhere(&self, other: &Self) -> bool {
        !self.control.is(&other.control)
            && self.address.as_ref().zip(other.address.as_ref()).is_some_and(|(here, there)| here != there)
    }
}

/// What the tasks of a database share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) name: Arc<str>,
    pub(super) engine: Engine,
    pub(super) settings: Live<Settings>,
    pub(super) counters: Counters,
    pub(super) timings: Timings,
    pub(super) journal: Journal,
    /// Of what looks after it by the clock.
    pub(super) upkeep: Pulse,
    pub(super) capacity: Arc<HostCapacity>,
    /// Where its sessions live.
    pub(super) shards: Shards,
    state: Mutex<State>,
    pub(super) tasks: TaskTracker,
    /// Fires when the pools are closed.
    pub(super) closing: CancellationToken,
    pub(super) hurry: CancellationToken,
    /// Fires when they have been: nothing more is asked of the server.
    pub(super) closed: CancellationToken,
}

impl Database {
    /// A database that has no connection yet, whose sessions will live where they are asked for; and a grant for each of `quotas`.
    #[must_use]
    pub fn new(
        name: impl Into<Arc<str>>,
        settings: Settings,
        pools: Vec<PoolSpec>,
        quotas: Vec<Quota>,
        capacity: Arc<HostCapacity>,
    ) -> (Self, Vec<Arc<Granted>>) {
        Self::in_shards(name, settings, pools, quotas, capacity, Shards::default())
    }

    /// The same, with sessions in every shard.
    #[must_use]
    pub fn in_shards(
        name: impl Into<Arc<str>>,
        settings: Settings,
        pools: Vec<PoolSpec>,
        quotas: Vec<Quota>,
        capacity: Arc<HostCapacity>,
        shards: Shards,
    ) -> (Self, Vec<Arc<Granted>>) {
        let engine = pools[0].driver.engine();
        let mut state = State::new(settings.max_connections, settings.connect_timeout);
        for pool in pools {
            let number = state.add_pool(pool, &shards);
            state.keep_pool(number);
        }
        let numbers: Vec<usize> = quotas.into_iter().map(|quota| state.grants.add(quota, None)).collect();
        let inner = Arc::new(Inner {
            name: name.into(),
            engine,
            settings: Live::from_pointee(settings),
            counters: Counters::default(),
            timings: Timings::default(),
            journal: Journal::new(),
            upkeep: Pulse::default(),
            capacity,
            shards,
            state: Mutex::new(state),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            hurry: CancellationToken::new(),
            closed: CancellationToken::new(),
        });
        inner.capacity.register(Arc::downgrade(&inner));
        let grants = numbers.into_iter().map(|number| Granted::new(&inner, number)).collect();
        (Self(inner), grants)
    }

    /// Opens the control path of every pool and one connection of each, and starts to look after them.
    ///
    /// # Bounds
    /// `connect_timeout` for each control path and each connection.
    /// # Errors
    /// The first failure, when `eager`; otherwise failures show in the errors of the calls that want a connection.
    pub async fn start(&self, eager: bool) -> Result<(), Failure> {
        let limit = self.0.settings.load().connect_timeout;
        let homes = self.0.state().homes();
        for home in homes {
            match home.control.ping(limit).await {
                Ok(()) if eager => self.0.probe(&home).await?,
                Ok(()) => {}
                Err(failure) if eager => return Err(failure),
                Err(failure) => tracing::warn!(database = %self.0.name, %failure, "the database cannot be reached yet"),
            }
        }
        self.0.fill();
        let inner = Arc::clone(&self.0);
        self.0.tasks.spawn(async move { inner.upkeep().await });
        Ok(())
    }

    /// Lends one connection: first come, first served within a grant, round robin among grants. With shards, calls that came within
    /// 2 ms of each other may be served in another order.
    ///
    /// # Bounds
    /// At most `max_waiters` calls wait, none past `until` or `acquire_timeout`, whichever ends first.
    /// # Errors
    /// See [`AcquireError`]; none has touched a connection of another call.
    /// # Cancellation
    /// Dropping the future gives up the place in the queue; no capacity is lost.
    pub async fn acquire(&self, grant: &Granted, borrower: Borrower, call_deadline: Instant) -> Result<Hold, AcquireError> {
        debug_assert!(Arc::ptr_eq(&grant.database, &self.0), "the grant of another database");
        let Settings { acquire_timeout, max_waiters, test_before_acquire, .. } = **self.0.settings.load();
        let started = Instant::now();
        let own = started + acquire_timeout;
        let until = match call_deadline < own {
            true => Until { at: call_deadline, limit: Limit::Call },
            false => Until { at: own, limit: Limit::Acquire },
        };
        loop {
            let (hold, idle) = match self.0.try_acquire(grant.number, &borrower, max_waiters, started)? {
                Taken::Hold(hold, idle) => (hold, idle),
                Taken::Place(waiting) => {
                    self.0.counters.add(Counter::Waited);
                    waiting.until(until.at).await.unwrap_or_else(|| Err(self.0.timed_out(started, until.limit)))?
                }
            };
            if idle >= test_before_acquire && hold.test(until).await.is_err() {
                if Instant::now() < until.at {
                    // The slot has discarded it; there may be another.
                    continue;
                }
                return Err(self.0.timed_out(started, until.limit));
            }
            self.0.counters.add(Counter::Acquired);
            self.0.timings.waited.record(started.elapsed());
            return Ok(hold);
        }
    }
}

/// What an attempt to acquire came to.
enum Taken {
    /// A connection, and how long it had been idle.
    Hold(Hold, Duration),
    Place(Waiting),
}

/// A place in the queue; leaving it frees it.
struct Waiting {
    database: Arc<Inner>,
    place: Place,
    answer: oneshot::Receiver<Told>,
}

impl Waiting {
    /// The answer, or `None` when the time is over.
    async fn until(mut self, at: Instant) -> Option<Told> {
        // A sender that is gone was closed with the pool.
        timeout_at(at, &mut self.answer).await.ok().map(|answer| answer.unwrap_or(Err(AcquireError::ShuttingDown)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.database.state().queue.leave(self.place);
    }
}

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock calls foreign code; a panic there is the counting invariant, and it must not be hidden by another.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timed_out(&self, started: Instant, limit: Limit) -> AcquireError {
        self.counters.add(Counter::WaitTimeouts);
        AcquireError::WaitTimeout { waited: started.elapsed(), limit }
    }

    fn try_acquire(
        self: &Arc<Self>,
        grant: usize,
        borrower: &Borrower,
        max_waiters: u32,
        since: Instant,
    ) -> Result<Taken, AcquireError> {
        let (waiting, room) = {
            let mut state = self.state();
            if state.closed {
                return Err(AcquireError::ShuttingDown);
            }
            let pool = state.grants.quota(grant).pool;
            // Whoever waits already could not use what is idle now, or it would not be idle: nobody is overtaken.
            if state.allowance(grant) > 0
                && let Some((index, idle)) = state.freshest(pool)
            {
                let hold = state.lend(index, grant, borrower.clone());
                return Ok(Taken::Hold(hold, idle));
            }
            if let Some(failure) = state.circuit(pool) {
                return Err(AcquireError::Connect(failure.clone()));
            }
            if state.queue.len() >= max_waiters as usize {
                self.counters.add(Counter::QueueFull);
                return Err(AcquireError::QueueFull { max_waiters });
            }
            let (sender, answer) = oneshot::channel();
            let waiter = Waiter { borrower: borrower.clone(), shard: Shards::here(), since, answer: sender };
            let place = state.queue.push(grant, waiter);
            let room = self.grow(&mut state);
            (Waiting { database: Arc::clone(self), place, answer }, room)
        };
        self.make_room(room);
        Ok(Taken::Place(waiting))
    }
}
