//! Signs of life of what must go on for as long as the host does.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Nothing is expected.
const NEVER: u64 = u64::MAX;

/// The sign of life of one of them, looked at by anybody: whoever goes on says within which time it will say so again.
#[derive(Debug)]
pub struct Pulse {
    started: Instant,
    /// When the next sign is due, in ms since then.
    due: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { started: Instant::now(), due: AtomicU64::new(NEVER) }
    }
}

impl Pulse {
    /// It goes on, and says so again in this time at the latest.
    pub fn beat(&self, within: Duration) {
        self.due.store(millis(self.started.elapsed().saturating_add(within)), Ordering::Relaxed);
    }

    /// It has come to its end, or rests: nothing is expected of it.
    pub fn rest(&self) {
        self.due.store(NEVER, Ordering::Relaxed);
    }

    /// For how long the next sign has been overdue by `now`.
    #[must_use]
    pub fn overdue(&self, now: Instant) -> Duration {
        let due = Duration::from_millis(self.due.load(Ordering::Relaxed));
        now.saturating_duration_since(self.started).saturating_sub(due)
    }
}

/// Less than [`NEVER`].
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER).min(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn it_is_overdue_once_it_has_not_kept_its_word() {
        let pulse = Pulse::default();
        let before = Instant::now();
        pulse.beat(SECOND);
        assert_eq!(pulse.overdue(before + SECOND - Duration::from_millis(1)), Duration::ZERO);
        let late = pulse.overdue(Instant::now() + MINUTE);
        assert!((MINUTE - SECOND..=MINUTE).contains(&late), "{late:?}");
        pulse.beat(MINUTE * 2);
        assert_eq!(pulse.overdue(before + MINUTE), Duration::ZERO);
    }

    #[test]
    fn nothing_is_expected_before_it_begins_and_after_it_has_ended() {
        let pulse = Pulse::default();
        let much_later = Instant::now() + MINUTE * 60;
        assert_eq!(pulse.overdue(much_later), Duration::ZERO);
        pulse.beat(SECOND);
        assert!(pulse.overdue(much_later) > MINUTE);
        pulse.rest();
        assert_eq!(pulse.overdue(much_later), Duration::ZERO);
    }
}
