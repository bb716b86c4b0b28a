//! The SQLite driver: one file, one worker thread a session, every session behind an authorizer.
//!
//! SQLite has no server that could refuse, cancel or limit anything, so each session carries what a server would do: an authorizer
//! that the engine's compiler asks about every action (`policy`, installed by `authorizer`), a progress handler that ends statements
//! (`shared`, raised by `control`), and limits. A statement is compiled once to see what it is (`authorizer`, `statement`), then runs
//! through sqlx (`connection`, `transaction`, `rows`, `cursor`) with its parameters (`params`) and its rows made columns (`batch`, `kind`,
//! `temporal`). `failure` turns result codes into failures; `lex` reads a text as the engine does, for `scan` and `redact`.
//!
//! # Bounds
//! A value and a row in a table have at most 16 MiB, a statement 1 MiB; SQLite allocates at most 1 GiB in the whole process.

mod authorizer;
mod batch;
mod connection;
mod control;
mod cursor;
mod failure;
mod kind;
mod lex;
mod params;
mod policy;
pub(super) mod redact;
mod rows;
mod scan;
mod shared;
mod statement;
mod temporal;
#[cfg(test)]
mod tests;
mod transaction;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt};
use sqlx::{
    ConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use self::{
    connection::SqliteSession,
    control::{Registry, SqliteControl},
    shared::Shared,
};
use super::{
    Connection, Control, Driver, Engine, Failure, FailureKind,
    settings::{Access, Settings},
};

/// A function of every session, which no statement may call; its data tells when SQLite has closed the handle.
const MARKER_FUNCTION: &str = "wharf_session";

/// How many steps of the engine's virtual machine lie between two looks at the flags.
const STEPS_BETWEEN_CHECKS: i32 = 1_000;

/// How many rows the worker reads ahead.
const ROWS_AHEAD: usize = 32;

/// A waiting writer blocks its worker, which no cancel can end.
const MAX_BUSY_TIMEOUT: Duration = Duration::from_secs(60);

static NEXT_SESSION: AtomicI64 = AtomicI64::new(1);

/// An SQLite file, opened with one kind of access.
pub struct Sqlite {
    options: SqliteConnectOptions,
    settings: Settings,
    registry: Arc<Registry>,
    /// Switching a new file to write-ahead logging needs the file for itself, which SQLite does not wait for.
    opening: tokio::sync::Mutex<()>,
}

impl Sqlite {
    /// Reads `sqlite://PATH` or `sqlite:PATH`; a relative path is relative to the working folder. `?mode=rwc` creates the file.
    ///
    /// # Errors
    /// [`FailureKind::Invalid`] for anything else: databases in memory, of which every session would have its own, other parameters, a
    /// `busy_timeout` above 60 s.
    pub fn new(url: &str, settings: Settings) -> Result<Self, Failure> {
        let invalid = |told: &str| Failure::new(FailureKind::Invalid, told);
        let rest = url.strip_prefix("sqlite:").ok_or_else(|| invalid("the address of an SQLite database begins with sqlite:"))?;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (path, mode) = match rest.split_once('?') {
            None => (rest, None),
            Some((path, parameters)) => match parameters.strip_prefix("mode=") {
                Some(mode @ ("ro" | "rw" | "rwc")) => (path, Some(mode)),
                _ => return Err(invalid("the only parameter of an SQLite address is mode, which is ro, rw or rwc")),
            },
        };
        let options: SqliteConnectOptions =
            format!("sqlite://{path}").parse().map_err(|_| invalid("the path of the SQLite database cannot be read"))?;
        let file = options.get_filename().to_string_lossy();
        if path.is_empty() || path.starts_with(":memory:") || file.starts_with(":memory:") || file.starts_with("file:") {
            return Err(invalid("the address of an SQLite database names a file"));
        }
        if settings.busy_timeout > MAX_BUSY_TIMEOUT {
            return Err(invalid("busy_timeout of SQLite is at most 60 s"));
        }
        if mode == Some("ro") && settings.access == Access::ReadWrite {
            return Err(invalid("mode=ro contradicts read-write access"));
        }
        drop(file);
        let options = options
            .shared_cache(false)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(settings.busy_timeout)
            .statement_cache_capacity(settings.statement_cache.count)
            .pragma("trusted_schema", "OFF")
            .row_buffer_size(ROWS_AHEAD)
            .thread_name(|id| format!("sqlite-{id}"))
            .disable_statement_logging();
        let options = match settings.access {
            Access::ReadOnly => options.read_only(true).create_if_missing(false),
            // A reader could not switch the mode; it takes the file as it is.
            Access::ReadWrite => options.create_if_missing(mode == Some("rwc")).journal_mode(SqliteJournalMode::Wal),
        };
        Ok(Self { options, settings, registry: Arc::default(), opening: tokio::sync::Mutex::default() })
    }

    /// Creates the file when it is not there. Without effect on read-only access.
    #[must_use]
    pub fn create_if_missing(mut self) -> Self {
        if self.settings.access == Access::ReadWrite {
            self.options = self.options.create_if_missing(true);
        }
        self
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.options.get_filename()
    }

    async fn open(&self) -> Result<SqliteSession, Failure> {
        let _turn = self.opening.lock().await;
        let mut connection = self.options.connect().await.map_err(|error| failure::of_connect(&error))?;
        let id = NEXT_SESSION.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared::new(self.settings.access));
        {
            let mut handle = connection.lock_handle().await.map_err(|error| failure::of_connect(&error))?;
            authorizer::guard(&mut handle, &shared, self.registry.list(id, &shared))?;
            let shared = Arc::clone(&shared);
            handle.set_progress_handler(STEPS_BETWEEN_CHECKS, move || shared.may_go_on());
        }
        let mut session = SqliteSession::new(id, connection, shared, &self.settings);
        // Opening alone does not read the file.
        session.verify().await?;
        Ok(session)
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("access", &self.settings.access).finish_non_exhaustive()
    }
}

impl Driver for Sqlite {
    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, Failure>> {
        async { Ok(Box::new(self.open().await?) as Box<dyn Connection>) }.boxed()
    }

    fn control(&self) -> BoxFuture<'_, Result<Box<dyn Control>, Failure>> {
        async { Ok(Box::new(SqliteControl(Arc::clone(&self.registry))) as Box<dyn Control>) }.boxed()
    }
}
