//! What a database must be able to do for a pool, and the drivers that do it.
//!
//! A [`Driver`] is one endpoint with one credential. It opens [`Connection`]s, each owned by exactly one slot task for its whole life,
//! and one [`Control`], through which a running statement is cancelled and a session ended from outside. The trait knows nothing of
//! plugins, leases or WASM; it must fit a network database (cancel, reset, kill) as well as an embedded one.

pub mod columns;
pub mod documents;
mod failure;
pub mod migrations;
pub mod mongodb;
pub mod mysql;
mod operation;
pub mod postgres;
pub mod redact;
pub mod settings;
pub mod sql;
pub mod sqlite;
#[cfg(test)]
mod tests;
mod tls;
pub mod types;

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;

pub use self::{
    failure::{Failure, FailureKind},
    operation::{Answer, Begin, Operation, ResultLimit, Source, Statement},
    types::{Batch, ColumnInfo, Execution, IsolationLevel, Rows, TransactionOptions, Value},
};

/// The engines that there are drivers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// PostgreSQL, 14 and later.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
    /// A file.
    Sqlite,
    /// Documents instead of SQL.
    Mongodb,
}

impl Engine {
    /// The engine's name in folders, messages and documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Sqlite => "sqlite",
            Self::Mongodb => "mongodb",
        }
    }

    /// What OpenTelemetry's conventions call it. Which of the two MySQL stands for, only a session would know.
    #[must_use]
    pub fn system(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::Mysql | Self::Sqlite | Self::Mongodb => self.name(),
        }
    }
}

/// One database endpoint with one credential.
pub trait Driver: fmt::Debug + Send + Sync + 'static {
    /// What the database speaks.
    fn engine(&self) -> Engine;

    /// Opens a session, with every backstop set that the engine offers, and reads the session's identity from the server.
    ///
    /// # Errors
    /// [`FailureKind::Disconnected`] when the server cannot be reached, [`FailureKind::Denied`] when it refuses the credential or when
    /// the role may do more than its grant allows. Messages name neither address nor credential.
    /// # Cancellation
    /// Dropping the future closes what was opened so far. The caller bounds it with `connect_timeout`.
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, Failure>>;

    /// Opens the control path: for a server, a session of its own, outside every pool.
    ///
    /// # Errors
    /// As for [`Driver::connect`].
    fn control(&self) -> BoxFuture<'_, Result<Box<dyn Control>, Failure>>;

    /// Where its server is, so that one can be told from another; never shown. Nothing where an address does not tell that: a file is always
    /// there, and members of a replica set find each other.
    fn address(&self) -> Option<String> {
        None
    }

    /// The pool may have so many sessions from now on. For drivers that count those that are being opened.
    fn resize(&self, max_connections: u32) {
        let _ = max_connections;
    }

    /// Waits until what dropped connections have left behind is closed. For drivers that cannot close it in `Drop`.
    ///
    /// # Cancellation
    /// Closing goes on. The caller bounds the wait.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Ends statements and sessions from outside. It is asked one thing at a time; a call whose caller has stopped waiting goes on, and one
/// that stays without an answer is dropped, and the control path with it.
pub trait Control: Send {
    /// Asks the server to end the statement that the session runs; returns once the request was accepted, not once it took effect.
    /// Does nothing when the session is not the one that was read at connect.
    fn cancel<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<(), Failure>>;

    /// Ends the session on the server. Does nothing when it is gone already.
    fn terminate<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<(), Failure>>;

    /// Whether the server still lists the session.
    fn is_listed<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<bool, Failure>>;

    /// Who the control path itself is on the server, where it is a session there.
    fn session(&self) -> Option<&Session> {
        None
    }

    /// Keeps the control path alive; an error means that it must be reopened.
    fn ping(&mut self) -> BoxFuture<'_, Result<(), Failure>>;

    /// Closes the control path.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// One session with the database. Its task is the only caller, one operation at a time, and no operation is dropped half-way unless
/// the connection is dropped with it.
pub trait Connection: Send {
    /// Who this session is, as the server told at connect.
    fn session(&self) -> &Session;

    /// Runs one operation to its end. Remembers what the operation may have left in the session, for [`Connection::reset`].
    ///
    /// # Errors
    /// A [`Failure`]; when [`Failure::lost`] is set nothing but [`Connection::close`] may follow.
    /// # Cancellation
    /// Dropping the future leaves the connection in an unknown state; drop the connection too. To end an operation early, use
    /// [`Control::cancel`] and go on awaiting.
    fn run(&mut self, operation: Operation) -> BoxFuture<'_, Result<Answer, Failure>>;

    /// As [`Connection::run`], for drivers that tell the server how much time is left.
    ///
    /// # Errors
    /// As for `run`.
    /// # Cancellation
    /// As for `run`; the caller's own clock goes on.
    fn run_within(&mut self, operation: Operation, left: Duration) -> BoxFuture<'_, Result<Answer, Failure>> {
        let _ = left;
        self.run(operation)
    }

    /// Tells that what runs from here on is another borrower's. For drivers whose sessions tell of the statement before, of which
    /// nothing is known to the pool.
    fn lent(&mut self) {}

    /// Whether [`Connection::reset`] would have to talk to the database.
    fn needs_reset(&self) -> bool;

    /// Ends any transaction, clears all that a borrower may have left in the session, and verifies that it is gone. `Ok` is the only
    /// way back into a pool; after an error the connection is discarded.
    fn reset(&mut self) -> BoxFuture<'_, Result<(), Failure>>;

    /// One round trip.
    fn ping(&mut self) -> BoxFuture<'_, Result<(), Failure>>;

    /// Says good-bye to the server and waits until it is said. Dropping the connection instead drops the socket.
    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>>;
}

/// The identity of a session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Process id on PostgreSQL, thread id on MySQL, a number of the host's own on SQLite, the connection's on MongoDB.
    pub id: i64,
    /// What tells two sessions of the same id apart: `backend_start` on PostgreSQL, as the server wrote it; the client's address on MySQL;
    /// on MongoDB the name that all of its sockets go by, and its logical session; empty elsewhere.
    pub started: Arc<str>,
}
