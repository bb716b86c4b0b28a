//! What is shown of statements, and which of them are the same.

use proptest::prelude::*;

use super::*;
use crate::driver::{ResultLimit, Statement, TransactionOptions};

const SQL: [Engine; 3] = [Engine::Postgres, Engine::Mysql, Engine::Sqlite];

fn told(engine: Engine, sql: &str) -> String {
    statement(engine, sql, usize::MAX).text
}

fn fingerprint(engine: Engine, sql: &str) -> Fingerprint {
    statement(engine, sql, usize::MAX).fingerprint
}

#[test]
fn names_stay_and_values_go_on_postgres() {
    for (sql, expected) in [
        (
            "SELECT a.\"Name\",\n b -- secret\n FROM t /* secret */ WHERE x = 'secret' AND y > 12.5e3 AND z = $1",
            "SELECT a.\"Name\", b FROM t WHERE x = ? AND y > ? AND z = $n",
        ),
        ("INSERT INTO t VALUES (E'se\\'cret', $$secret$$, U&'secret', -1)", "INSERT INTO t VALUES (?, ?, ?, ?)"),
        ("SELECT 'never ends secret", "SELECT…"),
        ("SELECT 0xDEAD_BEEF, 1_000, 2 AS a", "SELECT ?, ?, ? AS a"),
        ("SELECT 'secret'\n 'secret', a::text, b->>'secret', c - 1", "SELECT ?, a :: text, b ->> ?, c - ?"),
        ("SELECT E'secret'\n'\\' secret'", "SELECT ?…"),
        ("SELECT E'\u{3042}\\', ' secret ', '", "SELECT…"),
        ("SET my.x TO secret, \"secret\"", "SET my.x TO ?, ?"),
        ("ALTER ROLE r SET my.x = secret", "ALTER ROLE r SET my.x = ?"),
        ("SELECT a; SET my.x TO secret; SELECT b", "SELECT a; SET my.x TO ?; ?"),
        ("SELECT a; ALTER ROLE r SET my.x = secret", "SELECT a; ALTER ROLE r SET my.x = ?"),
        ("SELECT a; UPDATE t SET a = b", "SELECT a; UPDATE t SET a = b"),
        ("UPDATE t SET a = b, c = TRUE WHERE d IS NOT NULL", "UPDATE t SET a = b, c = ? WHERE d IS NOT NULL"),
        ("", ""),
    ] {
        assert_eq!(told(Engine::Postgres, sql), expected, "{sql}");
    }
}

#[test]
fn names_stay_and_values_go_on_mysql() {
    for (sql, expected) in [
        (
            "SELECT a.`it's`, @b, @@c # it's secret\n FROM t WHERE x = 'secret' AND y >= 1.5 AND z <=> ?",
            "SELECT a.`it's`, @b, @@c FROM t WHERE x = ? AND y >= ? AND z <=> ?",
        ),
        ("SELECT \"secret\", 'it''s secret', 0x1F, x'41', 1--1", "SELECT ?, ?, ?, x ?, ? - ?"),
        ("SELECT COUNT(*), NOW( ), @a := -5", "SELECT COUNT (*), NOW (), @a := ?"),
        ("SELECT 1 /* /* */, ' */ secret '", "SELECT ?, ?"),
        ("SELECT 'a\\' secret'", "SELECT…"),
        ("SELECT \"a\\\" secret\"", "SELECT…"),
        ("SELECT 1 /*! , 'secret' */", "SELECT ?…"),
        ("SELECT [it's], ' secret '", "SELECT…"),
        ("SELECT `\u{e9}`, ' `, ' secret '", "SELECT…"),
        ("SET sql_mode = secret", "SET sql_mode = ?"),
    ] {
        assert_eq!(told(Engine::Mysql, sql), expected, "{sql}");
    }
}

#[test]
fn names_stay_and_values_go_on_sqlite() {
    for (sql, expected) in [
        (
            "SELECT a.`it's`, [it's] -- it's secret\n FROM t WHERE x = 'secret' AND y > -1.5e+3 AND z = :name",
            "SELECT a.`it's`, [it's] FROM t WHERE x = ? AND y > ? AND z = ?",
        ),
        ("SELECT \"it's secret\", x'41', ?1, $a(it's)", "SELECT ?, ?, ?, ?"),
        ("SELECT 'a\\', 'secret' /* never ends", "SELECT ?, ?"),
        ("SELECT 1 /* /* */, ' */ secret '", "SELECT ?, ?"),
        ("SELECT 'never ends secret", "SELECT…"),
        ("CREATE TABLE t (a DEFAULT secret, b DEFAULT 5)", "CREATE TABLE t (a DEFAULT ?, b DEFAULT ?)"),
        ("CREATE TABLE t (a DEFAULT [the secret], b DEFAULT `secret`)", "CREATE TABLE t (a DEFAULT ?, b DEFAULT ?)"),
        ("INSERT INTO t DEFAULT VALUES", "INSERT INTO t DEFAULT VALUES"),
        ("PRAGMA a.b = secret", "PRAGMA a.b = ?"),
        ("PRAGMA a(secret)", "PRAGMA a (?)"),
        ("SELECT a; PRAGMA b(secret)", "SELECT a; PRAGMA b (?)"),
        (
            "CREATE TRIGGER a INSERT ON t BEGIN SELECT RAISE(ABORT, [the secret]) WHERE b; END",
            "CREATE TRIGGER a INSERT ON t BEGIN SELECT RAISE (?, ?) ?; ?",
        ),
        ("ATTACH secret AS b", "ATTACH ?"),
    ] {
        assert_eq!(told(Engine::Sqlite, sql), expected, "{sql}");
    }
}

/// Each was shown once, when every engine's statements were read as PostgreSQL's with its usual settings.
#[test]
fn what_one_dialect_alone_reads_so_is_no_leak() {
    for (engine, sql, expected) in [
        (Engine::Sqlite, "SELECT \"secret\"", "SELECT ?"),
        (Engine::Sqlite, "SELECT E'a\\', ' secret ' FROM t", "SELECT E ?, ? FROM t"),
        (Engine::Mysql, "SELECT $a$, ' $a$ secret '", "SELECT…"),
        (Engine::Postgres, "SELECT 'a\\' secret'", "SELECT…"),
    ] {
        assert_eq!(told(engine, sql), expected, "{engine:?}: {sql}");
    }
}

#[test]
fn statements_that_differ_in_values_have_one_fingerprint() {
    for engine in SQL {
        let first = fingerprint(engine, "SELECT a FROM t WHERE b IN (1, 2, 3) AND c = 'x'");
        for sql in [
            "SELECT a FROM t WHERE b IN (7) AND c = 'y'",
            "SELECT  a\nFROM t -- a comment\nWHERE b IN (-1,'a', 2.5, NULL) AND c = -5",
            "SELECT a FROM t WHERE b IN ((1), (2)) AND c = 'it''s' 'two'",
        ] {
            assert_eq!(fingerprint(engine, sql), first, "{engine:?}: {sql}");
        }
        for sql in [
            "SELECT a FROM t WHERE b IN (1, d) AND c = 'x'",
            "SELECT a FROM t WHERE b IN (SELECT 1) AND c = 'x'",
            "SELECT a FROM t WHERE b NOT IN (1) AND c = 'x'",
            "SELECT a FROM u WHERE b IN (1) AND c = 'x'",
            "SELECT a FROM t WHERE b IN (1) AND c = 'x",
        ] {
            assert_ne!(fingerprint(engine, sql), first, "{engine:?}: {sql}");
        }
        let rows = told(engine, "SELECT a FROM t WHERE (b, c) IN ((1, 2), (3, 4)) AND f(1, 2)");
        assert_eq!(rows, "SELECT a FROM t WHERE (b, c) IN (?, …) AND f (?, ?)");
    }
    let placeholders = |sql| fingerprint(Engine::Postgres, sql);
    assert_eq!(placeholders("SELECT 1 WHERE 1 IN ($1, $2)"), placeholders("SELECT 2 WHERE 3 IN ($1)"));
    assert_ne!(placeholders("SELECT $1"), placeholders("SELECT 1"));
}

#[test]
fn a_fingerprint_is_the_same_on_every_host() {
    let told = fingerprint(Engine::Postgres, "SELECT 1").to_string();
    // The first half of the SHA-256 of `SELECT ?`.
    assert_eq!(told, "66cbb3a40d4bbd150b75825ad291a654");
}

#[test]
fn the_verb_is_the_first_word() {
    for (sql, verb) in [
        ("select 1", "SELECT"),
        ("((SELECT 1) UNION SELECT 2)", "SELECT"),
        ("; insert into t values (1)", "INSERT"),
        ("SELECT 1; DELETE FROM t", "SELECT"),
        ("/* a */ WITH x AS (SELECT 1) SELECT 2", "WITH"),
        ("'a' SELECT", ""),
        ("a_b", ""),
        ("", ""),
    ] {
        for engine in SQL {
            assert_eq!(statement(engine, sql, 10).verb, verb, "{engine:?}: {sql}");
        }
    }
}

#[test]
fn texts_are_cut_and_their_fingerprints_are_not() {
    for engine in SQL {
        let [long, other] = ["", " a"].map(|end| statement(engine, &format!("{}{end}", "SELECT \u{e9}, ".repeat(100)), 240));
        assert!(long.text.len() <= 240 + '…'.len_utf8() && long.text.ends_with('…'), "{}", long.text);
        assert_eq!(long.text, other.text);
        assert_ne!(long.fingerprint, other.fingerprint);
        let endless = statement(engine, &"a ".repeat(1 << 20), usize::MAX).text;
        assert!(endless.len() < MAX_BYTES + 10 && endless.ends_with('…'), "{} bytes", endless.len());
    }
    assert_eq!(told(Engine::Mongodb, "it's 12 o'clock"), "it's 12 o'clock");
    assert_eq!(statement(Engine::Mongodb, &"\u{e9}".repeat(100), 9).text, "\u{e9}\u{e9}\u{e9}\u{e9}…");
}

#[test]
fn operations_without_a_text_show_nothing() {
    let limit = ResultLimit { rows: 1, bytes: 1 };
    let query = Operation::Query(Statement { sql: "SELECT 5".into(), params: vec![] }, limit);
    assert_eq!(operation(Engine::Sqlite, &query, 240), Some(statement(Engine::Sqlite, "SELECT 5", 240)));
    let begin = Operation::Begin(TransactionOptions { isolation: None, read_only: false }.into());
    for silent in [begin, Operation::Commit, Operation::Savepoint("a".into()), Operation::Fetch(1, limit)] {
        assert_eq!(operation(Engine::Sqlite, &silent, 240), None, "{silent:?}");
    }
}

proptest! {
    #[test]
    fn whatever_a_guest_sends_is_one_line(sql in "([ -~\u{e9}]|[\\x00-\\x1f\\x7f]|['\"`$\\[\\]\\\\(),@:?xXeE0-9.-]){0,60}") {
        for engine in SQL {
            let Redacted { text, .. } = statement(engine, &sql, 40);
            prop_assert!(text.len() <= 43 && !text.contains(char::is_control), "{engine:?}: {text:?}");
        }
    }
}
