//! What those who ask for lines and the thread that writes them tell each other without waiting: whether the log can be written, its head,
//! what waits, and what was lost.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use super::{chain::Head, record};

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
    status: Mutex<Status>,
}

impl Board {
    pub(super) fn new(head: Head) -> Self {
        Self {
            is_down: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            untold: AtomicU64::new(0),
            status: Mutex::new(Status { head, down: None, failures: 0, lost: 0 }),
        }
    }

    pub(super) fn status(&self) -> Status {
        self.lock().clone()
    }

    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Acquire)
    }

    /// It cannot be written. The first to say so since it could be raises the alarm.
    pub(super) fn falls(&self, why: String) {
        let mut status = self.lock();
        status.failures += 1;
        if status.down.is_none() {
            tracing::error!(target: "wharf::audit", why, "the audit log cannot be written");
            status.down = Some(Down { since: record::now(), why });
            self.is_down.store(true, Ordering::Release);
        }
    }

    /// It was written.
    pub(super) fn rises(&self) {
        if !self.is_down() {
            return;
        }
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
