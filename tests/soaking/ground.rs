//! What the databases themselves say: who is there, what is not at rest, what was written.

use std::time::Duration;

use serde_json::{Value as Json, json};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use support::client::Client;
use tokio::time::Instant;

use crate::{
    bed::{Databases, POOL},
    kinds::{Engine, NOTE},
};

/// How long everything may take to come back when no call runs: the bounds of reclaim, one after the other, SQLite's longer one included.
pub(crate) const REST: Duration = Duration::from_secs(20);

/// How long a server may take to notice that a control path, whose good-bye nobody confirms, is gone.
const GONE: Duration = Duration::from_secs(5);

/// Sessions that the two servers list, and how many of them do something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sessions {
    pub(crate) postgres: usize,
    pub(crate) mariadb: usize,
    pub(crate) busy: usize,
}

impl Databases {
    /// Counts them.
    pub(crate) async fn count(&self) -> Sessions {
        let (postgres, mariadb) = futures::join!(self.postgres.sessions(), self.mariadb.sessions());
        let busy =
            postgres.iter().filter(|row| row.state != "idle").count() + mariadb.iter().filter(|row| !row.is_idle()).count();
        Sessions { postgres: postgres.len(), mariadb: mariadb.len(), busy }
    }

    /// Waits until nothing is busy, in a transaction or locked; what still is after [`REST`], one line each.
    ///
    /// # Errors
    /// When a database cannot be asked.
    pub(crate) async fn rest(&self) -> anyhow::Result<Vec<String>> {
        let start = Instant::now();
        loop {
            let restless = self.restless().await?;
            if restless.is_empty() || start.elapsed() >= REST {
                return Ok(restless);
            }
        }
    }

    async fn restless(&self) -> anyhow::Result<Vec<String>> {
        let mut restless = Vec::new();
        for row in self.postgres.sessions().await.into_iter().filter(|row| row.state != "idle") {
            restless.push(format!("PostgreSQL: session {} of {} is {}: {}", row.pid, row.usename, row.state, row.query));
        }
        // In no transaction and nothing to do: what is locked then, the session itself has locked.
        if restless.is_empty() {
            restless.extend(self.postgres.locks().await.into_iter().map(|lock| format!("PostgreSQL: {lock}")));
        }
        for row in self.mariadb.sessions().await.into_iter().filter(|row| !row.is_idle()) {
            let what = if row.in_transaction { "in a transaction" } else { "busy" };
            restless.push(format!("MariaDB: session {} of {} is {what} ({}): {}", row.id, row.user, row.command, row.query));
        }
        restless.extend(self.sqlite_restless().await?);
        Ok(restless)
    }

    /// A writer keeps others from beginning to write, a reader keeps the log from being emptied, in which there is something for that.
    async fn sqlite_restless(&self) -> anyhow::Result<Option<String>> {
        let mut connection = self.sqlite.clone().busy_timeout(Duration::from_millis(100)).connect().await?;
        let begun = sqlx::raw_sql("BEGIN IMMEDIATE; PRAGMA user_version = 1; COMMIT").execute(&mut connection).await;
        let restless = match begun {
            Err(error) => Some(format!("SQLite: somebody writes ({error})")),
            Ok(_) => {
                let checkpoint = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut connection).await?;
                (checkpoint.get::<i64, _>(0) != 0).then(|| "SQLite: somebody is in a transaction".to_owned())
            }
        };
        connection.close().await?;
        Ok(restless)
    }

    /// What the servers still list when the host has ended, one line each.
    pub(crate) async fn listed(&self) -> Vec<String> {
        let start = Instant::now();
        // Of a pool, not even for a moment.
        let pooled = self.postgres.sessions().await.into_iter().filter(|row| row.application_name != "wharf control");
        let at_once: Vec<String> = pooled.map(|row| format!("PostgreSQL: session {} of {}", row.pid, row.usename)).collect();
        loop {
            let (postgres, mariadb) = futures::join!(self.postgres.sessions(), self.mariadb.sessions());
            let control = postgres.into_iter().filter(|row| row.application_name == "wharf control");
            let mut listed = at_once.clone();
            listed.extend(control.map(|row| format!("PostgreSQL: control session {} of {}", row.pid, row.usename)));
            listed.extend(mariadb.into_iter().map(|row| format!("MariaDB: session {} of {}", row.id, row.user)));
            if listed.len() == at_once.len() || start.elapsed() >= GONE {
                return listed;
            }
        }
    }

    /// Hits in the table `counters`, by engine.
    ///
    /// # Errors
    /// When a database cannot be asked.
    pub(crate) async fn hits(&self) -> anyhow::Result<[i64; 3]> {
        let mut mariadb = self.mariadb.connect().await;
        let hits = [
            self.postgres.text("SELECT sum(hits)::text FROM counters").await.parse()?,
            sqlx::query_scalar("SELECT CAST(SUM(hits) AS SIGNED) FROM counters").fetch_one(&mut mariadb).await?,
            sqlx::query_scalar("SELECT sum(hits) FROM counters").fetch_one(&mut self.read_sqlite().await?).await?,
        ];
        mariadb.close().await?;
        Ok(hits)
    }

    /// Engines whose table `notes`, which nobody may write, is not what it was.
    ///
    /// # Errors
    /// When a database cannot be asked.
    pub(crate) async fn changed_notes(&self) -> anyhow::Result<Vec<Engine>> {
        let query = "SELECT note FROM notes ORDER BY id";
        let (mut postgres, mut mariadb) = (self.postgres.connect().await, self.mariadb.connect().await);
        let notes: [Vec<String>; 3] = [
            sqlx::query_scalar(query).fetch_all(&mut postgres).await?,
            sqlx::query_scalar(query).fetch_all(&mut mariadb).await?,
            sqlx::query_scalar(query).fetch_all(&mut self.read_sqlite().await?).await?,
        ];
        postgres.close().await?;
        mariadb.close().await?;
        Ok(Engine::ALL.into_iter().filter(|engine| notes[*engine as usize] != NOTE).collect())
    }

    async fn read_sqlite(&self) -> anyhow::Result<SqliteConnection> {
        Ok(self.sqlite.clone().read_only(true).connect().await?)
    }
}

/// Has one call take all connections of a database at once and use each; what went wrong, if anything did.
pub(crate) async fn all_capacity_is_free(client: &Client, engine: Engine) -> Option<String> {
    let names: Vec<String> = (0..POOL).map(|number| format!("c{number}")).collect();
    let mut steps = vec![json!({ "do": "open", "database": engine.name(), "as": "d" })];
    steps.extend(names.iter().map(|name| json!({ "do": "connect", "on": "d", "as": name })));
    steps.extend(names.iter().map(|name| json!({ "do": "query", "on": name, "sql": "SELECT count(*) FROM notes" })));
    let reply = client.post("/probe/run", &json!(steps)).await;
    let outcomes: Json = serde_json::from_slice(&reply.body).unwrap_or_default();
    let done = outcomes
        .as_array()
        .is_some_and(|outcomes| outcomes.len() == steps.len() && outcomes.iter().all(|outcome| outcome["error"].is_null()));
    (!done).then(|| format!("{}: not all {POOL} connections can be had: {} {}", engine.title(), reply.status, reply.text()))
}
