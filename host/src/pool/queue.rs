//! Who waits for a connection: first come, first served among the calls of a grant, round robin among grants.

use std::{collections::BTreeMap, time::Duration};

use tokio::sync::oneshot;

use super::{AcquireError, Borrower, Hold};

/// What a waiting call is told: a connection and how long it had been idle, or why there is none.
pub(super) type Told = Result<(Hold, Duration), AcquireError>;

/// One waiting call.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) borrower: Borrower,
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
    /// For each grant, its waiters in order of arrival.
    grants: Vec<BTreeMap<u64, Waiter>>,
    /// The grant that is asked first next time.
    turn: usize,
    arrivals: u64,
    len: usize,
}

impl Queue {
    pub(super) fn add_grant(&mut self) {
        self.grants.push(BTreeMap::new());
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn waiting(&self, grant: usize) -> usize {
        self.grants[grant].len()
    }

    pub(super) fn push(&mut self, grant: usize, waiter: Waiter) -> Place {
        self.arrivals += 1;
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

    /// Takes the first waiter of a grant, whose turn that was.
    pub(super) fn take(&mut self, grant: usize) -> Option<Waiter> {
        self.pass(grant);
        let (_, waiter) = self.grants[grant].pop_first()?;
        self.len -= 1;
        Some(waiter)
    }

    /// Takes the next waiter among the grants that `eligible` lets pass, and its grant.
    pub(super) fn pop(&mut self, eligible: impl FnMut(usize) -> bool) -> Option<(usize, Waiter)> {
        let grant = self.choose(eligible)?;
        Some((grant, self.take(grant)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(name: &str) -> (Waiter, oneshot::Receiver<Told>) {
        let (answer, receiver) = oneshot::channel();
        (Waiter { borrower: Borrower { plugin: name.into(), request_id: "r".into() }, answer }, receiver)
    }

    type Answers = Vec<oneshot::Receiver<Told>>;

    fn queue_of(entries: &[(usize, &str)]) -> (Queue, Vec<Place>, Answers) {
        let mut queue = Queue::default();
        queue.add_grant();
        queue.add_grant();
        let (mut places, mut answers) = (Vec::new(), Vec::new());
        for (grant, name) in entries {
            let (waiter, answer) = waiter(name);
            places.push(queue.push(*grant, waiter));
            answers.push(answer);
        }
        (queue, places, answers)
    }

    fn drain(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop(|_| true)).map(|(_, waiter)| waiter.borrower.plugin.to_string()).collect()
    }

    #[test]
    fn grants_take_turns_and_calls_of_one_grant_keep_their_order() {
        let (mut queue, _, _answers) = queue_of(&[(0, "a1"), (0, "a2"), (0, "a3"), (1, "b1")]);
        assert_eq!(drain(&mut queue), ["a1", "b1", "a2", "a3"]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn who_gives_up_leaves_no_place_behind() {
        let (mut queue, places, _answers) = queue_of(&[(0, "a1"), (0, "a2")]);
        queue.leave(places[0]);
        queue.leave(places[0]);
        assert_eq!((queue.len(), queue.waiting(0)), (1, 1));
        assert_eq!(drain(&mut queue), ["a2"]);
        queue.leave(places[1]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_grant_at_its_maximum_does_not_block_the_other() {
        let (mut queue, _, _answers) = queue_of(&[(0, "a1"), (1, "b1")]);
        let (grant, waiter) = queue.pop(|grant| grant == 1).expect("b1 waits");
        assert_eq!((grant, &*waiter.borrower.plugin), (1, "b1"));
        assert_eq!(queue.len(), 1);
    }
}
