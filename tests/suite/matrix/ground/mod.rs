//! A database to try things on: the texts of its engine, and what it says of us on a connection that goes past the proxy.
//!
//! A file an engine. A new one needs a [`Scheme`], a [`Side`], and a line in [`Engine::scheme`] and in [`Ground::new`].

mod mariadb;
mod postgres;
mod sqlite;

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value as Json;
use support::proxy::Proxy;

use super::{
    axes::{Engine, State},
    bed::MAX,
};

/// What is said in the language of an engine.
pub(super) struct Scheme {
    /// Makes the table `notes`, and whatever else the texts below need.
    schema: &'static str,
    /// Leaves something in a session, a line each.
    pub(super) residue: &'static str,
    /// The same of a kind that no session is discarded for, so that a call in the middle of something shows what becomes of its session
    /// for that.
    pub(super) light_residue: &'static str,
    /// Takes a minute.
    pub(super) slow: &'static str,
    /// Writes two rows, wholly or not at all.
    pub(super) insert: &'static str,
    /// The same so that its COMMIT takes a minute, where the engine can be made to.
    pub(super) insert_slow: &'static str,
    /// More rows than are read.
    pub(super) rows: &'static str,
    /// One text: empty when a session is as new.
    pub(super) left_in_session: &'static str,
    /// What the host says first of a transaction, for a proxy to look for.
    pub(super) begin: &'static str,
    /// How many rows of transactions are there.
    notes: &'static str,
    /// As it was in the beginning, for the next cell.
    sweep: &'static str,
    /// A question that takes the database a few milliseconds.
    pulse: &'static str,
}

impl Engine {
    pub(super) fn scheme(self) -> &'static Scheme {
        match self {
            Self::Sqlite => &sqlite::SCHEME,
            Self::Postgres => &postgres::SCHEME,
            Self::Mariadb => &mariadb::SCHEME,
        }
    }
}

/// What a server lists of a host.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) pooled: i64,
    pub(super) control: i64,
    /// Those of the pool that are not idle.
    pub(super) busy: String,
}

/// A database with a connection of the test's own to it.
trait Side: Send + Sync {
    /// Where the server listens, and the user of control connections; `None` where there is no server.
    fn server(&self) -> Option<(String, String)>;

    /// The address of the database and that of its control connection, as settings.
    fn urls(&self, proxy: Option<&Proxy>) -> (String, Option<String>);

    /// Runs statements.
    fn say<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<(), sqlx::Error>>;

    /// Asks for a number.
    fn number<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<i64, sqlx::Error>>;

    /// What the server lists; `None` where there is none.
    fn sessions(&self) -> BoxFuture<'_, Option<Sessions>>;

    /// Whether what the server lists is a call in the state.
    fn shows(&self, state: State, sessions: &Sessions) -> bool;

    /// What no session may keep, nor any transaction leave, while all are idle; empty when there is nothing.
    fn left(&self) -> BoxFuture<'_, Result<String, sqlx::Error>>;

    /// The server ends the sessions of the pool.
    fn kill(&self) -> BoxFuture<'_, Result<(), sqlx::Error>>;
}

/// A database that no other cell uses meanwhile.
pub(super) struct Ground {
    engine: Engine,
    side: Box<dyn Side>,
}

impl Ground {
    pub(super) async fn new(engine: Engine) -> Self {
        let side: Box<dyn Side> = match engine {
            Engine::Sqlite => Box::new(sqlite::File::create().await),
            Engine::Postgres => Box::new(postgres::Postgres::create().await),
            Engine::Mariadb => Box::new(mariadb::Mariadb::create().await),
        };
        Self { engine, side }
    }

    pub(super) fn engine(&self) -> Engine {
        self.engine
    }

    /// A proxy in front of the server, where there is one.
    pub(super) async fn proxy(&self) -> Option<Proxy> {
        let (address, control) = self.side.server()?;
        Some(Proxy::start(address, control).await)
    }

    /// The address of the database and that of its control connection, as settings.
    pub(super) fn urls(&self, proxy: Option<&Proxy>) -> (String, Option<String>) {
        self.side.urls(proxy)
    }

    /// Runs statements on the test's own connection.
    async fn say(&self, sql: &str) -> Result<(), String> {
        self.side.say(sql).await.map_err(|error| format!("the test's own connection: {sql}: {error}"))
    }

    /// For who asks until something holds.
    pub(super) async fn pulse(&self) {
        self.say(self.engine.scheme().pulse).await.unwrap();
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
        self.side.kill().await.unwrap();
    }

    /// What the server lists; `None` where there is none.
    pub(super) async fn sessions(&self) -> Option<Sessions> {
        self.side.sessions().await
    }

    /// Whether the server sees a call in the state; nothing can be asked of SQLite.
    pub(super) async fn sees(&self, state: State) -> Result<(), String> {
        match self.sessions().await {
            Some(sessions) if !self.side.shows(state, &sessions) => Err(format!("{sessions:?}")),
            _ => Ok(()),
        }
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
        let left = self.side.left().await.map_err(|error| format!("the test's own connection: {error}"))?;
        if !left.is_empty() {
            return Err(format!("the server has {left}"));
        }
        let notes = self.side.number(self.engine.scheme().notes).await.map_err(|error| error.to_string())?;
        match (notes, may_have_committed) {
            (0, _) | (2, true) => Ok(()),
            (notes, _) => Err(format!("{notes} rows of a transaction are there")),
        }
    }

    /// As it was in the beginning, for the next cell.
    pub(super) async fn sweep(&self) -> Result<(), String> {
        self.say(self.engine.scheme().sweep).await
    }
}

/// The only cell of the only row of a step's outcome.
pub(super) fn only_cell(outcome: &Json) -> Option<&str> {
    outcome["ok"]["rows"][0][0]["text"].as_str()
}
