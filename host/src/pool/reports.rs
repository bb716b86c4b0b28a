//! What the tasks of slots tell their database.

use std::sync::Arc;

use super::{
    AcquireError, Counter, Settings,
    database::{Inner, Pool},
    journal::During,
    slot::Slot,
    state::{Leaving, Phase, State},
};
use crate::driver::{Failure, Session};

impl Inner {
    /// Puts a clean connection into its pool's list, or hands it on; `false` when it has to be closed: the pool is, the host has
    /// fewer places than before, or a database that has none gets its place.
    pub(super) fn publish(self: &Arc<Self>, index: usize) -> bool {
        let published = self.change(|state| {
            // A new one serves somebody first: two that both starve would otherwise pass the place to and fro for ever.
            let new = state.phase(index) == Some(Phase::Connecting);
            if state.closed {
                return false;
            }
            if self.capacity.take_debt() {
                state.leave(index, Leaving::Spared);
                return false;
            }
            if !new && self.capacity.take_starving() {
                state.leave(index, Leaving::Evicted);
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
            let pool = &mut state.pools[slot.home.number];
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
        self.journal.failed(During::Connect, failure);
        self.trip(&slot.home, failure, |state| state.remove(slot.index));
        self.capacity.give_back();
        self.dispatch();
    }

    /// The server of a pool cannot be reached, or not just now: who waits for the pool is told, unless it has sessions to wait for, and
    /// until the next attempt may be made the rest is told at once.
    pub(super) fn trip(&self, home: &Pool, failure: &Failure, change: impl FnOnce(&mut State)) {
        let pool = home.number;
        let (first, told) = {
            let mut state = self.state();
            change(&mut state);
            let first = state.trip(pool, failure);
            let told = state.circuit(pool).is_some().then(|| state.drain(pool));
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
            state.leave(index, Leaving::Spared);
        }
        idle
    }

    /// Takes a slot out of the idle ones if it has been idle for too long and the pool's minimum does not need it.
    pub(super) fn take_out_idle(&self, slot: &Slot) -> bool {
        let mut state = self.state();
        let Settings { min_connections, idle_timeout, .. } = **self.settings.load();
        let pool = slot.home.number;
        let min = if state.primary() == Some(pool) { min_connections } else { 0 };
        let old = state.pools[pool].open > min && state.idle_since(slot).is_some_and(|since| since.elapsed() >= idle_timeout);
        if old {
            state.leave(slot.index, Leaving::Spared);
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
        let is_held = {
            let mut state = self.state();
            let is_held = state.is_held(index);
            state.remove(index);
            is_held
        };
        if is_held {
            self.capacity.give_back();
        }
        self.dispatch();
    }

    /// Gives the places of sessions back that a server which is not used any more does not confirm as gone, see [`State::forsake`].
    pub(super) fn forsake(self: &Arc<Self>) {
        let forsaken = self.state().forsake();
        if forsaken == 0 {
            return;
        }
        tracing::warn!(database = %self.name, forsaken, "unconfirmed sessions of a server that is not used any more keep no place");
        for _ in 0..forsaken {
            self.capacity.give_back();
        }
        self.dispatch();
    }
}
