//! Why something that a call asked of a database failed.

use crate::pool::{AcquireError, Ended, OperationError};

use super::End;

/// The host's side of an error; [`crate::interface`] translates it for the guest.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The plugin has no grant of this name.
    #[error("no database `{name}` is granted to this plugin")]
    NotGranted {
        /// As the guest wrote it.
        name: String,
        /// What it was granted.
        granted: Vec<String>,
    },
    /// No connection was lent.
    #[error(transparent)]
    Acquire(AcquireError),
    /// The operation failed.
    #[error(transparent)]
    Operation(OperationError),
    /// A budget of the grant is used up.
    #[error("the grant allows {maximum} at most (`{limit}`)")]
    Limit {
        /// The name of the limit in `wharf.toml`.
        limit: &'static str,
        /// Its value.
        maximum: u64,
    },
    /// The call is over.
    #[error("the call has ended")]
    CallEnded(End),
    /// The handle or an argument makes no sense.
    #[error("{0}")]
    Invalid(&'static str),
    /// The audit log cannot be written, and nothing is done that it would not tell of.
    #[error("the audit log cannot be written")]
    Audit,
}

impl Error {
    /// What kind of error it is, in a word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotGranted { .. } => "not-granted",
            Self::Acquire(AcquireError::QueueFull { .. } | AcquireError::WaitTimeout { .. }) => "pool-exhausted",
            Self::Acquire(AcquireError::Connect(failure)) | Self::Operation(OperationError::Failed(failure)) => {
                failure.kind.name()
            }
            Self::Acquire(AcquireError::ShuttingDown) => "shutting-down",
            Self::Operation(OperationError::TimedOut { .. }) => "deadline-exceeded",
            Self::Operation(OperationError::Busy(_)) => "busy",
            Self::Operation(OperationError::Aborted) => "transaction-aborted",
            Self::Operation(OperationError::TooMany { .. }) | Self::Limit { .. } => "limit-exceeded",
            Self::Operation(OperationError::Invalid(_)) | Self::Invalid(_) => "invalid",
            Self::Operation(OperationError::Ended(Ended::CallEnded(_))) | Self::CallEnded(_) => "call-ended",
            Self::Operation(OperationError::Ended(why)) => why.name(),
            Self::Audit => "audit-unavailable",
        }
    }

    /// What the server calls it, or the limit that was run into.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Acquire(AcquireError::Connect(failure)) | Self::Operation(OperationError::Failed(failure)) => {
                failure.code.as_deref()
            }
            Self::Acquire(AcquireError::QueueFull { .. }) => Some("max_waiters"),
            Self::Acquire(AcquireError::WaitTimeout { limit, .. }) | Self::Operation(OperationError::TimedOut { limit, .. }) => {
                Some(limit.name())
            }
            Self::Operation(OperationError::TooMany { what: limit, .. }) | Self::Limit { limit, .. } => Some(limit),
            _ => None,
        }
    }
}
