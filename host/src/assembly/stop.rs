//! The wish that a host stops, and what it leaves.

use std::{fmt, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{audit, reload};
use crate::{config::Config, driver::Engine, pool::Leftovers};

/// For connections that were cut.
const CUT: Duration = Duration::from_secs(2);
/// What else no setting bounds: half a second for control paths, three for who asks how the host is.
const AROUND: Duration = Duration::from_millis(3_500);

/// How long a host may take to stop, at the longest: to drain, to take everything back, to ask what is left, and to end the audit log.
#[must_use]
pub fn longest_stop(config: &Config) -> Duration {
    let questions = config.databases.iter().map(|database| database.settings.bounds.kill + database.settings.bounds.confirm);
    let last_lines = if config.audit.is_some() { audit::CLOSE } else { Duration::ZERO };
    let questions = questions.max().unwrap_or_default();
    // Meanwhile a reload that was going on closes what it has opened.
    let drain = (config.server.drain_timeout + CUT).max(reload::UNDO + questions);
    drain + config.server.reclaim_timeout + questions + last_lines + AROUND
}

/// Asks a host to stop; a clone asks the same host. Asked while it starts, it starts no further.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    requested: CancellationToken,
    hurried: CancellationToken,
}

impl Stop {
    /// Nobody has asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Accept nothing more, let calls finish, close everything.
    pub fn request(&self) {
        self.requested.cancel();
    }

    /// As [`Stop::request`], and wait for nothing that can be cut short: calls are ended now, and sessions have half a second.
    pub fn hurry(&self) {
        self.requested.cancel();
        self.hurried.cancel();
    }

    /// Waits for either.
    pub async fn requested(&self) {
        self.requested.cancelled().await;
    }

    /// Waits for [`Stop::hurry`].
    pub async fn hurried(&self) {
        self.hurried.cancelled().await;
    }

    /// As a token, for those who know nothing else.
    pub(super) fn token(&self) -> CancellationToken {
        self.requested.clone()
    }
}

/// How a database was closed. Displayed as a line for the operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// Its name in the configuration.
    pub database: Arc<str>,
    /// What it is.
    pub engine: Engine,
    /// What is left of it.
    pub left: Leftovers,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { database, engine, left } = self;
        write!(f, "database {database}: {} connections left", left.sessions)?;
        match (&left.unasked, engine) {
            (Some(failure), _) => write!(f, "; it could not be asked: {failure}"),
            (None, Engine::Sqlite) => write!(f, ", says SQLite"),
            (None, Engine::Postgres) => write!(f, ", says PostgreSQL"),
            // Which of the two it is, only a session would know.
            (None, Engine::Mysql) => write!(f, ", says MariaDB or MySQL"),
            (None, Engine::Mongodb) => write!(f, ", says MongoDB"),
        }
    }
}
