//! How long things took in a database's pools.

use crate::telemetry::metrics::{Bounds, Family, Histogram};

/// Those that OpenTelemetry advises for operations.
static BOUNDS: Bounds = Bounds::micros(&[1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000]);
/// A round trip to a server nearby takes less than a millisecond.
static RECLAIM_BOUNDS: Bounds =
    Bounds::micros(&[500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000]);

/// Histograms of one database, from its start on.
#[derive(Debug)]
pub struct Timings {
    /// Opening a session that was opened.
    pub created: Histogram,
    /// Waiting for a connection that was lent.
    pub waited: Histogram,
    /// From when a connection was lent until it was taken back, clean or not.
    pub used: Histogram,
    /// Operations, by what they do and what went wrong: the kind of a failure, or why the lease ended over them.
    pub operations: Family<2>,
    /// Taking back what was not given back clean, to its end, by the reason.
    pub reclaims: Family<1>,
}

impl Default for Timings {
    fn default() -> Self {
        let [created, waited, used] = std::array::from_fn(|_| Histogram::new(&BOUNDS));
        let operations = Family::new(["db_operation_name", "error_type"], &BOUNDS);
        Self { created, waited, used, operations, reclaims: Family::new(["reason"], &RECLAIM_BOUNDS) }
    }
}
