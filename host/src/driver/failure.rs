//! How an operation fails, as far as anybody acts on it.

use std::fmt;

use super::documents::Details;

/// A failed operation: safe to show to the guest that asked, after `interface` has translated it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What went wrong, as far as anybody acts on it.
    pub kind: FailureKind,
    /// SQLSTATE, or the engine's own code. Only the server sends one.
    pub code: Option<String>,
    /// Free of addresses and credentials.
    pub message: String,
    /// `constraint`, `table`, `column`, `position`, `parameter`, `type`, `limit`, `maximum`; of documents `index`, `collection`, `operator`.
    pub details: Vec<(&'static str, String)>,
    /// What a document database adds.
    pub documents: Option<Box<Details>>,
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
    /// More rows or bytes than [`ResultLimit`](super::ResultLimit) allows.
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
    /// A unique index has the key already (documents only, as all that follow).
    DuplicateKey,
    /// The collection's validator refused the document.
    Validation,
    /// Written, but not confirmed as was asked.
    WriteConcern,
    /// Another operation wrote the same document meanwhile.
    WriteConflict,
    /// The server is not the primary any more.
    NotPrimary,
}

impl FailureKind {
    /// The kind's name, in the words of the project.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Denied => "denied",
            Self::LimitExceeded => "limit-exceeded",
            Self::Busy => "busy",
            Self::Disconnected => "disconnected",
            Self::CommitUnknown => "commit-unknown",
            Self::TransactionAborted => "transaction-aborted",
            Self::ConstraintViolation => "constraint-violation",
            Self::Conversion => "conversion",
            Self::Invalid => "invalid",
            Self::Database => "database",
            Self::DuplicateKey => "duplicate-key",
            Self::Validation => "validation",
            Self::WriteConcern => "write-concern",
            Self::WriteConflict => "write-conflict",
            Self::NotPrimary => "not-primary",
        }
    }
}

impl Failure {
    /// A failure with a message and nothing else; the connection stays usable.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into(), details: Vec::new(), documents: None, lost: false }
    }

    /// What a database of the other kind was asked for.
    pub(super) fn foreign() -> Self {
        Self::new(FailureKind::Invalid, "the database speaks another language")
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
