//! SQLite: a file, and a connection that finds out whether somebody has it.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, ready};
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use support::proxy::Proxy;
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{Scheme, Sessions, Side, State};

const RESIDUE: &str = "CREATE TEMPORARY TABLE residue (i integer)";

pub(super) const SCHEME: Scheme = Scheme {
    schema: "PRAGMA journal_mode = WAL; CREATE TABLE notes (note text NOT NULL)",
    residue: RESIDUE,
    light_residue: RESIDUE,
    slow: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000000000) SELECT count(*) FROM n",
    insert: "INSERT INTO main.notes (note) VALUES ('one'), ('other')",
    insert_slow: "",
    rows: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) SELECT i FROM n",
    left_in_session: "SELECT coalesce(group_concat(name), '') FROM sqlite_temp_schema",
    begin: "",
    notes: "SELECT count(*) FROM notes",
    sweep: "DELETE FROM notes",
    pulse: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT count(*) FROM n",
};

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
        file.say(SCHEME.schema).await.unwrap();
        file
    }
}

impl Side for File {
    fn server(&self) -> Option<(String, String)> {
        None
    }

    fn urls(&self, _proxy: Option<&Proxy>) -> (String, Option<String>) {
        (format!("sqlite://{}", self.folder.path().join("main.db").display()), None)
    }

    fn say<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        async move { sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.own.lock().await).await.map(drop) }.boxed()
    }

    fn number<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<i64, sqlx::Error>> {
        async move { sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *self.own.lock().await).await }.boxed()
    }

    fn sessions(&self) -> BoxFuture<'_, Option<Sessions>> {
        ready(None).boxed()
    }

    fn shows(&self, _state: State, _sessions: &Sessions) -> bool {
        true
    }

    fn left(&self) -> BoxFuture<'_, Result<String, sqlx::Error>> {
        // Succeeds only when nobody has the file.
        async move { self.say("BEGIN IMMEDIATE; ROLLBACK").await.map(|()| String::new()) }.boxed()
    }

    fn kill(&self) -> BoxFuture<'_, Result<(), sqlx::Error>> {
        panic!("there is nobody to do it")
    }
}
