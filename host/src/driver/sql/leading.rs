//! Refuses, by its first words, a statement that a guest may not send.

use super::lex::{Token, tokens};
use crate::driver::{Failure, FailureKind, settings::Access};

/// Words that are looked at; enough for `SET SESSION SESSION CHARACTERISTICS`.
const LOOKED_AT: usize = 4;

/// Checks a guest's statement before anything is sent.
///
/// # Errors
/// [`FailureKind::Denied`] for transaction control and for `COPY`, and with read-only access for statements that would widen the
/// transaction; [`FailureKind::Invalid`] for a text without a statement, or one that no statement can be.
pub fn check(sql: &str, access: Access) -> Result<(), Failure> {
    if sql.contains('\0') {
        return Err(Failure::new(FailureKind::Invalid, "SQL cannot contain a NUL character"));
    }
    let mut words = Vec::with_capacity(LOOKED_AT);
    // The server skips empty statements before the first one, and parentheses before a SELECT.
    let mut tokens = tokens(sql).skip_while(|token| matches!(token, Token::Punctuation(';' | '('))).peekable();
    match tokens.peek() {
        None => return Err(Failure::new(FailureKind::Invalid, "there is no statement")),
        Some(Token::Malformed) => {
            return Err(Failure::new(FailureKind::Invalid, "a comment, a string or a quoted name never ends"));
        }
        Some(_) => {}
    }
    while let (Some(Token::Word(word)), true) = (tokens.next(), words.len() < LOOKED_AT) {
        words.push(word.to_ascii_uppercase());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE", ..]
        | ["PREPARE", "TRANSACTION", ..] => {
            Err(Failure::new(FailureKind::Denied, format!("{} is not sent as SQL; use the functions of `transaction`", words[0])))
        }
        // Its data would flow beside the answers, in messages that neither side here speaks.
        ["COPY", ..] => Err(Failure::new(FailureKind::Denied, "COPY cannot be used here; use `execute-many` or a cursor")),
        ["SET", rest @ ..] if access == Access::ReadOnly && sets_transaction(rest) => {
            Err(Failure::new(FailureKind::Denied, "the grant is read-only, so transactions stay read-only"))
        }
        _ => Ok(()),
    }
}

fn sets_transaction(rest: &[&str]) -> bool {
    match rest {
        ["SESSION", "CHARACTERISTICS", ..] => true,
        ["SESSION" | "LOCAL", rest @ ..] => sets_transaction(rest),
        ["TRANSACTION" | "TRANSACTION_READ_ONLY" | "DEFAULT_TRANSACTION_READ_ONLY", ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(sql: &str, access: Access) -> Option<FailureKind> {
        check(sql, access).err().map(|failure| failure.kind)
    }

    #[test]
    fn transaction_control_is_refused_in_every_spelling() {
        for sql in [
            "BEGIN",
            "begin",
            "BeGiN;",
            " \t\n BEGIN",
            "BEGIN ISOLATION LEVEL SERIALIZABLE",
            "START TRANSACTION",
            "COMMIT",
            "COMMIT AND CHAIN",
            "COMMIT PREPARED 'x'",
            "END",
            "END WORK",
            "ROLLBACK",
            "ROLLBACK TO SAVEPOINT s",
            "ROLLBACK PREPARED 'x'",
            "ABORT",
            "SAVEPOINT s",
            "RELEASE SAVEPOINT s",
            "PREPARE TRANSACTION 'x'",
            "PREPARE/**/TRANSACTION 'x'",
            "/* a /* nested */ one */COMMIT",
            "-- a line\nCOMMIT",
            "-- a line\rCOMMIT",
            ";COMMIT",
            " ; /**/ ; ROLLBACK",
            "COMMIT/**/",
            "COPY t FROM STDIN",
            "/**/copy (SELECT 1) TO STDOUT",
        ] {
            assert_eq!(kind(sql, Access::ReadWrite), Some(FailureKind::Denied), "{sql}");
        }
    }

    #[test]
    fn what_only_looks_like_transaction_control_passes() {
        for sql in [
            "SELECT 'BEGIN'",
            "\"begin\"",
            "PREPARE x AS SELECT 1",
            "DO $$ BEGIN END $$",
            "(SELECT 1)",
            "SET LOCAL work_mem = '1MB'",
            "SET TRANSACTION READ ONLY",
        ] {
            assert_eq!(kind(sql, Access::ReadWrite), None, "{sql}");
        }
    }

    #[test]
    fn a_read_only_grant_cannot_widen_its_transaction() {
        for sql in [
            "SET TRANSACTION READ WRITE",
            "set local transaction read write",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            "SET SESSION SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            "SET transaction_read_only = off",
            "SET SESSION default_transaction_read_only TO off",
        ] {
            assert_eq!(kind(sql, Access::ReadOnly), Some(FailureKind::Denied), "{sql}");
        }
        assert_eq!(kind("SET TimeZone = 'UTC'", Access::ReadOnly), None);
    }

    #[test]
    fn nothing_to_run_is_invalid() {
        for sql in ["", "  ", ";", "-- only a comment", "/* and */ ;", "/* open", "SELECT 1\0; COMMIT"] {
            assert_eq!(kind(sql, Access::ReadWrite), Some(FailureKind::Invalid), "{sql:?}");
        }
    }
}
