//! What sqlx and the server report, as failures that name neither address nor credential.

use std::io;

use sqlx::mysql::MySqlDatabaseError;

use crate::driver::{Failure, FailureKind, tls};

/// A message of the server is cut after this many bytes; `SIGNAL` can make it as long as it likes.
const MAX_MESSAGE_BYTES: usize = 1024;

/// The server's number for a savepoint that is not there, which tells that a transaction has ended.
pub(super) const NO_SUCH_SAVEPOINT: u16 = 1305;

/// A failure of an open session.
pub(super) fn failure(error: sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Database(error) => match error.try_downcast::<MySqlDatabaseError>() {
            Ok(error) => database(&error),
            Err(_) => disconnected("the connection was lost: the server said something that was not expected"),
        },
        sqlx::Error::Encode(error) => Failure::new(FailureKind::Conversion, cut(&error.to_string())),
        sqlx::Error::Io(error) => disconnected(&format!("the connection was lost: {}", reason(&error))),
        sqlx::Error::Tls(_) => disconnected("the connection was lost: TLS failed"),
        _ => disconnected("the connection was lost: the server said something that was not expected"),
    }
}

/// A failure to open a session. The server's own words are not repeated: they name users, addresses and databases.
pub(super) fn connect_failure(error: sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Database(error) => {
            let Ok(error) = error.try_downcast::<MySqlDatabaseError>() else {
                return disconnected("the server refuses the session");
            };
            let (kind, message) = match error.number() {
                1045 | 1698 | 1251 | 1275 | 1820 | 1862 | 3118 => (FailureKind::Denied, "the server refuses the credential"),
                1044 => (FailureKind::Denied, "the user may not connect to this database"),
                1049 => (FailureKind::Invalid, "the server has no such database"),
                1040 | 1203 | 1226 => (FailureKind::Disconnected, "the server has no connection left"),
                1129 | 1130 => (FailureKind::Denied, "the server takes no connection from this host"),
                1053 | 3169 => (FailureKind::Disconnected, "the server is shutting down"),
                3159 => (FailureKind::Denied, "the server asks for TLS; set `ssl-mode=VERIFY_IDENTITY`"),
                _ => (FailureKind::Disconnected, "the server refuses the session"),
            };
            Failure::new(kind, message).code(state(&error)).with("errno", error.number()).lost()
        }
        sqlx::Error::Io(error) => match tls::reason(&error) {
            Some(reason) => disconnected(&in_own_words(reason)),
            None => disconnected(&format!("cannot reach the server: {}", reason(&error))),
        },
        sqlx::Error::Tls(error) => disconnected(&in_own_words(tls::refusal(&*error))),
        sqlx::Error::Configuration(_) => {
            Failure::new(FailureKind::Invalid, "the database URL cannot be used, or `ssl-key` holds no private key").lost()
        }
        sqlx::Error::Protocol(_) => disconnected("cannot reach the server: it does not answer as MySQL does"),
        _ => disconnected("cannot reach the server"),
    }
}

/// Messages are written for PostgreSQL's parameters.
fn in_own_words(message: &str) -> String {
    const WORDS: [(&str, &str); 6] = [
        ("sslrootcert", "ssl-ca"),
        ("sslcert", "ssl-cert"),
        ("sslkey", "ssl-key"),
        ("sslmode=verify-ca", "ssl-mode=VERIFY_CA"),
        ("sslmode=prefer", "ssl-mode=PREFERRED"),
        ("sslmode", "ssl-mode"),
    ];
    let told = WORDS.iter().fold(message.to_owned(), |told, (other, own)| told.replace(other, own));
    format!("cannot reach the server by TLS: {told}")
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

fn state(error: &MySqlDatabaseError) -> String {
    error.code().unwrap_or("HY000").to_owned()
}

fn kind(number: u16, state: &str) -> FailureKind {
    match number {
        // Killed, out of time on MariaDB, on MySQL.
        1317 | 1969 | 3024 => FailureKind::Cancelled,
        // Shutdown, network, killed session, idle session.
        1053 | 1077 | 1079 | 1080 | 1152..=1161 | 1184 | 1927 | 4031 => FailureKind::Disconnected,
        1044 | 1045 | 1142 | 1143 | 1227 | 1290 | 1370 | 1698 | 1792 | 1836 | 1449 | 1148 | 3948 | 4166 => FailureKind::Denied,
        1022 | 1048 | 1062 | 1169 | 1216 | 1217 | 1364 | 1451 | 1452 | 1557 | 1586 | 1761 | 1762 | 1859 | 3819 => {
            FailureKind::ConstraintViolation
        }
        4025 if state == "23000" => FailureKind::ConstraintViolation,
        // Values that do not fit: too long, out of range, cut, of a wrong form or character set.
        1264 | 1265 | 1292 | 1365 | 1366 | 1367 | 1406 | 1411 | 1416 | 1441 | 1525 | 1690 | 3140..=3146 | 3903 => {
            FailureKind::Conversion
        }
        // What exists already is a fact about the database, not a mistake in the text.
        1007 | 1050 | 1061 | 1304 | 1359 | 1537 => FailureKind::Database,
        1295 | 1305 | 1615 => FailureKind::Invalid,
        _ => match state.get(..2) {
            Some("08") => FailureKind::Disconnected,
            Some("22") => FailureKind::Conversion,
            Some("23") => FailureKind::ConstraintViolation,
            Some("42") => FailureKind::Invalid,
            _ => FailureKind::Database,
        },
    }
}

fn database(error: &MySqlDatabaseError) -> Failure {
    let (number, state) = (error.number(), state(error));
    let kind = kind(number, &state);
    if kind == FailureKind::Disconnected {
        return disconnected("the server ended the session").code(state).with("errno", number);
    }
    let message = match number {
        1295 => "the server cannot run this as a prepared statement, which is the only way here".to_owned(),
        _ => cut(&without_users(error.message())),
    };
    let mut failure = Failure::new(kind, message).code(state);
    for (key, value) in facts(number, error.message()) {
        failure = failure.with(key, cut(&value));
    }
    failure.with("errno", number)
}

/// The text between the first `open` and the next `close`.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let rest = &text[text.find(open)? + open.len()..];
    Some(&rest[..rest.find(close)?])
}

/// What a message names, by its number: the wording is as old as the server.
fn facts(number: u16, message: &str) -> Vec<(&'static str, String)> {
    let last_name =
        |text: &str| text.trim_matches(['`', '\'']).rsplit(['.', '`']).find(|part| !part.is_empty()).map(str::to_owned);
    let mut facts = Vec::new();
    match number {
        // Duplicate entry 'x' for key 'name', on MySQL 8 'table.name'. The entry is data and may say anything.
        1022 | 1062 | 1586 => {
            let key = message.rfind(" key '").and_then(|at| between(&message[at..], "'", "'"));
            if let Some((table, key)) = key.map(|key| key.split_once('.').map_or((None, key), |(table, key)| (Some(table), key)))
            {
                facts.extend(table.map(|table| ("table", table.to_owned())));
                facts.push(("constraint", key.to_owned()));
            }
        }
        // … fails (`db`.`table`, CONSTRAINT `name` FOREIGN KEY (`column`) REFERENCES …
        1451 | 1452 => {
            facts.extend(between(message, "CONSTRAINT `", "`").map(|name| ("constraint", name.to_owned())));
            facts.extend(between(message, "(", ",").and_then(last_name).map(|name| ("table", name)));
        }
        // Check constraint 'name' is violated.
        3819 => facts.extend(between(message, "'", "'").map(|name| ("constraint", name.to_owned()))),
        // CONSTRAINT `name` failed for `db`.`table`
        4025 => {
            facts.extend(between(message, "CONSTRAINT `", "`").map(|name| ("constraint", name.to_owned())));
            facts.extend(message.rsplit(" for ").next().and_then(last_name).map(|name| ("table", name)));
        }
        // Column 'x' cannot be null; Field 'x' doesn't have a default value.
        1048 | 1364 => facts.extend(between(message, "'", "'").map(|name| ("column", name.to_owned()))),
        // … for column 'x' at row 1, and `db`.`t`.`x` where the value comes first.
        1264 | 1265 | 1292 | 1366 | 1406 => {
            let column = message.rfind(" column ").map(|at| &message[at + 8..]).and_then(|rest| rest.split(" at row ").next());
            facts.extend(column.and_then(last_name).map(|name| ("column", name)));
        }
        _ => {}
    }
    facts
}

/// Replaces `'user'@'host'`, in quotes of either kind: it names the address that the server sees.
fn without_users(message: &str) -> String {
    let Some((at, mark)) = message.find("'@'").map(|at| (at, '\'')).or_else(|| message.find("`@`").map(|at| (at, '`'))) else {
        return message.to_owned();
    };
    let start = message[..at].rfind(mark).unwrap_or(at);
    let end = message[at + 3..].find(mark).map_or(message.len(), |end| at + 3 + end + 1);
    format!("{}(the user){}", &message[..start], without_users(&message[end..]))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_their_hosts_are_taken_out() {
        assert_eq!(
            without_users("SELECT command denied to user 'app'@'10.0.0.7' for table `d`.`t`"),
            "SELECT command denied to user (the user) for table `d`.`t`"
        );
        assert_eq!(without_users("a 'x'@'y' b 'c'@'d"), "a (the user) b (the user)");
        assert_eq!(without_users("definer (`app`@`%`) is not there"), "definer ((the user)) is not there");
        assert_eq!(without_users("plain `t`"), "plain `t`");
    }

    #[test]
    fn what_messages_name_is_found_behind_the_data() {
        let all =
            |number, message| facts(number, message).into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
        assert_eq!(all(1062, "Duplicate entry 'x for key 'y'' for key 'mail'"), ["constraint=mail"]);
        assert_eq!(all(1062, "Duplicate entry '1' for key 'people.PRIMARY'"), ["table=people", "constraint=PRIMARY"]);
        let message = "Cannot add or update a child row: a foreign key constraint fails (`d`.`child`, CONSTRAINT `c1` FOREIGN KEY (`p`) REFERENCES `parent` (`id`))";
        assert_eq!(all(1452, message), ["constraint=c1", "table=child"]);
        assert_eq!(all(4025, "CONSTRAINT `positive` failed for `d`.`t`"), ["constraint=positive", "table=t"]);
        assert_eq!(all(1048, "Column 'name' cannot be null"), ["column=name"]);
        assert_eq!(all(1406, "Data too long for column 'name' at row 1"), ["column=name"]);
        assert_eq!(all(1366, "Incorrect integer value: 'a column ' for column `d`.`t`.`n` at row 1"), ["column=n"]);
    }
}
