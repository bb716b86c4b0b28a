//! Tries to control transactions with SQL, plainly and in disguise, and reports what each try came to.

use guests::{
    json,
    plain::{Answer, Engine, Request},
};
use serde_json::json;

guests::handler!(answer);

/// Refused as `denied` before the database sees them.
const PLAIN: &[&str] = &[
    "BEGIN",
    "begin",
    "  \n\t BEGIN",
    "/* note */ BEGIN",
    "-- note\nBEGIN",
    "BEGIN;",
    ";BEGIN",
    "COMMIT",
    "ROLLBACK",
    "END",
    "SAVEPOINT a",
    "RELEASE a",
    "RELEASE SAVEPOINT a",
    "ROLLBACK TO a",
    "BEGIN TRANSACTION",
];

const PLAIN_POSTGRES: &[&str] = &[
    "/* a /* nested */ comment */ BEGIN",
    "ABORT",
    "BEGIN WORK",
    "START TRANSACTION",
    "BEGIN ISOLATION LEVEL SERIALIZABLE",
    "COMMIT AND CHAIN",
    "PREPARE TRANSACTION 'later'",
    "COMMIT PREPARED 'later'",
    "ROLLBACK PREPARED 'later'",
];

const PLAIN_SQLITE: &[&str] = &["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "BEGIN DEFERRED TRANSACTION", "END TRANSACTION"];

/// Refused in whatever way, because it is more than one statement.
const SEVERAL: &[&str] = &[
    "SELECT 1; BEGIN",
    "BEGIN; SELECT 1/0",
    "SELECT 1; SELECT 2",
    "SELECT ';'; COMMIT",
    "SELECT 1;;BEGIN",
    "SELECT 1; -- note\nBEGIN",
];

/// What a parser may not see through; whatever the outcome, nothing may stay.
const HIDDEN: &[&str] = &[
    "DO $$ BEGIN COMMIT; END $$",
    "DO $$ BEGIN INSERT INTO notes (note) VALUES ('raw'); COMMIT; END $$",
    "DO $$ BEGIN EXECUTE 'BEGIN'; END $$",
    "DO $$ BEGIN EXECUTE 'START' || ' TRANSACTION'; END $$",
    "DO $$ BEGIN PERFORM set_config('transaction_read_only', 'off', false); ROLLBACK; END $$",
    "SELECT set_config('default_transaction_read_only', 'on', false)",
    "SELECT set_config('statement_timeout', '0', false)",
];

/// Harmless, though the words are there: these work.
const INNOCENT: &[&str] = &["SELECT 'BEGIN'", "SELECT 1 AS \"commit\"", "SELECT 1 -- ; ROLLBACK", "SELECT 'a;b'", "SELECT 1;"];

/// An object of groups, each an object: the statement, and its outcome on one leased connection.
fn answer(request: Request) -> Answer {
    let database = request.database();
    let connection = database.connect().expect("a connection");
    let postgres = database.engine() == Engine::Postgres;
    let group = |lists: &[&[&str]]| -> serde_json::Value {
        let statements = lists.iter().flat_map(|list| list.iter());
        let outcome = |sql: &&str| json::outcome(connection.query(sql, &[]), json::rows_to_json);
        statements.map(|sql| ((*sql).to_owned(), outcome(sql))).collect::<serde_json::Map<_, _>>().into()
    };
    Answer::json(&json!({
        "plain": group(&[PLAIN, if postgres { PLAIN_POSTGRES } else { PLAIN_SQLITE }]),
        "several": group(&[SEVERAL]),
        "innocent": group(&[INNOCENT]),
        "hidden": if postgres { group(&[HIDDEN]) } else { json!({}) },
    }))
}
