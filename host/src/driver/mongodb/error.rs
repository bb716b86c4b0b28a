//! What the crate and the server report, as failures that name neither address nor credential.

use std::io;

use bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};

use super::reply;
use crate::driver::{Failure, FailureKind, documents::Details, tls};

/// A message of the server is cut after this many bytes: it may repeat what the guest has sent.
const MAX_MESSAGE_BYTES: usize = 1024;

/// No address of a server is longer: a name of 253 bytes, a port, and what is around them.
const MAX_ADDRESS_BYTES: usize = 300;

/// What is at stake when the connection is lost over a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stakes {
    /// It only reads, or belongs to a transaction, which did not commit.
    Nothing,
    /// It writes by itself.
    Write,
    /// It commits.
    Commit,
}

/// The server's numbers for what ends with it, with its being the primary, or with the network between servers, in the middle of an operation too: of
/// a write by itself nobody knows after them. Where others did not confirm it in time it is done as a rule.
const BROKEN_OFF: [i32; 9] = [6, 7, 64, 89, 91, 189, 9001, 11600, 11602];

/// What the crate answers to what a server said that nobody expects.
pub(super) fn unexpected() -> Failure {
    lost("the connection was lost: the server said something that was not expected")
}

fn lost(message: &str) -> Failure {
    transient(Failure::new(FailureKind::Disconnected, message).lost())
}

/// Marks a failure as one after which the same may succeed.
fn transient(mut failure: Failure) -> Failure {
    failure.documents.get_or_insert_default().transient = true;
    failure
}

/// The server's own number, if it sent one.
pub(super) fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(error) => Some(error.code),
        _ => None,
    }
}

/// A failure of an open session.
pub(super) fn failure(error: &Error, stakes: Stakes) -> Failure {
    let failure = match &*error.kind {
        ErrorKind::Command(command) => match error.server_response().map(Document::try_from) {
            Some(Ok(reply)) => return refused(&reply, stakes),
            _ => {
                let reply = doc! { "code": command.code, "codeName": &command.code_name, "errmsg": &command.message };
                return refused(&reply, stakes);
            }
        },
        // Not sent.
        ErrorKind::ServerSelection { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Authentication { .. }
        | ErrorKind::Shutdown => {
            return lost("the connection was lost: the server cannot be reached any more");
        }
        ErrorKind::InvalidArgument { .. } => {
            return Failure::new(FailureKind::Invalid, "the request cannot be put into a message of MongoDB's").lost();
        }
        ErrorKind::Io(error) => lost(&format!("the connection was lost: {}", reason(error))),
        ErrorKind::ConnectionPoolCleared { .. } => lost("the connection was lost: the server does not answer"),
        _ => unexpected(),
    };
    match stakes {
        Stakes::Nothing => failure,
        Stakes::Write => Failure::new(FailureKind::CommitUnknown, "the connection was lost after the write was sent").lost(),
        Stakes::Commit => Failure::new(FailureKind::CommitUnknown, "the connection was lost while committing").lost(),
    }
}

/// A failure to open a session. The server's own words are not repeated: they name users, addresses and databases.
pub(super) fn connect(error: &Error) -> Failure {
    let (kind, message) = match &*error.kind {
        ErrorKind::Authentication { .. } => (FailureKind::Denied, "the server refuses the credential".to_owned()),
        ErrorKind::Command(error) if [13, 18, 8000].contains(&error.code) => {
            (FailureKind::Denied, "the server refuses the user".to_owned())
        }
        ErrorKind::Command(_) => (FailureKind::Disconnected, "the server refuses the session".to_owned()),
        ErrorKind::ServerSelection { .. } => {
            (FailureKind::Disconnected, "no primary was found within `server_selection_timeout`".to_owned())
        }
        ErrorKind::DnsResolve { .. } => (FailureKind::Disconnected, "the look-up of the server's name failed".to_owned()),
        ErrorKind::InvalidTlsConfig { .. } => {
            (FailureKind::Invalid, "a certificate or key that the URL names cannot be read".to_owned())
        }
        ErrorKind::InvalidArgument { .. } => (FailureKind::Invalid, "the database URL cannot be used".to_owned()),
        ErrorKind::IncompatibleServer { .. } | ErrorKind::SessionsNotSupported => {
            (FailureKind::Invalid, "the server is too old, or knows no sessions".to_owned())
        }
        ErrorKind::Io(error) => match tls::reason(error) {
            Some(reason) => (FailureKind::Disconnected, in_own_words(reason)),
            None => (FailureKind::Disconnected, format!("cannot reach the server: {}", reason(error))),
        },
        _ => (FailureKind::Disconnected, "cannot reach the server: it does not answer as MongoDB does".to_owned()),
    };
    Failure::new(kind, message).lost()
}

/// Messages are written for PostgreSQL's parameters.
fn in_own_words(message: &str) -> String {
    const WORDS: [(&str, &str); 5] = [
        ("`sslcert` and `sslkey`", "`tlsCertificateKeyFile`"),
        ("; use the name in the certificate, or `sslmode=verify-ca`", "; use the name in the certificate"),
        ("sslrootcert", "tlsCAFile"),
        ("sslcert", "tlsCertificateKeyFile"),
        ("sslkey", "tlsCertificateKeyFile"),
    ];
    let told = WORDS.iter().fold(message.to_owned(), |told, (other, own)| told.replace(other, own));
    format!("cannot reach the server by TLS: {told}")
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

/// What the server says of a command that failed, or of one write of several, by which a write may have been done all the same.
pub(super) fn refused(reply: &Document, stakes: Stakes) -> Failure {
    let mut failure = said(reply);
    let is_broken_off = reply::number(reply, "code").is_some_and(|code| BROKEN_OFF.iter().any(|known| i64::from(*known) == code));
    if stakes == Stakes::Write && (is_broken_off || labelled(reply, "RetryableWriteError")) {
        failure.kind = FailureKind::CommitUnknown;
        failure.message = format!("the write may be done: {}", failure.message);
        failure.documents.get_or_insert_default().transient = false;
    }
    failure
}

/// What the server says of a command that failed, of one write of several, or of a write that was not confirmed.
pub(super) fn said(reply: &Document) -> Failure {
    let code = reply::number(reply, "code").and_then(|code| i32::try_from(code).ok()).unwrap_or(0);
    let told = reply.get_str("errmsg").unwrap_or_default();
    let kind = kind(code);
    let mut failure = Failure::new(kind, message(code, told)).code(code.to_string());
    if kind == FailureKind::DuplicateKey
        && let Some(index) = index(told)
    {
        failure = failure.with("index", cut(index));
    }
    failure.lost = kind == FailureKind::NotPrimary;
    failure.documents = Some(Box::new(Details {
        code: Some(code),
        code_name: reply.get_str("codeName").ok().filter(|name| !name.is_empty()).map(str::to_owned),
        info: info(reply),
        transient: [FailureKind::NotPrimary, FailureKind::WriteConflict].contains(&kind)
            || labelled(reply, "TransientTransactionError")
            || labelled(reply, "RetryableWriteError"),
        ..Details::default()
    }));
    failure
}

/// Whether a reply carries a label.
pub(super) fn labelled(reply: &Document, label: &str) -> bool {
    reply.get_array("errorLabels").is_ok_and(|labels| labels.iter().any(|known| known.as_str() == Some(label)))
}

/// What the server adds, under its own names.
pub(super) fn info(reply: &Document) -> Option<Vec<u8>> {
    let names = ["keyPattern", "keyValue", "errInfo"];
    let added: Document = names.into_iter().filter_map(|name| Some((name.to_owned(), reply.get(name)?.clone()))).collect();
    if added.is_empty() { None } else { reply::bytes(&added).ok() }
}

/// The kind of a failure by the server's number for it.
pub(super) fn kind(code: i32) -> FailureKind {
    match code {
        11000 | 11001 | 12582 => FailureKind::DuplicateKey,
        121 => FailureKind::Validation,
        112 => FailureKind::WriteConflict,
        251 => FailureKind::TransactionAborted,
        // Out of time, interrupted.
        50 | 262 | 11601 => FailureKind::Cancelled,
        13 | 18 | 8000 => FailureKind::Denied,
        91 | 189 | 10058 | 10107 | 11600 | 11602 | 13435 | 13436 => FailureKind::NotPrimary,
        241 => FailureKind::Conversion,
        10334 | 17419 => FailureKind::LimitExceeded,
        2 | 9 | 14 | 16 | 20 | 26 | 27 | 40 | 52 | 59 | 66 | 72 | 73 | 168 | 263 => FailureKind::Invalid,
        // What the parsers of expressions and commands refuse.
        15000..=17999 | 28000..=40999 => FailureKind::Invalid,
        _ => FailureKind::Database,
    }
}

/// What the server says, but for what it says of itself and of its network.
fn message(code: i32, told: &str) -> String {
    match code {
        // Repeats the command, with the database's name and the session's.
        13 => "the user of this grant may not do that".to_owned(),
        18 | 8000 => "the server refuses the credential".to_owned(),
        20 if told.starts_with("Transaction numbers") => "transactions need a replica set, and this server is none".to_owned(),
        6 | 7 | 89 | 9001 => "a server of the cluster cannot be reached".to_owned(),
        _ if kind(code) == FailureKind::NotPrimary => "the server is not the primary any more, or is going away".to_owned(),
        _ if told.is_empty() => format!("the server refuses it with the code {code}"),
        _ => shortened(told),
    }
}

/// Cut to its length, without addresses. They are left out first: half of one would be taken for none.
fn shortened(told: &str) -> String {
    let looked_at = cut_to(told, MAX_MESSAGE_BYTES + MAX_ADDRESS_BYTES);
    // What it ends with may be half of one.
    let whole = looked_at.trim_end_matches(|part: char| part.is_ascii_alphanumeric() || ".-_:[]".contains(part));
    let ends_with_half = looked_at.len() < told.len() && looked_at.len() - whole.len() <= MAX_ADDRESS_BYTES;
    cut(&without_addresses(if ends_with_half { whole } else { looked_at })).to_owned()
}

/// Leaves out what looks like the address of a server: a host with a port.
fn without_addresses(told: &str) -> String {
    let (mut shown, mut rest) = (String::with_capacity(told.len()), told);
    while let Some((before, after)) = rest.split_once(':') {
        shown.push_str(before);
        let host = match shown.strip_suffix(']') {
            Some(inner) => inner.rfind('[').unwrap_or(shown.len()),
            None => shown.trim_end_matches(|part: char| part.is_ascii_alphanumeric() || ".-_".contains(part)).len(),
        };
        let (port, behind) = after.split_at(after.len() - after.trim_start_matches(|digit: char| digit.is_ascii_digit()).len());
        // Neither a time of day nor a part of one.
        let is_host = shown[host..].contains(|part: char| part.is_ascii_alphabetic() || ".[".contains(part));
        let is_port = (2..=5).contains(&port.len()) && !port.starts_with('0');
        if is_host && is_port && !behind.starts_with(|next: char| next.is_ascii_alphanumeric() || next == ':') {
            shown.truncate(host);
            shown.push('…');
            rest = behind;
        } else {
            shown.push(':');
            rest = after;
        }
    }
    shown.push_str(rest);
    shown
}

pub(super) fn cut(message: &str) -> &str {
    cut_to(message, MAX_MESSAGE_BYTES)
}

fn cut_to(message: &str, most: usize) -> &str {
    &message[..message.floor_char_boundary(most)]
}

/// The index that a message of a duplicate key names: `… index: email_1 dup key: { … }`. The key is data and may say anything.
fn index(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once(" index: ")?;
    let (name, _) = rest.split_once(" dup key: ")?;
    // Some servers add how it compares.
    Some(name.split_once(" collation: ").map_or(name, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_kind() {
        let rows: [(FailureKind, &[i32]); 12] = [
            (FailureKind::DuplicateKey, &[11000, 11001, 12582]),
            (FailureKind::Validation, &[121]),
            (FailureKind::WriteConflict, &[112]),
            (FailureKind::TransactionAborted, &[251]),
            (FailureKind::Cancelled, &[50, 262, 11601]),
            (FailureKind::Denied, &[13, 18, 8000]),
            (FailureKind::NotPrimary, &[91, 189, 10107, 11600, 11602, 13435, 13436]),
            (FailureKind::Conversion, &[241]),
            (FailureKind::LimitExceeded, &[10334, 17419]),
            (FailureKind::Invalid, &[2, 9, 14, 20, 26, 59, 72, 168, 263, 40324, 40415, 15998, 28667]),
            (FailureKind::Database, &[0, 1, 43, 48, 50911, 14999, 18000, 41000]),
            (FailureKind::Invalid, &[16]),
        ];
        for (expected, codes) in rows {
            for code in codes {
                assert_eq!(kind(*code), expected, "{code}");
            }
        }
    }

    #[test]
    fn what_the_server_adds_is_kept() {
        let reply = doc! {
            "ok": 0.0,
            "code": 11000,
            "codeName": "DuplicateKey",
            "errmsg": "E11000 duplicate key error collection: d.people index: email_1 dup key: { email: \" index: x dup key: \" }",
            "keyPattern": { "email": 1 },
            "keyValue": { "email": "a" },
        };
        let failure = said(&reply);
        assert_eq!((failure.kind, failure.code.as_deref(), failure.lost), (FailureKind::DuplicateKey, Some("11000"), false));
        assert_eq!(failure.details, [("index", "email_1".to_owned())]);
        let details = failure.documents.unwrap();
        assert_eq!((details.code, details.code_name.as_deref(), details.transient), (Some(11000), Some("DuplicateKey"), false));
        let info = Document::from_reader(details.info.unwrap().as_slice()).unwrap();
        assert_eq!(info, doc! { "keyPattern": { "email": 1 }, "keyValue": { "email": "a" } });
    }

    #[test]
    fn what_may_succeed_later_is_transient() {
        for (code, labels, expected) in [
            (112, vec![], true),
            (10107, vec![], true),
            (251, vec!["TransientTransactionError"], true),
            (64, vec!["RetryableWriteError"], true),
            (251, vec!["Other"], false),
            (2, vec![], false),
        ] {
            let failure = said(&doc! { "code": code, "errmsg": "x", "errorLabels": labels });
            assert_eq!(failure.documents.unwrap().transient, expected, "{code}");
        }
    }

    #[test]
    fn a_write_that_a_server_breaks_off_may_be_done() {
        for (code, labels, unknown) in [
            (6, vec![], true),
            (7, vec![], true),
            (64, vec![], true),
            (89, vec![], true),
            (9001, vec![], true),
            (91, vec![], true),
            (189, vec![], true),
            (11600, vec![], true),
            (11602, vec![], true),
            (64, vec!["RetryableWriteError"], true),
            (10107, vec![], false),
            (11601, vec![], false),
            (2, vec![], false),
        ] {
            let reply = doc! { "ok": 0, "code": code, "errmsg": "x", "errorLabels": labels };
            let failure = refused(&reply, Stakes::Write);
            assert_eq!(failure.kind == FailureKind::CommitUnknown, unknown, "{failure:?}");
            assert!(!unknown || !failure.documents.unwrap().transient, "{code}");
            for stakes in [Stakes::Nothing, Stakes::Commit] {
                assert_eq!(refused(&reply, stakes), said(&reply));
            }
        }
    }

    #[test]
    fn addresses_and_names_of_the_server_are_left_out() {
        for (code, told) in [
            (13, "not authorized on d to execute command { find: \"x\", lsid: { id: UUID(\"secret\") }, $db: \"d\" }"),
            (18, "Authentication failed for secret"),
            (6, "could not connect to secret:27017"),
            (10107, "not primary, secret:27017 is"),
            (11600, "interrupted at secret"),
            (20, "Transaction numbers are only allowed on a secret"),
            (133, "Could not find host matching read preference for set rs/secret:27017,secret.example:27018"),
            (8, "Error connecting to secret-1.example:27017 (10.1.2.3:27017) :: caused by :: timeout"),
            (8, "no route to [fe80::secret]:27017."),
        ] {
            let failure = said(&doc! { "code": code, "errmsg": told });
            assert!(!failure.message.contains("secret") && !failure.message.contains("10.1"), "{}", failure.message);
        }
        // Nothing else is left out.
        for told in ["at 12:30:45", "{ a: 17, b: [1:2] }", "x :: y: 2020-01-01T12:30:45.000Z", "é:27017", "a:0", "a:1", ":"] {
            assert_eq!(said(&doc! { "code": 2, "errmsg": told }).message, told);
        }
        for long in ["é", "x", "x "] {
            let long = said(&doc! { "code": 2, "errmsg": long.repeat(5000) });
            assert_eq!(long.message.len(), MAX_MESSAGE_BYTES);
        }
        // Wherever it is cut: in the middle of one, or of the last of many that were left out before it.
        let (address, many) = ("secret-1.example:27017", "of secret-1.example:27017 ".repeat(200));
        for before in 0..=MAX_MESSAGE_BYTES + MAX_ADDRESS_BYTES {
            let failure = said(&doc! { "code": 2, "errmsg": format!("{} {address} and more", "é".repeat(before / 2)) });
            assert!(!failure.message.contains("secret"), "{before}: {}", failure.message);
        }
        for before in 0..many.len() / 200 {
            let failure = said(&doc! { "code": 2, "errmsg": format!("{}{many}", " ".repeat(before)) });
            assert!(!failure.message.contains("secret"), "{before}: {}", failure.message);
        }
        assert_eq!(said(&doc! { "code": 77 }).message, "the server refuses it with the code 77");
        // Nothing of all of it: still a failure.
        assert_eq!(said(&doc! {}).kind, FailureKind::Database);
    }

    #[test]
    fn words_about_tls_are_those_of_the_url() {
        let told = in_own_words(
            "its certificate is not valid for the host that the URL names; use the name in the certificate, or `sslmode=verify-ca`",
        );
        assert!(told.ends_with("the host that the URL names; use the name in the certificate"), "{told}");
        let told = in_own_words("the server demands a client certificate; name one that it trusts by `sslcert` and `sslkey`");
        assert!(told.ends_with("name one that it trusts by `tlsCertificateKeyFile`"), "{told}");
        assert!(!in_own_words("name the right one by `sslrootcert`").contains("ssl"));
    }
}
