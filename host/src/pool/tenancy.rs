//! One lease as its slot and its holder both see it.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use tokio::time::Instant;

use super::{Borrower, Ended};
use crate::telemetry::trace::Trace;

/// Bytes of a statement that are kept for who looks: some tens of times what is shown of it.
const MAX_TEXT: usize = 16 << 10;

/// A right to use a slot, from hand-over to reclaim.
#[derive(Debug)]
pub(super) struct Tenancy {
    /// Grows with every lease of the database; commands of another one are refused.
    pub(super) generation: u64,
    /// The number of the grant over which it was lent.
    pub(super) grant: usize,
    pub(super) borrower: Borrower,
    pub(super) since: Instant,
    pub(super) max_transaction_time: Duration,
    /// Whether it has been reported as held for too long.
    pub(super) warned: AtomicBool,
    /// Where its reclaim belongs, if the call is traced.
    pub(super) trace: OnceLock<Trace>,
    /// What its slot does for it.
    doing: Mutex<Doing>,
    /// Set by the slot when it fences the lease; the holder's later commands fail with it.
    pub(super) ended: OnceLock<Ended>,
}

/// Where a lease stands, for who looks from outside.
#[derive(Clone, Debug)]
pub(super) struct Doing {
    /// `ready`, `idle in transaction`, or the operation that runs.
    pub(super) state: &'static str,
    /// How the guest's last statement began, or the collection that its last request was about.
    pub(super) text: Option<Arc<str>>,
}

impl Tenancy {
    pub(super) fn new(generation: u64, grant: usize, borrower: Borrower, max_transaction_time: Duration) -> Self {
        Self {
            generation,
            grant,
            borrower,
            since: Instant::now(),
            max_transaction_time,
            warned: AtomicBool::new(false),
            trace: OnceLock::new(),
            doing: Mutex::new(Doing { state: "ready", text: None }),
            ended: OnceLock::new(),
        }
    }

    /// Tells where the lease stands from now on; without a statement the last one stays.
    pub(super) fn stands(&self, state: &'static str, text: Option<&Arc<str>>) {
        let text = text.map(beginning);
        let mut doing = self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        doing.state = state;
        if text.is_some() {
            doing.text = text;
        }
    }

    pub(super) fn doing(&self) -> Doing {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fences the lease. The first reason stays.
    pub(super) fn end(&self, why: Ended) {
        let _ = self.ended.set(why);
    }
}

/// As much of a statement as is kept. It may have megabytes, which would stay for as long as its lease does and be read through whenever
/// somebody looks.
fn beginning(text: &Arc<str>) -> Arc<str> {
    if text.len() <= MAX_TEXT { Arc::clone(text) } else { text[..text.floor_char_boundary(MAX_TEXT)].into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_statement_the_beginning_is_kept() {
        let short: Arc<str> = "SELECT 1".into();
        assert!(Arc::ptr_eq(&beginning(&short), &short));
        let long: Arc<str> = format!("x{}", "é".repeat(MAX_TEXT)).into();
        let kept = beginning(&long);
        assert!(kept.len() == MAX_TEXT - 1 && long.starts_with(&*kept));
    }
}
