//! Tells on stderr how far a run is.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// After as long, what was planned is corrected by what it took.
const KNOWN: Duration = Duration::from_secs(60);

/// Says a line.
pub(crate) fn say(line: &str) {
    // Nobody who reads it is no reason to stop.
    let _ = writeln!(io::stderr(), "{line}");
}

/// How far a run is, by what its cases are expected to take.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    planned: Vec<Duration>,
    /// The case under way.
    case: AtomicUsize,
}

impl Progress {
    /// Before the first of cases that should take so long.
    pub(crate) fn new(planned: Vec<Duration>) -> Self {
        Self { started: Instant::now(), planned, case: AtomicUsize::new(0) }
    }

    /// A case begins, counted from 0.
    pub(crate) fn begin(&self, case: usize) {
        self.case.store(case, Ordering::Relaxed);
    }

    /// Such as `case 7 of 41`.
    pub(crate) fn place(&self) -> String {
        format!("case {} of {}", self.case.load(Ordering::Relaxed) + 1, self.planned.len())
    }

    /// Such as `about 12 min left`, when as much of the case is done.
    pub(crate) fn left(&self, done: f64) -> String {
        let left = left(&self.planned, self.case.load(Ordering::Relaxed), done, self.started.elapsed());
        format!("about {} min left", (left.as_secs_f64() / 60.0).ceil())
    }
}

fn left(planned: &[Duration], case: usize, done: f64, took: Duration) -> Duration {
    let before: Duration = planned[..case].iter().sum::<Duration>() + planned[case].mul_f64(done);
    let left = planned.iter().sum::<Duration>().saturating_sub(before);
    if took < KNOWN { left } else { left.mul_f64(took.as_secs_f64() / before.as_secs_f64().max(1.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_left_is_as_planned_until_more_is_known() {
        assert_eq!(left(&[s(100), s(40)], 0, 0.0, s(0)), s(140));
        assert_eq!(left(&[s(100), s(40)], 0, 0.25, s(50)), s(115));
        assert_eq!(left(&[s(100), s(40)], 1, 0.5, s(240)), s(40));
    }
}
