//! What a connection can be asked to do, and what it answers.

use std::sync::Arc;

use super::{
    documents::{Collection, Concerns, Query, Reply, Request},
    types::{Batch, ColumnInfo, Execution, Rows, TransactionOptions, Value},
};

/// A statement with its parameters, as the guest sent them.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    /// The engine's own SQL.
    pub sql: Arc<str>,
    /// In the order of the placeholders.
    pub params: Vec<Value>,
}

/// How much a statement may return. Going over fails it with [`super::FailureKind::LimitExceeded`].
#[derive(Clone, Copy, Debug)]
pub struct ResultLimit {
    /// Rows or documents at most.
    pub rows: u32,
    /// Bytes at most, counted as the columns hold them.
    pub bytes: usize,
}

/// What a transaction is begun for.
#[derive(Clone, Debug, PartialEq)]
pub enum Begin {
    /// SQL. On SQLite a transaction that may write begins IMMEDIATE.
    Sql(TransactionOptions),
    /// Documents; the server hears of it with the first operation.
    Documents(Concerns),
    /// Nothing but the cursors of a document database that are opened in it: the server never hears of it, and rolling back closes them.
    Frame,
}

impl From<TransactionOptions> for Begin {
    fn from(options: TransactionOptions) -> Self {
        Self::Sql(options)
    }
}

/// What a cursor reads.
#[derive(Clone, Debug)]
pub enum Source {
    /// The rows of a statement.
    Statement(Statement),
    /// The documents of a query.
    Documents(Box<Query>),
}

impl From<Statement> for Source {
    fn from(statement: Statement) -> Self {
        Self::Statement(statement)
    }
}

/// One thing that a connection can be asked to do. A database of one kind answers [`super::FailureKind::Invalid`] to what is only for the
/// other.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Answered by [`Answer::Rows`].
    Query(Statement, ResultLimit),
    /// Answered by [`Answer::Executed`]; rows are counted, not kept.
    Execute(Statement),
    /// One statement with each of several parameter lists; stops at the first failure. The caller has a transaction open.
    /// Answered by [`Answer::Executed`], with rows summed.
    ExecuteMany(Arc<str>, Vec<Vec<Value>>),
    /// One request to a document database. Answered by [`Answer::Documents`].
    Documents(Box<Request>, ResultLimit),
    /// Answered by [`Answer::Done`], as are all that follow unless said otherwise.
    Begin(Begin),
    /// Fails with [`super::FailureKind::TransactionAborted`] when the server turned it into a rollback, and with
    /// [`super::FailureKind::CommitUnknown`] when the connection was lost before the answer.
    Commit,
    /// Succeeds also when there is no transaction.
    Rollback,
    /// The name is checked already: letters, digits, underscores.
    Savepoint(Arc<str>),
    /// Undoes what was done since the savepoint, which stays.
    RollbackTo(Arc<str>),
    /// Forgets the savepoint.
    Release(Arc<str>),
    /// Opens a cursor under a number of the caller's; a transaction is open. Answered by [`Answer::Columns`], for documents by
    /// [`Answer::Done`].
    OpenCursor(u32, Source),
    /// The next rows of a cursor, fewer than asked where `ResultLimit::bytes` is reached (but at least one). Answered by
    /// [`Answer::Batch`], for documents by [`Reply::Next`], `None` after the last.
    Fetch(u32, ResultLimit),
    /// Closing a cursor twice is no error.
    CloseCursor(u32),
}

impl Operation {
    /// Whether it runs something of the guest's; one that begins, ends or fetches does not count as a statement.
    #[must_use]
    pub fn is_statement(&self) -> bool {
        matches!(self, Self::Query(..) | Self::Execute(_) | Self::ExecuteMany(..) | Self::Documents(..) | Self::OpenCursor(..))
    }

    /// What it does, in a word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Query(..) => "query",
            Self::Execute(_) => "execute",
            Self::ExecuteMany(..) => "execute-many",
            Self::Documents(request, _) => request.name(),
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

    /// What it is about, where that can be told: the guest's SQL, with its values; the collection.
    #[must_use]
    pub fn text(&self) -> Option<&Arc<str>> {
        match self {
            Self::Query(statement, _) | Self::Execute(statement) | Self::OpenCursor(_, Source::Statement(statement)) => {
                Some(&statement.sql)
            }
            Self::ExecuteMany(sql, _) => Some(sql),
            Self::Documents(request, _) => request.collection().map(Collection::shared),
            Self::OpenCursor(_, Source::Documents(query)) => Some(query.collection().shared()),
            _ => None,
        }
    }

    /// The parameters of a statement; of one with several lists those of the first, which the others are like.
    #[must_use]
    pub fn params(&self) -> &[Value] {
        match self {
            Self::Query(statement, _) | Self::Execute(statement) | Self::OpenCursor(_, Source::Statement(statement)) => {
                &statement.params
            }
            Self::ExecuteMany(_, lists) => lists.first().map(Vec::as_slice).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Bytes that it takes here, with its parameters or documents.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let of_list = |params: &[Value]| params.iter().map(Value::bytes).sum::<usize>();
        match self {
            Self::Query(statement, _) | Self::Execute(statement) | Self::OpenCursor(_, Source::Statement(statement)) => {
                statement.sql.len() + of_list(&statement.params)
            }
            Self::ExecuteMany(sql, lists) => {
                sql.len() + lists.iter().map(|list| size_of::<Vec<Value>>() + of_list(list)).sum::<usize>()
            }
            Self::Documents(request, _) => request.bytes(),
            Self::OpenCursor(_, Source::Documents(query)) => query.bytes(),
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
    /// What a request to a document database came to.
    Documents(Reply),
    /// Nothing to tell.
    Done,
}

impl Answer {
    /// How many rows or documents came back or were changed, where it tells that.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        match self {
            Self::Rows(rows) => Some(rows.batch.row_count.into()),
            Self::Executed(execution) => Some(execution.rows_affected),
            Self::Batch(batch) => Some(batch.as_ref().map_or(0, |batch| batch.row_count.into())),
            Self::Documents(Reply::Batch(batch)) => Some(batch.count.into()),
            Self::Documents(Reply::Next(batch)) => Some(batch.as_ref().map_or(0, |batch| batch.count.into())),
            Self::Documents(Reply::Document(document)) => Some(document.is_some().into()),
            Self::Documents(Reply::Written(outcome)) => Some(outcome.inserted + outcome.modified + outcome.deleted),
            Self::Columns(_) | Self::Documents(Reply::Count(_) | Reply::Names(_) | Reply::Done) | Self::Done => None,
        }
    }
}
