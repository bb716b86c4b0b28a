//! From SQLite's result codes to failures that a caller can act on.

use std::sync::atomic::Ordering;

use libsqlite3_sys as ffi;
use sqlx::{error::DatabaseError, sqlite::SqliteError};

use super::authorizer::MAX_VALUE_BYTES;
use super::shared::Shared;
use crate::driver::{Failure, FailureKind};

/// What a statement's error means.
pub(super) fn of(error: &sqlx::Error, shared: &Shared) -> Failure {
    match error {
        sqlx::Error::Database(error) => match error.try_downcast_ref::<SqliteError>() {
            Some(error) => of_engine(error, shared),
            None => Failure::new(FailureKind::Database, "the database failed").lost(),
        },
        sqlx::Error::WorkerCrashed => gone(),
        // Nothing else comes out of this driver; a text of sqlx's own is not for guests.
        _ => Failure::new(FailureKind::Database, "the database driver failed").lost(),
    }
}

/// What an error means that the engine told.
pub(super) fn of_engine(error: &SqliteError, shared: &Shared) -> Failure {
    let code: i32 = error.code().and_then(|code| code.parse().ok()).unwrap_or(ffi::SQLITE_ERROR);
    let message = error.message();
    let plain = |kind| Failure::new(kind, message);
    let failure = match code & 0xff {
        ffi::SQLITE_CONSTRAINT => constraint(code, message),
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => {
            Failure::new(FailureKind::Database, "the database is locked by another writer for longer than busy_timeout")
        }
        ffi::SQLITE_INTERRUPT if shared.terminated.load(Ordering::Acquire) => gone(),
        ffi::SQLITE_INTERRUPT => Failure::new(FailureKind::Cancelled, "the statement was cancelled"),
        ffi::SQLITE_AUTH => match shared.take_refused() {
            Some(what) => Failure::new(FailureKind::Denied, format!("{what} is not allowed")),
            None => plain(FailureKind::Denied),
        },
        ffi::SQLITE_READONLY => plain(FailureKind::Denied),
        ffi::SQLITE_ERROR | ffi::SQLITE_RANGE => plain(FailureKind::Invalid),
        ffi::SQLITE_MISMATCH => plain(FailureKind::Conversion),
        ffi::SQLITE_TOOBIG => plain(FailureKind::LimitExceeded).with("limit", "value_bytes").with("maximum", MAX_VALUE_BYTES),
        // After these the handle may be in any state.
        ffi::SQLITE_IOERR
        | ffi::SQLITE_CORRUPT
        | ffi::SQLITE_NOTADB
        | ffi::SQLITE_CANTOPEN
        | ffi::SQLITE_INTERNAL
        | ffi::SQLITE_MISUSE
        | ffi::SQLITE_PROTOCOL => plain(FailureKind::Database).lost(),
        _ => plain(FailureKind::Database),
    };
    failure.code(code.to_string())
}

/// What an error means that came while a session was opened.
pub(super) fn of_connect(error: &sqlx::Error) -> Failure {
    let told = match error {
        sqlx::Error::Database(error) => error.try_downcast_ref::<SqliteError>(),
        _ => None,
    };
    match told {
        Some(error) => {
            let failure = Failure::new(FailureKind::Disconnected, format!("the database cannot be opened: {}", error.message()));
            failure.code(error.code().unwrap_or_default())
        }
        None => Failure::new(FailureKind::Disconnected, "the database cannot be opened"),
    }
}

/// The session ended.
pub(super) fn gone() -> Failure {
    Failure::new(FailureKind::Disconnected, "the session was ended").lost()
}

/// Reads what SQLite says about a broken constraint: `UNIQUE constraint failed: patients.record_number`,
/// `CHECK constraint failed: positive_count`, `FOREIGN KEY constraint failed`.
fn constraint(code: i32, message: &str) -> Failure {
    if code == ffi::SQLITE_CONSTRAINT_DATATYPE {
        // A column of a STRICT table: "cannot store TEXT value in INTEGER column visits.count".
        let failure = Failure::new(FailureKind::Conversion, message);
        return match message.rsplit_once(" column ") {
            Some((_, column)) => with_columns(failure, column),
            None => failure,
        };
    }
    let failure = Failure::new(FailureKind::ConstraintViolation, message);
    match message.split_once(" constraint failed: ") {
        Some(("CHECK", name)) => failure.with("constraint", name),
        Some((_, subject)) => match subject.strip_prefix("index ") {
            Some(index) => failure.with("constraint", index.trim_matches('\'')),
            None => with_columns(failure, subject),
        },
        None => failure,
    }
}

/// `patients.a, patients.b` names one table and its columns.
fn with_columns(failure: Failure, subject: &str) -> Failure {
    let Some((table, _)) = subject.split_once('.') else { return failure };
    let columns: Vec<&str> = subject.split(", ").map(|part| part.split_once('.').map_or(part, |(_, column)| column)).collect();
    failure.with("table", table).with("column", columns.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_name_what_they_guard() {
        let told = |code, message| constraint(code, message).details;
        assert_eq!(
            told(ffi::SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: patients.clinic, patients.record_number"),
            [("table", "patients".to_owned()), ("column", "clinic, record_number".to_owned())]
        );
        assert_eq!(
            told(ffi::SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: index 'by_lower_name'"),
            [("constraint", "by_lower_name".to_owned())]
        );
        assert_eq!(
            told(ffi::SQLITE_CONSTRAINT_CHECK, "CHECK constraint failed: a.b > 0"),
            [("constraint", "a.b > 0".to_owned())]
        );
        assert_eq!(told(ffi::SQLITE_CONSTRAINT_FOREIGNKEY, "FOREIGN KEY constraint failed"), []);
        let strict = constraint(ffi::SQLITE_CONSTRAINT_DATATYPE, "cannot store TEXT value in INTEGER column visits.count");
        assert_eq!(strict.kind, FailureKind::Conversion);
        assert_eq!(strict.details, [("table", "visits".to_owned()), ("column", "count".to_owned())]);
    }
}
