//! MariaDB: a database of its own, asked by an administrator.
//!
//! A COMMIT that takes long: a transaction that wrote to a table whose rows know the transactions that made them (`PERIOD FOR SYSTEM_TIME`
//! over transaction numbers) enters itself in `mysql.transaction_registry`, and the server does that within its COMMIT, before anything
//! is committed. A connection of the test's has locked the end of that table, so this one COMMIT waits, in the server, and nobody
//! else's does. `BACKUP STAGE BLOCK_COMMIT` would stop every COMMIT of the server, and a proxy that holds the answer back would only
//! show a COMMIT that is over.

use futures::future::{BoxFuture, FutureExt, ready};
use sqlx::{AssertSqlSafe, MySqlConnection, mysql::MySqlDatabaseError};
use support::{
    mariadb::{MariadbDatabase, server},
    proxy::Proxy,
};
use tokio::sync::Mutex;

use super::{Asked, Language, Scheme, Sessions, Side, State, told};

const SCHEMA: &str = "CREATE TABLE notes (note TEXT NOT NULL);
    CREATE TABLE slow_notes (note TEXT NOT NULL,
        made BIGINT UNSIGNED GENERATED ALWAYS AS ROW START, gone BIGINT UNSIGNED GENERATED ALWAYS AS ROW END,
        PERIOD FOR SYSTEM_TIME (made, gone)) WITH SYSTEM VERSIONING;
    CREATE TABLE counted (n BIGINT AUTO_INCREMENT PRIMARY KEY);
    CREATE TABLE residue (i INT); INSERT INTO residue VALUES (1)";

pub(super) const SCHEME: Scheme = Scheme {
    language: Language::Sql,
    // The temporary table hides the other.
    residue: "CREATE TEMPORARY TABLE residue (i INT)
SELECT GET_LOCK(CONCAT('residue ', CONNECTION_ID()), 0)
SET @residue = 7, sql_mode = '', lock_wait_timeout = 7",
    // What `LAST_INSERT_ID()` tells.
    light_residue: "INSERT INTO counted VALUES ()",
    slow: "SELECT SLEEP(60)",
    insert: "INSERT INTO notes (note) VALUES ('one'), ('other')",
    insert_slow: "INSERT INTO slow_notes (note) VALUES ('one'), ('other')",
    // More than fits anywhere between the server and the guest, so that the server is not done with it.
    rows: "SELECT seq, REPEAT('x', 10000) FROM seq_1_to_100000",
    left_in_session: "SELECT CONCAT_WS(', ',
        IF(@residue IS NULL, NULL, 'a user variable'),
        IF(@@sql_mode LIKE '%STRICT_ALL_TABLES%', NULL, 'sql_mode'),
        IF(@@lock_wait_timeout = 7, 'lock_wait_timeout', NULL),
        IF(@@in_transaction, 'a transaction', NULL),
        IF(LAST_INSERT_ID(), 'a key', NULL),
        IF(IS_USED_LOCK(CONCAT('residue ', CONNECTION_ID())) IS NULL, NULL, 'a lock'),
        (SELECT IF(COUNT(*) = 1, NULL, 'a temporary table') FROM residue))",
    held: "START TRANSACTION",
};

const NOTES: &str = "SELECT (SELECT COUNT(*) FROM notes) + (SELECT COUNT(*) FROM slow_notes)";

/// Takes a few milliseconds.
const PULSE: &str = "SELECT SLEEP(0.005)";

/// Sessions that the server lists as the host's. See the sessions of `support` for why `INNODB_TRX` is not asked.
const SESSIONS: &str = "SELECT COUNT(IF(p.USER LIKE '%\\\\_owner', 1, NULL)) AS pooled,
        COUNT(IF(p.USER LIKE '%\\\\_control', 1, NULL)) AS control,
        CAST(COALESCE(GROUP_CONCAT(
            IF(p.USER LIKE '%\\\\_owner' AND (p.COMMAND <> 'Sleep' OR t.THREAD_ID IS NULL OR e.STATE = 'ACTIVE'),
               CONCAT_WS(' ', p.ID, p.COMMAND, IF(e.STATE = 'ACTIVE', CONCAT('in a transaction ', e.ACCESS_MODE), 'alone'),
                         (SELECT CONCAT('on ', GROUP_CONCAT(m.OBJECT_NAME)) FROM performance_schema.metadata_locks m
                           WHERE m.OWNER_THREAD_ID = t.THREAD_ID AND m.OBJECT_TYPE = 'TABLE'),
                         CONCAT(NULLIF(p.STATE, ''), ':'), p.INFO), NULL) SEPARATOR ' | '), '') AS CHAR) AS busy
    FROM information_schema.PROCESSLIST p LEFT JOIN performance_schema.threads t ON t.PROCESSLIST_ID = p.ID
    LEFT JOIN performance_schema.events_transactions_current e ON e.THREAD_ID = t.THREAD_ID
    WHERE p.USER IN (CONCAT(DATABASE(), '_owner'), CONCAT(DATABASE(), '_control'))";

/// Metadata locks, those of `GET_LOCK` among them: of sessions of the host, and of whomever else in the database.
const LEFT: &str = "SELECT CAST(COALESCE(GROUP_CONCAT(
        CONCAT_WS(' ', m.OBJECT_TYPE, m.OBJECT_NAME, m.LOCK_TYPE, m.LOCK_STATUS) SEPARATOR ', '), '') AS CHAR)
    FROM performance_schema.metadata_locks m LEFT JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID
    WHERE NOT t.PROCESSLIST_ID <=> CONNECTION_ID()
      AND (m.OBJECT_SCHEMA = DATABASE()
           OR t.PROCESSLIST_USER IN (CONCAT(DATABASE(), '_owner'), CONCAT(DATABASE(), '_control')))";

/// Locks what comes behind the last row of the registry of transactions, against those who insert. Any number of sessions may.
const BLOCK_COMMITS: &str =
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION; SELECT * FROM mysql.transaction_registry";

/// The server's number for "there is no such thread".
const NO_SUCH_THREAD: u16 = 1094;

pub(super) struct Mariadb {
    database: MariadbDatabase,
    own: Mutex<MySqlConnection>,
    /// Has a transaction open for as long as it is there.
    _blocks_commits: MySqlConnection,
}

impl Mariadb {
    pub(super) async fn create() -> Self {
        let database = MariadbDatabase::create().await;
        let own = Mutex::new(server().connect(&database.name).await);
        database.execute(SCHEMA).await;
        let mut blocks_commits = server().connect("mysql").await;
        sqlx::raw_sql(BLOCK_COMMITS).execute(&mut blocks_commits).await.unwrap();
        Self { database, own, _blocks_commits: blocks_commits }
    }

    async fn run(&self, sql: &str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.own.lock().await).await.map(drop)
    }

    async fn say(&self, sql: &str) -> Result<(), String> {
        self.run(sql).await.map_err(|error| told(sql, &error))
    }

    /// The sessions of the pool.
    async fn pooled(&self) -> Result<Vec<i64>, sqlx::Error> {
        let sql = "SELECT CAST(ID AS SIGNED) FROM information_schema.PROCESSLIST WHERE USER = ?";
        sqlx::query_scalar(sql).bind(&self.database.owner.name).fetch_all(&mut *self.own.lock().await).await
    }

    async fn kill_all(&self) -> Result<(), sqlx::Error> {
        let killed = self.pooled().await?;
        for id in &killed {
            match self.run(&format!("KILL CONNECTION {id}")).await {
                // One that has ended by itself is as good.
                Err(error) if number(&error) == Some(NO_SUCH_THREAD) => {}
                other => other?,
            }
        }
        // It only asks them to end.
        while self.pooled().await?.iter().any(|id| killed.contains(id)) {
            self.run(PULSE).await?;
        }
        Ok(())
    }
}

impl Side for Mariadb {
    fn server(&self) -> Option<(String, String)> {
        Some((self.database.address(), self.database.control.name.clone()))
    }

    fn urls(&self, proxy: Option<&Proxy>) -> (String, Option<String>) {
        let Some(proxy) = proxy else { panic!("a server is behind a proxy") };
        let url = |user| self.database.url_at(user, proxy.address());
        (url(&self.database.owner), Some(url(&self.database.control)))
    }

    fn pulse(&self) -> Asked<'_, ()> {
        self.say(PULSE).boxed()
    }

    fn sessions(&self) -> BoxFuture<'_, Option<Sessions>> {
        async move {
            let (pooled, control, busy) = sqlx::query_as(SESSIONS).fetch_one(&mut *self.own.lock().await).await.unwrap();
            Some(Sessions { pooled, control, busy })
        }
        .boxed()
    }

    fn shows<'a>(&'a self, state: State, sessions: &'a Sessions) -> BoxFuture<'a, bool> {
        let busy = &sessions.busy;
        let shown = match state {
            // What the call wants, others have; what is held back by the proxy, the server has done.
            State::Acquiring | State::Ready => busy.is_empty(),
            State::StatementRunning => busy.contains("User sleep: SELECT SLEEP"),
            State::BeginInFlight => busy.ends_with("Sleep in a transaction READ WRITE"),
            State::InTransaction => busy.ends_with("Sleep in a transaction READ WRITE on notes"),
            State::CommitInFlight => busy.contains("transaction_registry") && busy.contains("COMMIT"),
            State::CursorHalfRead => busy.contains("in a transaction READ ONLY") && busy.contains("Writing to net: SELECT seq"),
            State::FirstOperation | State::FindBeforeReply => panic!("there is no such cell"),
        };
        ready(shown).boxed()
    }

    fn left(&self) -> Asked<'_, String> {
        async move {
            let left = sqlx::query_scalar(LEFT).fetch_one(&mut *self.own.lock().await).await;
            left.map_err(|error| told(LEFT, &error))
        }
        .boxed()
    }

    fn notes(&self) -> Asked<'_, i64> {
        async move {
            let notes = sqlx::query_scalar(NOTES).fetch_one(&mut *self.own.lock().await).await;
            notes.map_err(|error| told(NOTES, &error))
        }
        .boxed()
    }

    fn kill<'a>(&'a self, _proxy: Option<&'a Proxy>) -> Asked<'a, ()> {
        async move { self.kill_all().await.map_err(|error| told("KILL", &error)) }.boxed()
    }

    fn sweep(&self) -> Asked<'_, ()> {
        // Nothing gets into the other.
        self.say("DELETE FROM notes").boxed()
    }
}

fn number(error: &sqlx::Error) -> Option<u16> {
    Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number())
}
