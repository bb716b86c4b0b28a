//! What can be told from a statement's text: whether a guest may send it, whether it may end a transaction, what it may leave behind.

use std::collections::BTreeSet;

use super::{
    lex::{Token, tokens},
    vocabulary::{is_harmless_function, is_syntax},
};
use crate::driver::{Failure, FailureKind, settings::Access};

/// A longer text, in bytes, is not classified.
pub(super) const MAX_BYTES: usize = 8 * 1024;
/// More names than this are not looked up.
const MAX_NAMES: usize = 128;

/// What a statement may do to an open transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// Nothing: the server lets neither stored functions nor triggers commit.
    Data,
    /// It commits by itself.
    Commits,
    /// Anything; the server must be asked afterwards.
    Doubtful,
}

/// What a statement may leave in its session.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Class {
    /// Nothing but what the catalog must deny.
    Conditional(Conditions),
    /// Anything.
    Unknown,
}

/// What the catalog must confirm before a statement counts as harmless. All names are of ASCII letters, digits and underscores.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Conditions {
    /// May be relations of the session's database.
    pub(super) names: BTreeSet<String>,
    /// May be relations of another.
    pub(super) qualified: BTreeSet<(String, String)>,
    /// Rows are written, which runs triggers and is remembered by `LAST_INSERT_ID()`.
    pub(super) writes: bool,
    /// It may show what the statement before it has left, such as warnings.
    pub(super) looks: bool,
    /// It certainly uses a table, derived or not: then the server first forgets the warnings of the statement before.
    pub(super) uses_table: bool,
}

fn refused(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure::new(kind, message)
}

/// Checks a guest's statement before anything is sent.
///
/// # Errors
/// [`FailureKind::Denied`] for transaction control, and with read-only access for what would widen the transaction;
/// [`FailureKind::Invalid`] for a text without a statement.
pub(super) fn check(sql: &str, access: Access) -> Result<Nature, Failure> {
    if sql.contains('\0') {
        return Err(refused(FailureKind::Invalid, "SQL cannot contain a NUL character"));
    }
    let mut all = tokens(sql).skip_while(|token| matches!(token, Token::Other(';' | '(')));
    let first = match all.next() {
        None => return Err(refused(FailureKind::Invalid, "there is no statement")),
        Some(Token::Malformed) => {
            return Err(refused(FailureKind::Invalid, "a comment, a string or a quoted name never ends"));
        }
        Some(Token::Doubt) => {
            return Err(refused(FailureKind::Denied, "a statement cannot begin with an executable comment here"));
        }
        Some(Token::Word(word)) => word.to_ascii_uppercase(),
        Some(_) => return Ok(Nature::Doubtful),
    };
    let mut word = || match all.next() {
        Some(Token::Word(word) | Token::Quoted(word)) => word.to_ascii_uppercase(),
        _ => String::new(),
    };
    Ok(match first.as_str() {
        "BEGIN" | "START" | "END" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "XA" => {
            let message = format!("{first} is not sent as SQL; use the functions of `transaction`");
            return Err(refused(FailureKind::Denied, message));
        }
        // Whoever changes the password of the session's user keeps the host out.
        "SET" | "ALTER" if matches!(word().as_str(), "PASSWORD" | "USER") => {
            return Err(refused(FailureKind::Denied, "users and their passwords are not changed from here"));
        }
        "SET" => {
            sets(sql, access)?;
            Nature::Doubtful
        }
        "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "WITH" | "VALUES" | "TABLE" | "SHOW" | "DESC" | "DESCRIBE"
        | "EXPLAIN" | "USE" | "DO" => Nature::Data,
        // A temporary table is made and dropped within a transaction.
        "CREATE" | "DROP" => match word().as_str() {
            "TEMPORARY" => Nature::Doubtful,
            "OR" if word() == "REPLACE" && word() == "TEMPORARY" => Nature::Doubtful,
            _ => Nature::Commits,
        },
        // `ANALYZE SELECT` is a query.
        "ANALYZE" => match word().as_str() {
            "TABLE" | "TABLES" | "LOCAL" | "NO_WRITE_TO_BINLOG" => Nature::Commits,
            _ => Nature::Doubtful,
        },
        "ALTER" | "RENAME" | "TRUNCATE" | "GRANT" | "REVOKE" | "LOCK" | "UNLOCK" | "OPTIMIZE" | "REPAIR" | "CHECK" | "CACHE"
        | "INSTALL" | "UNINSTALL" | "FLUSH" | "RESET" | "PURGE" | "CHANGE" | "STOP" | "SHUTDOWN" | "IMPORT" | "CLONE"
        | "BACKUP" => Nature::Commits,
        _ => Nature::Doubtful,
    })
}

/// Refuses to change how transactions begin and end.
fn sets(sql: &str, access: Access) -> Result<(), Failure> {
    for token in tokens(sql) {
        let (Token::Word(word) | Token::Quoted(word)) = token else { continue };
        match word.to_ascii_lowercase().as_str() {
            "autocommit" | "completion_type" => {
                let message = format!("{word} is the host's to set; use the functions of `transaction`");
                return Err(refused(FailureKind::Denied, message));
            }
            "transaction" | "transaction_read_only" | "tx_read_only" if access == Access::ReadOnly => {
                return Err(refused(FailureKind::Denied, "the grant is read-only, so transactions stay read-only"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Classifies a statement that [`check`] let pass.
///
/// It errs to one side only: whatever is called stands before a parenthesis, whatever is read or written is named, so it is enough that
/// every name is confirmed to be a plain table or none.
pub(super) fn classify(sql: &str) -> Class {
    if sql.len() > MAX_BYTES {
        return Class::Unknown;
    }
    conditions(sql).map_or(Class::Unknown, Class::Conditional)
}

/// A name as it can be looked up without care for quoting; the catalog compares without case.
fn fold(name: &str) -> Option<String> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (plain && !name.is_empty() && name.len() <= 64).then(|| name.to_ascii_lowercase())
}

/// `None` for what cannot be shown to be harmless.
fn conditions(sql: &str) -> Option<Conditions> {
    let all: Vec<Token<'_>> = tokens(sql).collect();
    let end = all.iter().rposition(|token| *token != Token::Other(';'))? + 1;
    let all = &all[..end];
    let start = all.iter().position(|token| *token != Token::Other('('))?;
    let word = |index: usize| match all.get(index) {
        Some(Token::Word(word)) => word.to_ascii_lowercase(),
        _ => String::new(),
    };
    match word(start).as_str() {
        "select" | "with" | "values" | "table" | "insert" | "replace" | "update" | "delete" | "show" => {}
        _ => return None,
    }
    let mut found = Conditions {
        writes: matches!(word(start).as_str(), "insert" | "replace" | "update" | "delete"),
        looks: word(start) == "show",
        uses_table: word(start) == "table",
        ..Default::default()
    };
    // In parentheses FROM may be part of an expression, such as `TRIM('a' FROM b)`.
    let mut depth = 0_usize;
    // The parts of the dotted name that is being read, and whether it may be a table with a list of its columns behind it.
    let mut chain: Vec<String> = Vec::new();
    let mut table = false;
    for (index, token) in all.iter().enumerate() {
        let before = |steps: usize| index.checked_sub(steps).and_then(|at| all.get(at));
        match token {
            Token::TextOrName | Token::Doubt | Token::Malformed | Token::UserVariable | Token::Other(';') => return None,
            Token::SystemVariable => found.looks = true,
            Token::Call | Token::Other('(') => depth += 1,
            Token::Other(')') => depth = depth.saturating_sub(1),
            Token::Text | Token::Number | Token::Parameter | Token::Other(_) => {}
            Token::Word(name) | Token::Quoted(name) => {
                let bare = matches!(token, Token::Word(_));
                let name = fold(name)?;
                if before(1) == Some(&Token::SystemVariable) {
                    continue;
                }
                if before(1) != Some(&Token::Other('.')) {
                    chain.clear();
                    table = matches!(
                        word(index.wrapping_sub(1)).as_str(),
                        "into" | "insert" | "replace" | "ignore" | "low_priority" | "high_priority" | "delayed"
                    );
                }
                if bare && chain.is_empty() {
                    match name.as_str() {
                        "from" if depth == 0 => found.uses_table |= word(index + 1) != "dual",
                        // Only INSERT and REPLACE write into tables; SELECT into variables and files.
                        "into" if !table => return None,
                        "procedure" | "handler" | "nextval" | "setval" => return None,
                        "update" if word(index.wrapping_sub(1)) == "for" => {}
                        "update" | "delete" | "insert" => found.writes = true,
                        _ => {}
                    }
                }
                chain.push(name.clone());
                let next = all.get(index + 1);
                if matches!(next, Some(Token::Call | Token::Other('('))) && !table {
                    let function = next == Some(&Token::Call) && is_harmless_function(&name);
                    // MariaDB takes it for a name elsewhere, and has `MATCH (…)` before it here.
                    let against = name == "against" && before(1) == Some(&Token::Other(')'));
                    if !bare || chain.len() > 1 || !(function || against || is_syntax(&name)) {
                        // `LAST_INSERT_ID(…)` only moves what a write moves too.
                        if bare && chain.len() == 1 && name == "last_insert_id" {
                            found.writes = true;
                        } else {
                            return None;
                        }
                    }
                }
                match chain.as_slice() {
                    [only] => _ = found.names.insert(only.clone()),
                    [.., schema, relation] => _ = found.qualified.insert((schema.clone(), relation.clone())),
                    [] => {}
                }
            }
        }
        if found.names.len() + found.qualified.len() > MAX_NAMES {
            return None;
        }
    }
    found.uses_table |= found.writes;
    Some(found)
}

/// Whether an expression that the catalog shows (a default, a generated column) calls only harmless functions.
pub(super) fn is_harmless_expression(text: &str) -> bool {
    let mut called: Option<String> = None;
    tokens(text).all(|token| match token {
        Token::Malformed | Token::UserVariable | Token::TextOrName | Token::Doubt => false,
        Token::Word(word) | Token::Quoted(word) => {
            called = Some(word.to_ascii_lowercase());
            true
        }
        Token::Call | Token::Other('(') => called.take().is_none_or(|name| is_harmless_function(&name) || is_syntax(&name)),
        _ => {
            called = None;
            true
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nature(sql: &str) -> Result<Nature, FailureKind> {
        check(sql, Access::ReadWrite).map_err(|failure| failure.kind)
    }

    #[test]
    fn transaction_control_is_refused_in_every_spelling() {
        for sql in [
            "BEGIN",
            "begin not atomic select 1; end",
            "START TRANSACTION",
            " \t\n COMMIT",
            "# a line\nCOMMIT AND CHAIN",
            "-- a line\nROLLBACK",
            "/* one */SAVEPOINT s",
            "(((RELEASE SAVEPOINT s",
            "XA START 'x'",
            "/*!COMMIT*/",
            "/*!50000 COMMIT */",
            "/*M! COMMIT */",
            "SET autocommit = 0",
            "SET @@session.AutoCommit = 0",
            "SET SESSION `completion_type` = 1",
            "SET sql_mode = '', autocommit = 1",
        ] {
            assert_eq!(nature(sql), Err(FailureKind::Denied), "{sql}");
        }
    }

    #[test]
    fn what_ends_a_transaction_is_known_or_doubtful() {
        for sql in [
            "CREATE TABLE t (a INT)",
            "drop table t",
            "ALTER TABLE t ADD b INT",
            "TRUNCATE t",
            "LOCK TABLES t READ",
            "ANALYZE TABLE t",
        ] {
            assert_eq!(nature(sql), Ok(Nature::Commits), "{sql}");
        }
        for sql in [
            "CALL p()",
            "EXECUTE IMMEDIATE 'COMMIT'",
            "IF 1 THEN COMMIT; END IF",
            "x: LOOP",
            "SET ROLE r",
            "CREATE TEMPORARY TABLE t (a INT)",
        ] {
            assert_eq!(nature(sql), Ok(Nature::Doubtful), "{sql}");
        }
        for sql in ["SELECT 1", "(SELECT 1)", "insert into t values (1)", "WITH x AS (SELECT 1) SELECT * FROM x", "SHOW TABLES"] {
            assert_eq!(nature(sql), Ok(Nature::Data), "{sql}");
        }
        for sql in ["", " ; ", "# only a comment", "/* open", "SELECT 1\0"] {
            assert_eq!(nature(sql), Err(FailureKind::Invalid), "{sql:?}");
        }
        let read_only = |sql| check(sql, Access::ReadOnly).map_err(|failure| failure.kind);
        assert_eq!(read_only("SET SESSION TRANSACTION READ WRITE"), Err(FailureKind::Denied));
        assert_eq!(read_only("SET @@tx_read_only = 0"), Err(FailureKind::Denied));
    }

    #[test]
    fn what_cannot_be_shown_harmless_is_unknown() {
        for sql in [
            "SET x = 1",
            "DO GET_LOCK('a', 1)",
            "SELECT GET_LOCK('a', 1)",
            "SELECT get_lock ('a', 1)",
            "SELECT `get_lock`('a', 1)",
            "SELECT d.f(1)",
            "SELECT f(1)",
            "SELECT @a := 1",
            "SELECT 1 INTO @a",
            "SELECT 1 INTO OUTFILE '/tmp/x'",
            "SELECT 'a\\' , GET_LOCK('a', 1), '",
            "SELECT /*! GET_LOCK('a', 1) */ 1",
            "SELECT /*!GET_LOCK('a', 1),*/ 1",
            "SELECT \"a\"",
            "SELECT NEXTVAL(s)",
            "CALL p()",
            "PREPARE x FROM 'SELECT 1'",
            "CREATE TEMPORARY TABLE t (a INT)",
            "HANDLER t OPEN",
            "USE d",
            "LOCK TABLES t READ",
            "SELECT 1; SELECT 2",
            "INSERT INTO t SELECT f(1)",
            "SELECT count (a) FROM t",
            "SELECT CAST (1) FROM t",
            "SELECT any_value(a), against(1) FROM t",
            "SELECT * FROM t PROCEDURE ANALYSE()",
            "SELECT na\u{ef}ve FROM t",
        ] {
            assert_eq!(classify(sql), Class::Unknown, "{sql}");
        }
    }

    #[test]
    fn every_name_is_up_for_confirmation() {
        let conditional = |sql: &str| match classify(sql) {
            Class::Conditional(conditions) => conditions,
            Class::Unknown => panic!("{sql}"),
        };
        let found = conditional(
            "SELECT p.name, LOWER(p.city) FROM clinic.patients p JOIN `visits` v USING (id) WHERE p.id = ? FOR UPDATE;",
        );
        assert!(found.qualified.contains(&("clinic".into(), "patients".into())) && found.names.contains("visits"));
        assert!(!found.writes);
        for sql in [
            "INSERT INTO t (a, b) VALUES (?, ?) ON DUPLICATE KEY UPDATE a = VALUES(a)",
            "INSERT IGNORE t(a) VALUES (1)",
            "INSERT INTO d.t (a) SELECT COUNT(*) FROM u",
            "REPLACE INTO t VALUES (NOW(), 1)",
            "UPDATE t SET a = a + 1 WHERE b IN (1, 2)",
            "DELETE FROM t WHERE a = ? LIMIT 1",
            "SELECT LAST_INSERT_ID()",
        ] {
            assert!(conditional(sql).writes, "{sql}");
        }
        assert!(!conditional("SELECT @@version, 'it''s' -- x\n, 1--1").writes);
        assert!(!conditional("SELECT a FROM t WHERE MATCH (a) AGAINST ('b' IN BOOLEAN MODE)").writes);
        assert!(conditional("WITH x AS (SELECT 1 AS a) SELECT * FROM x UNION ALL SELECT IF(1, 2, 3)").names.contains("x"));
    }

    #[test]
    fn expressions_of_the_catalog() {
        for text in ["current_timestamp()", "uuid()", "`a` + 1", "'x'", "concat(`a`,' ',`b`)", "(1 + 2)"] {
            assert!(is_harmless_expression(text), "{text}");
        }
        for text in ["nextval(`d`.`s`)", "get_lock('a',1)", "(@a := 1)", "'a\\'"] {
            assert!(!is_harmless_expression(text), "{text}");
        }
    }
}
