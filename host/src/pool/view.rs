//! What a database looks like from outside.

use std::{sync::Arc, time::Duration};

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
