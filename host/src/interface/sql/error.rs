//! The one table from host errors to the guest's, in the words of `wharf:sql`.

use std::time::Duration;

use crate::{
    driver::{
        Failure, FailureKind,
        types::{Detail, Error, ErrorKind},
    },
    lease,
    pool::{AcquireError, Ended, OperationError},
};

impl From<lease::Error> for Error {
    fn from(error: lease::Error) -> Self {
        let message = error.to_string();
        match error {
            lease::Error::NotGranted { granted, .. } => {
                let granted = if granted.is_empty() { "none".to_owned() } else { granted.join(", ") };
                plain(ErrorKind::Invalid, message).with("granted", granted)
            }
            lease::Error::Acquire(error) => acquire(error, message),
            lease::Error::Operation(error) => operation(error, message),
            lease::Error::Limit { limit, maximum } => {
                plain(ErrorKind::LimitExceeded, message).with("limit", limit).with("maximum", maximum)
            }
            lease::Error::CallEnded(_) => plain(ErrorKind::ShuttingDown, message),
            lease::Error::Invalid(_) => plain(ErrorKind::Invalid, message),
            // Nothing was sent to the database.
            lease::Error::Audit => {
                Error { code: Some(lease::Error::Audit.kind().to_owned()), ..plain(ErrorKind::Other, message) }
            }
        }
    }
}

fn acquire(error: AcquireError, message: String) -> Error {
    match error {
        AcquireError::QueueFull { max_waiters } => {
            plain(ErrorKind::PoolExhausted, message).with("limit", "max_waiters").with("maximum", max_waiters)
        }
        AcquireError::WaitTimeout { waited, limit } => {
            plain(ErrorKind::PoolExhausted, message).with("limit", limit.name()).with("waited-ms", millis(waited))
        }
        // What the server says of the role is for the operator, who finds it in the log.
        AcquireError::Connect(failure) => {
            let reason =
                if failure.kind == FailureKind::Denied { "the session was refused" } else { "the database cannot be reached" };
            let message = format!("no connection could be opened: {reason}");
            from_failure(Failure { message, details: Vec::new(), ..failure })
        }
        AcquireError::ShuttingDown => plain(ErrorKind::ShuttingDown, message),
    }
}

fn operation(error: OperationError, message: String) -> Error {
    match error {
        OperationError::Failed(failure) => from_failure(failure),
        OperationError::TimedOut { limit, after } => {
            plain(ErrorKind::DeadlineExceeded, message).with("limit", limit.name()).with("waited-ms", millis(after))
        }
        OperationError::Ended(why) => match why {
            Ended::IdleInTransaction => deadline(message, "idle_in_transaction_timeout"),
            Ended::TransactionTooLong => deadline(message, "max_transaction_time"),
            Ended::Revoked | Ended::CallEnded(_) => plain(ErrorKind::ShuttingDown, message),
            Ended::Released => plain(ErrorKind::Invalid, "the connection is closed"),
            Ended::TimedOut | Ended::Cancelled | Ended::Lost | Ended::Panicked => plain(ErrorKind::Disconnected, message),
        },
        OperationError::Busy(_) => plain(ErrorKind::Busy, message),
        OperationError::Aborted => plain(ErrorKind::TransactionAborted, message),
        OperationError::Invalid(_) => plain(ErrorKind::Invalid, message),
        OperationError::TooMany { what, maximum } => {
            plain(ErrorKind::LimitExceeded, message).with("limit", what).with("maximum", maximum)
        }
    }
}

fn from_failure(failure: Failure) -> Error {
    let kind = match failure.kind {
        // Who cancels from outside is the host or the server's own limit; the host's is named before it gets here.
        FailureKind::Cancelled => ErrorKind::DeadlineExceeded,
        FailureKind::Denied => ErrorKind::Denied,
        FailureKind::LimitExceeded => ErrorKind::LimitExceeded,
        FailureKind::Busy => ErrorKind::Busy,
        FailureKind::Disconnected => ErrorKind::Disconnected,
        FailureKind::CommitUnknown => ErrorKind::CommitUnknown,
        FailureKind::TransactionAborted => ErrorKind::TransactionAborted,
        FailureKind::ConstraintViolation => ErrorKind::ConstraintViolation,
        FailureKind::Conversion => ErrorKind::Conversion,
        FailureKind::Invalid => ErrorKind::Invalid,
        // Those that follow are of documents, which nobody reaches through SQL.
        FailureKind::DuplicateKey | FailureKind::Validation => ErrorKind::ConstraintViolation,
        FailureKind::WriteConflict => ErrorKind::TransactionAborted,
        FailureKind::NotPrimary => ErrorKind::Disconnected,
        FailureKind::WriteConcern | FailureKind::Database => ErrorKind::Database,
    };
    let details = failure.details.into_iter().map(|(key, value)| Detail { key: key.to_owned(), value }).collect();
    Error { kind, code: failure.code, message: failure.message, details }
}

fn plain(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error { kind, code: None, message: message.into(), details: Vec::new() }
}

fn deadline(message: String, limit: &str) -> Error {
    plain(ErrorKind::DeadlineExceeded, message).with("limit", limit)
}

fn millis(duration: Duration) -> u128 {
    duration.as_millis()
}

impl Error {
    fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.details.push(Detail { key: key.to_owned(), value: value.to_string() });
        self
    }
}
