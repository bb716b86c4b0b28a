//! Statements, limits, errors, transactions.

use super::*;

#[tokio::test]
async fn limits_hold_at_their_edges() {
    let fixture = Fixture::new().await;
    let sql = "SELECT n::int8 FROM generate_series(1, 10) n";
    for (rows, bytes, over) in [(10, 80, None), (9, 80, Some(("rows", "9"))), (10, 79, Some(("bytes", "79")))] {
        let mut connection = connected(&fixture).await;
        let result = connection.run(Operation::Query(statement(sql, vec![]), ResultLimit { rows, bytes })).await;
        match over {
            None => assert!(matches!(result, Ok(Answer::Rows(rows)) if rows.batch.row_count == 10)),
            Some((limit, maximum)) => {
                let failure = result.unwrap_err();
                assert_eq!((failure.kind, failure.lost), (FailureKind::LimitExceeded, true));
                assert_eq!(failure.details, [("limit", limit.to_owned()), ("maximum", maximum.to_owned())]);
                assert!(connection.run(Operation::Rollback).await.unwrap_err().lost);
                assert!(connection.reset().await.is_err());
            }
        }
    }
}

#[tokio::test]
async fn constraints_are_named() {
    let fixture = Fixture::new().await;
    fixture
        .run(
            "CREATE TABLE p (id int PRIMARY KEY, name text NOT NULL, age int CONSTRAINT grown CHECK (age > 17)); \
             CREATE TABLE c (p int CONSTRAINT parent REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
        )
        .await;
    let mut connection = connected(&fixture).await;
    execute(&mut *connection, "INSERT INTO p VALUES (1, 'a', 20)", vec![]).await.unwrap();
    for (sql, code, detail) in [
        ("INSERT INTO p VALUES (1, 'b', 20)", "23505", ("constraint", "p_pkey")),
        ("INSERT INTO p VALUES (2, NULL, 20)", "23502", ("column", "name")),
        ("INSERT INTO p VALUES (2, 'b', 17)", "23514", ("constraint", "grown")),
        ("INSERT INTO c VALUES (9)", "23503", ("constraint", "parent")),
    ] {
        let failure = execute(&mut *connection, sql, vec![]).await.unwrap_err();
        assert_eq!((failure.kind, failure.code.as_deref()), (FailureKind::ConstraintViolation, Some(code)), "{sql}");
        assert!(failure.details.contains(&(detail.0, detail.1.to_owned())), "{failure:?}");
        assert!(failure.details.iter().any(|(key, _)| *key == "table"));
        assert!(!failure.lost);
    }
    // Deferred until the commit, which then has not committed.
    begin(&mut *connection).await;
    execute(&mut *connection, "INSERT INTO c VALUES (9)", vec![]).await.unwrap();
    let failure = connection.run(Operation::Commit).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::ConstraintViolation);
    begin(&mut *connection).await;
    connection.run(Operation::Commit).await.unwrap();
}

#[tokio::test]
async fn many_stop_at_the_first_failure_and_name_it() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    let mut connection = connected(&fixture).await;
    begin(&mut *connection).await;
    let sql = arc("INSERT INTO t VALUES ($1)");
    let lists = |ids: &[i64]| ids.iter().map(|id| vec![Value::Signed(*id)]).collect();
    let done = connection.run(Operation::ExecuteMany(sql.clone(), lists(&[1, 2, 3]))).await.unwrap();
    assert!(matches!(done, Answer::Executed(execution) if execution.rows_affected == 3));
    let failure = connection.run(Operation::ExecuteMany(sql.clone(), lists(&[4, 1 << 40, 5]))).await.unwrap_err();
    assert!(failure.kind == FailureKind::Conversion && failure.details.contains(&("list", "2".into())), "{failure:?}");
    let failure = connection.run(Operation::ExecuteMany(sql, lists(&[5, 6, 1, 7]))).await.unwrap_err();
    assert!(failure.kind == FailureKind::ConstraintViolation && failure.details.contains(&("list", "3".into())));
}

#[tokio::test]
async fn errors_have_the_kind_that_somebody_acts_on() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE TABLE t (id int, short varchar(2))").await;
    fixture.admin("CREATE TABLE locked (id int)").await;
    let mut connection = connected(&fixture).await;
    for (sql, kind, code) in [
        ("SELEC 1", FailureKind::Invalid, "42601"),
        ("SELECT 1; SELECT 2", FailureKind::Invalid, "42601"),
        ("SELECT * FROM nowhere", FailureKind::Invalid, "42P01"),
        ("SELECT nothing FROM t", FailureKind::Invalid, "42703"),
        ("SELECT nofunction()", FailureKind::Invalid, "42883"),
        ("CREATE TABLE t (id int)", FailureKind::Database, "42P07"),
        ("SELECT 1 / 0", FailureKind::Database, "22012"),
        ("SELECT 'x'::int", FailureKind::Conversion, "22P02"),
        ("INSERT INTO t VALUES (1, 'long')", FailureKind::Conversion, "22001"),
        ("SELECT * FROM locked", FailureKind::Denied, "42501"),
        ("CLOSE nocursor", FailureKind::Invalid, "34000"),
    ] {
        let failure = query(&mut *connection, sql, vec![]).await.unwrap_err();
        assert_eq!((failure.kind, failure.code.as_deref()), (kind, Some(code)), "{sql}: {failure:?}");
        assert!(!failure.lost, "{sql}");
    }
    let failure = query(&mut *connection, "SELECT nothing FROM t", vec![]).await.unwrap_err();
    assert!(failure.details.contains(&("position", "8".into())), "{failure:?}");
    let failure = query(&mut *connection, "SELECT 1; DELETE FROM t", vec![]).await.unwrap_err();
    assert_eq!(failure.message, "one statement a call");
    let failure =
        execute(&mut *connection, "DO $$ BEGIN RAISE EXCEPTION '%', repeat('x', 5000); END $$", vec![]).await.unwrap_err();
    assert_eq!(failure.message.len(), 1024);
    let settings = Settings { statement_timeout: std::time::Duration::from_millis(50), ..Settings::default() };
    let mut connection = Postgres::new(&fixture.url, settings).unwrap().connect().await.unwrap();
    let failure = execute(&mut *connection, "SELECT pg_sleep(60)", vec![]).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Cancelled);
}

#[tokio::test]
async fn transaction_control_as_sql_is_refused_and_changes_nothing() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    begin(&mut *connection).await;
    let before = one(&mut *connection, "SELECT pg_current_xact_id()::text", vec![]).await;
    for sql in
        ["COMMIT", "/* x */ rollback", "-- x\rEND", ";ABORT", "SAVEPOINT s", "PREPARE TRANSACTION 'x'", "COPY pg_class TO STDOUT"]
    {
        let failure = execute(&mut *connection, sql, vec![]).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Denied, "{sql}");
    }
    assert_eq!(one(&mut *connection, "SELECT pg_current_xact_id()::text", vec![]).await, before);
    // Hidden, the server refuses it: no command may end a transaction from within.
    let failure = execute(&mut *connection, "DO $$ BEGIN COMMIT; END $$", vec![]).await.unwrap_err();
    assert!(!failure.lost);
    let failure = connection.run(Operation::Commit).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TransactionAborted);
}

#[tokio::test]
async fn transactions_tell_when_they_are_aborted() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    let mut connection = connected(&fixture).await;
    let options = TransactionOptions { isolation: Some(IsolationLevel::Serializable), read_only: true };
    connection.run(Operation::Begin(options.into())).await.unwrap();
    assert_eq!(connection.run(Operation::Begin(options.into())).await.unwrap_err().kind, FailureKind::Invalid);
    assert_eq!(one(&mut *connection, "SELECT current_setting('transaction_isolation')", vec![]).await, text("serializable"));
    let failure = execute(&mut *connection, "INSERT INTO t VALUES (1)", vec![]).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Denied);
    assert_eq!(execute(&mut *connection, "SELECT 1", vec![]).await.unwrap_err().kind, FailureKind::TransactionAborted);
    assert_eq!(connection.run(Operation::Commit).await.unwrap_err().kind, FailureKind::TransactionAborted);
    assert_eq!(connection.run(Operation::Commit).await.unwrap_err().kind, FailureKind::Invalid);
    connection.run(Operation::Rollback).await.unwrap();

    begin(&mut *connection).await;
    execute(&mut *connection, "INSERT INTO t VALUES (1)", vec![]).await.unwrap();
    connection.run(Operation::Savepoint(arc("s"))).await.unwrap();
    execute(&mut *connection, "INSERT INTO t VALUES (1)", vec![]).await.unwrap_err();
    assert_eq!(connection.run(Operation::Savepoint(arc("u"))).await.unwrap_err().kind, FailureKind::TransactionAborted);
    connection.run(Operation::RollbackTo(arc("s"))).await.unwrap();
    execute(&mut *connection, "INSERT INTO t VALUES (2)", vec![]).await.unwrap();
    connection.run(Operation::Release(arc("s"))).await.unwrap();
    connection.run(Operation::Commit).await.unwrap();
    assert_eq!(one(&mut *connection, "SELECT count(*) FROM t", vec![]).await, Value::Signed(2));

    begin(&mut *connection).await;
    assert_eq!(connection.run(Operation::RollbackTo(arc("none"))).await.unwrap_err().kind, FailureKind::Invalid);
    connection.run(Operation::Rollback).await.unwrap();
}

#[tokio::test]
async fn a_commit_cut_off_is_unknown() {
    let fixture = Fixture::new().await;
    let driver = Postgres::new(&fixture.url, Settings::default()).unwrap();
    let mut connection = driver.connect().await.unwrap();
    let mut control = driver.control().await.unwrap();
    begin(&mut *connection).await;
    let session = connection.session().clone();
    control.terminate(&session).await.unwrap();
    while control.is_listed(&session).await.unwrap() {}
    let failure = connection.run(Operation::Commit).await.unwrap_err();
    assert_eq!((failure.kind, failure.lost), (FailureKind::CommitUnknown, true));
}

#[tokio::test]
async fn a_changed_table_does_not_break_a_cached_statement() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE TABLE t (id int); INSERT INTO t VALUES (1)").await;
    let mut connection = connected(&fixture).await;
    assert_eq!(query(&mut *connection, "SELECT * FROM t", vec![]).await.unwrap().columns.len(), 1);
    fixture.run("ALTER TABLE t ADD COLUMN name text").await;
    assert_eq!(query(&mut *connection, "SELECT * FROM t", vec![]).await.unwrap().columns.len(), 2);
    fixture.run("ALTER TABLE t DROP COLUMN name").await;
    begin(&mut *connection).await;
    assert!(query(&mut *connection, "SELECT * FROM t", vec![]).await.is_err());
    connection.reset().await.unwrap();
    assert_eq!(query(&mut *connection, "SELECT * FROM t", vec![]).await.unwrap().columns.len(), 1);
}
