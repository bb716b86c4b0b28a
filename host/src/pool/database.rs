//! One database: its limit, its pools, its queue, and who gets the next free connection.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    AcquireError, Counter, Counters, Counts, Hold, HostCapacity, Limit, Settings, Until,
    control::ControlPath,
    queue::{Place, Told, Waiter},
    slot::{self, Notice, Slot},
    state::{Match, Phase, State},
    tenancy::Tenancy,
};
use crate::{
    driver::{Driver, Engine, Failure, Session},
    shards::Shards,
    sync::{Mutex, MutexGuard},
};

/// One pool of a database: a credential.
#[derive(Debug)]
pub struct PoolSpec {
    /// Opens its connections.
    pub driver: Arc<dyn Driver>,
    /// An earlier pool whose control path serves this one too, when both use the same control credential.
    pub shares_control_of: Option<usize>,
}

/// A plugin's share of a database.
#[derive(Clone, Debug)]
pub struct Quota {
    /// Which pool its connections come from.
    pub pool: usize,
    /// Connections at most, those being reclaimed included.
    pub max_connections: u32,
    /// Connections that nobody else is lent, so that this many can always be had. All of a database together are at most its limit.
    pub reserved_connections: u32,
    /// How long a transaction may be open.
    pub max_transaction_time: Duration,
}

/// The number of a grant in its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantId(pub(super) usize);

/// Who borrows, for logs and the operator's view.
#[derive(Clone, Debug)]
pub struct Borrower {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// The call's request id.
    pub request_id: Arc<str>,
}

/// A database with its pools. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) control: Arc<ControlPath>,
}

/// What the tasks of a database share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) name: Arc<str>,
    pub(super) settings: Settings,
    pub(super) pools: Vec<Pool>,
    pub(super) counters: Counters,
    quotas: Vec<Quota>,
    capacity: Arc<HostCapacity>,
    /// Where its sessions live.
    shards: Shards,
    state: Mutex<State>,
    pub(super) tasks: TaskTracker,
    /// Fires when the pools are closed.
    pub(super) closing: CancellationToken,
    pub(super) hurry: CancellationToken,
    /// Fires when they have been: nothing more is asked of the server.
    pub(super) closed: CancellationToken,
}

impl Database {
    /// A database that has no connection yet, whose sessions will live where they are asked for. Grants are numbered as in `quotas`.
    #[must_use]
    pub fn new(
        name: impl Into<Arc<str>>,
        settings: Settings,
        pools: Vec<PoolSpec>,
        quotas: Vec<Quota>,
        capacity: Arc<HostCapacity>,
    ) -> (Self, Vec<GrantId>) {
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
    ) -> (Self, Vec<GrantId>) {
        let mut state = State::new(settings.max_connections, settings.connect_timeout, pools.len());
        for _ in &quotas {
            state.queue.add_grant();
            state.leased_by.push(0);
        }
        let mut made: Vec<Pool> = Vec::with_capacity(pools.len());
        for PoolSpec { driver, shares_control_of } in pools {
            let shared = shares_control_of.and_then(|earlier| made.get(earlier)).map(|earlier| Arc::clone(&earlier.control));
            made.push(Pool {
                control: shared.unwrap_or_else(|| Arc::new(ControlPath::new(Arc::clone(&driver), settings.connect_timeout))),
                driver,
            });
        }
        let grants = (0..quotas.len()).map(GrantId).collect();
        let inner = Arc::new(Inner {
            name: name.into(),
            settings,
            pools: made,
            counters: Counters::default(),
            quotas,
            capacity,
            shards,
            state: Mutex::new(state),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            hurry: CancellationToken::new(),
            closed: CancellationToken::new(),
        });
        inner.capacity.register(Arc::downgrade(&inner));
        (Self(inner), grants)
    }

    /// Opens the control path of every pool and one connection of each, and starts to look after them.
    ///
    /// # Bounds
    /// `connect_timeout` for each control path and each connection.
    /// # Errors
    /// The first failure, when `eager`; otherwise failures show in the errors of the calls that want a connection.
    pub async fn start(&self, eager: bool) -> Result<(), Failure> {
        let limit = self.0.settings.connect_timeout;
        for (index, pool) in self.0.pools.iter().enumerate() {
            match pool.control.ping(limit).await {
                Ok(()) if eager => self.0.probe(index).await?,
                Ok(()) => {}
                Err(failure) if eager => return Err(failure),
                Err(failure) => tracing::warn!(database = %self.0.name, %failure, "the database cannot be reached yet"),
            }
        }
        self.0.fill(0, self.0.settings.min_connections);
        let inner = Arc::clone(&self.0);
        self.0.tasks.spawn(async move { inner.upkeep().await });
        Ok(())
    }

    /// The dialect.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.0.pools[0].driver.engine()
    }

    /// The name in the configuration.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// The limits.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// How many connections are in which state now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.state().counts()
    }

    /// How many calls wait now.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.0.state().queue.len()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.0.counters
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
    pub async fn acquire(&self, grant: GrantId, borrower: Borrower, call_deadline: Instant) -> Result<Hold, AcquireError> {
        let started = Instant::now();
        let own = started + self.0.settings.acquire_timeout;
        let until = match call_deadline < own {
            true => Until { at: call_deadline, limit: Limit::Call },
            false => Until { at: own, limit: Limit::Acquire },
        };
        loop {
            let (hold, idle) = match self.0.try_acquire(grant, &borrower, started)? {
                Taken::Hold(hold, idle) => (hold, idle),
                Taken::Place(waiting) => {
                    self.0.counters.add(Counter::Waited);
                    waiting.until(until.at).await.unwrap_or_else(|| Err(self.0.timed_out(started, until.limit)))?
                }
            };
            if idle >= self.0.settings.test_before_acquire && hold.test(until).await.is_err() {
                if Instant::now() < until.at {
                    // The slot has discarded it; there may be another.
                    continue;
                }
                return Err(self.0.timed_out(started, until.limit));
            }
            self.0.counters.add(Counter::Acquired);
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

    fn try_acquire(self: &Arc<Self>, grant: GrantId, borrower: &Borrower, since: Instant) -> Result<Taken, AcquireError> {
        let (waiting, room) = {
            let mut state = self.state();
            if state.closed {
                return Err(AcquireError::ShuttingDown);
            }
            let quota = &self.quotas[grant.0];
            // Whoever waits already could not use what is idle now, or it would not be idle: nobody is overtaken.
            if state.allowance(grant.0, &self.quotas) > 0
                && let Some((index, idle)) = state.freshest(quota.pool)
            {
                let hold = self.lend(&mut state, index, grant, borrower.clone());
                return Ok(Taken::Hold(hold, idle));
            }
            if let Some(failure) = state.circuit(quota.pool) {
                return Err(AcquireError::Connect(failure.clone()));
            }
            if state.queue.len() >= self.settings.max_waiters as usize {
                self.counters.add(Counter::QueueFull);
                return Err(AcquireError::QueueFull { max_waiters: self.settings.max_waiters });
            }
            let (sender, answer) = oneshot::channel();
            let waiter = Waiter { borrower: borrower.clone(), shard: Shards::here(), since, answer: sender };
            let place = state.queue.push(grant.0, waiter);
            let room = self.grow(&mut state);
            (Waiting { database: Arc::clone(self), place, answer }, room)
        };
        self.make_room(room);
        Ok(Taken::Place(waiting))
    }

    fn lend(&self, state: &mut State, index: usize, grant: GrantId, borrower: Borrower) -> Hold {
        let max_transaction_time = self.quotas[grant.0].max_transaction_time;
        let (slot, tenancy) =
            state.lend(index, grant, |generation| Tenancy::new(generation, grant, borrower, max_transaction_time));
        Hold::new(slot, tenancy)
    }

    /// Gives what is idle to who waits, and opens what is still missing.
    pub(super) fn dispatch(self: &Arc<Self>) {
        self.change(|_| ());
    }

    /// Changes the state and gives what is idle to who waits, under one lock, so that nobody comes in between.
    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> T) -> T {
        // Holds are sent outside the lock: one that nobody wants any more is dropped there.
        let (result, granted, room) = {
            let mut state = self.state();
            let result = change(&mut state);
            let mut granted = Vec::new();
            if state.queue.len() == 0 {
                return result;
            }
            while let Some(matched) = state.next_match(&self.quotas) {
                match matched {
                    Match::Lend(grant, waiter, index, idle) => {
                        let hold = self.lend(&mut state, index, GrantId(grant), waiter.borrower);
                        granted.push((waiter.answer, (hold, idle)));
                    }
                    Match::Close(index) => self.retire(&mut state, index),
                }
            }
            (result, granted, self.grow(&mut state))
        };
        for (answer, hold) in granted {
            // Who gave up meanwhile drops the hold, which gives the connection back.
            let _ = answer.send(Ok(hold));
        }
        self.make_room(room);
        result
    }

    /// Lets another database close a connection, when the host has no room for those that are missing here.
    fn make_room(&self, room: Room) {
        if let Room::HostFull { missing, starving } = room {
            self.capacity.make_room(self, missing, starving);
        }
    }

    /// Opens as many connections as the waiting calls could use and the limits allow.
    fn grow(self: &Arc<Self>, state: &mut State) -> Room {
        if state.closed {
            return Room::Enough;
        }
        for pool in 0..self.pools.len() {
            // Whoever wanted room may have given up, or been served otherwise; and somebody else may have taken the room. A claim that
            // nothing on its way stands for would keep the next from asking.
            let most = state.demand(pool, &self.quotas).min(state.coming());
            state.pools[pool].claims = state.pools[pool].claims.min(most);
        }
        // Those for which room was made come first.
        let mut order: Vec<usize> = (0..self.pools.len()).collect();
        order.sort_by_key(|pool| state.pools[*pool].claims == 0);
        for pool in order {
            let mut missing = state.demand(pool, &self.quotas).saturating_sub(state.pools[pool].connecting);
            if missing > 0 && !state.pools[pool].may_open() {
                continue;
            }
            while missing > 0 {
                if !state.is_full() && self.open(state, pool, None) {
                    state.pools[pool].claims = state.pools[pool].claims.saturating_sub(1);
                    missing -= 1;
                    continue;
                }
                if !state.is_full() {
                    // The host has given the place to another database: only what is on its way still stands for a claim.
                    let on_their_way = state.counts().reclaiming;
                    state.pools[pool].claims = state.pools[pool].claims.min(on_their_way);
                }
                // Another credential's idle connection makes room, here before elsewhere: one for each that is missing.
                match state.spare(pool, &self.quotas) {
                    Some(index) if state.pools[pool].claims < missing => {
                        state.pools[pool].claims += 1;
                        self.retire(state, index);
                    }
                    None if !state.is_full() => {
                        return Room::HostFull { missing, starving: state.counts().total() == 0 };
                    }
                    Some(_) | None => break,
                }
            }
        }
        Room::Enough
    }

    /// Starts the task of a new slot; `false` when the host is full. The caller has seen that the database is not.
    fn open(self: &Arc<Self>, state: &mut State, pool: usize, opened: Option<oneshot::Sender<Result<(), Failure>>>) -> bool {
        if !self.capacity.try_take() {
            return false;
        }
        let mut inbox = None;
        let shard = self.shards.emptiest(|shard| state.slots().filter(|it| it.slot.shard == Some(shard)).count());
        let slot = state.add(pool, |index| {
            let (slot, receivers) = slot::new(pool, index, shard);
            inbox = Some(receivers);
            slot
        });
        if let Some(inbox) = inbox {
            self.shards.spawn(shard, &self.tasks, slot::run(Arc::clone(self), slot, inbox, opened));
        }
        true
    }

    /// Opens the first connection of a pool and waits for the outcome.
    async fn probe(self: &Arc<Self>, pool: usize) -> Result<(), Failure> {
        let (sender, opened) = oneshot::channel();
        {
            let mut state = self.state();
            if state.is_full() || !self.open(&mut state, pool, Some(sender)) {
                return Ok(());
            }
        }
        opened.await.unwrap_or(Ok(()))
    }

    pub(super) fn fill(self: &Arc<Self>, pool: usize, min: u32) {
        let mut state = self.state();
        while !state.closed && !state.is_full() && state.pools[pool].open + state.pools[pool].connecting < min {
            if !state.pools[pool].may_open() || !self.open(&mut state, pool, None) {
                break;
            }
        }
    }

    /// Takes an idle slot out to be closed.
    fn retire(&self, state: &mut State, index: usize) {
        state.transition(index, Phase::Reclaiming);
        if let Some(entry) = state.slots().find(|entry| entry.slot.index == index) {
            // A slot that is gone needs no notice.
            let _ = entry.slot.notices.send(Notice::Retire);
        }
    }

    /// Closes the connection that was idle the longest in the first pool that has one, to make room on the host; whether there was one.
    pub(super) fn evict_idle(&self) -> bool {
        let mut state = self.state();
        let stalest = (0..self.pools.len()).find_map(|pool| state.stalest(pool));
        if let Some(index) = stalest {
            state.evict(index);
            self.retire(&mut state, index);
        }
        stalest.is_some()
    }

    /// Puts a clean connection into its pool's list, or hands it on; `false` when it has to be closed: the pool is, or a database that
    /// has none gets its place.
    pub(super) fn publish(self: &Arc<Self>, index: usize) -> bool {
        let published = self.change(|state| {
            // A new one serves somebody first: two that both starve would otherwise pass the place to and fro for ever.
            let new = state.phase(index) == Some(Phase::Connecting);
            if state.closed {
                return false;
            }
            if !new && self.capacity.take_starving() {
                state.evict(index);
                return false;
            }
            state.end_tenancy(index);
            state.transition(index, Phase::Idle);
            true
        });
        if published && self.capacity.is_wanted() {
            self.capacity.dispatch_wanting();
        }
        published
    }

    /// A session has been opened: opening works again.
    pub(super) fn connected(&self, slot: &Slot, session: Session) {
        self.counters.add(Counter::Connected);
        let was_down = {
            let mut state = self.state();
            state.name(slot.index, session);
            let pool = &mut state.pools[slot.pool];
            pool.failures = 0;
            pool.down.take().is_some()
        };
        if was_down {
            tracing::info!(database = %self.name, "connected again");
        }
    }

    /// An attempt to connect failed.
    pub(super) fn connect_failed(self: &Arc<Self>, slot: &Slot, failure: &Failure) {
        self.counters.add(Counter::ConnectFailures);
        self.trip(slot.pool, failure, |state| state.remove(slot.index));
        self.capacity.give_back();
        self.dispatch();
    }

    /// The server of a pool cannot be reached, or not just now: who waits for the pool is told, unless it has sessions to wait for, and
    /// until the next attempt may be made the rest is told at once.
    pub(super) fn trip(&self, pool: usize, failure: &Failure, change: impl FnOnce(&mut State)) {
        let (first, told) = {
            let mut state = self.state();
            change(&mut state);
            let first = state.trip(pool, failure);
            let told = state.circuit(pool).is_some().then(|| state.queue.drain(|grant| self.quotas[grant].pool == pool));
            (first, told)
        };
        if first {
            tracing::warn!(database = %self.name, %failure, "the database cannot be reached");
        }
        for waiter in told.into_iter().flatten() {
            // Who gave up meanwhile does not hear it.
            let _ = waiter.answer.send(Err(AcquireError::Connect(failure.clone())));
        }
    }

    /// Takes a slot out of the idle ones; fails when it has just been lent.
    pub(super) fn take_out(&self, index: usize) -> bool {
        let mut state = self.state();
        let idle = state.phase(index) == Some(Phase::Idle);
        if idle {
            state.transition(index, Phase::Reclaiming);
        }
        idle
    }

    /// Takes a slot out of the idle ones if it has been idle for too long and the pool's minimum does not need it.
    pub(super) fn take_out_idle(&self, slot: &Slot) -> bool {
        let mut state = self.state();
        let min = if slot.pool == 0 { self.settings.min_connections } else { 0 };
        let old = state.pools[slot.pool].open > min
            && state.idle_since(slot).is_some_and(|since| since.elapsed() >= self.settings.idle_timeout);
        if old {
            state.transition(slot.index, Phase::Reclaiming);
        }
        old
    }

    pub(super) fn move_to(&self, index: usize, phase: Phase) {
        let mut state = self.state();
        if state.phase(index) != Some(phase) {
            state.transition(index, phase);
        }
    }

    /// The session is gone, and its place free: first here, so that nobody still waits for it as one that is on its way.
    pub(super) fn gone(self: &Arc<Self>, index: usize) {
        self.state().remove(index);
        self.capacity.give_back();
        self.dispatch();
    }
}

/// Whether the host had room for the connections that a database wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Enough,
    HostFull {
        /// How many more.
        missing: u32,
        /// The database has no connection at all, so none of its own will ever come free.
        starving: bool,
    },
}
