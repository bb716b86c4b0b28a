//! What those who ask for lines and the thread that writes them tell each other without waiting: whether the log can be written, its head,
//! what waits, and what was lost.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::{chain::Head, record};
use crate::telemetry::metrics::Text;

/// How the log is, for health and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// After the last line that is on the disk.
    pub head: Head,
    /// Since when and why it cannot be written; nothing while it can.
    pub down: Option<Down>,
    /// Attempts to write that failed, since the start.
    pub failures: u64,
    /// Lines that are not in the log, since the start.
    pub lost: u64,
}

impl Status {
    /// The same as metrics.
    pub fn tell(&self, text: &mut Text) {
        let Self { head, down, failures, lost } = self;
        text.gauge("wharf_audit_sequence", "Number of the last line of the audit log that is on the disk.").number(&[], head.seq);
        text.gauge("wharf_audit_head", "The first 13 hexadecimal digits of the MAC of that line, as a number.")
            .number(&[], head.bits());
        text.gauge("wharf_audit_available", "Whether the audit log can be written: 1 or 0.").number(&[], down.is_none().into());
        text.counter("wharf_audit_failures_total", "Attempts to write the audit log that failed.").number(&[], *failures);
        text.counter("wharf_audit_lost_lines_total", "Lines that are not in the audit log.").number(&[], *lost);
    }
}

/// Why the log cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// Since when, as lines tell the time.
    pub since: String,
    /// For the operator.
    pub why: String,
}

pub(super) struct Board {
    /// As in the status, without its lock.
    is_down: AtomicBool,
    /// Entries that are neither written nor given up.
    waiting: AtomicUsize,
    /// Lines that were lost, and of which the log does not tell yet.
    untold: AtomicU64,
    made: Instant,
    /// Since when the disk is being waited for: milliseconds after `made`, one at least; 0 while it is not.
    busy_since: AtomicU64,
    /// How long that may take.
    stall: Duration,
    status: Mutex<Status>,
}

impl Board {
    /// `stall` is how long the disk may be waited for before the log is taken for one that cannot be written.
    pub(super) fn new(head: Head, stall: Duration) -> Self {
        Self {
            is_down: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            untold: AtomicU64::new(0),
            made: Instant::now(),
            busy_since: AtomicU64::new(0),
            stall,
            status: Mutex::new(Status { head, down: None, failures: 0, lost: 0 }),
        }
    }

    pub(super) fn status(&self) -> Status {
        // Finds out whether it stalls.
        self.is_down();
        self.lock().clone()
    }

    /// Whether it cannot be written, or is waited for so long that it is taken for that: the thread that waits cannot say so.
    pub(super) fn is_down(&self) -> bool {
        if !self.is_down.load(Ordering::Acquire) && self.stalls() {
            let mut status = self.lock();
            if self.stalls() {
                self.fall(&mut status, format!("the disk has not answered for {} s", self.stall.as_secs()));
            }
        }
        self.is_down.load(Ordering::Acquire)
    }

    fn stalls(&self) -> bool {
        let since = self.busy_since.load(Ordering::Acquire);
        since > 0 && self.made.elapsed() >= Duration::from_millis(since) + self.stall
    }

    /// The disk is going to be waited for, until it rises or falls.
    pub(super) fn begins(&self) {
        let since = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.busy_since.store(since.max(1), Ordering::Release);
    }

    /// It cannot be written. The first to say so since it could be raises the alarm.
    pub(super) fn falls(&self, why: String) {
        self.busy_since.store(0, Ordering::Release);
        let mut status = self.lock();
        // Whoever found it stalled or too slow could not say what is wrong.
        if let Some(down) = &mut status.down
            && down.why != why
        {
            tracing::error!(target: "wharf::audit", why, "the audit log cannot be written");
            down.why.clone_from(&why);
        }
        self.fall(&mut status, why);
    }

    /// Whoever waits for a line has waited too long. If that line was written meanwhile nobody would say again that it can be.
    pub(super) fn takes_too_long(&self) {
        let mut status = self.lock();
        if self.waiting() > 0 {
            self.fall(&mut status, "it takes too long".to_owned());
        }
    }

    fn fall(&self, status: &mut Status, why: String) {
        status.failures += 1;
        if status.down.is_none() {
            tracing::error!(target: "wharf::audit", why, "the audit log cannot be written");
            status.down = Some(Down { since: record::now(), why });
            self.is_down.store(true, Ordering::Release);
        }
    }

    /// It was written, and what was has gone. Under the lock in any case: who finds it stalled or too slow looks again there.
    pub(super) fn rises(&self) {
        self.busy_since.store(0, Ordering::Release);
        let down = {
            let mut status = self.lock();
            self.is_down.store(false, Ordering::Release);
            status.down.take()
        };
        if let Some(Down { since, .. }) = down {
            tracing::warn!(target: "wharf::audit", since, "the audit log can be written again");
        }
    }

    /// Since when it could not be written; otherwise now.
    pub(super) fn down_since(&self) -> String {
        self.lock().down.as_ref().map_or_else(record::now, |down| down.since.clone())
    }

    pub(super) fn set_head(&self, head: Head) {
        self.lock().head = head;
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    pub(super) fn comes(&self) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn goes(&self, count: usize) {
        self.waiting.fetch_sub(count, Ordering::AcqRel);
    }

    /// A line will not be in the log.
    pub(super) fn loses(&self) {
        self.lock().lost += 1;
        self.untold.fetch_add(1, Ordering::AcqRel);
    }

    /// How many lines were lost of which the log does not tell yet.
    pub(super) fn untold(&self) -> u64 {
        self.untold.load(Ordering::Acquire)
    }

    pub(super) fn told(&self, lines: u64) {
        self.untold.fetch_sub(lines, Ordering::AcqRel);
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::chain::Mac, *};

    #[test]
    fn a_disk_that_does_not_answer_is_down_until_it_does() {
        let board = Board::new(Head::NONE, Duration::ZERO);
        assert!(!board.is_down());
        for _ in 0..2 {
            board.begins();
            // Its time is counted in whole milliseconds.
            while !board.is_down() {
                std::hint::spin_loop();
            }
            assert!(board.status().down.is_some_and(|down| down.why.contains("not answered")));
            board.rises();
            assert!(!board.is_down() && board.status().down.is_none());
        }
        assert_eq!(board.status().failures, 2);
        board.begins();
        // What it comes to in the end is told, whoever has found out before that it takes long.
        while !board.is_down() {
            std::hint::spin_loop();
        }
        board.falls("it is full".to_owned());
        assert_eq!(board.status().down.unwrap().why, "it is full");
    }

    #[test]
    fn who_has_waited_too_long_for_a_line_that_was_written_meanwhile_raises_no_alarm() {
        let board = Board::new(Head::NONE, Duration::from_secs(5));
        board.comes();
        board.takes_too_long();
        assert!(board.is_down());
        board.goes(1);
        board.rises();
        board.takes_too_long();
        assert!(!board.is_down());
    }

    #[test]
    fn metrics_tell_the_head_as_it_is_verified() {
        let mac = Mac::parse("3fa9c0d1e2b47".bytes().chain([b'f'; 51]).collect::<Vec<_>>().as_slice()).unwrap();
        let down = Some(Down { since: record::now(), why: "it is full".to_owned() });
        let mut text = Text::new();
        Status { head: Head { seq: 812, mac }, down, failures: 3, lost: 7 }.tell(&mut text);
        let text = text.finish();
        let values: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let head = format!("wharf_audit_head {}", 0x3_fa9c_0d1e_2b47_u64);
        let others = ["wharf_audit_available 0", "wharf_audit_failures_total 3", "wharf_audit_lost_lines_total 7"];
        assert_eq!(values, [["wharf_audit_sequence 812", &head].as_slice(), &others].concat());
    }
}
