//! What a database must be able to do for a pool, and the drivers that do it.
//!
//! A [`Driver`] is one endpoint with one credential. It opens [`Connection`]s, each owned by exactly one slot task for its whole life,
//! and one [`Control`], through which a running statement is cancelled and a session ended from outside. The trait knows nothing of
//! plugins, leases or WASM; it must fit a network database (cancel, reset, kill) as well as an embedded one.

pub mod columns;
pub mod migrations;
pub mod mysql;
pub mod postgres;
pub mod settings;
pub mod sql;
pub mod sqlite;
#[cfg(test)]
mod tests;
mod tls;
pub mod types;

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;

pub use self::types::{Batch, ColumnInfo, Engine, Execution, IsolationLevel, Rows, TransactionOptions, Value};

/// One database endpoint with one credential.
pub trait Driver: fmt::Debug + Send + Sync + 'static {
    /// The dialect that the database speaks.
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
    /// Process id on PostgreSQL, thread id on MySQL, a number of the host's own on SQLite.
    pub id: i64,
    /// What tells two sessions of the same id apart: `backend_start` on PostgreSQL, as the server wrote it; empty elsewhere.
    pub started: Arc<str>,
}

/// A statement with its parameters, as the guest sent them.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    /// The engine's own SQL.
    pub sql: Arc<str>,
    /// In the order of the placeholders.
    pub params: Vec<Value>,
}

/// How much a statement may return. Going over fails the statement with [`FailureKind::LimitExceeded`].
#[derive(Clone, Copy, Debug)]
pub struct ResultLimit {
    /// Rows at most.
    pub rows: u32,
    /// Bytes at most, counted as the columns hold them.
    pub bytes: usize,
}

/// One thing that a connection can be asked to do.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Answered by [`Answer::Rows`].
    Query(Statement, ResultLimit),
    /// Answered by [`Answer::Executed`]; rows are counted, not kept.
    Execute(Statement),
    /// One statement with each of several parameter lists; stops at the first failure. The caller has a transaction open.
    /// Answered by [`Answer::Executed`], with rows summed.
    ExecuteMany(Arc<str>, Vec<Vec<Value>>),
    /// Answered by [`Answer::Done`], as are all that follow unless said otherwise. On SQLite a transaction that may write begins
    /// IMMEDIATE.
    Begin(TransactionOptions),
    /// Fails with [`FailureKind::TransactionAborted`] when the server turned it into a rollback, and with
    /// [`FailureKind::CommitUnknown`] when the connection was lost before the answer.
    Commit,
    /// Succeeds also when there is no transaction.
    Rollback,
    /// The name is checked already: letters, digits, underscores.
    Savepoint(Arc<str>),
    /// Undoes what was done since the savepoint, which stays.
    RollbackTo(Arc<str>),
    /// Forgets the savepoint.
    Release(Arc<str>),
    /// Opens a cursor under a number of the caller's; a transaction is open. Answered by [`Answer::Columns`].
    OpenCursor(u32, Statement),
    /// The next rows of a cursor, fewer than asked where `ResultLimit::bytes` is reached (but at least one). Answered by
    /// [`Answer::Batch`], `None` after the last row.
    Fetch(u32, ResultLimit),
    /// Closing a cursor twice is no error.
    CloseCursor(u32),
}

impl Operation {
    /// Whether it runs SQL of the guest's; one that begins, ends or fetches does not count as a statement.
    #[must_use]
    pub fn is_statement(&self) -> bool {
        matches!(self, Self::Query(..) | Self::Execute(_) | Self::ExecuteMany(..) | Self::OpenCursor(..))
    }

    /// What it does, in a word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Query(..) => "query",
            Self::Execute(_) => "execute",
            Self::ExecuteMany(..) => "execute-many",
            Self::Begin(_) => "begin",
            Self::Commit => "commit",
            Self::Rollback => "rollback",
            Self::Savepoint(_) => "savepoint",
            Self::RollbackTo(_) => "rollback-to",
            Self::Release(_) => "release",
            Self::OpenCursor(..) => "open-cursor",
            Self::Fetch(..) => "fetch",
            Self::CloseCursor(_) => "close-cursor",
        }
    }

    /// The guest's SQL, where there is some.
    #[must_use]
    pub fn sql(&self) -> Option<&Arc<str>> {
        match self {
            Self::Query(statement, _) | Self::Execute(statement) | Self::OpenCursor(_, statement) => Some(&statement.sql),
            Self::ExecuteMany(sql, _) => Some(sql),
            _ => None,
        }
    }

    /// Bytes that its SQL and its parameters take here.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let of_list = |params: &[Value]| params.iter().map(Value::bytes).sum::<usize>();
        match self {
            Self::Query(statement, _) | Self::Execute(statement) | Self::OpenCursor(_, statement) => {
                statement.sql.len() + of_list(&statement.params)
            }
            Self::ExecuteMany(sql, lists) => {
                sql.len() + lists.iter().map(|list| size_of::<Vec<Value>>() + of_list(list)).sum::<usize>()
            }
            _ => 0,
        }
    }
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// All rows of a query.
    Rows(Rows),
    /// Counts of a statement.
    Executed(Execution),
    /// The columns of an opened cursor.
    Columns(Vec<ColumnInfo>),
    /// The next rows of a cursor.
    Batch(Option<Batch>),
    /// Nothing to tell.
    Done,
}

/// A failed operation: safe to show to the guest that asked, after [`crate::interface`] translated it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What went wrong, as far as anybody acts on it.
    pub kind: FailureKind,
    /// SQLSTATE, or the engine's extended code.
    pub code: Option<String>,
    /// Free of addresses and credentials.
    pub message: String,
    /// `constraint`, `table`, `column`, `position`, `parameter`, `type`, `limit`, `maximum`.
    pub details: Vec<(&'static str, String)>,
    /// The connection cannot be used any more.
    pub lost: bool,
}

/// The kinds of failure that a driver tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The statement was cancelled or ran into the server's own time limit.
    Cancelled,
    /// The database's guard, or the driver's, refused.
    Denied,
    /// More rows or bytes than [`ResultLimit`] allows.
    LimitExceeded,
    /// Another cursor owns the connection.
    Busy,
    /// The connection is gone, or was never there.
    Disconnected,
    /// Gone in the middle of COMMIT, or of a statement that is a transaction by itself and may write.
    CommitUnknown,
    /// An earlier statement failed; only rolling back is left.
    TransactionAborted,
    /// A constraint refused the data.
    ConstraintViolation,
    /// A value does not fit the type it meets.
    Conversion,
    /// The request makes no sense.
    Invalid,
    /// The database refused for a reason of its own.
    Database,
}

impl Failure {
    /// A failure with a message and nothing else; the connection stays usable.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into(), details: Vec::new(), lost: false }
    }

    /// Adds one fact.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.details.push((key, value.to_string()));
        self
    }

    /// Adds the engine's code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Marks the connection as gone.
    #[must_use]
    pub fn lost(mut self) -> Self {
        self.lost = true;
        self
    }
}
