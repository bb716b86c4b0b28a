//! What all cases share: how much effort is made, and the databases, each made when it is first asked for.

use std::time::Duration;

use crate::progress::say;

/// How long and how often is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effort {
    /// Pairs a case.
    pub(crate) pairs: usize,
    /// How long each side of a pair is under load. Whole seconds, for wrk knows no others.
    pub(crate) load: Duration,
    /// How long each side is under load before anything counts.
    pub(crate) warm_up: Duration,
    /// Whether it is only tried out that everything works; cases that count something other than pairs then count less of it.
    pub(crate) quick: bool,
}

impl Effort {
    /// What is needed to compare figures.
    pub(crate) fn full(pairs: usize) -> Self {
        Self { pairs, load: Duration::from_secs(3), warm_up: Duration::from_secs(2), quick: false }
    }

    /// What is needed to see that a case works.
    pub(crate) fn quick() -> Self {
        Self { pairs: 1, load: Duration::from_secs(1), warm_up: Duration::from_secs(1), quick: true }
    }

    /// So many of something, or so many when it is only tried out.
    pub(crate) fn of(self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

/// Given to every case.
#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) effort: Effort,
}

impl Bed {
    pub(crate) fn new(effort: Effort) -> Self {
        Self { effort }
    }

    /// Tells how far a case is.
    pub(crate) fn tell(&self, what: &str) {
        say(&format!("  {what}"));
    }
}
