//! A database to try things on: the texts of its engine, and what it says of us on a connection that goes past the proxy.

use std::time::Duration;

use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use support::{
    postgres::{PostgresDatabase, server},
    proxy::Proxy,
};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{
    axes::{Engine, State},
    bed::MAX,
};

/// What is said in the language of an engine.
pub(super) struct Scheme {
    /// Makes the table `notes`; a COMMIT after a note `slow` takes a minute where the engine can be made to.
    pub(super) schema: &'static str,
    /// Leaves something in a session, a line each.
    pub(super) residue: &'static str,
    /// Takes a minute.
    pub(super) slow: &'static str,
    /// Writes two rows, wholly or not at all.
    pub(super) insert: &'static str,
    /// The same so that its COMMIT takes a minute.
    pub(super) insert_slow: &'static str,
    /// More rows than are read.
    pub(super) rows: &'static str,
    /// One text: empty when a session is as new.
    pub(super) left_in_session: &'static str,
    /// What the host says first of a transaction, for a proxy to look for.
    pub(super) begin: &'static str,
}

const SQLITE: Scheme = Scheme {
    schema: "PRAGMA journal_mode = WAL; CREATE TABLE notes (note text NOT NULL)",
    residue: "CREATE TEMPORARY TABLE residue (i integer)",
    slow: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000000000) SELECT count(*) FROM n",
    insert: "INSERT INTO main.notes (note) VALUES ('one'), ('other')",
    insert_slow: "",
    rows: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) SELECT i FROM n",
    left_in_session: "SELECT coalesce(group_concat(name), '') FROM sqlite_temp_schema",
    begin: "",
};

const POSTGRES: Scheme = Scheme {
    schema: "CREATE TABLE notes (note text NOT NULL);
             CREATE FUNCTION takes_its_time() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN IF NEW.note = 'slow' THEN PERFORM pg_sleep(60); END IF; RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION takes_its_time()",
    residue: "CREATE TEMPORARY TABLE residue (i int)
SELECT pg_advisory_lock_shared(7)
SELECT set_config('search_path', 'residue', false), set_config('lock_timeout', '7s', false)",
    slow: "SELECT pg_sleep(60)",
    insert: "INSERT INTO public.notes (note) VALUES ('one'), ('other')",
    insert_slow: "INSERT INTO public.notes (note) VALUES ('slow'), ('slow')",
    rows: "SELECT generate_series(1, 1000)",
    left_in_session: "SELECT concat_ws(', ',
        CASE WHEN current_setting('search_path') <> '\"$user\", public' THEN 'search_path' END,
        CASE WHEN current_setting('lock_timeout') <> '0' THEN 'lock_timeout' END,
        CASE WHEN pg_current_xact_id_if_assigned() IS NOT NULL THEN 'a transaction' END,
        CASE WHEN to_regclass('pg_temp.residue') IS NOT NULL THEN 'a temporary table' END,
        (SELECT 'an advisory lock' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() LIMIT 1))",
    begin: "BEGIN",
};

impl Engine {
    pub(super) fn scheme(self) -> &'static Scheme {
        match self {
            Self::Sqlite => &SQLITE,
            Self::Postgres => &POSTGRES,
        }
    }
}

/// A database, and a connection of the test's own to it.
pub(super) enum Ground {
    Sqlite { folder: TempDir, own: Mutex<SqliteConnection> },
    Postgres { database: Box<PostgresDatabase>, own: Mutex<PgConnection> },
}

/// Sessions that a server lists as the host's.
const POSTGRES_SESSIONS: &str = "SELECT count(*) FILTER (WHERE usename LIKE '%\\_owner'), count(*) FILTER (WHERE usename LIKE '%\\_control'),
        coalesce(string_agg(pid || ' ' || state || ': ' || query, ' | ') FILTER (WHERE usename LIKE '%\\_owner' AND state <> 'idle'), '')
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// What no session may keep, nor any transaction leave.
const POSTGRES_LEFT: &str = "SELECT concat_ws(', ',
    (SELECT 'locks: ' || string_agg(locktype || ' ' || mode, ' ') FROM pg_locks l JOIN pg_database d ON d.oid = l.database
      WHERE d.datname = current_database() AND l.pid <> pg_backend_pid()),
    (SELECT 'temporary tables: ' || string_agg(relname, ' ') FROM pg_class WHERE relpersistence = 't'),
    (SELECT 'prepared transactions' FROM pg_prepared_xacts LIMIT 1))";

/// What a server lists of a host.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) pooled: i64,
    pub(super) control: i64,
    /// Those of the pool that are not idle.
    pub(super) busy: String,
}

impl Ground {
    pub(super) async fn new(engine: Engine) -> Self {
        let ground = match engine {
            Engine::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let options = SqliteConnectOptions::new().filename(folder.path().join("main.db")).create_if_missing(true);
                // Whether the file is free is asked, not waited for.
                let own = options.busy_timeout(Duration::ZERO).connect().await.unwrap();
                Self::Sqlite { folder, own: Mutex::new(own) }
            }
            Engine::Postgres => {
                let database = Box::new(PostgresDatabase::create().await);
                let own = Mutex::new(server().connect(&database.name).await);
                database.execute(engine.scheme().schema).await;
                return Self::Postgres { database, own };
            }
        };
        ground.say(engine.scheme().schema).await.unwrap();
        ground
    }

    pub(super) fn engine(&self) -> Engine {
        match self {
            Self::Sqlite { .. } => Engine::Sqlite,
            Self::Postgres { .. } => Engine::Postgres,
        }
    }

    /// A proxy in front of the server, where there is one.
    pub(super) async fn proxy(&self) -> Option<Proxy> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres { database, .. } => Some(Proxy::start(database.address(), database.control.name.clone()).await),
        }
    }

    /// The address of the database and that of its control connection, as settings.
    pub(super) fn urls(&self, proxy: Option<&Proxy>) -> (String, Option<String>) {
        match (self, proxy) {
            (Self::Sqlite { folder, .. }, _) => (format!("sqlite://{}", folder.path().join("main.db").display()), None),
            (Self::Postgres { database, .. }, Some(proxy)) => {
                let url = |role| database.url_at(role, proxy.address());
                (url(&database.owner), Some(url(&database.control)))
            }
            (Self::Postgres { .. }, None) => panic!("a server is behind a proxy"),
        }
    }

    /// Runs statements on the test's own connection.
    pub(super) async fn say(&self, sql: &str) -> Result<(), String> {
        let said = match self {
            Self::Sqlite { own, .. } => sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *own.lock().await).await.map(drop),
            Self::Postgres { own, .. } => sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *own.lock().await).await.map(drop),
        };
        said.map_err(|error| format!("the test's own connection: {sql}: {error}"))
    }

    /// A question that takes the database a few milliseconds, for who asks until something holds.
    pub(super) async fn pulse(&self) {
        let sql = match self {
            Self::Sqlite { .. } => {
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT count(*) FROM n"
            }
            Self::Postgres { .. } => "SELECT pg_sleep(0.005)",
        };
        self.say(sql).await.unwrap();
    }

    /// Another writer takes the file, as soon as it can be had.
    pub(super) async fn lock(&self) {
        support::wait::until("the file", Duration::from_secs(10), || self.say("BEGIN IMMEDIATE")).await;
    }

    pub(super) async fn unlock(&self) {
        self.say("ROLLBACK").await.unwrap();
    }

    /// The server ends the sessions of the pool.
    pub(super) async fn kill(&self) {
        match self {
            Self::Sqlite { .. } => panic!("there is nobody to do it"),
            Self::Postgres { database, .. } => {
                let owner = &database.owner.name;
                let sql = format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{owner}'");
                self.say(&sql).await.unwrap();
            }
        }
    }

    /// What the server lists; `None` where there is none.
    pub(super) async fn sessions(&self) -> Option<Sessions> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres { own, .. } => {
                let (pooled, control, busy) = sqlx::query_as(POSTGRES_SESSIONS).fetch_one(&mut *own.lock().await).await.unwrap();
                Some(Sessions { pooled, control, busy })
            }
        }
    }

    /// Whether the server sees a call in the state; nothing can be asked of SQLite.
    pub(super) async fn sees(&self, state: State) -> Result<(), String> {
        let Some(sessions) = self.sessions().await else { return Ok(()) };
        let expected = match state {
            // What the call wants, others have; what is held back by the proxy, the server has done.
            State::Acquiring | State::Ready => sessions.busy.is_empty(),
            State::StatementRunning => sessions.busy.contains("active: SELECT pg_sleep"),
            State::BeginInFlight => sessions.busy.contains("idle in transaction: BEGIN"),
            State::InTransaction => sessions.busy.contains("idle in transaction: INSERT"),
            State::CommitInFlight => sessions.busy.contains("active") && sessions.busy.contains("COMMIT"),
            State::CursorHalfRead => sessions.busy.contains("idle in transaction: FETCH"),
        };
        if expected { Ok(()) } else { Err(format!("{sessions:?}")) }
    }

    /// Whether the server has nothing of ours but idle sessions, no more than there may be, and all of a transaction or nothing of it.
    /// `open`: whether the host still runs.
    pub(super) async fn confirms(&self, open: bool, may_have_committed: bool) -> Result<(), String> {
        if let Some(sessions) = self.sessions().await {
            let (most, controls) = if open { (i64::from(MAX), 1) } else { (0, 0) };
            if sessions.pooled > most || sessions.control > controls || !sessions.busy.is_empty() {
                return Err(format!("the server lists {sessions:?}, at most {most} and {controls}, all idle, were expected"));
            }
        }
        let (left, notes): (String, i64) = match self {
            Self::Sqlite { own, .. } => {
                // Succeeds only when nobody has the file.
                self.say("BEGIN IMMEDIATE; ROLLBACK").await?;
                let notes = sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&mut *own.lock().await).await;
                (String::new(), notes.map_err(|error| error.to_string())?)
            }
            Self::Postgres { own, .. } => {
                let mut own = own.lock().await;
                let left: String = sqlx::query_scalar(POSTGRES_LEFT).fetch_one(&mut *own).await.unwrap();
                (left, sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&mut *own).await.unwrap())
            }
        };
        if !left.is_empty() {
            return Err(format!("the server has {left}"));
        }
        match (notes, may_have_committed) {
            (0, _) | (2, true) => Ok(()),
            (notes, _) => Err(format!("{notes} rows of a transaction are there")),
        }
    }

    /// As it was in the beginning, for the next cell.
    pub(super) async fn sweep(&self) -> Result<(), String> {
        self.say("DELETE FROM notes").await
    }
}

/// The only cell of the only row of a step's outcome.
pub(super) fn only_cell(outcome: &Json) -> Option<&str> {
    outcome["ok"]["rows"][0][0]["text"].as_str()
}
