//! The requests of one server: how many came to what, and how many are being answered.

use std::{sync::Arc, time::Duration};

use http::Method;

use super::{Code, OUTCOMES, Outcome};
use crate::telemetry::{
    metrics::Cells,
    requests::{Requests, Route},
};

/// Requests by outcome, under the names of [`OUTCOMES`], and those that run.
#[derive(Debug, Default)]
pub struct Counters {
    outcomes: Cells<{ OUTCOMES.len() }>,
    requests: Arc<Requests>,
}

impl Counters {
    /// None yet; as metrics they count in `requests`.
    pub(super) fn new(requests: Arc<Requests>) -> Self {
        Self { outcomes: Cells::default(), requests }
    }

    /// Requests that came to this; zero for a name that is not there.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| count)
    }

    /// All outcomes with their counts, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        OUTCOMES.into_iter().enumerate().map(move |(place, name)| (name, self.outcomes.sum(place)))
    }

    /// Requests that are being answered.
    #[must_use]
    pub fn running(&self) -> usize {
        self.requests.active()
    }

    pub(super) fn began(&self) {
        self.requests.began();
    }

    /// Counts a request that came to the outcome at a place of [`OUTCOMES`].
    pub(super) fn ended(&self, place: usize, route: Option<&Route>, method: &Method, status: u16, took: Duration) {
        let is_answered = place == usize::from(Outcome::Answered.place());
        let error = if is_answered { None } else { OUTCOMES.get(place).copied() };
        self.requests.record(route, method.as_str(), status, error, took);
        self.outcomes.add(place, 1);
        // Last: who sees that nothing runs finds all of it counted.
        self.requests.ended();
    }

    /// Counts a request that never ran, since it could not be read.
    pub(super) fn never_ran(&self, code: Code) {
        let outcome = Outcome::Failed(code);
        self.requests.record(None, "", code.status().as_u16(), Some(outcome.name()), Duration::ZERO);
        self.outcomes.add(outcome.place().into(), 1);
    }
}
