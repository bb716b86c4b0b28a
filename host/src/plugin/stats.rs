//! What the calls of a plugin came to, counted from the start.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::telemetry::metrics::{Bounds, Cells, Histogram};

/// Where the fuel is: behind all ways to end.
const FUEL: usize = Stats::ENDS;

/// As those of requests, so that the two can be compared.
static BOUNDS: Bounds = Bounds::micros(&[
    5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000, 5_000_000, 7_500_000,
    10_000_000,
]);

/// Counts of the calls of one plugin.
#[derive(Debug)]
pub struct Stats {
    numbers: Cells<{ FUEL + 1 }>,
    /// How long calls took that ran, their wait for admission and the last byte of their answers included.
    pub took: Histogram,
    /// How long calls waited for admission, whether they were admitted or not.
    pub queued: Histogram,
    memory_peak: AtomicU64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            numbers: Cells::default(),
            took: Histogram::new(&BOUNDS),
            queued: Histogram::new(&BOUNDS),
            memory_peak: AtomicU64::new(0),
        }
    }
}

impl Stats {
    /// How many ways for a call to end can be told apart. Which is which, `call` knows, and has fewer.
    pub const ENDS: usize = 31;

    /// A call has ended this way, be it before it ran.
    pub fn end(&self, way: usize) {
        self.numbers.add(way, 1);
    }

    /// What a call that ran has used.
    pub fn used(&self, took: Duration, fuel: u64, memory_peak: u64) {
        self.took.record(took);
        self.numbers.add(FUEL, fuel);
        // Hardly ever higher, so that cores seldom wait for each other.
        if memory_peak > self.memory_peak.load(Ordering::Relaxed) {
            self.memory_peak.fetch_max(memory_peak, Ordering::Relaxed);
        }
    }

    /// Calls that ended this way.
    #[must_use]
    pub fn ended(&self, way: usize) -> u64 {
        self.numbers.sum(way)
    }

    /// Fuel that all calls used together that have ended.
    #[must_use]
    pub fn fuel_used(&self) -> u64 {
        self.numbers.sum(FUEL)
    }

    /// Bytes of linear memory that the hungriest of them had.
    #[must_use]
    pub fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Ordering::Relaxed)
    }
}
