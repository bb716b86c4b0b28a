//! What a database looks like from outside.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Counters, Counts, Database, Reclaim, Settings, Tally, Timings, Trouble};
use crate::driver::Engine;

/// A database as it was at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// How many connections were in which state.
    pub counts: Counts,
    /// Connections at most.
    pub max: u32,
    /// Connections at most, once those that are too many have come free; mostly the same.
    pub target: u32,
    /// For how long nothing had been lent because of a [`Database::pause`].
    pub paused: Option<Duration>,
    /// How many calls waited.
    pub waiters: usize,
    /// For how long the first of them had.
    pub longest_wait: Option<Duration>,
    /// For how long the oldest lease had lasted.
    pub oldest_lease: Option<Duration>,
    /// For how long the control path of some pool had not answered.
    pub control_down: Option<Duration>,
    /// For how long the database had been down: the control path of a pool in use had failed, or one of these pools had no session left and
    /// got none. The control path is asked every second; a session is opened for who waits and for `min_connections`, and what nobody
    /// wants, nobody knows to be missing.
    pub down: Option<Duration>,
}

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

    /// Whether it is the same database, and not another of the same name.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
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
        self.0.state().paused.is_some()
    }

    /// All that is decided under one lock, at one moment.
    #[must_use]
    pub fn view(&self) -> View {
        let state = self.0.state();
        let now = Instant::now();
        let ago = |since: Option<Instant>| since.map(|since| now.saturating_duration_since(since));
        let control = state.kept().filter_map(|home| home.control.down_since()).min();
        let (max, target) = state.limits();
        View {
            counts: state.counts(),
            max,
            target,
            paused: ago(state.paused),
            waiters: state.queue.len(),
            longest_wait: ago(state.queue.oldest()),
            oldest_lease: ago(state.oldest_lease()),
            control_down: ago(control),
            down: ago(control.into_iter().chain(state.down_since()).min()),
        }
    }

    /// How often connections were reclaimed, for which reason and by which step; only what there was.
    #[must_use]
    pub fn reclaimed(&self) -> Vec<Tally> {
        self.0.journal.tallies()
    }

    /// The connections that were reclaimed after that of a number, the oldest first; the last 256 are kept.
    #[must_use]
    pub fn reclaims(&self, after: u64) -> Vec<Reclaim> {
        self.0.journal.reclaims(after)
    }

    /// What went wrong between host and server, the latest first; ten are kept.
    #[must_use]
    pub fn troubles(&self) -> Vec<Trouble> {
        self.0.journal.troubles()
    }

    /// For how long what looks after it by the clock has been held up by `now`; nothing once the pools are closed.
    #[must_use]
    pub fn upkeep_overdue(&self, now: std::time::Instant) -> Duration {
        self.0.upkeep.overdue(now)
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

    /// How long it took.
    #[must_use]
    pub fn timings(&self) -> &Timings {
        &self.0.timings
    }
}
