//! What a database looks after by the clock: its minimum, its control paths, and leases that last too long.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Borrower, Counter,
    database::{Inner, Pool},
    journal::During,
    tenancy::{Doing, Tenancy},
};
use crate::driver::redact;

/// How often.
const UPKEEP: Duration = Duration::from_secs(1);

/// What is told of a statement, in bytes.
const MAX_STATEMENT: usize = 240;

impl Inner {
    /// Runs until the pools are closed.
    pub(super) async fn upkeep(self: Arc<Self>) {
        tokio::select! {
            () = self.look_after() => {}
            () = self.closing.cancelled() => {}
        }
        self.upkeep.rest();
    }

    async fn look_after(self: &Arc<Self>) {
        while !self.state().closed {
            self.upkeep.beat(UPKEEP);
            tokio::time::sleep(UPKEEP).await;
            self.look_after_control().await;
            self.end_retired().await;
            self.fill();
            self.warn_of_leaks();
            self.dispatch();
        }
    }

    async fn look_after_control(&self) {
        let homes = self.state().homes();
        for Pool { control, .. } in homes.iter().map(|home| &**home) {
            // Who wants to cancel something waits for its turn meanwhile.
            let bound = self.settings.load().bounds.cancel;
            self.upkeep.beat(bound);
            let result = control.ping(bound).await;
            if let Err(failure) = &result {
                self.journal.failed(During::Control, failure);
            }
            if control.note(result.is_ok()) {
                match result {
                    Ok(()) => tracing::info!(database = %self.name, "the control path is back"),
                    Err(failure) => tracing::warn!(database = %self.name, %failure, "the control path is down"),
                }
            }
        }
    }

    /// A statement as it may be shown.
    pub(super) fn without_values(&self, text: &str) -> String {
        redact::statement(self.engine, text, MAX_STATEMENT).text
    }

    fn warn_of_leaks(&self) {
        let leak_warning = self.settings.load().leak_warning;
        let old = |tenancy: &&Arc<Tenancy>| {
            let is_old = tenancy.since.elapsed() >= leak_warning && tenancy.ended.get().is_none();
            is_old && !tenancy.warned.swap(true, Ordering::Relaxed)
        };
        // Logged outside the lock: whoever reads the log may be slow.
        let leaks: Vec<_> = self.state().slots().filter_map(|entry| entry.tenancy.as_ref()).filter(old).map(Arc::clone).collect();
        for tenancy in leaks {
            self.counters.add(Counter::LeakWarnings);
            let Borrower { plugin, request_id, .. } = &tenancy.borrower;
            let age_ms = u64::try_from(tenancy.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            let Doing { state, text } = tenancy.doing();
            let statement = text.map(|text| self.without_values(&text)).unwrap_or_default();
            let database = &self.name;
            tracing::warn!(
                %database, %plugin, %request_id, age_ms, state, statement, "a lease is held for longer than `leak_warning`"
            );
        }
    }
}
