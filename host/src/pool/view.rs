//! What a database looks like from outside.

use std::sync::Arc;

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

    /// The limits.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
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
