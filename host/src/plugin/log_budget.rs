//! How many lines a plugin may print each second, over all its calls.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// Counts printed lines by second.
#[derive(Debug)]
pub struct LogBudget {
    per_second: u32,
    started: Instant,
    window: Mutex<Window>,
}

/// What becomes of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLine {
    /// It is written, and before it that so many were not.
    Write {
        /// Lines suppressed since this was last said; mostly 0.
        suppressed: u64,
    },
    /// It is counted and not written.
    Suppress,
}

#[derive(Debug, Default)]
struct Window {
    second: u64,
    written: u32,
    suppressed: u64,
    told: Option<u64>,
}

impl LogBudget {
    /// A budget of so many lines a second.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self { per_second, started: Instant::now(), window: Mutex::new(Window::default()) }
    }

    /// Decides about one line.
    #[must_use]
    pub fn line(&self) -> LogLine {
        let second = self.second();
        let mut window = self.lock();
        if window.second != second {
            window.second = second;
            window.written = 0;
        }
        if window.written >= self.per_second {
            window.suppressed += 1;
            return LogLine::Suppress;
        }
        window.written += 1;
        let suppressed = window.tell(second);
        LogLine::Write { suppressed }
    }

    /// The lines suppressed so far, for a call that ends and may be the last to print for a long time. Answers above 0 at most once a
    /// second, so that telling does not become a flood of its own.
    #[must_use]
    pub fn settle(&self) -> u64 {
        let second = self.second();
        self.lock().tell(second)
    }

    fn second(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        // Plain numbers: nothing can be half changed after a panic.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn tell(&mut self, second: u64) -> u64 {
        if self.suppressed == 0 || self.told == Some(second) {
            return 0;
        }
        self.told = Some(second);
        std::mem::take(&mut self.suppressed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn suppressed_lines_are_counted_and_told_once_a_second() {
        let budget = LogBudget::new(2);
        assert_eq!(budget.line(), LogLine::Write { suppressed: 0 });
        assert_eq!(budget.line(), LogLine::Write { suppressed: 0 });
        assert_eq!(budget.line(), LogLine::Suppress);
        assert_eq!(budget.line(), LogLine::Suppress);
        assert_eq!(budget.settle(), 2);
        assert_eq!(budget.line(), LogLine::Suppress);
        assert_eq!(budget.settle(), 0, "already told in this second");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(budget.line(), LogLine::Write { suppressed: 1 });
        assert_eq!(budget.line(), LogLine::Write { suppressed: 0 });
    }
}
