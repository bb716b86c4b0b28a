//! What a guest's SQL may not do, on either kind of session.

use super::*;

/// Runs SQL as a query, as an execution, as a cursor: whatever way it goes, how did it fail?
async fn refused(session: &mut Box<dyn Connection>, sql: &str) -> [Failure; 3] {
    let as_query = query(session, sql, []).await.map(|_| ()).unwrap_err();
    let as_execution = execute(session, sql, []).await.map(|_| ()).unwrap_err();
    session.run(begin(true)).await.unwrap();
    let opened = session.run(Operation::OpenCursor(1, statement(sql, []).into())).await;
    let as_cursor = match opened {
        Ok(_) => session.run(Operation::Fetch(1, PLENTY)).await.unwrap_err(),
        Err(failure) => failure,
    };
    session.run(Operation::Rollback).await.unwrap();
    [as_query, as_execution, as_cursor]
}

#[tokio::test]
async fn a_read_only_session_cannot_write_in_any_way() {
    let file = File::new().await;
    let mut writer = file.writer().await;
    fill(&mut writer, 3).await;
    execute(&mut writer, "CREATE VIRTUAL TABLE notes USING fts5(body)", []).await.unwrap();
    execute(&mut writer, "INSERT INTO notes VALUES ('hello')", []).await.unwrap();
    let folder = file.folder.path().display();
    let mut session = file.reader().await;
    for sql in [
        "INSERT INTO patients (record_number) VALUES ('x')",
        "INSERT INTO patients (record_number) VALUES ('x') RETURNING id",
        "REPLACE INTO patients (id, record_number) VALUES (1, 'x')",
        "INSERT INTO patients (id, record_number) VALUES (1, 'x') ON CONFLICT DO UPDATE SET name = 'x'",
        "UPDATE patients SET name = 'x'",
        "DELETE FROM patients",
        "WITH gone AS (SELECT id FROM patients) DELETE FROM patients WHERE id IN gone RETURNING id",
        "INSERT INTO notes VALUES ('bye')",
        "INSERT INTO notes (notes) VALUES ('rebuild')",
        "CREATE TABLE t (a)",
        "CREATE TABLE t AS SELECT * FROM patients",
        "CREATE TEMP TABLE t (a)",
        "CREATE TEMP VIEW v AS SELECT 1",
        "CREATE TEMP TRIGGER g AFTER INSERT ON patients BEGIN SELECT 1; END",
        "CREATE VIEW v AS SELECT 1",
        "CREATE INDEX i ON patients (name)",
        "CREATE TRIGGER g AFTER INSERT ON patients BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE f USING fts5(a)",
        "DROP TABLE visits",
        "ALTER TABLE patients ADD COLUMN x",
        "ALTER TABLE patients RENAME TO people",
        "REINDEX",
        "ANALYZE",
        "VACUUM",
        &format!("VACUUM INTO '{folder}/copy.db'"),
        &format!("ATTACH '{folder}/other.db' AS other"),
        &format!("ATTACH 'file:{folder}/clinic.db?mode=rw' AS other"),
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "PRAGMA query_only = 0",
        "PRAGMA writable_schema = 1",
        "PRAGMA user_version = 1",
        "PRAGMA main.user_version(1)",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA optimize",
        "PRAGMA incremental_vacuum",
        "BEGIN IMMEDIATE",
        "COMMIT",
        "SAVEPOINT s",
    ] {
        for failure in refused(&mut session, sql).await {
            assert_eq!((failure.kind, failure.lost), (FailureKind::Denied, false), "{sql}: {failure}");
        }
    }
    for sql in [
        "SELECT load_extension('x')",
        "SELECT writefile('x', 'y')",
        "SELECT edit('x')",
        "SELECT wharf_session()",
        "UPDATE sqlite_schema SET sql = ''",
    ] {
        for failure in refused(&mut session, sql).await {
            assert!(matches!(failure.kind, FailureKind::Denied | FailureKind::Invalid), "{sql}: {failure}");
        }
    }
    session.run(begin(false)).await.unwrap();
    assert_eq!(execute(&mut session, "DELETE FROM patients", []).await.unwrap_err().kind, FailureKind::Denied);
    session.run(Operation::Rollback).await.unwrap();
    session.reset().await.unwrap();
    // Reading works, and finds everything as it was.
    assert_eq!(number(&mut session, "SELECT count(*) FROM patients").await, 3);
    assert_eq!(number(&mut session, "SELECT count(*) FROM notes WHERE notes MATCH 'hello'").await, 1);
    assert_eq!(number(&mut writer, "SELECT count(*) FROM sqlite_schema WHERE name IN ('t', 'v', 'i', 'g', 'f')").await, 0);
    assert_eq!(number(&mut writer, "PRAGMA user_version").await, 0);
    let files: Vec<_> = file.folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(files.iter().all(|name| name.to_string_lossy().starts_with("clinic.db")), "{files:?}");
}

#[tokio::test]
async fn a_writing_session_stays_within_its_file_and_its_transaction() {
    let file = File::new().await;
    let folder = file.folder.path().display();
    let mut session = file.writer().await;
    for sql in [
        &format!("ATTACH '{folder}/other.db' AS other"),
        "ATTACH '' AS other",
        "DETACH main",
        "VACUUM",
        &format!("VACUUM INTO '{folder}/copy.db'"),
        "BEGIN",
        "begin immediate",
        "/* hidden */ BEGIN -- here",
        "; BEGIN",
        "COMMIT",
        "END TRANSACTION",
        "ROLLBACK",
        "ROLLBACK TO s",
        "SAVEPOINT s",
        "RELEASE s",
        "EXPLAIN BEGIN",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA trusted_schema = ON",
        "PRAGMA writable_schema = ON",
        "PRAGMA temp_store_directory = '/'",
        "PRAGMA journal_mode = OFF",
        "PRAGMA locking_mode = EXCLUSIVE",
        "PRAGMA busy_timeout = 100000",
        "PRAGMA cache_size = 1000000000",
        "PRAGMA hard_heap_limit = 1",
        "PRAGMA database_list",
        "SELECT file FROM pragma_database_list",
        "PRAGMA main.user_version = 7",
        "PRAGMA mmap_size = 1",
        "CREATE VIRTUAL TABLE d USING dbstat",
    ] {
        for failure in refused(&mut session, sql).await {
            assert_eq!((failure.kind, failure.lost), (FailureKind::Denied, false), "{sql}: {failure}");
        }
    }
    assert!(!session.needs_reset() || session.reset().await.is_ok());
    let files: Vec<_> = file.folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(files.iter().all(|name| name.to_string_lossy().starts_with("clinic.db")), "{files:?}");
}

#[tokio::test]
async fn the_schema_can_be_read_and_changed() {
    let file = File::new().await;
    let mut session = file.writer().await;
    for sql in [
        "CREATE INDEX by_name ON patients (name)",
        "CREATE TRIGGER g AFTER INSERT ON patients BEGIN UPDATE patients SET name = 'x'; DELETE FROM visits; END",
        "CREATE VIEW names AS SELECT name FROM patients",
        "ALTER TABLE patients ADD COLUMN phone TEXT",
        "CREATE VIRTUAL TABLE notes USING fts5(body)",
        "INSERT INTO notes VALUES ('hello world')",
        "INSERT INTO notes VALUES ('hello again')",
        "CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1)",
        "INSERT INTO boxes VALUES (1, 0, 1)",
        "ANALYZE",
        "REINDEX by_name",
        "DROP VIEW names",
        "DROP TABLE notes",
    ] {
        execute(&mut session, sql, []).await.unwrap_or_else(|failure| panic!("{sql}: {failure}"));
    }
    let mut reader = file.reader().await;
    for sql in [
        "PRAGMA table_info(patients)",
        "PRAGMA table_xinfo('patients')",
        "PRAGMA index_list(patients)",
        "PRAGMA foreign_key_list(visits)",
        "SELECT name FROM pragma_table_info('patients')",
        "PRAGMA user_version",
        "PRAGMA foreign_key_check",
        "EXPLAIN QUERY PLAN SELECT 1",
        "EXPLAIN SELECT 1",
    ] {
        for session in [&mut session, &mut reader] {
            query(session, sql, []).await.unwrap_or_else(|failure| panic!("{sql}: {failure}"));
        }
    }
}

#[tokio::test]
async fn temporary_objects_cost_the_session() {
    let file = File::new().await;
    for sql in [
        "CREATE TEMP TABLE t (a)",
        "CREATE TABLE temp.t (a)",
        "CREATE TABLE TEMP.t AS SELECT 1",
        "CREATE TEMP VIEW t AS SELECT 1",
        "CREATE VIEW temp.t AS SELECT 1",
        "CREATE TRIGGER temp.t AFTER INSERT ON patients BEGIN SELECT 1; END",
        "CREATE TEMP TRIGGER t AFTER INSERT ON patients BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE temp.t USING fts5(a)",
    ] {
        let mut session = file.writer().await;
        execute(&mut session, sql, []).await.unwrap();
        assert!(session.needs_reset(), "{sql}");
        assert!(session.reset().await.expect_err(sql).lost, "{sql}");
        session.close().await.unwrap();
    }
    // Looking at one does not make one.
    let mut session = file.writer().await;
    execute(&mut session, "CREATE TEMP TABLE t (a); SELECT 1", []).await.unwrap_err();
    query(&mut session, "SELECT count(*) FROM temp.sqlite_schema", []).await.unwrap();
    session.reset().await.unwrap();
}

#[tokio::test]
async fn addresses_that_are_no_files_are_refused() {
    for url in [
        "postgres://localhost/x",
        "sqlite:",
        "sqlite://",
        "sqlite::memory:",
        "sqlite://:memory:",
        "sqlite://%3Amemory%3A",
        "sqlite://a.db?mode=memory",
        "sqlite://a.db?cache=shared",
        "sqlite://a.db?mode=rw&vfs=unix-none",
        "sqlite://file:a.db",
        "sqlite://file%3Aa.db%3Fmode=memory",
        "sqlite://a.db?mode=ro",
    ] {
        assert_eq!(Sqlite::new(url, Settings::default()).unwrap_err().kind, FailureKind::Invalid, "{url}");
    }
    let long = Settings { busy_timeout: Duration::MAX, ..Settings::default() };
    assert_eq!(Sqlite::new("sqlite://a.db", long).unwrap_err().kind, FailureKind::Invalid);
    assert_eq!(Sqlite::new("sqlite://a%20b.db?mode=rwc", Settings::default()).unwrap().path(), Path::new("a b.db"));
}

#[tokio::test]
async fn a_file_that_is_missing_or_no_database_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/a.db", folder.path().display());
    let told = |failure: &Failure| (failure.kind, failure.message.contains(&folder.path().display().to_string()));
    for access in [Access::ReadWrite, Access::ReadOnly] {
        let driver = Sqlite::new(&url, File::settings(access)).unwrap();
        let driver = if access == Access::ReadOnly { driver.create_if_missing() } else { driver };
        let failure = driver.connect().await.map(|_| ()).unwrap_err();
        assert_eq!(told(&failure), (FailureKind::Disconnected, false), "{failure}");
    }
    std::fs::write(folder.path().join("a.db"), "this is not a database, but it is long enough to be looked at").unwrap();
    for access in [Access::ReadWrite, Access::ReadOnly] {
        let driver = Sqlite::new(&url, File::settings(access)).unwrap();
        let failure = driver.connect().await.map(|_| ()).unwrap_err();
        assert_eq!(told(&failure), (FailureKind::Disconnected, false), "{failure}");
        assert_eq!(failure.code.as_deref(), Some("26"));
    }
    assert!(!format!("{:?}", Sqlite::new(&url, Settings::default())).contains("a.db"));
}
