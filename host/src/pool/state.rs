//! Who is in which state: the counts of a database, and the rule that they never exceed its limit.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Borrower, Hold, PoolSpec,
    control::ControlPath,
    database::Pool,
    grants::Grants,
    places::Places,
    queue::{Queue, Waiter},
    slot::{Notice, Slot},
    tenancy::Tenancy,
};
use crate::{
    driver::{Failure, Session},
    shards::Shards,
};

/// After a failed attempt to connect, how long until the next; doubled each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// Short, so that the first caller after the server's return is not the one that waits: one attempt a pool at a time costs little.
const LAST_BACKOFF: Duration = Duration::from_millis(400);

/// The state of one slot, as far as capacity goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Being opened; becomes `Idle`, or is removed.
    Connecting,
    /// Proven clean, in its pool's list; becomes `Leased`, or `Reclaiming` to be closed.
    Idle,
    /// Lent; becomes `Idle` or `Reclaiming`.
    Leased,
    /// Being cleaned; becomes `Idle` or `Closing`.
    Reclaiming,
    /// Being closed, which counts as reclaiming; becomes `Unconfirmed`, or is removed.
    Closing,
    /// Closed here, but the server may still have it; removed once the server confirms. Keeps its place until then, unless it is forsaken.
    Unconfirmed,
}

/// How many connections of a database are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Being opened.
    pub connecting: u32,
    /// Clean and free.
    pub idle: u32,
    /// Lent to calls.
    pub leased: u32,
    /// Being cleaned or closed.
    pub reclaiming: u32,
    /// Closed here, not yet confirmed by the server.
    pub unconfirmed: u32,
}

impl Counts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.connecting + self.idle + self.leased + self.reclaiming + self.unconfirmed
    }

    fn of(&mut self, phase: Phase) -> &mut u32 {
        match phase {
            Phase::Connecting => &mut self.connecting,
            Phase::Idle => &mut self.idle,
            Phase::Leased => &mut self.leased,
            Phase::Reclaiming | Phase::Closing => &mut self.reclaiming,
            Phase::Unconfirmed => &mut self.unconfirmed,
        }
    }
}

/// A slot that exists.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) slot: Arc<Slot>,
    phase: Phase,
    /// Who it is on the server, once connected.
    pub(super) session: Option<Session>,
    /// Who has it, from the hand-over until it is idle again or gone.
    pub(super) tenancy: Option<Arc<Tenancy>>,
    /// Whether anybody ever had it.
    served: bool,
    /// Why it is being closed, once that is decided here; nobody is lent it any more.
    leaving: Option<Leaving>,
    /// It keeps no place, see [`State::forsake`].
    is_forsaken: bool,
}

impl Entry {
    /// Whether its place will be free soon. One that the server does not confirm as gone may keep it for ever.
    fn is_leaving(&self) -> bool {
        self.phase == Phase::Closing || (self.leaving.is_some() && self.phase != Phase::Unconfirmed)
    }
}

/// Why the pool closes a connection with which nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Its place is for another database.
    Evicted,
    /// It is old or was idle for too long, there are too many, or another pool of the database gets its place.
    Spared,
}

/// What becomes of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Has just been added; becomes `Kept` if it works, else `Retired`.
    Tried,
    /// In use; becomes `Retired`.
    Kept,
    /// Serves who still has a grant for it, and keeps nothing idle; becomes `Ending` when there is neither grant nor session.
    Retired,
    /// Its control path is being closed; then it is removed.
    Ending,
}

/// What to do with an idle connection.
pub(super) enum Match {
    /// Lend this slot, which has been idle for so long, to this waiter of this grant.
    Lend(usize, Waiter, usize, Duration),
    /// Close this slot, to make room for another pool.
    Close(usize),
}

/// One pool, and what is free in it.
#[derive(Debug)]
pub(super) struct PoolState {
    pub(super) home: Arc<Pool>,
    stage: Stage,
    /// Idle slots; the one used last is lent first, so that the others may expire.
    idle: Vec<(usize, Instant)>,
    pub(super) connecting: u32,
    /// Places that are being made for it by closing another pool's connections.
    pub(super) claims: u32,
    /// Sessions that are of use now or later: neither being opened nor being closed.
    pub(super) open: u32,
    /// Set while opening fails: the last failure, and when to try again.
    pub(super) down: Option<(Failure, Instant)>,
    /// When it began to fail; means something while it does.
    failing_since: Option<Instant>,
    /// How many attempts have failed in a row.
    pub(super) failures: u32,
}

impl PoolState {
    fn new(home: Pool) -> Self {
        let (home, stage) = (Arc::new(home), Stage::Tried);
        Self { home, stage, idle: Vec::new(), connecting: 0, claims: 0, open: 0, down: None, failing_since: None, failures: 0 }
    }

    /// Whether an attempt to connect may be made now.
    pub(super) fn may_open(&self) -> bool {
        self.down.as_ref().is_none_or(|(_, retry)| *retry <= Instant::now())
    }
}

/// Everything that is decided under the lock of a database.
#[derive(Debug)]
pub(super) struct State {
    /// Connections at most, as it is wished for.
    max: u32,
    /// Connections at most, as it is: falls to `max`, when that was lowered, with every connection that is gone.
    ceiling: u32,
    connect_timeout: Duration,
    slots: Places<Entry>,
    counts: Counts,
    /// Of those that are unconfirmed, how many keep no place.
    forsaken: u32,
    pub(super) pools: Places<PoolState>,
    pub(super) grants: Grants,
    pub(super) queue: Queue,
    pub(super) closed: bool,
    /// Nothing is lent or opened, and nothing kept, until it goes on.
    pub(super) paused: Option<Instant>,
    generation: u64,
}

impl State {
    pub(super) fn new(max: u32, connect_timeout: Duration) -> Self {
        Self {
            max,
            ceiling: max,
            connect_timeout,
            slots: Places::default(),
            counts: Counts::default(),
            forsaken: 0,
            pools: Places::default(),
            grants: Grants::default(),
            queue: Queue::default(),
            closed: false,
            paused: None,
            generation: 0,
        }
    }

    /// Adds a pool, which is to be tried; its number.
    pub(super) fn add_pool(&mut self, PoolSpec { driver, shares_control_of }: PoolSpec, shards: &Shards) -> usize {
        let shared = shares_control_of.and_then(|other| self.pools.get(other)).filter(|it| it.stage != Stage::Ending);
        let control = match shared {
            Some(it) => it.home.control.clone(),
            None => ControlPath::new(Arc::clone(&driver), shards.clone(), self.connect_timeout),
        };
        let address = driver.address();
        self.pools.add(|number| PoolState::new(Pool { number, driver, control, address }))
    }

    /// A pool that was added works.
    pub(super) fn keep_pool(&mut self, pool: usize) {
        self.pools[pool].stage = Stage::Kept;
    }

    /// From now on a pool keeps nothing that nobody waits for.
    pub(super) fn retire_pool(&mut self, pool: usize) {
        if let Some(it) = self.pools.get_mut(pool).filter(|it| it.stage != Stage::Ending) {
            it.stage = Stage::Retired;
        }
    }

    /// A retired pool of which nothing is left but its control path, and whether that one is no other's.
    pub(super) fn end_pool(&mut self) -> Option<(Arc<Pool>, bool)> {
        let is_over = |pool: usize| !self.grants.has_pool(pool) && !self.slots().any(|entry| entry.slot.home.number == pool);
        let (number, _) = self.pools.iter().find(|(pool, it)| it.stage == Stage::Retired && is_over(*pool))?;
        let pool = &mut self.pools[number];
        pool.stage = Stage::Ending;
        let home = Arc::clone(&pool.home);
        let shares = |(other, it): (usize, &PoolState)| other != number && it.home.control.is(&home.control);
        let is_own = !self.pools.iter().any(shares);
        Some((home, is_own))
    }

    /// The pool whose minimum is kept open: the first that is in use.
    pub(super) fn primary(&self) -> Option<usize> {
        let primary = self.pools.iter().find(|(_, it)| it.stage == Stage::Kept)?.0;
        self.paused.is_none().then_some(primary)
    }

    /// Another limit. What is beyond it is closed as it comes free.
    pub(super) fn resize(&mut self, max: u32, connect_timeout: Duration) {
        (self.max, self.connect_timeout) = (max, connect_timeout);
        self.ceiling = max.max(self.held());
    }

    /// Has the sessions of retired pools that their server does not confirm as gone keep no place, if every pool in use is at another
    /// address: the server there does not have them, and theirs may never be back. They are asked about as before. How many more there are now:
    /// each gives a place of the host back.
    pub(super) fn forsake(&mut self) -> u32 {
        let kept: Vec<&Arc<Pool>> = self.kept().collect();
        let is_left = |entry: &Entry| {
            let home = &entry.slot.home;
            let is_over = self.pools[home.number].stage == Stage::Retired && !kept.is_empty();
            is_over && kept.iter().all(|kept| kept.is_elsewhere(home))
        };
        let is_stuck = |entry: &Entry| entry.phase == Phase::Unconfirmed && !entry.is_forsaken;
        let left = self.slots.iter().filter(|(_, entry)| is_stuck(entry) && is_left(entry));
        let left: Vec<usize> = left.map(|(index, _)| index).collect();
        let before = self.forsaken;
        for index in left {
            self.end_tenancy(index);
            self.slots[index].is_forsaken = true;
            self.forsaken += 1;
        }
        self.ceiling = self.max.max(self.held());
        self.forsaken - before
    }

    /// Whether a connection keeps a place.
    pub(super) fn is_held(&self, index: usize) -> bool {
        self.slots.get(index).is_some_and(|entry| !entry.is_forsaken)
    }

    /// Connections that keep a place: all but those that are forsaken.
    pub(super) fn held(&self) -> u32 {
        self.counts.total() - self.forsaken
    }

    /// Connections that are about to be gone.
    pub(super) fn leaving(&self) -> u32 {
        self.slots().map(|entry| u32::from(entry.is_leaving())).sum()
    }

    /// Connections beyond the limit that are not about to be gone.
    fn excess(&self) -> u32 {
        let beyond = self.held().saturating_sub(self.max);
        if beyond == 0 { 0 } else { beyond.saturating_sub(self.leaving()) }
    }

    /// An idle connection that is not to be kept: there are too many, nothing is lent for now, or its pool is retired and nobody waits
    /// for one of it. Those of retired pools first.
    pub(super) fn superfluous(&self) -> Option<usize> {
        let too_many = self.paused.is_some() || self.excess() > 0;
        let idle = || self.pools.iter().filter(|(_, it)| !it.idle.is_empty());
        let retired = idle().find(|(pool, it)| it.stage == Stage::Retired && (too_many || self.demand(*pool) == 0));
        let (_, it) = retired.or_else(|| idle().find(|_| too_many))?;
        it.idle.first().map(|(index, _)| *index)
    }

    /// What the sessions of each pool have in common.
    pub(super) fn homes(&self) -> Vec<Arc<Pool>> {
        self.pools.iter().map(|(_, pool)| Arc::clone(&pool.home)).collect()
    }

    /// Connections at most: as it is, and as it is wished for.
    pub(super) fn limits(&self) -> (u32, u32) {
        (self.ceiling, self.max)
    }

    /// When the lease that has lasted the longest began.
    pub(super) fn oldest_lease(&self) -> Option<Instant> {
        let lent = self.slots().filter(|entry| entry.phase == Phase::Leased);
        lent.filter_map(|entry| entry.tenancy.as_ref()).map(|tenancy| tenancy.since).min()
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn is_full(&self) -> bool {
        self.held() >= self.max
    }

    /// Places that are free, or that may come free without being asked for.
    pub(super) fn coming(&self) -> u32 {
        (self.max + self.counts.reclaiming).saturating_sub(self.held())
    }

    /// Notes that the server of a pool cannot be reached; whether that is news.
    pub(super) fn trip(&mut self, pool: usize, failure: &Failure) -> bool {
        let (now, first) = (Instant::now(), !self.failed_lately(pool));
        let pool = &mut self.pools[pool];
        if first {
            pool.failing_since = Some(now);
        }
        // Attempts that were under way together count as one.
        if pool.may_open() {
            let pause = FIRST_BACKOFF.saturating_mul(1 << pool.failures.min(16)).min(LAST_BACKOFF);
            pool.failures += 1;
            pool.down = Some((failure.clone(), now + pause.mul_f64(rand::random_range(0.75..=1.25))));
        }
        first
    }

    /// Whether opening failed lately. Later than this an attempt that came next would have ended, so there was none: nobody wanted one.
    fn failed_lately(&self, pool: usize) -> bool {
        self.pools[pool].down.as_ref().is_some_and(|(_, retry)| Instant::now() < *retry + self.connect_timeout * 2)
    }

    /// Since when no session of some pool that is in use can be had: opening fails, and none is left.
    pub(super) fn down_since(&self) -> Option<Instant> {
        let is_down = |pool: usize, it: &PoolState| it.stage == Stage::Kept && it.open == 0 && self.failed_lately(pool);
        self.pools.iter().filter(|(pool, it)| is_down(*pool, it)).filter_map(|(_, it)| it.failing_since).min()
    }

    /// What the sessions of each pool that is in use have in common.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.pools.iter().filter(|(_, it)| it.stage == Stage::Kept).map(|(_, it)| &it.home)
    }

    /// Why nobody can be served from this pool for now: opening fails, no session is left to wait for, and none may be opened yet, or one
    /// attempt is under way already and the last failed lately, or the places are taken by sessions that the server does not confirm as
    /// gone. Those of another pool can be waited for: one of them makes room.
    pub(super) fn circuit(&self, pool: usize) -> Option<&Failure> {
        let it = &self.pools[pool];
        let (failure, _) = it.down.as_ref()?;
        let no_place = || self.is_full() && self.pools.iter().all(|(_, pool)| pool.open == 0);
        let hopeless = || if it.connecting > 0 { self.failed_lately(pool) } else { no_place() };
        (it.open == 0 && (!it.may_open() || hopeless())).then_some(failure)
    }

    /// Takes a connection out, which its slot closes then.
    pub(super) fn leave(&mut self, index: usize, why: Leaving) {
        self.slots[index].leaving = Some(why);
        if self.slots[index].phase != Phase::Reclaiming {
            self.transition(index, Phase::Reclaiming);
        }
    }

    /// Has an idle connection closed.
    pub(super) fn retire(&mut self, index: usize, why: Leaving) {
        self.leave(index, why);
        // A slot that is gone needs no notice.
        let _ = self.slots[index].slot.notices.send(Notice::Retire);
    }

    /// Places that are on their way to other databases.
    pub(super) fn evicting(&self) -> usize {
        self.slots().filter(|entry| entry.leaving == Some(Leaving::Evicted) && entry.is_leaving()).count()
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().map(|(_, entry)| entry)
    }

    /// Counts a connection that is about to be opened. The caller has seen that there is room.
    pub(super) fn add(&mut self, make: impl FnOnce(usize) -> Arc<Slot>) -> Arc<Slot> {
        let index = self.slots.add(|index| Entry {
            slot: make(index),
            phase: Phase::Connecting,
            session: None,
            tenancy: None,
            served: false,
            leaving: None,
            is_forsaken: false,
        });
        let slot = Arc::clone(&self.slots[index].slot);
        self.pools[slot.home.number].connecting += 1;
        self.counts.connecting += 1;
        self.check();
        slot
    }

    /// Remembers who a slot is on the server.
    pub(super) fn name(&mut self, index: usize, session: Session) {
        if let Some(entry) = self.slots.get_mut(index) {
            entry.session = Some(session);
        }
    }

    /// Moves a slot on; an idle one leaves its pool's list.
    pub(super) fn transition(&mut self, index: usize, to: Phase) {
        let entry = &mut self.slots[index];
        let (from, pool) = (std::mem::replace(&mut entry.phase, to), entry.slot.home.number);
        *self.counts.of(from) -= 1;
        *self.counts.of(to) += 1;
        if from == Phase::Connecting {
            self.pools[pool].connecting -= 1;
            self.pools[pool].open += 1;
        }
        if to == Phase::Closing {
            // Nobody can wait for it to come free.
            self.pools[pool].open -= 1;
        }
        if from == Phase::Idle {
            self.pools[pool].idle.retain(|(idle, _)| *idle != index);
        }
        if to == Phase::Idle {
            self.pools[pool].idle.push((index, Instant::now()));
        }
        self.check();
    }

    /// Forgets a slot: its session is gone, or never came to be.
    pub(super) fn remove(&mut self, index: usize) {
        self.end_tenancy(index);
        let Some(entry) = self.slots.remove(index) else { unreachable!("slot {index} does not exist") };
        *self.counts.of(entry.phase) -= 1;
        self.forsaken -= u32::from(entry.is_forsaken);
        let pool = &mut self.pools[entry.slot.home.number];
        match entry.phase {
            Phase::Connecting => pool.connecting -= 1,
            Phase::Closing | Phase::Unconfirmed => {}
            Phase::Idle | Phase::Leased | Phase::Reclaiming => pool.open -= 1,
        }
        pool.idle.retain(|(idle, _)| *idle != index);
        self.ceiling = self.max.max(self.held());
    }

    pub(super) fn phase(&self, index: usize) -> Option<Phase> {
        self.slots.get(index).map(|entry| entry.phase)
    }

    /// The idle connection of a pool that was used last, in the caller's shard if there is one, and for how long it has been idle.
    pub(super) fn freshest(&self, pool: usize) -> Option<(usize, Duration)> {
        let idle = &self.pools[pool].idle;
        let here = Shards::here();
        let is_near = |index: usize| self.slots[index].slot.shard == here;
        let nearest = idle.iter().rev().find(|(index, _)| is_near(*index)).or_else(|| idle.last());
        nearest.map(|(index, since)| (*index, since.elapsed()))
    }

    /// The connection that has been idle the longest in the first pool that has one.
    pub(super) fn stalest(&self) -> Option<usize> {
        self.pools.iter().find_map(|(_, pool)| pool.idle.first().map(|(index, _)| *index))
    }

    /// The idle connection that another pool than this one can do without. A new one serves somebody first: two pools that both wait for
    /// the only place would otherwise pass it to and fro for ever.
    pub(super) fn spare(&self, pool: usize) -> Option<usize> {
        self.pools.iter().filter(|(other, _)| *other != pool).find_map(|(other, it)| {
            let wanted = self.demand(other) > 0;
            it.idle.iter().map(|(index, _)| *index).find(|index| !wanted || self.slots[*index].served)
        })
    }

    pub(super) fn idle_since(&self, slot: &Slot) -> Option<Instant> {
        self.pools[slot.home.number].idle.iter().find(|(index, _)| *index == slot.index).map(|(_, since)| *since)
    }

    /// How many more connections a grant may have now.
    pub(super) fn allowance(&self, grant: usize) -> u32 {
        self.grants.allowance(grant, self.max)
    }

    /// How many more connections the waiting calls of a pool could use.
    pub(super) fn demand(&self, pool: usize) -> u32 {
        self.grants.demand(pool, self.max, |grant| self.queue.waiting(grant))
    }

    /// Takes all who wait for a pool out of the queue.
    pub(super) fn drain(&mut self, pool: usize) -> Vec<Waiter> {
        self.queue.drain(|grant| self.grants.quota(grant).pool == pool)
    }

    /// What to do with what is idle: lend it to the waiter whose turn it is or, when that one needs another credential and the database
    /// is full, close it to make room. So one busy credential cannot starve another.
    pub(super) fn next_match(&mut self) -> Option<Match> {
        let may = |grant: usize| {
            let pool = self.grants.quota(grant).pool;
            let it = &self.pools[pool];
            let wants_room = || {
                let wants = it.may_open() && it.connecting + it.claims < self.demand(pool);
                self.is_full() && wants && self.spare(pool).is_some()
            };
            self.allowance(grant) > 0 && (!it.idle.is_empty() || wants_room())
        };
        let grant = self.queue.choose(may)?;
        let pool = self.grants.quota(grant).pool;
        match self.freshest(pool) {
            Some((index, idle)) => {
                let shard = self.slots[index].slot.shard;
                Some(Match::Lend(grant, self.queue.take(grant, shard)?, index, idle))
            }
            None => {
                let spare = self.spare(pool)?;
                self.queue.pass(grant);
                self.pools[pool].claims += 1;
                Some(Match::Close(spare))
            }
        }
    }

    /// Hands an idle slot over.
    pub(super) fn lend(&mut self, index: usize, grant: usize, borrower: Borrower) -> Hold {
        self.transition(index, Phase::Leased);
        self.grants.lend(grant);
        self.generation += 1;
        let max_transaction_time = self.grants.quota(grant).max_transaction_time;
        let tenancy = Arc::new(Tenancy::new(self.generation, grant, borrower, max_transaction_time));
        let entry = &mut self.slots[index];
        entry.tenancy = Some(Arc::clone(&tenancy));
        entry.served = true;
        entry.slot.lend(&tenancy);
        Hold::new(Arc::clone(&entry.slot), tenancy)
    }

    /// Frees the grant's share of a slot that has been reclaimed.
    pub(super) fn end_tenancy(&mut self, index: usize) {
        if let Some(tenancy) = self.slots.get_mut(index).and_then(|entry| entry.tenancy.take()) {
            self.grants.give_back(tenancy.grant);
        }
    }

    /// Invariant 3: what is held never exceeds what may be held.
    fn check(&self) {
        let (forsaken, ceiling) = (self.forsaken, self.ceiling);
        assert!(self.held() <= ceiling, "{:?} without {forsaken} exceeds max_connections {ceiling}", self.counts);
    }
}
