//! Many clients at once, and what came of their calls.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::future::join_all;

use crate::{call::Caller, check::Verdict, kinds::Engine, kinds::Kind};

/// Unexpected answers after which it is no use to go on.
const HOPELESS: u64 = 100;

/// Unexpected answers that are shown.
const SHOWN: usize = 10;

/// All calls of a run; which they are depends on the seed and on how many run at once.
#[derive(Debug)]
pub(crate) struct Load {
    address: SocketAddr,
    pub(crate) kinds: Vec<&'static Kind>,
    weight: u64,
    seed: u64,
    at_once: u64,
    /// So many calls come first, of one kind after the other: see [`Load::bursts`].
    bursts: u64,
    next: AtomicU64,
    done: AtomicU64,
    unexpected: AtomicU64,
}

/// What came of calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// One a kind, in the order of [`Load::kinds`].
    pub(crate) counts: Vec<Count>,
    /// Refusals by what was full.
    pub(crate) refusals: BTreeMap<&'static str, u64>,
    /// Answers that stand for a hit in the table `counters`, by engine.
    pub(crate) hits: [u64; 3],
    /// Some of the unexpected answers, with what was called.
    pub(crate) unexpected: Vec<String>,
}

/// What came of the calls of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) as_expected: u64,
    pub(crate) refused: u64,
    pub(crate) unexpected: u64,
}

impl Count {
    pub(crate) fn calls(self) -> u64 {
        self.as_expected + self.refused + self.unexpected
    }
}

impl Load {
    /// # Panics
    /// Without a kind.
    pub(crate) fn new(address: SocketAddr, kinds: Vec<&'static Kind>, seed: u64, at_once: u64) -> Self {
        let weight = kinds.iter().map(|kind| kind.weight).sum();
        assert!(weight > 0, "no kind of call");
        let zero = || AtomicU64::new(0);
        Self { address, kinds, weight, seed, at_once, bursts: 0, next: zero(), done: zero(), unexpected: zero() }
    }

    /// The same, begun with as many calls of each kind as there may be at once, if that is not more than `room`. Where calls are
    /// chosen by chance, a crowd of one kind, for which the host then keeps memory, gets rarer and rarer without ever being the last.
    pub(crate) fn with_bursts(mut self, room: u64) -> Self {
        let bursts = self.at_once * self.kinds.len() as u64;
        self.bursts = if bursts <= room { bursts } else { 0 };
        self
    }

    /// Makes the calls that are left of the first `until`, and comes back when all of them are over.
    pub(crate) async fn run(self: &Arc<Self>, until: u64) -> Tally {
        let clients = (0..self.at_once).map(|_| tokio::spawn(Arc::clone(self).client(until)));
        let mut all = Tally::default();
        for tally in join_all(clients).await {
            all.add(tally.expect("no client panics"));
        }
        all
    }

    /// Calls that are over.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// So many answers were unexpected that it is no use to go on.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.unexpected.load(Ordering::Relaxed) >= HOPELESS
    }

    async fn client(self: Arc<Self>, until: u64) -> Tally {
        let mut caller = Caller::new(self.address);
        let mut tally = Tally { counts: vec![Count::default(); self.kinds.len()], ..Tally::default() };
        while !self.is_hopeless() {
            let taken = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| (next < until).then_some(next + 1));
            let Ok(number) = taken else { break };
            let (index, engine) = self.pick(number);
            let kind = self.kinds[index];
            let verdict = caller.call(kind, engine, number).await;
            if matches!(verdict, Verdict::Unexpected(_)) {
                self.unexpected.fetch_add(1, Ordering::Relaxed);
            }
            tally.note(index, kind, engine, number, verdict);
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        tally
    }

    /// The kind and the database of a call.
    fn pick(&self, number: u64) -> (usize, Option<Engine>) {
        let random = scramble(self.seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let index = if number < self.bursts {
            usize::try_from(number / self.at_once).expect("a small number")
        } else {
            self.by_weight(random % self.weight)
        };
        let engines = self.kinds[index].engines;
        let which = usize::try_from((random >> 32) % engines.len().max(1) as u64).expect("a small number");
        (index, engines.get(which).copied())
    }

    /// The kind that has this place among all weights.
    fn by_weight(&self, mut place: u64) -> usize {
        let index = self.kinds.iter().position(|kind| {
            let here = place < kind.weight;
            place = place.saturating_sub(kind.weight);
            here
        });
        index.expect("less than all weights together")
    }
}

/// The finalizer of `SplitMix64`: neighbours become strangers.
pub(crate) fn scramble(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

impl Tally {
    fn note(&mut self, index: usize, kind: &Kind, engine: Option<Engine>, number: u64, verdict: Verdict) {
        let count = &mut self.counts[index];
        match verdict {
            Verdict::AsExpected => {
                count.as_expected += 1;
                if let (true, Some(engine)) = (kind.writes, engine) {
                    self.hits[engine as usize] += 1;
                }
            }
            Verdict::Refused(limit) => {
                count.refused += 1;
                *self.refusals.entry(limit).or_default() += 1;
            }
            Verdict::Unexpected(what) => {
                count.unexpected += 1;
                if self.unexpected.len() < SHOWN {
                    let engine = engine.map_or("no database", Engine::title);
                    self.unexpected.push(format!("call {number}, {} on {engine}: {what}", kind.name));
                }
            }
        }
    }

    /// Adds what came of other calls.
    pub(crate) fn add(&mut self, other: Self) {
        self.counts.resize(self.counts.len().max(other.counts.len()), Count::default());
        for (count, other) in self.counts.iter_mut().zip(other.counts) {
            count.as_expected += other.as_expected;
            count.refused += other.refused;
            count.unexpected += other.unexpected;
        }
        for (limit, count) in other.refusals {
            *self.refusals.entry(limit).or_default() += count;
        }
        for (hits, other) in self.hits.iter_mut().zip(other.hits) {
            *hits += other;
        }
        self.unexpected.extend(other.unexpected);
        self.unexpected.truncate(SHOWN);
    }

    /// The sum over all kinds.
    pub(crate) fn total(&self) -> Count {
        self.counts.iter().fold(Count::default(), |sum, count| Count {
            as_expected: sum.as_expected + count.as_expected,
            refused: sum.refused + count.refused,
            unexpected: sum.unexpected + count.unexpected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{arguments::Mix, kinds::chosen};

    fn load(seed: u64) -> Load {
        Load::new(SocketAddr::from(([127, 0, 0, 1], 0)), chosen(Mix::All, None), seed, 64)
    }

    #[test]
    fn a_seed_gives_the_same_calls_again_and_another_gives_others() {
        let calls = |seed| (0..1000).map(|number| load(seed).pick(number)).collect::<Vec<_>>();
        assert_eq!(calls(7), calls(7));
        assert_ne!(calls(7), calls(8));
    }

    #[test]
    fn bursts_have_every_kind_as_often_as_there_are_calls_at_once() {
        assert_eq!(load(7).with_bursts(1000).bursts, 0);
        // Warm-up of the shortest run whose memory is judged.
        let load = load(7).with_bursts(crate::judge::LEAST_CALLS / 4);
        let mut counts = vec![0; load.kinds.len()];
        (0..load.bursts).for_each(|number| counts[load.pick(number).0] += 1);
        assert!(counts.iter().all(|count| *count == 64), "{counts:?}");
    }

    #[test]
    fn shares_are_as_the_weights_say_and_every_kind_occurs_on_all_its_engines() {
        let load = load(7);
        let mut counts = vec![[0_u64; 4]; load.kinds.len()];
        for number in 0..200_000 {
            let (index, engine) = load.pick(number);
            counts[index][engine.map_or(3, |engine| engine as usize)] += 1;
        }
        for (kind, counts) in load.kinds.iter().zip(counts) {
            let (sum, expected) = (counts.iter().sum::<u64>(), 200_000 * kind.weight / load.weight);
            assert!(sum.abs_diff(expected) <= expected / 4, "{}: {sum}, and not {expected}", kind.name);
            assert!(kind.engines.iter().all(|engine| counts[*engine as usize] > 0), "{}: {counts:?}", kind.name);
        }
    }
}
