//! How long something took, counted by bounds that never change.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::Cells;

/// Whether nothing is counted here; read a great deal and hardly ever written, so that every core has it at hand.
static IS_OFF: AtomicBool = AtomicBool::new(false);

/// Has this process count durations, or not. It does unless it is told otherwise; what is not a duration is counted all the same.
pub fn switch(on: bool) {
    IS_OFF.store(!on, Ordering::Relaxed);
}

/// Whether durations are counted.
#[must_use]
pub fn is_on() -> bool {
    !IS_OFF.load(Ordering::Relaxed)
}

/// With what lies beyond them, and the sum, a thread's copy fills a pair of cache lines.
const MOST: usize = 14;
/// Where the sum is.
const SUM: usize = MOST + 1;

/// The bounds of a histogram.
#[derive(Debug)]
pub struct Bounds {
    /// In microseconds; nothing is beyond those that are not used.
    all: [u64; MOST],
    used: usize,
}

impl Bounds {
    /// Bounds in microseconds.
    ///
    /// # Panics
    /// When there are more than 14, or one is not above the one before it. Bounds are constants, and then it does not compile.
    #[must_use]
    pub const fn micros(bounds: &[u64]) -> Self {
        assert!(bounds.len() <= MOST, "a histogram has 14 bounds at most");
        let mut all = [u64::MAX; MOST];
        let mut place = 0;
        while place < bounds.len() {
            assert!(place == 0 || bounds[place - 1] < bounds[place], "bounds ascend");
            all[place] = bounds[place];
            place += 1;
        }
        Self { all, used: bounds.len() }
    }
}

/// Durations, counted by their bounds and summed, to the microsecond.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static Bounds,
    /// Of each bound what is within it and no lower one, then what is beyond, then the sum.
    cells: Cells<{ SUM + 1 }>,
}

impl Histogram {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(bounds: &'static Bounds) -> Self {
        Self { bounds, cells: Cells::default() }
    }

    /// Counts one.
    pub fn record(&self, took: Duration) {
        if !is_on() {
            return;
        }
        let micros = took.as_secs().saturating_mul(1_000_000).saturating_add(took.subsec_micros().into());
        // Most are within the first bound; of the others all are compared, which costs less than guessing wrongly where to stop.
        let place = match &self.bounds.all {
            [first, ..] if micros <= *first => 0,
            all => all.iter().map(|bound| usize::from(micros > *bound)).sum(),
        };
        self.cells.add(place, 1);
        self.cells.add(SUM, micros);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        (0..=self.bounds.used).map(|place| self.cells.sum(place)).sum()
    }

    /// What all of them took together, in microseconds.
    #[must_use]
    pub fn sum_micros(&self) -> u64 {
        self.cells.sum(SUM)
    }

    /// Each bound, in microseconds, with how many were within it; what all of them were is within `None`.
    #[must_use]
    pub fn within(&self) -> Vec<(Option<u64>, u64)> {
        let bounds = self.bounds.all.iter().take(self.bounds.used).copied().map(Some).chain([None]);
        let mut sum = 0;
        bounds
            .enumerate()
            .map(|(place, bound)| {
                sum += self.cells.sum(place);
                (bound, sum)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static BOUNDS: Bounds = Bounds::micros(&[10, 1_000, 2_000_000]);

    #[test]
    fn a_bound_is_within_itself() {
        let histogram = Histogram::new(&BOUNDS);
        for micros in [0, 10, 11, 1_000, 1_001, 2_000_000, 2_000_001] {
            histogram.record(Duration::from_micros(micros));
        }
        assert_eq!(histogram.within(), [(Some(10), 2), (Some(1_000), 4), (Some(2_000_000), 6), (None, 7)]);
        assert_eq!((histogram.count(), histogram.sum_micros()), (7, 4_002_023));
    }

    #[test]
    fn what_has_no_end_is_beyond_all_bounds() {
        static FULL: Bounds = Bounds::micros(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        for bounds in [&BOUNDS, &FULL] {
            let histogram = Histogram::new(bounds);
            histogram.record(Duration::MAX);
            let within = histogram.within();
            assert_eq!(within.last(), Some(&(None, 1)));
            assert_eq!(within.iter().map(|(_, count)| count).sum::<u64>(), 1);
        }
    }
}
