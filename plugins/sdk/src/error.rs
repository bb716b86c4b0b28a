//! What goes wrong in a handler, and what a caller may do about it.

use std::fmt;

#[cfg(feature = "documents")]
use crate::documents::DocumentsError;
use crate::problem::Problem;
use crate::wire;

pub use crate::wire::ErrorKind;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. Returned from a handler it becomes a problem document; see [`Problem::from_error`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database or the host refused or failed.
    Sql(SqlError),
    /// A document database, or the host on the way to it, refused or failed.
    #[cfg(feature = "documents")]
    Documents(DocumentsError),
    /// A row does not hold what the handler expects of it: a mistake in the handler or its SQL.
    Row(RowError),
    /// The client gets this answer; nothing is wrong with the handler.
    Rejected(Box<Problem>),
    /// The request's body broke off, or nobody reads the response any more.
    Disconnected,
    /// Anything else that keeps the handler from answering.
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Any failure that the client should not see the inside of: it gets a 500, the log gets the text.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// A 400 with this detail.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Problem::new(400, "bad-request").detail(detail).into()
    }

    /// A 404 with this detail.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(404, "not-found").detail(detail).into()
    }

    /// A 409 with this detail.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Problem::new(409, "conflict").detail(detail).into()
    }

    /// A 422 with this detail: well-formed, but not acceptable.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Problem::new(422, "unprocessable").detail(detail).into()
    }

    /// The database's or the host's error, if it is one.
    #[must_use]
    pub fn sql(&self) -> Option<&SqlError> {
        match self {
            Self::Sql(error) => Some(error),
            _ => None,
        }
    }

    /// The kind of a [`SqlError`].
    #[must_use]
    pub fn kind(&self) -> Option<ErrorKind> {
        self.sql().map(SqlError::kind)
    }

    /// Shorthand for [`SqlError::is_unique_violation`].
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        self.sql().is_some_and(SqlError::is_unique_violation)
    }

    /// Shorthand for [`SqlError::constraint`].
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        self.sql().and_then(SqlError::constraint)
    }

    /// The name of the kind as the WIT spells it, of whichever interface.
    pub(crate) fn name(&self) -> Option<&'static str> {
        match self {
            Self::Sql(error) => Some(name_of(error.kind())),
            #[cfg(feature = "documents")]
            Self::Documents(error) => Some(error.name()),
            _ => None,
        }
    }
}

#[cfg(feature = "documents")]
impl Error {
    /// The document database's or the host's error, if it is one.
    #[must_use]
    pub fn documents(&self) -> Option<&DocumentsError> {
        match self {
            Self::Documents(error) => Some(error),
            _ => None,
        }
    }

    /// Shorthand for [`DocumentsError::is_duplicate_key`].
    #[must_use]
    pub fn is_duplicate_key(&self) -> bool {
        self.documents().is_some_and(DocumentsError::is_duplicate_key)
    }

    /// Shorthand for [`DocumentsError::key_pattern`].
    #[must_use]
    pub fn key_pattern(&self) -> Option<bson::Document> {
        self.documents().and_then(DocumentsError::key_pattern)
    }

    /// Shorthand for [`DocumentsError::is_transient`].
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.documents().is_some_and(DocumentsError::is_transient)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql(error) => error.fmt(f),
            #[cfg(feature = "documents")]
            Self::Documents(error) => error.fmt(f),
            Self::Row(error) => error.fmt(f),
            Self::Rejected(problem) => problem.fmt(f),
            Self::Disconnected => f.write_str("the client went away"),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Sql(error) => Some(error),
            #[cfg(feature = "documents")]
            Self::Documents(error) => Some(error),
            Self::Row(error) => Some(error),
            Self::Other(error) => Some(&**error),
            Self::Rejected(_) | Self::Disconnected => None,
        }
    }
}

impl From<wire::Error> for Error {
    fn from(error: wire::Error) -> Self {
        Self::Sql(SqlError(Box::new(error)))
    }
}

impl From<RowError> for Error {
    fn from(error: RowError) -> Self {
        Self::Row(error)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Rejected(Box::new(problem))
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::other(error)
    }
}

impl From<fmt::Error> for Error {
    fn from(error: fmt::Error) -> Self {
        Self::other(error)
    }
}

impl From<std::io::Error> for Error {
    /// An error of this crate that went through `std::io::Write` comes back as it was.
    fn from(error: std::io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(error) => Self::other(error),
        }
    }
}

/// An error of the database or of the host on the way to it.
#[derive(Clone)]
pub struct SqlError(Box<wire::Error>);

/// SQLSTATE of PostgreSQL beside the extended result codes of SQLite.
const UNIQUE: [&str; 3] = ["23505", "2067", "1555"];
const FOREIGN_KEY: [&str; 2] = ["23503", "787"];
const CHECK: [&str; 2] = ["23514", "275"];
const NOT_NULL: [&str; 2] = ["23502", "1299"];
/// Serialization failure and deadlock; SQLITE_BUSY, its snapshot case, and SQLITE_LOCKED.
const CONFLICT: [&str; 5] = ["40001", "40P01", "5", "517", "6"];

impl SqlError {
    /// What went wrong, as far as a handler may act on it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// SQLSTATE on PostgreSQL and MySQL, the extended result code on SQLite.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// For people; not stable. Not for the client: it may tell about the schema.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// One fact: `constraint`, `table`, `column`, `limit`, `maximum`, `database`, `waited-ms`, `parameter`, …
    #[must_use]
    pub fn detail(&self, key: &str) -> Option<&str> {
        self.0.details.iter().find(|detail| detail.key == key).map(|detail| detail.value.as_str())
    }

    /// The constraint that refused the data, where the engine names it: PostgreSQL always, SQLite for check constraints.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        self.detail("constraint")
    }

    /// Whether a unique constraint or a primary key refused the data.
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        self.is_violation(&UNIQUE)
    }

    /// Whether a foreign key refused the data.
    #[must_use]
    pub fn is_foreign_key_violation(&self) -> bool {
        self.is_violation(&FOREIGN_KEY)
    }

    /// Whether a check constraint refused the data.
    #[must_use]
    pub fn is_check_violation(&self) -> bool {
        self.is_violation(&CHECK)
    }

    /// Whether a null met a column that takes none.
    #[must_use]
    pub fn is_not_null_violation(&self) -> bool {
        self.is_violation(&NOT_NULL)
    }

    /// Whether another transaction was in the way, so that running the whole transaction again may work.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code().is_some_and(|code| CONFLICT.contains(&code))
    }

    fn is_violation(&self, codes: &[&str]) -> bool {
        self.kind() == ErrorKind::ConstraintViolation && self.code().is_some_and(|code| codes.contains(&code))
    }
}

impl fmt::Debug for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(self.0.kind))?;
        if let Some(code) = self.code() {
            write!(f, " ({code})")?;
        }
        write!(f, ": {}", self.message())?;
        for (index, detail) in self.0.details.iter().enumerate() {
            let before = if index == 0 { " [" } else { ", " };
            write!(f, "{before}{}={}", detail.key, detail.value)?;
        }
        f.write_str(if self.0.details.is_empty() { "" } else { "]" })
    }
}

impl std::error::Error for SqlError {}

/// The name of a kind as the WIT spells it.
fn name_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PoolExhausted => "pool-exhausted",
        ErrorKind::DeadlineExceeded => "deadline-exceeded",
        ErrorKind::Denied => "denied",
        ErrorKind::LimitExceeded => "limit-exceeded",
        ErrorKind::Busy => "busy",
        ErrorKind::Disconnected => "disconnected",
        ErrorKind::CommitUnknown => "commit-unknown",
        ErrorKind::TransactionAborted => "transaction-aborted",
        ErrorKind::ConstraintViolation => "constraint-violation",
        ErrorKind::Conversion => "conversion",
        ErrorKind::Invalid => "invalid",
        ErrorKind::Database => "database",
        ErrorKind::ShuttingDown => "shutting-down",
        ErrorKind::Other => "other",
    }
}

/// A row that does not hold what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowError {
    /// There is no column of this name or at this position.
    NoSuchColumn {
        /// The name or the position.
        wanted: String,
        /// The columns there are.
        columns: Vec<String>,
    },
    /// A cell does not become the wanted type.
    Mismatch {
        /// The column.
        column: String,
        /// What was wanted.
        expected: &'static str,
        /// What was there.
        found: String,
    },
    /// The row does not have the shape of the struct it is decoded into.
    Decode(String),
    /// One row was asked for, this many are there.
    RowCount(usize),
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchColumn { wanted, columns } => write!(f, "no column {wanted}; there are: {}", columns.join(", ")),
            Self::Mismatch { column, expected, found } => write!(f, "column {column}: expected {expected}, found {found}"),
            Self::Decode(message) => f.write_str(message),
            Self::RowCount(count) => write!(f, "expected one row, found {count}"),
        }
    }
}

impl std::error::Error for RowError {}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sql(kind: ErrorKind, code: Option<&str>, details: &[(&str, &str)]) -> Error {
        let details = details.iter().map(|(key, value)| wire::Detail { key: (*key).into(), value: (*value).into() }).collect();
        wire::Error { kind, code: code.map(Into::into), message: "secret insides".into(), details }.into()
    }

    #[test]
    fn unique_violations_are_told_from_the_codes_of_either_engine() {
        for (code, unique) in [("23505", true), ("2067", true), ("1555", true), ("23503", false), ("787", false)] {
            let error = sql(ErrorKind::ConstraintViolation, Some(code), &[("constraint", "patients_record_number_key")]);
            assert_eq!(error.is_unique_violation(), unique, "{code}");
            assert_eq!(error.sql().unwrap().is_foreign_key_violation(), !unique, "{code}");
            assert_eq!(error.constraint(), Some("patients_record_number_key"));
        }
        assert!(!sql(ErrorKind::Database, Some("2067"), &[]).is_unique_violation());
        assert!(!sql(ErrorKind::ConstraintViolation, None, &[]).is_unique_violation());
        assert!(!Error::conflict("x").is_unique_violation());
    }

    #[test]
    fn an_error_through_io_comes_back_as_it_was() {
        let error: Error = std::io::Error::other(sql(ErrorKind::Busy, None, &[])).into();
        assert_eq!(error.kind(), Some(ErrorKind::Busy));
        assert!(matches!(Error::from(std::io::Error::other("x")), Error::Other(_)));
    }

    #[test]
    fn the_text_for_the_log_names_everything() {
        let error = sql(ErrorKind::LimitExceeded, Some("53400"), &[("limit", "max_rows"), ("maximum", "10")]);
        assert_eq!(error.to_string(), "limit-exceeded (53400): secret insides [limit=max_rows, maximum=10]");
        let error = RowError::NoSuchColumn { wanted: "nmae".into(), columns: vec!["id".into(), "name".into()] };
        assert_eq!(error.to_string(), "no column nmae; there are: id, name");
    }
}
