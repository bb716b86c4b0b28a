//! Who waits for a connection: first come, first served among the calls of a grant, round robin among grants.
//!
//! With shards, a connection goes to the first waiter of its own shard that came at most [`PASSED_BY`] after the very first: every
//! statement of a lease across shards wakes two threads instead of none.

use std::{collections::BTreeMap, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{AcquireError, Borrower, Hold};

/// Who came so much later than the first, or less, may be served before it.
const PASSED_BY: Duration = Duration::from_millis(2);

/// How many waiters are looked at to find one of the connection's shard.
const LOOKED_AT: usize = 16;

/// What a waiting call is told: a connection and how long it had been idle, or why there is none.
pub(super) type Told = Result<(Hold, Duration), AcquireError>;

/// One waiting call.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) borrower: Borrower,
    /// The shard it waits in.
    pub(super) shard: Option<usize>,
    pub(super) since: Instant,
    pub(super) answer: oneshot::Sender<Told>,
}

/// A place in the queue; unique for the life of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    grant: usize,
    number: u64,
}

/// The waiting calls of one database, bounded by the caller.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// For each grant, its waiters in order of arrival; none, if it is gone.
    grants: Vec<BTreeMap<u64, Waiter>>,
    /// The grant that is asked first next time.
    turn: usize,
    arrivals: u64,
    len: usize,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Since when the one that waits the longest does.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.grants.iter().filter_map(|waiters| waiters.first_key_value()).map(|(_, waiter)| waiter.since).min()
    }

    pub(super) fn waiting(&self, grant: usize) -> usize {
        self.grants.get(grant).map_or(0, BTreeMap::len)
    }

    pub(super) fn push(&mut self, grant: usize, waiter: Waiter) -> Place {
        self.arrivals += 1;
        if self.grants.len() <= grant {
            self.grants.resize_with(grant + 1, BTreeMap::new);
        }
        self.grants[grant].insert(self.arrivals, waiter);
        self.len += 1;
        Place { grant, number: self.arrivals }
    }

    /// Gives up a place; nothing happens when its turn has come already.
    pub(super) fn leave(&mut self, place: Place) {
        if self.grants[place.grant].remove(&place.number).is_some() {
            self.len -= 1;
        }
    }

    /// The grant whose turn it is, among those that have waiters and that `eligible` lets pass.
    pub(super) fn choose(&self, mut eligible: impl FnMut(usize) -> bool) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        let count = self.grants.len();
        (0..count).map(|step| (self.turn + step) % count).find(|&g| !self.grants[g].is_empty() && eligible(g))
    }

    /// The grant has had its turn: the next is another's.
    pub(super) fn pass(&mut self, grant: usize) {
        self.turn = (grant + 1) % self.grants.len();
    }

    /// Takes the next waiter of a grant, whose turn that was, for a connection that lives in `shard`.
    pub(super) fn take(&mut self, grant: usize, shard: Option<usize>) -> Option<Waiter> {
        self.pass(grant);
        let waiters = &mut self.grants[grant];
        let (first, Waiter { since, .. }) = waiters.first_key_value()?;
        let latest = *since + PASSED_BY;
        let early = waiters.iter().take(LOOKED_AT).take_while(|(_, waiter)| waiter.since <= latest);
        let near = early.filter(|(_, waiter)| waiter.shard == shard).map(|(number, _)| number).next();
        let next = *near.unwrap_or(first);
        let waiter = waiters.remove(&next)?;
        self.len -= 1;
        Some(waiter)
    }

    /// Takes all waiters among the grants that `eligible` lets pass.
    pub(super) fn drain(&mut self, eligible: impl Fn(usize) -> bool) -> Vec<Waiter> {
        let grants = self.grants.iter_mut().enumerate().filter(|(grant, waiters)| !waiters.is_empty() && eligible(*grant));
        let taken: Vec<_> = grants.flat_map(|(_, waiters)| std::mem::take(waiters).into_values()).collect();
        self.len -= taken.len();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answers = Vec<oneshot::Receiver<Told>>;

    /// Waiters of two grants: grant, name, shard, and milliseconds after the first.
    fn queue_of(entries: &[(usize, &str, usize, u64)]) -> (Queue, Vec<Place>, Answers) {
        let mut queue = Queue::default();
        let start = Instant::now();
        let (mut places, mut answers) = (Vec::new(), Vec::new());
        for (grant, name, shard, after) in entries {
            let (answer, receiver) = oneshot::channel();
            let borrower = Borrower { plugin: (*name).into(), request_id: "r".into(), trail: None };
            let since = start + Duration::from_millis(*after);
            places.push(queue.push(*grant, Waiter { borrower, shard: Some(*shard), since, answer }));
            answers.push(receiver);
        }
        (queue, places, answers)
    }

    /// Who is served, by connections of shard 0.
    fn served(queue: &mut Queue) -> Vec<String> {
        let next = || queue.choose(|_| true).and_then(|grant| queue.take(grant, Some(0)));
        std::iter::from_fn(next).map(|waiter| waiter.borrower.plugin.to_string()).collect()
    }

    #[test]
    fn grants_take_turns_and_calls_of_one_grant_keep_their_order() {
        let (mut queue, _, _answers) = queue_of(&[(0, "a1", 0, 0), (0, "a2", 0, 0), (0, "a3", 0, 0), (1, "b1", 0, 0)]);
        assert_eq!(served(&mut queue), ["a1", "b1", "a2", "a3"]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn who_waits_in_the_shard_of_the_connection_goes_first_if_it_came_a_moment_later() {
        let edge = u64::try_from(PASSED_BY.as_millis()).unwrap();
        let (mut queue, _, _answers) = queue_of(&[(0, "far", 1, 0), (0, "near", 0, edge), (0, "late", 0, edge + 1)]);
        assert_eq!(served(&mut queue), ["near", "far", "late"]);
    }

    #[test]
    fn so_many_waiters_are_looked_at_and_no_more() {
        let mut entries = vec![(0, "far", 1, 0); LOOKED_AT];
        entries.push((0, "near", 0, 0));
        let (mut queue, ..) = queue_of(&entries);
        assert_eq!(served(&mut queue)[0..2], ["far", "near"]);
    }

    #[test]
    fn who_gives_up_leaves_no_place_behind() {
        let (mut queue, places, _answers) = queue_of(&[(0, "a1", 0, 0), (0, "a2", 0, 0)]);
        queue.leave(places[0]);
        queue.leave(places[0]);
        assert_eq!((queue.len(), queue.waiting(0)), (1, 1));
        assert_eq!(served(&mut queue), ["a2"]);
        queue.leave(places[1]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_grant_at_its_maximum_does_not_block_the_other() {
        let (queue, _, _answers) = queue_of(&[(0, "a1", 0, 0), (1, "b1", 0, 0)]);
        assert_eq!(queue.choose(|grant| grant == 1), Some(1));
    }

    #[test]
    fn those_of_some_grants_leave_together() {
        let (mut queue, _, _answers) = queue_of(&[(0, "a1", 0, 0), (1, "b1", 0, 0), (0, "a2", 0, 0)]);
        let left: Vec<_> = queue.drain(|grant| grant == 0).into_iter().map(|waiter| waiter.borrower.plugin).collect();
        assert_eq!(left, ["a1".into(), "a2".into()]);
        assert_eq!((queue.len(), queue.waiting(1)), (1, 1));
    }
}
