//! What changes while a database is used: its limits, its pools, and whether it lends anything.

use std::sync::Arc;

use tokio::time::{Instant, timeout};

use super::{
    Bounds, Database, PoolSpec, Settings,
    close::GOODBYE,
    database::{Inner, Pool},
};
use crate::driver::Failure;

impl Database {
    /// Puts other limits in force. What waits or runs already keeps its own time limit, and a session the end of its life; what a driver has
    /// the server itself enforce stays as it was, for which the pool has to be replaced.
    ///
    /// More connections can be had at once. When there are to be fewer, idle ones are closed now, and others as they are given back: until
    /// then there are as many as there were, and none is opened.
    pub fn reconfigure(&self, settings: Settings) {
        let (max, connect_timeout) = (settings.max_connections, settings.connect_timeout);
        let homes = self.0.state().homes();
        for home in homes {
            home.driver.resize(max);
            home.control.set_limit(connect_timeout);
        }
        self.0.change(|state| {
            self.0.settings.store(Arc::new(settings));
            state.resize(max, connect_timeout);
        });
    }

    /// Adds a pool, once its control path is open and, if there is a place for it, its first connection; its number, for quotas.
    ///
    /// # Bounds
    /// `connect_timeout` for either.
    /// # Errors
    /// The failure to open one of them. Nothing is added then.
    /// # Cancellation
    /// Nothing is added.
    pub async fn add_pool(&self, spec: PoolSpec) -> Result<usize, Failure> {
        let (trial, home) = self.try_pool(spec);
        let limit = self.0.settings.load().connect_timeout;
        home.control.ping(limit).await?;
        self.0.probe(&home).await?;
        trial.keep();
        Ok(home.number)
    }

    /// Adds a pool whether it works or not: failures show in the errors of the calls that want a connection.
    ///
    /// # Bounds
    /// `connect_timeout`.
    /// # Cancellation
    /// Nothing is added.
    pub async fn add_pool_lazily(&self, spec: PoolSpec) -> usize {
        let (trial, home) = self.try_pool(spec);
        let limit = self.0.settings.load().connect_timeout;
        if let Err(failure) = home.control.ping(limit).await {
            tracing::warn!(database = %self.0.name, %failure, "the database cannot be reached yet");
        }
        trial.keep();
        home.number
    }

    fn try_pool(&self, spec: PoolSpec) -> (Trial<'_>, Arc<Pool>) {
        let mut state = self.0.state();
        let number = state.add_pool(spec, &self.0.shards);
        (Trial { database: self, pool: Some(number) }, Arc::clone(&state.pools[number].home))
    }

    /// Takes a pool out of use. Calls that have a grant for it are served as before, but nothing of it is kept idle. Once the last grant is
    /// dropped and the last session gone, its control path is closed as well, unless another pool shares it. Where it is at another
    /// address than all pools in use, sessions that its server does not confirm as gone do not count against the limits any more.
    pub fn retire_pool(&self, pool: usize) {
        self.0.change(|state| state.retire_pool(pool));
        self.0.forsake();
    }

    /// Lends nothing and opens nothing until [`Database::resume`]. What is idle is closed now, what is lent when it is given back; who comes
    /// waits, as long as its own limits say.
    pub fn pause(&self) {
        self.0.change(|state| {
            state.paused.get_or_insert_with(Instant::now);
        });
    }

    /// Ends a [`Database::pause`].
    pub fn resume(&self) {
        self.0.change(|state| state.paused = None);
    }
}

/// A pool that is tried; retired unless it is kept.
struct Trial<'a> {
    database: &'a Database,
    pool: Option<usize>,
}

impl Trial<'_> {
    fn keep(mut self) {
        if let Some(pool) = self.pool.take() {
            self.database.0.state().keep_pool(pool);
        }
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if let Some(pool) = self.pool {
            self.database.retire_pool(pool);
        }
    }
}

impl Inner {
    /// Ends pools that are retired and not used any more, and asks their servers what is left of them.
    ///
    /// # Cancellation
    /// What was not ended is ended with the database.
    pub(super) async fn end_retired(&self) {
        loop {
            let over = self.state().end_pool();
            let Some((home, has_own_control)) = over else { return };
            let Bounds { close, kill, confirm, .. } = self.settings.load().bounds;
            // With what is asked at the end.
            self.upkeep.beat(close + 4 * GOODBYE + kill + confirm);
            // What does not come to its end is told by the server below.
            let _ = timeout(close, home.driver.close()).await;
            let sessions = if has_own_control { home.control.close(GOODBYE).await } else { Vec::new() };
            let database = &self.name;
            match self.ask_what_is_left(&home, &sessions).await {
                Ok(0) => tracing::debug!(%database, "a pool that was retired is closed"),
                Ok(left) => tracing::error!(%database, left, "the server still lists sessions of a pool that was retired"),
                // Its credential may have been taken away already.
                Err(failure) => tracing::warn!(%database, %failure, "the server cannot be asked what is left of a retired pool"),
            }
            self.state().pools.remove(home.number);
        }
    }
}
