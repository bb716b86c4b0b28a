//! Tells which statements may leave a PostgreSQL session as it was, and what the catalog must confirm.
//!
//! It works on tokens, not on a tree, and errs to one side only: whatever is called stands before a parenthesis, whatever is read or
//! written is named, so it is enough that *every* name in the text is confirmed harmless. A name that is only a column costs a
//! look-up; a name that is also a view costs a reset.

use std::collections::BTreeSet;

use super::{
    lex::{Token, tokens},
    vocabulary::{is_harmless_function, is_syntax, moves_sequence},
};

/// A longer text, in bytes, is not looked at.
pub const MAX_BYTES: usize = 8 * 1024;
/// More names than this are not looked up.
const MAX_NAMES: usize = 128;
/// The server cuts longer names.
const MAX_NAME_BYTES: usize = 63;

/// What a statement may leave in its session.
#[derive(Clone, Debug, PartialEq)]
pub enum Class {
    /// Nothing.
    Harmless,
    /// Nothing, if the catalog confirms it.
    Conditional(Conditions),
    /// Anything.
    Unknown,
}

/// What the catalog must confirm before a statement counts as harmless. All names consist of ASCII letters, digits and underscores.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// What may be a relation, quoted for `to_regclass`: each that exists must be a plain table.
    pub relations: BTreeSet<String>,
    /// No user-defined function has one of these names.
    pub functions: BTreeSet<String>,
    /// No function at all has one of these names.
    pub not_functions: BTreeSet<String>,
    /// No user-defined type with code behind it has one of these names.
    pub names: BTreeSet<String>,
    /// No user-defined operator between built-in types is called so.
    pub operators: BTreeSet<String>,
    /// The tables must have nothing that runs when they are written.
    pub writes: bool,
    /// Among the writes is an UPDATE, which may cascade.
    pub updates: bool,
    /// Among the writes is a DELETE, which may cascade.
    pub deletes: bool,
    /// A sequence is moved, which `currval` and `lastval` would tell.
    pub moves_sequence: bool,
}

/// Classifies one statement, of which [`super::leading::check`] has seen the first words.
#[must_use]
pub fn classify(sql: &str) -> Class {
    if sql.len() > MAX_BYTES {
        return Class::Unknown;
    }
    conditions(sql).unwrap_or(Class::Unknown)
}

/// Whether an expression that the catalog shows (a default, a check, an index) calls only harmless functions; `Some(true)` when it
/// moves a sequence. User-defined functions are for the caller to exclude, by `pg_depend`.
#[must_use]
pub fn expression_moves_sequence(text: &str) -> Option<bool> {
    let mut moves = false;
    let mut called: Option<String> = None;
    for token in tokens(text) {
        match token {
            Token::Escaped | Token::Malformed | Token::Parameter => return None,
            Token::Punctuation('(') => match called.take() {
                Some(name) if moves_sequence(&name) => moves = true,
                Some(name) if !is_harmless_function(&name) && !is_syntax(&name) => return None,
                _ => {}
            },
            Token::Word(word) => called = Some(word.to_ascii_lowercase()),
            Token::Quoted(name) => called = Some(name.to_owned()),
            _ => called = None,
        }
    }
    Some(moves)
}

/// A name as the catalog holds it, if it is one that can be looked up without care for quoting.
fn fold(token: Token<'_>) -> Option<String> {
    let name = match token {
        Token::Word(word) => word.to_ascii_lowercase(),
        Token::Quoted(name) => name.to_owned(),
        _ => return None,
    };
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (plain && !name.is_empty() && name.len() <= MAX_NAME_BYTES).then_some(name)
}

/// `None` for what cannot be shown to be harmless.
fn conditions(sql: &str) -> Option<Class> {
    let all: Vec<Token<'_>> = tokens(sql).collect();
    let end = all.iter().rposition(|token| *token != Token::Punctuation(';'))? + 1;
    let start = all.iter().position(|token| !matches!(token, Token::Punctuation(';' | '(')))?;
    let word = |index: usize| match all.get(index) {
        Some(Token::Word(word)) => word.to_ascii_lowercase(),
        _ => String::new(),
    };
    match word(start).as_str() {
        "select" | "with" | "values" | "table" | "insert" | "update" | "delete" => {}
        "show" => return Some(Class::Harmless),
        _ => return None,
    }
    // What IN, BETWEEN, LIKE, DISTINCT, ORDER BY and the like use without naming it.
    let implied = ["=", "<>", "<", ">", "<=", ">=", "~", "~~", "!~~", "~~*", "!~~*"];
    let mut found = Conditions { operators: implied.map(str::to_owned).into(), ..Conditions::default() };
    // The parts of the dotted name that is being read.
    let mut chain: Vec<String> = Vec::new();
    // It began at a value: `(x).name`, `x[1].name` and `$1.name` call a function `name(x)`, built in or not.
    let mut of_a_value = false;
    for (index, token) in all[..end].iter().enumerate() {
        let after_dot = index > 0 && all[index - 1] == Token::Punctuation('.');
        match token {
            Token::Malformed | Token::Escaped => return None,
            // With `standard_conforming_strings` off it would escape the quote.
            Token::Text(text) if text.contains('\\') => return None,
            Token::Text(_) | Token::Number | Token::Parameter => {}
            Token::Punctuation(';') => return None,
            Token::Punctuation(_) => {}
            Token::Operator(name) => _ = found.operators.insert((*name).to_owned()),
            Token::Word(_) | Token::Quoted(_) => {
                let name = fold(*token)?;
                if matches!(token, Token::Word(_)) {
                    let before = word(index.wrapping_sub(1));
                    match name.as_str() {
                        "into" if before != "insert" => return None,
                        "merge" | "treat" | "operator" => return None,
                        "insert" => found.writes = true,
                        "delete" => (found.writes, found.deletes) = (true, true),
                        "update" if !matches!(before.as_str(), "for" | "key") => (found.writes, found.updates) = (true, true),
                        _ => {}
                    }
                }
                let before_dot = after_dot.then(|| index.checked_sub(2).map(|at| all[at])).flatten();
                of_a_value = match before_dot {
                    Some(Token::Word(_) | Token::Quoted(_)) => of_a_value,
                    Some(_) => true,
                    None => false,
                };
                if before_dot.is_none() {
                    chain.clear();
                }
                chain.push(name.clone());
                match chain.as_slice() {
                    [only] => _ = found.relations.insert(format!("\"{only}\"")),
                    [.., schema, table] => {
                        found.relations.insert(format!("\"{schema}\".\"{table}\""));
                        // `row.name` calls a function `name(row)` where there is one.
                        found.functions.insert(name.clone());
                    }
                    [] => {}
                }
                if of_a_value || all.get(index + 1) == Some(&Token::Punctuation('(')) {
                    if moves_sequence(&name) {
                        found.moves_sequence = true;
                        found.functions.insert(name.clone());
                    } else if is_harmless_function(&name) {
                        found.functions.insert(name.clone());
                    } else {
                        found.not_functions.insert(name.clone());
                    }
                }
                found.names.insert(name);
            }
        }
        if found.names.len() > MAX_NAMES || found.relations.len() > MAX_NAMES {
            return None;
        }
    }
    Some(Class::Conditional(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditional(sql: &str) -> Conditions {
        match classify(sql) {
            Class::Conditional(conditions) => conditions,
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_shown_harmless_is_unknown() {
        for sql in [
            "SET x = 1",
            "DO $$ BEGIN END $$",
            "CALL p()",
            "LISTEN x",
            "PREPARE x AS SELECT 1",
            "EXECUTE x",
            "CREATE TEMP TABLE t (a int)",
            "SELECT 1 INTO t",
            "WITH x AS (SELECT 1) SELECT * INTO t FROM x",
            "LOCK TABLE t",
            "EXPLAIN ANALYZE SELECT f()",
            "SELECT TREAT(1 AS pg_advisory_lock)",
            "SELECT 1 OPERATOR(public.+) 2",
            "SELECT E'a'",
            "SELECT $$a$$",
            "SELECT 'a\\'",
            "SELECT U&\"a\"",
            "SELECT \"a\u{a0}\"",
            "SELECT 1; SELECT 2",
            "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE",
            "DISCARD ALL",
        ] {
            assert_eq!(classify(sql), Class::Unknown, "{sql}");
        }
        assert_eq!(classify("SHOW search_path"), Class::Harmless);
    }

    #[test]
    fn every_name_is_up_for_confirmation() {
        let found = conditional("SELECT p.name, lower(p.city), public.f(1) FROM public.patients p WHERE id = $1 FOR UPDATE;");
        assert!(found.relations.contains("\"public\".\"patients\"") && found.relations.contains("\"p\""));
        assert!(found.functions.contains("lower") && found.functions.contains("name"));
        assert!(found.not_functions.contains("f"));
        assert!(!found.writes);
        // A carriage return ends the comment on the server, so here too.
        assert!(conditional("SELECT 1 --\r, set_config('a', 'b', false)").not_functions.contains("set_config"));
        for sql in ["SELECT (t).evil FROM t", "SELECT a[1].evil FROM t", "SELECT $1.evil", "SELECT (t).name.evil FROM t"] {
            assert!(conditional(sql).not_functions.contains("evil"), "{sql}");
        }
        assert!(conditional("SELECT (42).pg_advisory_lock").not_functions.contains("pg_advisory_lock"));
        assert!(conditional("SELECT t.name, (t).name FROM t").not_functions.is_empty());
        assert!(conditional("TABLE v").relations.contains("\"v\""));
        assert!(conditional("SELECT a +- b").operators.contains("+"));
    }

    #[test]
    fn writes_are_seen_wherever_they_stand() {
        assert!(conditional("INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET a = 1").writes);
        assert!(conditional("WITH d AS (DELETE FROM t RETURNING a) SELECT * FROM d").writes);
        assert!(conditional("UPDATE t SET a = 1").writes);
        assert!(conditional("SELECT nextval('s')").moves_sequence);
    }

    #[test]
    fn expressions_of_the_catalog() {
        assert_eq!(expression_moves_sequence("nextval('t_id_seq'::regclass)"), Some(true));
        assert_eq!(expression_moves_sequence("((age > 0) AND (lower((name)::text) <> ''::text))"), Some(false));
        assert_eq!(expression_moves_sequence("(kind = ANY (ARRAY['a'::text, 'b'::text]))"), Some(false));
        assert_eq!(expression_moves_sequence("'x'::character varying(20)"), Some(false));
        assert_eq!(expression_moves_sequence("set_config('a'::text, 'b'::text, false)"), None);
        assert_eq!(expression_moves_sequence("pg_advisory_lock((1)::bigint)"), None);
    }
}
