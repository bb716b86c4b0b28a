//! The one table from host errors to the guest's, in the words of `wharf:documents`.

use std::time::Duration;

use crate::{
    driver::{
        Failure, FailureKind,
        documents::{
            self,
            types::{Detail, Error, ErrorKind, WriteError},
        },
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
            lease::Error::Audit => Error {
                code_name: Some(lease::Error::Audit.kind().to_owned()),
                transient: true,
                ..plain(ErrorKind::Other, message)
            },
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
        // What the server says of the user is for the operator, who finds it in the log.
        AcquireError::Connect(failure) => {
            let reason =
                if failure.kind == FailureKind::Denied { "the session was refused" } else { "the database cannot be reached" };
            plain(kind(failure.kind), format!("no connection could be opened: {reason}"))
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
            Ended::Released => plain(ErrorKind::Invalid, "the transaction has ended, or the cursor is closed"),
            Ended::TimedOut | Ended::Cancelled | Ended::Lost | Ended::Panicked => plain(ErrorKind::Disconnected, message),
        },
        // A transaction has a connection of its own here, so nothing is ever in its way.
        OperationError::Busy(_) => plain(ErrorKind::Other, message),
        OperationError::Aborted => {
            plain(ErrorKind::TransactionAborted, "an earlier operation of this transaction failed; it can only be aborted")
        }
        OperationError::Invalid(_) => plain(ErrorKind::Invalid, message),
        OperationError::TooMany { what, maximum } => {
            plain(ErrorKind::LimitExceeded, message).with("limit", what).with("maximum", maximum)
        }
    }
}

fn from_failure(failure: Failure) -> Error {
    let told = failure.documents.map_or_else(documents::Details::default, |details| *details);
    let error = plain(kind(failure.kind), failure.message);
    Error {
        code: told.code,
        code_name: told.code_name,
        details: failure.details.into_iter().map(|(key, value)| Detail { key: key.to_owned(), value }).collect(),
        info: told.info,
        transient: error.transient || told.transient,
        write_errors: told.write_errors.into_iter().map(write_error).collect(),
        done: told.done,
        ..error
    }
}

fn write_error(error: documents::WriteError) -> WriteError {
    let documents::WriteError { index, kind: failure, code, message, info } = error;
    WriteError { index, kind: kind(failure), code, message, info }
}

fn kind(failure: FailureKind) -> ErrorKind {
    match failure {
        // Who cancels from outside is the host or the server's own limit; the host's is named before it gets here.
        FailureKind::Cancelled => ErrorKind::DeadlineExceeded,
        FailureKind::Denied => ErrorKind::Denied,
        FailureKind::LimitExceeded => ErrorKind::LimitExceeded,
        FailureKind::Disconnected => ErrorKind::Disconnected,
        FailureKind::CommitUnknown => ErrorKind::CommitUnknown,
        FailureKind::TransactionAborted => ErrorKind::TransactionAborted,
        FailureKind::DuplicateKey => ErrorKind::DuplicateKey,
        FailureKind::Validation => ErrorKind::Validation,
        FailureKind::WriteConcern => ErrorKind::WriteConcern,
        FailureKind::WriteConflict => ErrorKind::WriteConflict,
        FailureKind::NotPrimary => ErrorKind::NotPrimary,
        FailureKind::Conversion => ErrorKind::Conversion,
        FailureKind::Invalid => ErrorKind::Invalid,
        // Constraints are of SQL, which nobody reaches through documents.
        FailureKind::ConstraintViolation | FailureKind::Database => ErrorKind::Database,
        FailureKind::Busy => ErrorKind::Other,
    }
}

fn plain(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error {
        kind,
        code: None,
        code_name: None,
        message: message.into(),
        details: Vec::new(),
        info: None,
        // Nothing was done, and the reason may be gone soon.
        transient: matches!(kind, ErrorKind::PoolExhausted | ErrorKind::Disconnected),
        write_errors: Vec::new(),
        done: None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{driver::documents::WriteOutcome, lease::End, pool::Limit};

    fn failed(failure: Failure) -> Error {
        lease::Error::Operation(OperationError::Failed(failure)).into()
    }

    fn detail<'a>(error: &'a Error, key: &str) -> Option<&'a str> {
        error.details.iter().find(|detail| detail.key == key).map(|detail| detail.value.as_str())
    }

    #[test]
    fn every_kind_of_failure_has_its_kind_of_error() {
        let rows = [
            (FailureKind::Cancelled, ErrorKind::DeadlineExceeded, false),
            (FailureKind::Denied, ErrorKind::Denied, false),
            (FailureKind::LimitExceeded, ErrorKind::LimitExceeded, false),
            (FailureKind::Busy, ErrorKind::Other, false),
            (FailureKind::Disconnected, ErrorKind::Disconnected, true),
            (FailureKind::CommitUnknown, ErrorKind::CommitUnknown, false),
            (FailureKind::TransactionAborted, ErrorKind::TransactionAborted, false),
            (FailureKind::ConstraintViolation, ErrorKind::Database, false),
            (FailureKind::Conversion, ErrorKind::Conversion, false),
            (FailureKind::Invalid, ErrorKind::Invalid, false),
            (FailureKind::Database, ErrorKind::Database, false),
            (FailureKind::DuplicateKey, ErrorKind::DuplicateKey, false),
            (FailureKind::Validation, ErrorKind::Validation, false),
            (FailureKind::WriteConcern, ErrorKind::WriteConcern, false),
            (FailureKind::WriteConflict, ErrorKind::WriteConflict, false),
            (FailureKind::NotPrimary, ErrorKind::NotPrimary, false),
        ];
        for (failure, expected, transient) in rows {
            let error = failed(Failure::new(failure, "as the server says"));
            assert_eq!((error.kind, error.transient), (expected, transient), "{failure:?}");
            assert_eq!((error.message.as_str(), error.code, error.done), ("as the server says", None, None), "{failure:?}");
        }
    }

    #[test]
    fn what_the_server_adds_reaches_the_guest() {
        let info = Some(vec![5, 0, 0, 0, 0]);
        let done = WriteOutcome { inserted: 1, matched: 0, modified: 0, deleted: 0, upserted: Vec::new() };
        let of_write = documents::WriteError {
            index: 1,
            kind: FailureKind::DuplicateKey,
            code: 11000,
            message: "E11000".to_owned(),
            info: info.clone(),
        };
        let details = documents::Details {
            code: Some(11000),
            code_name: Some("DuplicateKey".to_owned()),
            info: info.clone(),
            write_errors: vec![of_write],
            done: Some(done.clone()),
            transient: true,
        };
        let failure = Failure::new(FailureKind::DuplicateKey, "E11000").code("11000").with("index", "email_1");
        let error = failed(Failure { documents: Some(Box::new(details)), ..failure });
        assert_eq!(
            (error.kind, error.code, error.code_name.as_deref()),
            (ErrorKind::DuplicateKey, Some(11000), Some("DuplicateKey"))
        );
        assert_eq!((detail(&error, "index"), &error.info, error.transient), (Some("email_1"), &info, true));
        assert_eq!(error.done, Some(done));
        let [of_write] = error.write_errors.as_slice() else { panic!("{:?}", error.write_errors) };
        assert_eq!((of_write.index, of_write.kind, of_write.code), (1, ErrorKind::DuplicateKey, 11000));
        assert_eq!((of_write.message.as_str(), &of_write.info), ("E11000", &info));
    }

    #[test]
    fn why_no_session_was_opened_is_not_told() {
        for (kind, expected) in [(FailureKind::Denied, ErrorKind::Denied), (FailureKind::Disconnected, ErrorKind::Disconnected)] {
            let failure = Failure::new(kind, "secret").code("secret").with("index", "secret");
            let error = Error::from(lease::Error::Acquire(AcquireError::Connect(failure)));
            assert_eq!(error.kind, expected);
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }

    #[test]
    fn limits_are_named() {
        let waited = Duration::from_millis(7);
        let rows = [
            (lease::Error::Limit { limit: "max_statements", maximum: 3 }, ErrorKind::LimitExceeded, "max_statements"),
            (
                lease::Error::Acquire(AcquireError::WaitTimeout { waited, limit: Limit::Acquire }),
                ErrorKind::PoolExhausted,
                "acquire_timeout",
            ),
            (
                lease::Error::Operation(OperationError::TimedOut { limit: Limit::Statement, after: waited }),
                ErrorKind::DeadlineExceeded,
                "statement_timeout",
            ),
            (
                lease::Error::Operation(OperationError::Ended(Ended::IdleInTransaction)),
                ErrorKind::DeadlineExceeded,
                "idle_in_transaction_timeout",
            ),
            (
                lease::Error::Operation(OperationError::TooMany { what: "cursors", maximum: 32 }),
                ErrorKind::LimitExceeded,
                "cursors",
            ),
        ];
        for (error, kind, limit) in rows {
            let error = Error::from(error);
            assert_eq!((error.kind, detail(&error, "limit")), (kind, Some(limit)));
        }
        assert_eq!(Error::from(lease::Error::CallEnded(End::Trapped)).kind, ErrorKind::ShuttingDown);
    }

    #[test]
    fn a_database_that_is_not_granted_names_those_that_are() {
        let granted = vec!["accounts".to_owned(), "clinic".to_owned()];
        let error = Error::from(lease::Error::NotGranted { name: "x".to_owned(), granted });
        assert_eq!((error.kind, detail(&error, "granted")), (ErrorKind::Invalid, Some("accounts, clinic")));
    }
}
