//! One lease as its slot and its holder both see it.

use std::{
    sync::{OnceLock, atomic::AtomicBool},
    time::Duration,
};

use tokio::time::Instant;

use super::{Borrower, Ended, GrantId};

/// A right to use a slot, from hand-over to reclaim.
#[derive(Debug)]
pub(super) struct Tenancy {
    /// Grows with every lease of the database; commands of another one are refused.
    pub(super) generation: u64,
    pub(super) grant: GrantId,
    pub(super) borrower: Borrower,
    pub(super) since: Instant,
    pub(super) max_transaction_time: Duration,
    /// Whether it has been reported as held for too long.
    pub(super) warned: AtomicBool,
    /// Set by the slot when it fences the lease; the holder's later commands fail with it.
    pub(super) ended: OnceLock<Ended>,
}

impl Tenancy {
    /// Fences the lease. The first reason stays.
    pub(super) fn end(&self, why: Ended) {
        let _ = self.ended.set(why);
    }
}
