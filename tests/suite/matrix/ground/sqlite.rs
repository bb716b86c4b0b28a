//! SQLite: a file, and a connection that finds out whether somebody has it.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, ready};
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use support::proxy::Proxy;
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{Asked, Language, Scheme, Sessions, Side, State, told};

const RESIDUE: &str = "CREATE TEMPORARY TABLE residue (i integer)";

pub(super) const SCHEME: Scheme = Scheme {
    language: Language::Sql,
    residue: RESIDUE,
    light_residue: RESIDUE,
    slow: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000000000) SELECT count(*) FROM n",
    insert: "INSERT INTO main.notes (note) VALUES ('one'), ('other')",
    insert_slow: "",
    rows: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) SELECT i FROM n",
    left_in_session: "SELECT coalesce(group_concat(name), '') FROM sqlite_temp_schema",
    held: "",
};

const NOTES: &str = "SELECT count(*) FROM notes";

/// Takes a few milliseconds.
const PULSE: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT count(*) FROM n";

pub(super) struct File {
    folder: TempDir,
    own: Mutex<SqliteConnection>,
}

impl File {
    pub(super) async fn create() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(folder.path().join("main.db")).create_if_missing(true);
        // Whether the file is free is asked, not waited for.
        let own = options.busy_timeout(Duration::ZERO).connect().await.unwrap();
        let file = Self { folder, own: Mutex::new(own) };
        file.say("PRAGMA journal_mode = WAL; CREATE TABLE notes (note text NOT NULL)").await.unwrap();
        file
    }

    async fn say(&self, sql: &str) -> Result<(), String> {
        let said = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.own.lock().await).await;
        said.map(drop).map_err(|error| told(sql, &error))
    }
}

impl Side for File {
    fn server(&self) -> Option<(String, String)> {
        None
    }

    fn urls(&self, _proxy: Option<&Proxy>) -> (String, Option<String>) {
        (format!("sqlite://{}", self.folder.path().join("main.db").display()), None)
    }

    fn pulse(&self) -> Asked<'_, ()> {
        self.say(PULSE).boxed()
    }

    fn sessions(&self) -> BoxFuture<'_, Option<Sessions>> {
        ready(None).boxed()
    }

    fn shows<'a>(&'a self, _state: State, _sessions: &'a Sessions) -> BoxFuture<'a, bool> {
        ready(true).boxed()
    }

    fn left(&self) -> Asked<'_, String> {
        // Succeeds only when nobody has the file.
        async move { self.say("BEGIN IMMEDIATE; ROLLBACK").await.map(|()| String::new()) }.boxed()
    }

    fn notes(&self) -> Asked<'_, i64> {
        async move {
            let notes = sqlx::query_scalar(NOTES).fetch_one(&mut *self.own.lock().await).await;
            notes.map_err(|error| told(NOTES, &error))
        }
        .boxed()
    }

    fn kill<'a>(&'a self, _proxy: Option<&'a Proxy>) -> Asked<'a, ()> {
        panic!("there is nobody to do it")
    }

    fn sweep(&self) -> Asked<'_, ()> {
        self.say("DELETE FROM notes").boxed()
    }

    fn lock(&self) -> Asked<'_, ()> {
        self.say("BEGIN IMMEDIATE").boxed()
    }

    fn unlock(&self) -> Asked<'_, ()> {
        self.say("ROLLBACK").boxed()
    }
}
