//! Random numbers from the schedule, so that its seed repeats them.

use std::ops::RangeInclusive;

use shuttle::rand::RngCore;

/// As `rand::random_range`, of fractions.
#[must_use]
pub fn random_range(range: RangeInclusive<f64>) -> f64 {
    // As many bits as the fraction of a double has.
    let unit = (shuttle::rand::thread_rng().next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    range.start() + unit * (range.end() - range.start())
}

/// As `rand::rng`.
#[must_use]
pub fn rng() -> Schedule {
    Schedule
}

/// A source of random numbers.
#[derive(Clone, Copy, Debug)]
pub struct Schedule;

/// As `rand::Rng`.
pub trait Rng {
    /// A number in the range.
    fn random_range(&mut self, range: RangeInclusive<f64>) -> f64;
}

impl Rng for Schedule {
    fn random_range(&mut self, range: RangeInclusive<f64>) -> f64 {
        random_range(range)
    }
}
