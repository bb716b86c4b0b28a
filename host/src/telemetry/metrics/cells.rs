//! Numbers that are counted all the time and seldom read: each thread that serves has its own, and who reads takes the sum.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::lanes::Lanes;

/// So many numbers, all 0 at first. A reader does not see one moment's picture: counting goes on meanwhile.
#[derive(Debug)]
pub struct Cells<const N: usize>(Lanes<[AtomicU64; N]>);

impl<const N: usize> Default for Cells<N> {
    fn default() -> Self {
        Self(Lanes::new(|| std::array::from_fn(|_| AtomicU64::new(0))))
    }
}

impl<const N: usize> Cells<N> {
    /// Adds to a number. One that is not there is not counted.
    pub fn add(&self, place: usize, amount: u64) {
        if let Some(cell) = self.0.here().get(place) {
            cell.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// Takes off what was added, here or in another thread.
    pub fn subtract(&self, place: usize, amount: u64) {
        self.add(place, amount.wrapping_neg());
    }

    /// What was added altogether, less what was taken off; 0 for a number that is not there.
    #[must_use]
    pub fn sum(&self, place: usize) -> u64 {
        let cells = self.0.iter().filter_map(|lane| lane.get(place));
        let sum = cells.fold(0_u64, |sum, cell| sum.wrapping_add(cell.load(Ordering::Relaxed)));
        // What was added in one thread and taken off in another may be seen the other way round.
        if sum.cast_signed() < 0 { 0 } else { sum }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;
    use crate::telemetry::lanes;

    #[test]
    fn what_all_threads_add_is_summed() {
        let cells = Arc::new(Cells::<3>::default());
        let threads: Vec<_> = (0..8)
            .map(|shard| {
                let cells = Arc::clone(&cells);
                thread::spawn(move || {
                    lanes::settle(shard);
                    for _ in 0..1_000 {
                        cells.add(0, 1);
                        cells.add(2, 5);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!([0, 1, 2, 3].map(|place| cells.sum(place)), [8_000, 0, 40_000, 0]);
    }

    #[test]
    fn one_thread_takes_off_what_another_has_added() {
        let cells = Arc::new(Cells::<1>::default());
        let elsewhere = |change: fn(&Cells<1>)| {
            let cells = Arc::clone(&cells);
            let thread = thread::spawn(move || {
                lanes::settle(0);
                change(&cells);
            });
            thread.join().unwrap();
        };
        elsewhere(|cells| cells.add(0, 3));
        cells.subtract(0, 2);
        assert_eq!(cells.sum(0), 1);
        elsewhere(|cells| cells.subtract(0, 1));
        assert_eq!(cells.sum(0), 0);
    }

    #[test]
    fn what_is_not_there_is_not_counted() {
        let cells = Cells::<1>::default();
        cells.add(1, 1);
        assert_eq!((cells.sum(0), cells.sum(1)), (0, 0));
    }
}
