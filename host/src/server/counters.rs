//! The requests of one server: how many came to what, and how many are being answered.

use super::{OUTCOMES, Outcome};
use crate::telemetry::metrics::Cells;

/// Behind the outcomes.
const RUNNING: usize = OUTCOMES.len();

/// Requests by outcome, under the names of [`OUTCOMES`], and those that run.
#[derive(Debug, Default)]
pub struct Counters(Cells<{ RUNNING + 1 }>);

impl Counters {
    /// Requests that came to this; zero for a name that is not there.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| count)
    }

    /// All outcomes with their counts, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        OUTCOMES.into_iter().enumerate().map(move |(place, name)| (name, self.0.sum(place)))
    }

    /// Requests that are being answered.
    #[must_use]
    pub fn running(&self) -> usize {
        usize::try_from(self.0.sum(RUNNING)).unwrap_or(usize::MAX)
    }

    pub(super) fn began(&self) {
        self.0.add(RUNNING, 1);
    }

    /// Counts the outcome at a place of [`OUTCOMES`].
    pub(super) fn ended(&self, place: usize) {
        self.0.subtract(RUNNING, 1);
        self.0.add(place, 1);
    }

    /// Counts a request that never ran.
    pub(super) fn never_ran(&self, outcome: Outcome) {
        self.0.add(outcome.place().into(), 1);
    }
}
