//! A database to try things on: what guests are told in its language, what the test itself does to it, and what it says of us on a
//! connection that goes past the proxy.
//!
//! A file a server. A new one needs a [`Scheme`], a [`Side`], and a line in [`Server::scheme`] and in [`Ground::new`].

mod mariadb;
mod mongodb;
mod postgres;
mod sqlite;
mod stand_in;

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, ready};
use serde_json::Value as Json;
use support::proxy::Proxy;

use super::{
    axes::{Guest, Server, State},
    bed::MAX,
};

/// What guests speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// `wharf:sql`, with statements for texts.
    Sql,
    /// `wharf:documents`, with names of collections for texts.
    Documents,
}

impl Language {
    pub(super) const ALL: [Self; 2] = [Self::Sql, Self::Documents];

    /// The component that goes where the cell is.
    pub(super) fn component(self, guest: Guest) -> &'static str {
        match (self, guest) {
            (Self::Sql, Guest::Plain) => "matrix",
            (Self::Sql, Guest::Concurrent) => "matrix_async",
            (Self::Documents, Guest::Plain) => "documents_matrix",
            (Self::Documents, Guest::Concurrent) => "documents_matrix_async",
        }
    }

    /// The component of the next borrowers.
    pub(super) fn next(self) -> &'static str {
        match self {
            Self::Sql => "probe",
            Self::Documents => "documents_matrix",
        }
    }
}

/// What guests are told, in their language.
pub(super) struct Scheme {
    pub(super) language: Language,
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
    /// One text: empty when a session is as new. Documents have no such question.
    pub(super) left_in_session: &'static str,
    /// What the host says whose answer a proxy holds back, in the states that are so reached.
    pub(super) held: &'static str,
}

impl Server {
    pub(super) fn scheme(self) -> &'static Scheme {
        match self {
            Self::Sqlite => &sqlite::SCHEME,
            Self::Postgres => &postgres::SCHEME,
            Self::Mariadb => &mariadb::SCHEME,
            Self::Mongodb | Self::StandIn => &mongodb::SCHEME,
        }
    }
}

/// What a server lists of a host.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) pooled: i64,
    pub(super) control: i64,
    /// Those of the pool that are not idle, or what they have open.
    pub(super) busy: String,
}

/// An answer to the test itself.
type Asked<'a, T> = BoxFuture<'a, Result<T, String>>;

/// A database with a connection of the test's own to it.
trait Side: Send + Sync {
    /// Where the server listens, and the user of control connections; `None` where there is no server.
    fn server(&self) -> Option<(String, String)>;

    /// The address of the database and that of its control connection, as settings.
    fn urls(&self, proxy: Option<&Proxy>) -> (String, Option<String>);

    /// Before a call goes to the state.
    fn prepare(&self, _state: State) {}

    /// A question that takes the database a few milliseconds.
    fn pulse(&self) -> Asked<'_, ()>;

    /// What the server lists; `None` where there is none.
    fn sessions(&self) -> BoxFuture<'_, Option<Sessions>>;

    /// Whether a call in the state is what the server lists.
    fn shows<'a>(&'a self, state: State, sessions: &'a Sessions) -> BoxFuture<'a, bool>;

    /// What no session may keep, nor any transaction leave, while all are idle; empty when there is nothing.
    fn left(&self) -> Asked<'_, String>;

    /// How many rows of transactions are there.
    fn notes(&self) -> Asked<'_, i64>;

    /// The sessions of the pool are ended.
    fn kill<'a>(&'a self, proxy: Option<&'a Proxy>) -> Asked<'a, ()>;

    /// What the server keeps of clients that have gone, it has no longer: as if their sessions had timed out.
    fn expire(&self) {}

    /// As it was in the beginning, for the next cell.
    fn sweep(&self) -> Asked<'_, ()>;

    /// Another writer takes the file, if it can be had.
    fn lock(&self) -> Asked<'_, ()> {
        panic!("there is no file")
    }

    fn unlock(&self) -> Asked<'_, ()> {
        panic!("there is no file")
    }
}

/// An error of the test's own connection.
fn told(sql: &str, error: &sqlx::Error) -> String {
    format!("the test's own connection: {sql}: {error}")
}

/// The sessions of a pool are ended from between, since not every server can end them.
fn break_off(proxy: Option<&Proxy>) -> Asked<'static, ()> {
    let Some(proxy) = proxy else { panic!("a server is behind a proxy") };
    proxy.break_slots();
    ready(Ok(())).boxed()
}

/// A database that no other cell uses meanwhile.
pub(super) struct Ground {
    server: Server,
    side: Box<dyn Side>,
}

impl Ground {
    pub(super) async fn new(server: Server) -> Self {
        let side: Box<dyn Side> = match server {
            Server::Sqlite => Box::new(sqlite::File::create().await),
            Server::Postgres => Box::new(postgres::Postgres::create().await),
            Server::Mariadb => Box::new(mariadb::Mariadb::create().await),
            Server::Mongodb => Box::new(mongodb::Mongodb::create().await),
            Server::StandIn => Box::new(stand_in::StandIn::create().await),
        };
        Self { server, side }
    }

    pub(super) fn server(&self) -> Server {
        self.server
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

    /// Before a call goes to the state.
    pub(super) fn prepare(&self, state: State) {
        self.side.prepare(state);
    }

    /// For who asks until something holds.
    pub(super) async fn pulse(&self) {
        self.side.pulse().await.unwrap();
    }

    /// Another writer takes the file, as soon as it can be had.
    pub(super) async fn lock(&self) {
        support::wait::until("the file", Duration::from_secs(10), || self.side.lock()).await;
    }

    pub(super) async fn unlock(&self) {
        self.side.unlock().await.unwrap();
    }

    /// The sessions of the pool are ended.
    pub(super) async fn kill(&self, proxy: Option<&Proxy>) {
        self.side.kill(proxy).await.unwrap();
    }

    /// What the server lists; `None` where there is none.
    pub(super) async fn sessions(&self) -> Option<Sessions> {
        self.side.sessions().await
    }

    /// Whether the server sees a call in the state; nothing can be asked of SQLite.
    pub(super) async fn sees(&self, state: State) -> Result<(), String> {
        match self.sessions().await {
            Some(sessions) if !self.side.shows(state, &sessions).await => Err(format!("{sessions:?}")),
            _ => Ok(()),
        }
    }

    /// Whether the server has nothing of ours but idle sessions, however many.
    pub(super) async fn is_idle(&self) -> Result<(), String> {
        match self.sessions().await {
            Some(sessions) if !sessions.busy.is_empty() => Err(format!("{sessions:?}")),
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
        let left = self.side.left().await?;
        if !left.is_empty() {
            return Err(format!("the server has {left}"));
        }
        match (self.side.notes().await?, may_have_committed) {
            (0, _) | (2, true) => Ok(()),
            (notes, _) => Err(format!("{notes} rows of a transaction are there")),
        }
    }

    /// See [`Side::expire`].
    pub(super) fn expire(&self) {
        self.side.expire();
    }

    /// As it was in the beginning, for the next cell.
    pub(super) async fn sweep(&self) -> Result<(), String> {
        self.side.sweep().await
    }
}

/// The only cell of the only row of a step's outcome.
pub(super) fn only_cell(outcome: &Json) -> Option<&str> {
    outcome["ok"]["rows"][0][0]["text"].as_str()
}
