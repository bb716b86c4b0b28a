//! Who gets the next free connection, and which are opened and closed for that.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{
    database::{Inner, Pool},
    slot,
    state::{Leaving, Match, State},
};
use crate::driver::Failure;

impl Inner {
    /// Gives what is idle to who waits, and opens what is still missing.
    pub(super) fn dispatch(self: &Arc<Self>) {
        self.change(|_| ());
    }

    /// Changes the state and gives what is idle to who waits, under one lock, so that nobody comes in between.
    pub(super) fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> T) -> T {
        // Holds are sent outside the lock: one that nobody wants any more is dropped there.
        let (result, granted, room) = {
            let mut state = self.state();
            let result = change(&mut state);
            trim(&mut state);
            let mut granted = Vec::new();
            if state.queue.len() == 0 {
                return result;
            }
            while let Some(matched) = state.next_match() {
                match matched {
                    Match::Lend(grant, waiter, index, idle) => {
                        let hold = state.lend(index, grant, waiter.borrower);
                        granted.push((waiter.answer, (hold, idle)));
                    }
                    Match::Close(index) => state.retire(index, Leaving::Spared),
                }
                trim(&mut state);
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
    pub(super) fn make_room(&self, room: Room) {
        if let Room::HostFull { missing, starving } = room {
            self.capacity.make_room(self, missing, starving);
        }
    }

    /// Opens as many connections as the waiting calls could use and the limits allow.
    pub(super) fn grow(self: &Arc<Self>, state: &mut State) -> Room {
        if state.closed || state.paused.is_some() {
            return Room::Enough;
        }
        let mut order: Vec<usize> = state.pools.iter().map(|(pool, _)| pool).collect();
        for &pool in &order {
            // Whoever wanted room may have given up, or been served otherwise; and somebody else may have taken the room. A claim that
            // nothing on its way stands for would keep the next from asking.
            let most = state.demand(pool).min(state.coming());
            state.pools[pool].claims = state.pools[pool].claims.min(most);
        }
        // Those for which room was made come first.
        order.sort_by_key(|pool| state.pools[*pool].claims == 0);
        for pool in order {
            let mut missing = state.demand(pool).saturating_sub(state.pools[pool].connecting);
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
                match state.spare(pool) {
                    Some(index) if state.pools[pool].claims < missing => {
                        state.pools[pool].claims += 1;
                        state.retire(index, Leaving::Spared);
                    }
                    None if !state.is_full() => {
                        return Room::HostFull { missing, starving: state.held() == 0 };
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
        let home = Arc::clone(&state.pools[pool].home);
        let slot = state.add(|index| {
            let (slot, receivers) = slot::new(home, index, shard);
            inbox = Some(receivers);
            slot
        });
        if let Some(inbox) = inbox {
            self.shards.spawn(shard, &self.tasks, slot::run(Arc::clone(self), slot, inbox, opened));
        }
        true
    }

    /// Opens the first connection of a pool, if there is a place for it, and waits for the outcome.
    pub(super) async fn probe(self: &Arc<Self>, home: &Pool) -> Result<(), Failure> {
        let (sender, opened) = oneshot::channel();
        {
            let mut state = self.state();
            if state.paused.is_some() || state.is_full() || !self.open(&mut state, home.number, Some(sender)) {
                return Ok(());
            }
        }
        opened.await.unwrap_or(Ok(()))
    }

    /// Opens what the first pool lacks of its minimum.
    pub(super) fn fill(self: &Arc<Self>) {
        let mut state = self.state();
        let Some(pool) = state.primary() else { return };
        let min = self.settings.load().min_connections;
        while !state.closed && !state.is_full() && state.pools[pool].open + state.pools[pool].connecting < min {
            if !state.pools[pool].may_open() || !self.open(&mut state, pool, None) {
                break;
            }
        }
    }

    /// Closes the connection that was idle the longest in the first pool that has one, to make room on the host; whether there was one.
    pub(super) fn evict_idle(&self) -> bool {
        let mut state = self.state();
        let stalest = state.stalest();
        if let Some(index) = stalest {
            state.retire(index, Leaving::Evicted);
        }
        stalest.is_some()
    }

    /// Closes what is idle, the stalest first, while the host has more connections than places.
    pub(super) fn pay_debt(&self) {
        let mut state = self.state();
        while let Some(index) = state.stalest()
            && self.capacity.take_debt()
        {
            state.retire(index, Leaving::Spared);
        }
    }
}

/// Has closed what is idle and not to be kept.
fn trim(state: &mut State) {
    while let Some(index) = state.superfluous() {
        state.retire(index, Leaving::Spared);
    }
}

/// Whether the host had room for the connections that a database wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    HostFull {
        /// How many more.
        missing: u32,
        /// The database has no connection at all, so none of its own will ever come free.
        starving: bool,
    },
}
