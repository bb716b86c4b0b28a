//! Residue on SQLite, where a session has less to leave: settings and transactions are refused as SQL, and there are no functions.

use std::path::Path;

use wharf::driver::{
    settings::{Access, Settings as DriverSettings},
    sqlite::Sqlite,
};

use super::{Bed, Fate, SITUATIONS, Settings, Situation, TRANSACTION, Via, begin, query, run};

const SCHEMA: &[&str] = &[
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT)",
    "CREATE TABLE log (id INTEGER PRIMARY KEY, note TEXT)",
    "CREATE TRIGGER logged AFTER INSERT ON notes BEGIN INSERT INTO log (id, note) VALUES (NEW.id + 1000000, NEW.note); END",
    "CREATE VIEW shown AS SELECT id, note FROM notes",
    "CREATE TRIGGER through INSTEAD OF INSERT ON shown BEGIN INSERT INTO notes (id, note) VALUES (NEW.id, NEW.note); END",
];

async fn bed(folder: &Path) -> Bed {
    let settings = DriverSettings { access: Access::ReadWrite, ..DriverSettings::default() };
    let url = format!("sqlite://{}?mode=rwc", folder.join("residue.db").display());
    let bed = Bed::new(Sqlite::new(&url, settings).unwrap(), Settings::default()).await;
    for sql in SCHEMA {
        let hold = bed.borrow_it().await;
        query(&hold, Via::Connection, sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    bed
}

#[tokio::test]
async fn nothing_of_a_borrower_reaches_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let bed = bed(folder.path()).await;
    let temporary = "SELECT count(*) FROM sqlite_temp_schema WHERE name = 'left_over'";
    let last_key = "SELECT last_insert_rowid()";
    let changes = "SELECT changes(), total_changes()";
    let table = [
        ("table", "CREATE TEMP TABLE left_over (id int)", temporary, Fate::Replaced),
        ("table from a query", "CREATE TEMP TABLE left_over AS SELECT 1", temporary, Fate::Replaced),
        ("view", "CREATE TEMP VIEW left_over AS SELECT 1", temporary, Fate::Replaced),
        ("trigger", "CREATE TEMP TRIGGER left_over AFTER INSERT ON log BEGIN DELETE FROM log; END", temporary, Fate::Replaced),
        ("key by plain SQL", "INSERT INTO log (note) VALUES ('a')", last_key, Fate::Kept),
        ("key with a trigger", "INSERT INTO notes (note) VALUES ('a')", last_key, Fate::Kept),
        ("key in a trigger", "INSERT INTO shown (note) VALUES ('a')", last_key, Fate::Kept),
        ("key returned", "INSERT INTO notes (note) VALUES ('a') RETURNING id", last_key, Fate::Kept),
        ("changes by plain SQL", "UPDATE log SET note = 'b'", changes, Fate::Kept),
        ("changes with a trigger", "INSERT INTO notes (note) VALUES ('a'), ('b')", changes, Fate::Kept),
    ];
    let mut failed = Vec::new();
    for (name, sql, probe, fate) in table {
        let fresh = bed.seen(probe).await;
        for situation in SITUATIONS {
            // What was made in a transaction is gone with it.
            let fate = if situation == Situation::Dropped { Fate::Kept } else { fate };
            // A key that a trigger made is forgotten when the trigger ends, so it never shows; the next borrower must not see it either.
            let mut left = bed.leave(sql, situation, probe).await.unwrap();
            if name == "key in a trigger" {
                left.own = None;
            }
            if let Err(why) = left.check(&fresh, fate) {
                failed.push(format!("{name}, {situation:?}: {why}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    bed.close().await;
}

#[tokio::test]
async fn a_transaction_or_cursor_that_was_left_open_is_gone_with_its_locks() {
    let folder = tempfile::tempdir().unwrap();
    let bed = bed(folder.path()).await;
    let probe = "SELECT count(*) FROM notes";
    let fresh = bed.seen(probe).await;
    for sql in ["INSERT INTO notes (note) VALUES ('a')", "CREATE TEMP TABLE left_over (id int)", "DROP TABLE log"] {
        let hold = bed.borrow_it().await;
        let opened = bed.opened();
        run(&hold, TRANSACTION, begin()).await.unwrap();
        query(&hold, TRANSACTION, sql).await.unwrap();
        let cursor = Via::Cursor { transaction: 1, cursor: 1 };
        run(&hold, cursor, super::Operation::OpenCursor(1, super::statement("SELECT 1 UNION SELECT 2").into())).await.unwrap();
        run(&hold, cursor, super::Operation::Fetch(1, super::ResultLimit { rows: 1, bytes: 100 })).await.unwrap();
        drop(hold);
        assert_eq!((bed.seen(probe).await, bed.opened()), (fresh.clone(), opened), "{sql}");
        // Another writer gets in at once: no lock was left.
        let path = folder.path().join("residue.db");
        let mut other = sqlx::ConnectOptions::connect(&sqlx::sqlite::SqliteConnectOptions::new().filename(path)).await.unwrap();
        sqlx::raw_sql("PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE; ROLLBACK").execute(&mut other).await.unwrap();
        sqlx::Connection::close(other).await.unwrap();
    }
    bed.close().await;
}

#[tokio::test]
async fn settings_and_transactions_are_refused_as_sql() {
    let folder = tempfile::tempdir().unwrap();
    let bed = bed(folder.path()).await;
    let hold = bed.borrow_it().await;
    for sql in [
        "PRAGMA foreign_keys = OFF",
        "PRAGMA recursive_triggers = ON",
        "PRAGMA query_only = ON",
        "PRAGMA case_sensitive_like = ON",
        "PRAGMA busy_timeout = 0",
        "PRAGMA locking_mode = EXCLUSIVE",
        "PRAGMA temp_store = MEMORY",
        "PRAGMA defer_foreign_keys = ON",
        "ATTACH 'other.db' AS other",
        "BEGIN",
        "SAVEPOINT a",
        "BEGIN; SELECT 1/0",
    ] {
        query(&hold, Via::Connection, sql).await.expect_err(sql);
    }
    drop(hold);
    let opened = bed.opened();
    assert_eq!(bed.seen("SELECT 1").await, bed.seen("SELECT 1").await);
    assert_eq!(bed.opened(), opened);
    bed.close().await;
}
