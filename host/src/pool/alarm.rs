//! The timer of a slot, of which every statement needs one and hardly any lets it go off.

use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that stays set. To wait for a later time than it is set for costs nothing: it goes off too early once, and is set again then.
/// Each statement and each rest would otherwise enter a timer into a list that all threads share, and take it out again.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<(Instant, Pin<Box<Sleep>>)>);

impl Alarm {
    /// Resolves at that time, not before.
    ///
    /// # Cancellation
    /// Dropping the future leaves the timer set, for the next who waits.
    pub(super) async fn at(&mut self, when: Instant) {
        loop {
            let (_, timer) = match &mut self.0 {
                Some(set) if set.0 <= when => set,
                unset => unset.insert((when, Box::pin(sleep_until(when)))),
            };
            timer.await;
            self.0 = None;
            if Instant::now() >= when {
                return;
            }
        }
    }
}
