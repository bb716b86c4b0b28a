//! What a database looks like from outside.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Counters, Counts, Database, Settings};
use crate::driver::Engine;

impl Database {
    /// The dialect.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.0.engine
    }

    /// The name in the configuration.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// The limits that are in force.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.0.settings.load())
    }

    /// How long one statement may take.
    #[must_use]
    pub fn statement_timeout(&self) -> Duration {
        self.0.settings.load().statement_timeout
    }

    /// Whether nothing is lent until [`Database::resume`].
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.0.state().paused
    }

    /// Since when it is down: its control path has failed, or a credential has no session left and gets none. The control path is asked
    /// every second; a session is opened for who waits and for `min_connections`, and what nobody wants, nobody knows to be missing.
    #[must_use]
    pub fn down_since(&self) -> Option<Instant> {
        let state = self.0.state();
        state.kept().filter_map(|home| home.control.down_since()).chain(state.down_since()).min()
    }

    /// How many pools there are, those included that are retired and not over yet.
    #[must_use]
    pub fn pools(&self) -> usize {
        self.0.state().pools.iter().count()
    }

    /// How many connections are in which state now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.state().counts()
    }

    /// How many calls wait now.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.0.state().queue.len()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }
}
