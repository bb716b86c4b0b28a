//! What the time of a call went into before its answer began, where that is asked for.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What it may go into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Waiting to be admitted.
    Queue,
    /// Making an instance, or taking one that rests.
    Instance,
    /// Waiting for a connection, and for what a database answers.
    Database,
}

impl Part {
    /// All of them, in the order in which a call comes to them.
    pub const ALL: [Self; 3] = [Self::Queue, Self::Instance, Self::Database];
}

/// The times of one call, written by whoever runs it.
#[derive(Debug, Default)]
pub struct Timing([Mutex<Busy>; Part::ALL.len()]);

impl Timing {
    /// Counts for a part until what is returned is dropped. What goes on at once counts once.
    pub fn begin(self: &Arc<Self>, part: Part) -> Span {
        self.busy(part).begin(Instant::now());
        Span { timing: Arc::clone(self), part }
    }

    /// How long a part has taken so far.
    #[must_use]
    pub fn so_far(&self, part: Part) -> Duration {
        self.busy(part).so_far(Instant::now())
    }

    fn busy(&self, part: Part) -> MutexGuard<'_, Busy> {
        self.0[part as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that is under way.
#[derive(Debug)]
#[must_use]
pub struct Span {
    timing: Arc<Timing>,
    part: Part,
}

impl Drop for Span {
    fn drop(&mut self) {
        self.timing.busy(self.part).end(Instant::now());
    }
}

/// One part: how much of it is under way, and for how long there was any.
#[derive(Debug, Default)]
struct Busy {
    under_way: u32,
    since: Option<Instant>,
    before: Duration,
}

impl Busy {
    fn begin(&mut self, now: Instant) {
        self.under_way += 1;
        self.since.get_or_insert(now);
    }

    fn end(&mut self, now: Instant) {
        self.under_way -= 1;
        if self.under_way == 0 {
            self.before = self.so_far(now);
            self.since = None;
        }
    }

    fn so_far(&self, now: Instant) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_at_once_counts_once() {
        let (start, mut busy) = (Instant::now(), Busy::default());
        let at = |ms| start + Duration::from_millis(ms);
        busy.begin(at(0));
        busy.begin(at(10));
        busy.end(at(20));
        assert_eq!(busy.so_far(at(25)), Duration::from_millis(25));
        busy.end(at(30));
        assert_eq!(busy.so_far(at(100)), Duration::from_millis(30));
        busy.begin(at(100));
        busy.end(at(105));
        assert_eq!(busy.so_far(at(200)), Duration::from_millis(35));
    }

    #[test]
    fn each_part_counts_for_itself_and_no_more_than_the_whole() {
        let (start, timing) = (Instant::now(), Arc::new(Timing::default()));
        for part in Part::ALL {
            let _span = timing.begin(part);
            while timing.so_far(part) == Duration::ZERO {
                std::hint::spin_loop();
            }
        }
        let times = Part::ALL.map(|part| timing.so_far(part));
        assert!(times.iter().sum::<Duration>() <= start.elapsed(), "{times:?}");
        assert_eq!(times, Part::ALL.map(|part| timing.so_far(part)), "nothing is under way any more");
    }
}
