//! What sqlx and the server report, as failures that name neither address nor credential.

use std::io;

use sqlx::postgres::{PgDatabaseError, PgErrorPosition, PgSeverity};

use crate::driver::{Failure, FailureKind, tls};

/// A message of the server is cut after this many bytes; `RAISE` can make it as long as it likes.
const MAX_MESSAGE_BYTES: usize = 1024;

/// The server's rules (`pg_hba.conf`) have a place for this role, but not by this way.
const NO_PLAIN_SESSION: &str = "the server takes this role only by TLS, or not from here; set `sslmode=verify-full`";
const NO_TLS_SESSION: &str = "the server does not take this role by TLS from here; see its pg_hba.conf";

/// A failure of an open session.
pub(super) fn failure(error: sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Database(error) => match error.try_downcast::<PgDatabaseError>() {
            Ok(error) => database(&error),
            Err(error) => Failure::new(FailureKind::Database, cut(error.message())),
        },
        // Nothing is known about the session but that what it said could be read: the statement is at fault, not the wire.
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::TypeNotFound { .. } => {
            Failure::new(FailureKind::Conversion, "the statement uses a type that has no form here; cast it to text in SQL")
        }
        sqlx::Error::Encode(error) => Failure::new(FailureKind::Conversion, cut(&error.to_string())),
        sqlx::Error::Io(error) => disconnected(&format!("the connection was lost: {}", reason(&error))),
        sqlx::Error::Tls(_) => disconnected("the connection was lost: TLS failed"),
        _ => disconnected("the connection was lost: the server said something that was not expected"),
    }
}

/// A failure to open a session. The server's own words are not repeated: they name users, addresses and databases.
pub(in crate::driver) fn connect_failure(error: sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default().into_owned();
            let (kind, message) = match code.as_str() {
                // The server tells these apart only by its words, which are English unless it was told otherwise.
                "28000" if error.message().contains("client certificate") => (FailureKind::Denied, tls::CLIENT_CERTIFICATE),
                "28000" if error.message().contains(", no encryption") => (FailureKind::Denied, NO_PLAIN_SESSION),
                "28000" if error.message().contains(", SSL encryption") => (FailureKind::Denied, NO_TLS_SESSION),
                "28P01" | "28000" => (FailureKind::Denied, "the server refuses the credential"),
                "42501" => (FailureKind::Denied, "the role may not connect to this database"),
                "3D000" => (FailureKind::Invalid, "the server has no such database"),
                "53300" => (FailureKind::Disconnected, "the server has no connection left"),
                "57P03" => (FailureKind::Disconnected, "the server is starting up or shutting down"),
                _ => (FailureKind::Disconnected, "the server refuses the session"),
            };
            Failure::new(kind, message).code(code).lost()
        }
        sqlx::Error::Io(error) => match tls::reason(&error) {
            Some(reason) => disconnected(&format!("cannot reach the server by TLS: {reason}")),
            None => disconnected(&format!("cannot reach the server: {}", reason(&error))),
        },
        sqlx::Error::Tls(error) => disconnected(&format!("cannot reach the server by TLS: {}", tls::refusal(&*error))),
        sqlx::Error::Configuration(_) => {
            let message = "the database URL cannot be used, or `sslkey` holds no private key that can be read";
            Failure::new(FailureKind::Invalid, message).lost()
        }
        sqlx::Error::Protocol(_) => disconnected("cannot reach the server: it does not answer as PostgreSQL does"),
        _ => disconnected("cannot reach the server"),
    }
}

fn disconnected(message: &str) -> Failure {
    Failure::new(FailureKind::Disconnected, message).lost()
}

/// The kind of an error only: its text may hold a path or a name.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such socket, or a file of its certificates is gone".to_owned(),
        kind @ (io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::TimedOut
        | io::ErrorKind::UnexpectedEof) => kind.to_string(),
        // A name that cannot be resolved has no kind of its own.
        _ => "the network or the look-up of its name failed".to_owned(),
    }
}

fn cut(message: &str) -> String {
    message[..message.floor_char_boundary(MAX_MESSAGE_BYTES)].to_owned()
}

fn kind(code: &str) -> FailureKind {
    match code {
        "25P02" => FailureKind::TransactionAborted,
        "57014" => FailureKind::Cancelled,
        "42501" | "25006" => FailureKind::Denied,
        "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" | "25P04" => FailureKind::Disconnected,
        // Values that do not fit: too long, out of range, unreadable, of a wrong encoding, of a wrong binary form.
        "22001" | "22003" | "22007" | "22008" | "22021" | "22030" | "22032" | "22P02" | "22P03" | "22P05" => {
            FailureKind::Conversion
        }
        // What exists already is a fact about the database, not a mistake in the text.
        "42710" | "42P03" | "42P04" | "42P05" | "42P06" | "42P07" | "42723" => FailureKind::Database,
        // An unknown cursor, an unknown savepoint, no transaction.
        "34000" | "3B001" | "25P01" => FailureKind::Invalid,
        _ => match code.get(..2) {
            Some("08") => FailureKind::Disconnected,
            Some("23") => FailureKind::ConstraintViolation,
            Some("42") => FailureKind::Invalid,
            _ => FailureKind::Database,
        },
    }
}

fn database(error: &PgDatabaseError) -> Failure {
    let code = error.code();
    let fatal = matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic);
    let kind = if fatal { FailureKind::Disconnected } else { kind(code) };
    if kind == FailureKind::Disconnected {
        return disconnected("the server ended the session").code(code);
    }
    let message = match code {
        "42601" if error.message().contains("multiple commands") => "one statement a call".to_owned(),
        _ => cut(error.message()),
    };
    let mut failure = Failure::new(kind, message).code(code);
    let facts =
        [("constraint", error.constraint()), ("table", error.table()), ("column", error.column()), ("type", error.data_type())];
    for (key, value) in facts {
        if let Some(value) = value {
            failure = failure.with(key, cut(value));
        }
    }
    if let Some(PgErrorPosition::Original(position)) = error.position() {
        failure = failure.with("position", position);
    }
    failure
}

/// Whether a failed COMMIT may have committed.
pub(super) fn commit_failure(error: sqlx::Error) -> Failure {
    let failure = failure(error);
    if failure.kind != FailureKind::Disconnected {
        return failure;
    }
    let unknown = Failure::new(FailureKind::CommitUnknown, "the connection was lost while committing").lost();
    match failure.code {
        Some(code) => unknown.code(code),
        None => unknown,
    }
}
