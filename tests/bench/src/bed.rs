//! What all cases share: how much effort is made, and the databases, each made when it is first asked for.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use support::postgres::{self, PostgresDatabase};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{
    progress::{Progress, say},
    schema,
};

/// How PostgreSQL is configured. Nothing is written to disk for certain and nothing happens by the clock, so that a pair differs only in
/// who asks.
const POSTGRES: [&str; 8] = [
    "shared_buffers=256MB",
    "max_connections=100",
    "fsync=off",
    "synchronous_commit=off",
    "autovacuum=off",
    "checkpoint_timeout=1h",
    "max_wal_size=8GB",
    "jit=off",
];

/// How long and how often is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effort {
    /// Pairs a case.
    pub(crate) pairs: usize,
    /// How long each side of a pair is under load. Whole seconds, for wrk knows no others.
    pub(crate) load: Duration,
    /// How long each side is under load before anything counts.
    pub(crate) warm_up: Duration,
    /// Whether it is only tried out that everything works; cases that count something other than pairs then count less of it.
    pub(crate) quick: bool,
}

impl Effort {
    /// What is needed to compare figures.
    pub(crate) fn full(pairs: usize) -> Self {
        Self { pairs, load: Duration::from_secs(3), warm_up: Duration::from_secs(1), quick: false }
    }

    /// What is needed to see that a case works.
    pub(crate) fn quick() -> Self {
        Self { pairs: 1, load: Duration::from_secs(1), warm_up: Duration::from_secs(1), quick: true }
    }

    /// What a warm-up and so many loads take.
    pub(crate) fn seconds(self, loads: usize) -> f64 {
        (self.warm_up + self.load.mul_f64(loads as f64)).as_secs_f64()
    }

    /// So many of something, or so many when it is only tried out.
    pub(crate) fn of(self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

/// Given to every case.
#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) effort: Effort,
    pub(crate) progress: Progress,
    postgres: OnceCell<PostgresDatabase>,
    sqlite: OnceCell<SqliteFile>,
}

/// A database of SQLite; its folder goes with it.
#[derive(Debug)]
struct SqliteFile {
    path: PathBuf,
    _folder: TempDir,
}

impl Bed {
    pub(crate) fn new(effort: Effort, progress: Progress) -> Self {
        Self { effort, progress, postgres: OnceCell::new(), sqlite: OnceCell::new() }
    }

    /// A database on a PostgreSQL of the benchmarks' own, with the tables of [`schema`].
    ///
    /// # Panics
    /// When there is no server, or it refuses.
    pub(crate) async fn postgres(&self) -> &PostgresDatabase {
        let create = || async {
            self.tell("starting PostgreSQL");
            // For as long as the process; the server ends with it.
            let server = Box::leak(Box::new(postgres::start_with(&POSTGRES)));
            let database = PostgresDatabase::create_on(server).await;
            database.execute(schema::POSTGRES).await;
            // Otherwise whoever reads a row first would write that it is there for good.
            database.execute("VACUUM ANALYZE").await;
            database
        };
        self.postgres.get_or_init(create).await
    }

    /// What that server is, once it was asked for.
    ///
    /// # Panics
    /// When it does not say.
    pub(crate) async fn postgres_version(&self) -> Option<String> {
        Some(self.postgres.get()?.text("SHOW server_version").await)
    }

    /// The file of an SQLite database with the tables of [`schema`].
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) async fn sqlite(&self) -> Result<&PathBuf> {
        let create = || async {
            let folder = tempfile::Builder::new().prefix("wharf-bench-").tempdir()?;
            let path = folder.path().join("bench.db");
            let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
            let mut connection = options.connect().await?;
            sqlx::raw_sql(schema::SQLITE).execute(&mut connection).await?;
            connection.close().await?;
            anyhow::Ok(SqliteFile { path, _folder: folder })
        };
        Ok(&self.sqlite.get_or_try_init(create).await?.path)
    }

    /// Tells what came of a pair, counted from 1, and how far the run is.
    pub(crate) fn tell_pair(&self, pair: usize, what: &str) {
        let Self { effort: Effort { pairs, .. }, progress, .. } = self;
        let left = progress.left(pair as f64 / *pairs as f64);
        say(&format!("  {}, pair {pair} of {pairs}, {left}: {what}", progress.place()));
    }

    /// Tells something else of a case.
    pub(crate) fn tell(&self, what: &str) {
        say(&format!("  {what}"));
    }
}
