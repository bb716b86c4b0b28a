//! One statement a call, its parameters, its counts, and what is remembered of it.

use super::*;

#[tokio::test]
async fn one_statement_a_call() {
    let file = File::new().await;
    let mut session = file.writer().await;
    for sql in [
        "SELECT 1; SELECT 2",
        "SELECT 1; DELETE FROM patients",
        "SELECT 1;; SELECT 2",
        "SELECT 1; /* and */ SELECT 2 -- !",
        "SELECT 1; nonsense",
        "SELECT 1; BEGIN",
        "SELECT 1; 'unended",
        "",
        " ; ; ",
        "-- nothing",
        "/* never ended",
        "SELECT 1 \0",
        "SELECT 1;\0SELECT 2",
        "SELEC 1",
        "SELECT 'unended",
        "SELECT 1 FROM nowhere",
    ] {
        let failure = query(&mut session, sql, []).await.unwrap_err();
        assert_eq!((failure.kind, failure.lost), (FailureKind::Invalid, false), "{sql}: {failure}");
    }
    for sql in ["SELECT 1;", "SELECT 1 ; -- done", ";;SELECT 1;;", "/* one */ SELECT 1; /* two */ ;\n", "SELECT 1 /* never ended"]
    {
        assert_eq!(number(&mut session, sql).await, 1, "{sql}");
    }
    let trigger = "CREATE TRIGGER g AFTER DELETE ON patients BEGIN SELECT 1; DELETE FROM visits; END;";
    execute(&mut session, trigger, []).await.unwrap();
    let failure = query(&mut session, "SELECT name,\n  'ü' FRM patients", []).await.unwrap_err();
    assert_eq!(failure.details, [("position", "24".to_owned())]);
}

#[tokio::test]
async fn parameters_are_neither_missing_nor_left_over() {
    let file = File::new().await;
    let mut session = file.writer().await;
    for sql in ["SELECT $0", "SELECT ?0", "SELECT :a", "SELECT @a", "SELECT $a", "SELECT $1, $3", "SELECT ?2", "SELECT ?1, ?"] {
        for count in 0..3 {
            let params = vec![Value::Signed(1); count];
            let failure = session.run(Operation::Query(Statement { sql: sql.into(), params }, PLENTY)).await.unwrap_err();
            assert_eq!((failure.kind, failure.lost), (FailureKind::Invalid, false), "{sql} with {count}");
        }
    }
    for (sql, count) in [("SELECT ?, ?", 2), ("SELECT $2, $1", 2), ("SELECT ?2, ?1, ?2", 2), ("SELECT '?', \"?\" /* ? */", 0)] {
        for given in 0..4 {
            let params = (1..=given).map(Value::Signed).collect();
            let result = session.run(Operation::Query(Statement { sql: sql.into(), params }, PLENTY)).await;
            assert_eq!(result.is_ok(), given == count, "{sql} with {given}");
        }
    }
    let rows = query(&mut session, "SELECT $2, $1, $2", [text("a"), text("b")]).await.unwrap();
    assert_eq!([0, 1, 2].map(|column| cell(&rows, column, 0)), [text("b"), text("a"), text("b")]);
}

#[tokio::test]
async fn counts_and_keys_are_those_of_the_statement() {
    let file = File::new().await;
    let mut session = file.writer().await;
    execute(&mut session, "CREATE TABLE by_text (k TEXT PRIMARY KEY) WITHOUT ROWID", []).await.unwrap();
    let insert = "INSERT INTO patients (record_number) VALUES (?)";
    for (sql, params, rows_affected, last_insert_id) in [
        (insert, vec![text("a")], 1, Some(1)),
        ("SELECT * FROM patients", vec![], 0, None),
        ("CREATE TABLE t (a)", vec![], 0, None),
        ("CREATE TABLE u AS SELECT * FROM patients", vec![], 0, None),
        ("INSERT OR IGNORE INTO patients (record_number) VALUES ('a')", vec![], 0, None),
        ("INSERT INTO by_text VALUES ('x')", vec![], 1, None),
        ("UPDATE patients SET name = 'x'", vec![], 1, None),
        ("UPDATE patients SET name = 'x' WHERE id = 99", vec![], 0, None),
        ("INSERT INTO patients (record_number) VALUES ('a') ON CONFLICT DO UPDATE SET name = 'y'", vec![], 1, None),
        ("INSERT INTO patients (record_number) VALUES ('b'), ('c') RETURNING name", vec![], 2, Some(3)),
        ("PRAGMA user_version", vec![], 0, None),
        ("DELETE FROM patients", vec![], 3, None),
        ("DROP TABLE t", vec![], 0, None),
    ] {
        let answer = session.run(Operation::Execute(Statement { sql: sql.into(), params })).await.unwrap();
        assert_eq!(answer, Answer::Executed(Execution { rows_affected, last_insert_id }), "{sql}");
    }
    session.run(begin(false)).await.unwrap();
    let lists = vec![vec![text("a")], vec![text("b")], vec![text("c")]];
    let answer = session.run(Operation::ExecuteMany(insert.into(), lists)).await.unwrap();
    assert_eq!(answer, Answer::Executed(Execution { rows_affected: 3, last_insert_id: Some(3) }));
    let answer = session.run(Operation::ExecuteMany(insert.into(), Vec::new())).await.unwrap();
    assert_eq!(answer, Answer::Executed(Execution { rows_affected: 0, last_insert_id: None }));
    let failure = session.run(Operation::ExecuteMany(insert.into(), vec![vec![text("d")], vec![]])).await.unwrap_err();
    assert_eq!((failure.kind, &failure.details[0]), (FailureKind::Invalid, &("row", "2".to_owned())));
    session.run(Operation::Rollback).await.unwrap();
    assert_eq!(session.run(Operation::ExecuteMany(insert.into(), Vec::new())).await.unwrap_err().kind, FailureKind::Invalid);
    // The next borrower does not see the number of this one's last row.
    session.reset().await.unwrap();
    assert_eq!(number(&mut session, "SELECT last_insert_rowid()").await, 0);
    assert!(!session.needs_reset());
}

#[tokio::test]
async fn a_query_that_writes_returns_its_rows_and_keeps_its_writing() {
    let file = File::new().await;
    let mut session = file.writer().await;
    let rows =
        query(&mut session, "INSERT INTO patients (record_number) VALUES ('a') RETURNING id, record_number", []).await.unwrap();
    assert_eq!((cell(&rows, 0, 0), cell(&rows, 1, 0)), (Value::Signed(1), text("a")));
    let rows = query(&mut session, "INSERT INTO patients (record_number) VALUES ('b')", []).await.unwrap();
    assert_eq!((rows.columns.len(), rows.batch.row_count), (0, 0));
    let mut other = file.reader().await;
    assert_eq!(number(&mut other, "SELECT count(*) FROM patients").await, 2);
    // A row that cannot be read takes the writing with it.
    let failure = query(&mut session, "UPDATE patients SET born = 'never' RETURNING born", []).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conversion);
    assert_eq!(number(&mut other, "SELECT count(*) FROM patients WHERE born IS NOT NULL").await, 0);
}

#[tokio::test]
async fn schema_changes_by_others_are_seen() {
    let file = File::new().await;
    let (mut session, mut other) = (file.writer().await, file.writer().await);
    fill(&mut other, 1).await;
    for sql in ["SELECT * FROM patients", "SELECT name FROM patients", "SELECT patients.* FROM patients"] {
        for _ in 0..2 {
            query(&mut session, sql, []).await.unwrap();
        }
    }
    for sql in [
        "ALTER TABLE patients ADD COLUMN phone TEXT DEFAULT 'none'",
        "ALTER TABLE patients DROP COLUMN name",
        "ALTER TABLE patients ADD COLUMN name BOOLEAN DEFAULT 1",
    ] {
        execute(&mut other, sql, []).await.unwrap();
    }
    for sql in ["SELECT * FROM patients", "SELECT patients.* FROM patients"] {
        let rows = query(&mut session, sql, []).await.unwrap();
        let names: Vec<&str> = rows.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", "record_number", "born", "phone", "name"]);
        assert_eq!((cell(&rows, 3, 0), cell(&rows, 4, 0)), (text("none"), Value::Boolean(true)));
    }
    let rows = query(&mut session, "SELECT name FROM patients", []).await.unwrap();
    assert_eq!((rows.columns[0].type_name.as_str(), cell(&rows, 0, 0)), ("BOOLEAN", Value::Boolean(true)));
    execute(&mut other, "DROP TABLE visits", []).await.unwrap();
    execute(&mut other, "DROP TABLE patients", []).await.unwrap();
    let failure = query(&mut session, "SELECT name FROM patients", []).await.unwrap_err();
    assert_eq!((failure.kind, failure.lost), (FailureKind::Invalid, false));
}

#[tokio::test]
async fn statements_are_forgotten_by_number_length_and_age() {
    let file = File::new().await;
    let cache = crate::driver::settings::StatementCache { count: 3, text_bytes: 20, max_age: Duration::ZERO };
    for cache in [
        crate::driver::settings::StatementCache { max_age: Duration::from_secs(60), ..cache },
        crate::driver::settings::StatementCache { count: 0, ..cache },
        cache,
    ] {
        let settings = Settings { statement_cache: cache, ..File::settings(Access::ReadWrite) };
        let mut session = Sqlite::new(&file.url(), settings).unwrap().connect().await.unwrap();
        for round in 0..3 {
            for i in 0..8 {
                let sql = format!("SELECT {i} + ?{}", " ".repeat(i * 2));
                let rows = query(&mut session, &sql, [Value::Signed(round)]).await.unwrap();
                assert_eq!(cell(&rows, 0, 0), Value::Signed(round + i64::try_from(i).unwrap()));
            }
            let long = "INSERT INTO visits (patient, minutes) SELECT id, ? FROM patients";
            session.run(begin(false)).await.unwrap();
            session.run(Operation::ExecuteMany(long.into(), vec![vec![Value::Signed(1)]; 3])).await.unwrap();
            session.run(Operation::Commit).await.unwrap();
        }
    }
}
