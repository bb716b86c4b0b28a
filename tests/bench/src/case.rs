//! What a case is: one measurement, the figures that come of it, and the targets that they have.

use std::fmt;

use anyhow::Result;
use futures::future::BoxFuture;
use serde::Serialize;

use crate::{
    bed::{Bed, Effort},
    contest,
};

/// One measurement.
pub(crate) struct Case {
    /// Such as `row-postgres/32`.
    pub(crate) name: &'static str,
    /// Said in the result: what a reader of its figures has to know.
    pub(crate) note: &'static str,
    /// What comes of it, each a row of the table.
    pub(crate) figures: Vec<Figure>,
    /// Measures all of them.
    pub(crate) measure: Box<Measure>,
    /// About how long that takes.
    pub(crate) takes: Takes,
    /// Whether a few calls decide, so that it is measured again when others on the same hardware were given much meanwhile.
    pub(crate) is_delicate: bool,
    /// Whether its target is so close to what it comes to that more pairs are needed to tell.
    pub(crate) is_close: bool,
}

/// How many times as many pairs a close case has: their median varies about half as much.
const CLOSER: usize = 3;

/// Measures a whole case, with as much effort as the bed says, and gives back a value for each of its figures, in their order.
pub(crate) type Measure = dyn for<'a> Fn(&'a Bed) -> BoxFuture<'a, Result<Vec<Measured>>>;

/// Seconds by the effort.
pub(crate) type Takes = fn(Effort) -> f64;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figure {
    /// Appended to the case's name; empty for what a case is mainly about.
    pub(crate) name: &'static str,
    /// Such as `requests/s`.
    pub(crate) unit: &'static str,
    /// What is aimed for: of the median ratio where there is a reference, of the figure itself where there is none.
    pub(crate) target: Option<Target>,
}

/// What is aimed for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
}

/// What was measured of a figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    /// By pair, or on its own.
    pub(crate) values: Values,
    /// Latencies of both sides where there are some.
    pub(crate) latencies: Option<Latencies>,
    /// What this run has to say besides the case's note.
    pub(crate) note: String,
}

/// The values of a figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    /// Wharf beside a reference, a pair after the other.
    Pairs(Vec<Pair>),
    /// Wharf's alone; there is nothing to compare it with.
    Alone(f64),
    /// What others do without Wharf, so that figures can be judged that depend on it.
    Others(f64),
}

/// Both sides, measured one directly after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pair {
    pub(crate) wharf: f64,
    pub(crate) reference: f64,
}

/// Medians over the pairs: what a request takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Latencies {
    pub(crate) wharf_p50_ms: Option<f64>,
    pub(crate) wharf_p99_ms: Option<f64>,
    pub(crate) reference_p50_ms: Option<f64>,
    pub(crate) reference_p99_ms: Option<f64>,
    /// Microseconds of a processor for each answer, the server's alone: steadier than seconds on a machine that does something else too.
    pub(crate) wharf_cpu_us: Option<f64>,
    pub(crate) reference_cpu_us: Option<f64>,
    /// How many processors the client kept busy meanwhile.
    pub(crate) wharf_client_cpus: Option<f64>,
    pub(crate) reference_client_cpus: Option<f64>,
}

impl Case {
    /// A case with its own way to measure its figures, which takes as long as a contest.
    pub(crate) fn new<F>(name: &'static str, figures: Vec<Figure>, measure: F) -> Self
    where
        F: for<'a> Fn(&'a Bed) -> BoxFuture<'a, Result<Vec<Measured>>> + 'static,
    {
        Self { name, note: "", figures, measure: Box::new(measure), takes: contest::takes, is_delicate: false, is_close: false }
    }

    /// Says that a few calls decide.
    pub(crate) fn delicate(self) -> Self {
        Self { is_delicate: true, ..self }
    }

    /// Says that its target lies within the spread of the pairs of other cases.
    pub(crate) fn close(self) -> Self {
        Self { is_close: true, ..self }
    }

    /// What is done for it where so much is done for others.
    pub(crate) fn effort(&self, others: Effort) -> Effort {
        Effort { pairs: if self.is_close { others.of(CLOSER * others.pairs, others.pairs) } else { others.pairs }, ..others }
    }

    /// Says how long it takes.
    pub(crate) fn takes(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }

    /// Says what a reader of its figures has to know.
    pub(crate) fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    /// Whether it, or one of its figures, begins with `part`.
    pub(crate) fn is_called(&self, part: &str) -> bool {
        self.figures.iter().any(|figure| self.row(figure).starts_with(part))
    }

    /// What a figure of it is called.
    pub(crate) fn row(&self, figure: &Figure) -> String {
        if figure.name.is_empty() { self.name.to_owned() } else { format!("{}/{}", self.name, figure.name) }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Case").field("name", &self.name).field("figures", &self.figures).finish_non_exhaustive()
    }
}

impl Figure {
    /// What a case is mainly about.
    pub(crate) const fn main(unit: &'static str, target: Option<Target>) -> Self {
        Self { name: "", unit, target }
    }

    /// One of several.
    pub(crate) const fn named(name: &'static str, unit: &'static str, target: Option<Target>) -> Self {
        Self { name, unit, target }
    }
}

impl Target {
    /// Whether a value is as good as was aimed for.
    pub(crate) fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(formatter, "≥ {least}"),
            Self::AtMost(most) => write!(formatter, "≤ {most}"),
        }
    }
}

impl Measured {
    /// Wharf beside a reference.
    pub(crate) fn pairs(pairs: Vec<Pair>) -> Self {
        Self { values: Values::Pairs(pairs), latencies: None, note: String::new() }
    }

    /// Wharf alone.
    pub(crate) fn alone(value: f64) -> Self {
        Self { values: Values::Alone(value), latencies: None, note: String::new() }
    }

    /// Others alone.
    pub(crate) fn others(value: f64) -> Self {
        Self { values: Values::Others(value), latencies: None, note: String::new() }
    }

    /// Adds latencies.
    pub(crate) fn latencies(self, latencies: Latencies) -> Self {
        Self { latencies: Some(latencies), ..self }
    }

    /// Adds what this run has to say.
    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }
}

impl Pair {
    /// How Wharf's value compares.
    pub(crate) fn ratio(self) -> f64 {
        self.wharf / self.reference
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_case_has_more_pairs_unless_it_is_only_tried_out() {
        let case = || Case::new("case", Vec::new(), |_| Box::pin(async { Ok(Vec::new()) }));
        let pairs = |case: Case, effort| (case.effort(effort).pairs, case.effort(effort).load == effort.load);
        assert_eq!(pairs(case(), Effort::full(5)), (5, true));
        assert_eq!(pairs(case().close(), Effort::full(5)), (15, true));
        assert_eq!(pairs(case().close(), Effort::quick()), (1, true));
    }

    #[test]
    fn a_target_is_met_from_its_own_side() {
        assert!(Target::AtLeast(2.0).is_met(2.0) && Target::AtLeast(2.0).is_met(2.5) && !Target::AtLeast(2.0).is_met(1.999));
        assert!(Target::AtMost(1.3).is_met(1.3) && Target::AtMost(1.3).is_met(0.4) && !Target::AtMost(1.3).is_met(1.301));
        assert!(!Target::AtLeast(1.0).is_met(f64::NAN) && !Target::AtMost(1.0).is_met(f64::NAN));
        assert_eq!(format!("{}, {}", Target::AtLeast(0.95), Target::AtMost(5.0)), "≥ 0.95, ≤ 5");
    }
}
