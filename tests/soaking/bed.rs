//! What is soaked: three databases, and a host with good and hostile handlers on all of them.

use std::path::PathBuf;

use anyhow::Context;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, MySqlConnection, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions,
};
use support::{
    host::{Host, Setup},
    mariadb::{MariadbDatabase, server},
    postgres::PostgresDatabase,
};

use tempfile::TempDir;

use crate::kinds::{COUNTERS, NOTE};

/// Sessions that each database may have at most, in the pool.
pub(crate) const POOL: usize = 8;

/// What of them `hoards` may have.
pub(crate) const HOARD: usize = 3;

/// The databases, as an independent connection sees them.
#[derive(Debug)]
pub(crate) struct Databases {
    /// An administrator's, from another database: has the row of MariaDB that statements wait for. Lets go of it before anything is dropped.
    _holds: MySqlConnection,
    pub(crate) postgres: PostgresDatabase,
    pub(crate) mariadb: MariadbDatabase,
    pub(crate) sqlite: SqliteConnectOptions,
    pub(crate) file: PathBuf,
    /// Of the file, which outlives the host.
    _folder: TempDir,
}

/// Sessions of the host's own roles, each left in a transaction.
#[derive(Debug)]
pub(crate) struct Planted(PgConnection, MySqlConnection, SqliteConnection);

/// Plugins of the name of their guest: limits, what is granted besides `access`, and how many of their calls may run at once.
///
/// A call that holds a connection and waits for another keeps it from others that do the same. `leaks`, `hoards` and `uses_closed` do;
/// so few of them run at once that somebody always gets on.
const PLUGINS: [(&str, &str, &str); 16] = [
    ("probe", PATIENT, ""),
    ("probe_async", "fuel = 20_000_000, deadline = \"60s\", memory = \"16MiB\"", ""),
    ("hijacks", PATIENT, ""),
    ("leaks", "fuel = 200_000_000, deadline = \"60s\", memory = \"16MiB\", max_concurrency = 2", ""),
    ("hoards", "fuel = 200_000_000, deadline = \"60s\", memory = \"16MiB\", max_concurrency = 1", ", max_connections = 3"),
    ("uses_closed", "fuel = 200_000_000, deadline = \"60s\", memory = \"16MiB\", max_concurrency = 1", ""),
    ("traps", PATIENT, ""),
    ("panics", PATIENT, ""),
    ("overflows_stack", PATIENT, ""),
    ("spins", "fuel = 10_000_000, deadline = \"60s\", memory = \"16MiB\"", ""),
    ("eats_memory", PATIENT, ""),
    ("waits", "fuel = 200_000_000, deadline = \"400ms\", memory = \"16MiB\"", ""),
    ("endless_body", "fuel = 100_000_000, deadline = \"60s\", memory = \"16MiB\"", ""),
    ("silent", PATIENT, ""),
    ("invalid_response", PATIENT, ""),
    ("renames", PATIENT, ""),
];

/// Those that are called otherwise than their guest, or are granted less.
const OTHERS: [(&str, &str, &str, &str); 4] = [
    // What a handler goes on with after its answer ends at its deadline.
    ("abandons", "probe_async", "fuel = 20_000_000, deadline = \"400ms\", memory = \"16MiB\"", ""),
    ("deserted", "waits", PATIENT, ""),
    ("huge_result", "huge_result", PATIENT, ", max_rows = 1_000, max_result_bytes = \"1MiB\""),
    ("prints", "prints", "fuel = 10_000_000, deadline = \"60s\", memory = \"16MiB\"", ""),
];

/// Nothing that a good handler does comes near these.
const PATIENT: &str = "fuel = 200_000_000, deadline = \"60s\", memory = \"16MiB\"";

/// glibc begins with this, but raises it to up to 64 MiB with the largest block that is given back, and then each of its arenas keeps so
/// much of what the host has freed, now and then more and now and then less. Fixed, what is resident is what the host keeps.
const TRIM_THRESHOLD: &str = "131072";

/// Of each database. Another writer, a full pool and a long queue are waited for: what is looked for is what does not come back.
const DATABASE: &str = "acquire_timeout = \"20s\"\nstatement_timeout = \"60s\"\n";

/// A writer of SQLite that waits for another cannot be cancelled meanwhile, so that it may settle for longer.
const SQLITE: &str = "busy_timeout = \"8s\"\nbounds = { settle = \"10s\" }\n";

impl Databases {
    /// Makes them, with the tables that the handlers use.
    ///
    /// # Errors
    /// When a database refuses.
    pub(crate) async fn create() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("wharf-soak-").tempdir()?;
        let file = folder.path().join("soak.db");
        let sqlite = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let (postgres, mariadb) = (PostgresDatabase::create().await, MariadbDatabase::create().await);
        let notes = NOTE.map(|note| format!("('{note}')")).join(", ");
        let counters = (0..COUNTERS).map(|id| format!("({id}, 0)")).collect::<Vec<_>>().join(", ");
        let tables = |id: &str, text: &str| {
            format!(
                "CREATE TABLE notes (id {id}, note {text} NOT NULL); INSERT INTO notes (note) VALUES {notes}; \
                 CREATE TABLE counters (id INTEGER PRIMARY KEY, hits BIGINT NOT NULL); INSERT INTO counters VALUES {counters}"
            )
        };
        postgres.execute(&tables("bigserial PRIMARY KEY", "text")).await;
        mariadb.execute(&tables("BIGINT AUTO_INCREMENT PRIMARY KEY", "TEXT")).await;
        mariadb.execute("CREATE TABLE held (id INTEGER PRIMARY KEY); INSERT INTO held VALUES (1)").await;
        let mut holds = server().connect("mysql").await;
        let hold = format!("BEGIN; SELECT id FROM {}.held FOR UPDATE", mariadb.name);
        sqlx::raw_sql(AssertSqlSafe(hold)).execute(&mut holds).await?;
        let mut connection = sqlite.connect().await.context("SQLite")?;
        sqlx::raw_sql(AssertSqlSafe(tables("INTEGER PRIMARY KEY", "text"))).execute(&mut connection).await?;
        connection.close().await?;
        Ok(Self { _holds: holds, postgres, mariadb, sqlite, file, _folder: folder })
    }

    /// Does what a host that leaks would do.
    ///
    /// # Errors
    /// When a database refuses.
    pub(crate) async fn plant(&self) -> anyhow::Result<Planted> {
        let (mut postgres, mut mariadb) = (self.postgres.connect().await, self.mariadb.connect().await);
        let mut sqlite = self.sqlite.connect().await?;
        let leave = "BEGIN; UPDATE counters SET hits = hits WHERE id = -1; SELECT count(*) FROM notes";
        sqlx::raw_sql(leave).execute(&mut postgres).await?;
        sqlx::raw_sql(leave).execute(&mut mariadb).await?;
        // One that writes would keep every other writer out, and the host from working at all.
        sqlx::raw_sql("BEGIN; SELECT count(*) FROM notes").execute(&mut sqlite).await?;
        Ok(Planted(postgres, mariadb, sqlite))
    }
}

impl Planted {
    /// Takes them away again.
    ///
    /// # Errors
    /// When a database refuses.
    pub(crate) async fn pull(self) -> anyhow::Result<()> {
        let Self(postgres, mariadb, sqlite) = self;
        postgres.close().await?;
        mariadb.close().await?;
        sqlite.close().await?;
        Ok(())
    }
}

/// Starts the host, which runs `at_once` calls at most and has the others wait.
pub(crate) async fn start(databases: &Databases, at_once: u64) -> Host {
    let Databases { postgres, mariadb, file, .. } = databases;
    let mut setup = Setup::new()
        // Hostile handlers are worth a warning each, which nobody reads here.
        .environment("WHARF_LOG", "error")
        .environment("MALLOC_TRIM_THRESHOLD_", TRIM_THRESHOLD)
        .server(&format!("max_concurrency = {at_once}\nqueue_timeout = \"20s\""))
        .database("postgres", &postgres.url(&postgres.owner), &format!("max_connections = {POOL}\n{DATABASE}"))
        .database("mariadb", &mariadb.url(&mariadb.owner), &format!("max_connections = {POOL}\n{DATABASE}"))
        .database("sqlite", &format!("sqlite://{}", file.display()), &format!("max_connections = {POOL}\n{DATABASE}{SQLITE}"));
    let plugins = PLUGINS.iter().map(|(guest, limits, grant)| (*guest, *guest, *limits, *grant));
    for (plugin, guest, limits, grant) in plugins.chain(OTHERS) {
        let grants =
            ["postgres", "mariadb", "sqlite"].map(|name| format!("databases.{name} = {{ access = \"read-write\"{grant} }}"));
        setup = setup.plugin(plugin, guest, &format!("limits = {{ {limits} }}\n{}", grants.join("\n")));
    }
    setup.start().await
}
