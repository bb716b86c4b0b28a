//! Statements: what is refused, how they fail, what they count, how much they may return.

use super::*;

fn detail<'a>(failure: &'a Failure, key: &str) -> Option<&'a str> {
    failure.details.iter().find(|(known, _)| *known == key).map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn constraints_are_told_by_name() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    all(
        &mut *connection,
        &[
            "CREATE TABLE parent (id INT PRIMARY KEY, mail VARCHAR(50) NOT NULL, n INT, UNIQUE KEY mail_once (mail), CONSTRAINT positive CHECK (n > 0))",
            "CREATE TABLE child (id INT, parent INT, CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES parent (id))",
            "INSERT INTO parent VALUES (1, 'a', 1)",
            "INSERT INTO child VALUES (1, 1)",
        ],
    )
    .await;
    for (sql, key, value, errno) in [
        ("INSERT INTO parent VALUES (2, 'a', 1)", "constraint", "mail_once", "1062"),
        ("INSERT INTO parent VALUES (1, 'b', 1)", "constraint", "PRIMARY", "1062"),
        ("INSERT INTO child VALUES (2, 7)", "constraint", "of_parent", "1452"),
        ("DELETE FROM parent", "constraint", "of_parent", "1451"),
        ("INSERT INTO parent VALUES (3, 'c', -1)", "constraint", "positive", "4025"),
        ("INSERT INTO parent VALUES (4, NULL, 1)", "column", "mail", "1048"),
        ("INSERT INTO parent (id) VALUES (5)", "column", "mail", "1364"),
    ] {
        let failure = failure(&mut *connection, sql, vec![]).await;
        assert_eq!((failure.kind, failure.lost), (FailureKind::ConstraintViolation, false), "{sql}: {failure:?}");
        assert_eq!((detail(&failure, key), detail(&failure, "errno")), (Some(value), Some(errno)), "{sql}: {failure:?}");
    }
}

#[tokio::test]
async fn failures_have_kinds_and_leave_the_session_usable() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    all(&mut *connection, &["CREATE TABLE t (a INT)"]).await;
    for (sql, kind, code) in [
        ("SELEC 1", FailureKind::Invalid, Some("42000")),
        ("SELECT b FROM t", FailureKind::Invalid, Some("42S22")),
        ("SELECT 1 FROM nowhere", FailureKind::Invalid, Some("42S02")),
        ("SELECT 1; SELECT 2", FailureKind::Invalid, Some("42000")),
        ("CREATE TABLE t (a INT)", FailureKind::Database, Some("42S01")),
        ("SELECT 1 FROM mysql.user", FailureKind::Denied, Some("42000")),
        ("SET GLOBAL max_connections = 5", FailureKind::Denied, Some("42000")),
        ("SELECT ?", FailureKind::Invalid, None),
        ("LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t", FailureKind::Denied, Some("HY000")),
        ("EXECUTE IMMEDIATE 'COMMIT'", FailureKind::Invalid, Some("HY000")),
        ("START TRANSACTION", FailureKind::Denied, None),
        ("/*!COMMIT*/", FailureKind::Denied, None),
        ("SET autocommit = 0", FailureKind::Denied, None),
    ] {
        let failure = failure(&mut *connection, sql, vec![]).await;
        assert_eq!((failure.kind, failure.code.as_deref(), failure.lost), (kind, code, false), "{sql}: {failure:?}");
    }
    assert_eq!(one(&mut *connection, "SELECT 1", vec![]).await, Value::Signed(1));
}

#[tokio::test]
async fn counts_and_keys_are_told() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    all(&mut *connection, &["CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)"]).await;
    let done = execute(&mut *connection, "INSERT INTO t (a) VALUES (1), (2)", vec![]).await.unwrap();
    assert_eq!((done.rows_affected, done.last_insert_id), (2, Some(1)));
    // Rows that were found, whether or not they had the value already.
    let done = execute(&mut *connection, "UPDATE t SET a = 1", vec![]).await.unwrap();
    assert_eq!((done.rows_affected, done.last_insert_id), (2, None));
    let returning =
        query(&mut *connection, "INSERT INTO t (a) VALUES (?) RETURNING id, a", vec![Value::Signed(9)]).await.unwrap();
    assert_eq!((cell(&returning.batch, 0, 0), cell(&returning.batch, 1, 0)), (Value::Signed(3), Value::Signed(9)));

    begin(&mut *connection).await;
    let lists = (10..13).map(|number| vec![Value::Signed(number)]).collect();
    let answer = connection.run(Operation::ExecuteMany("INSERT INTO t (a) VALUES (?)".into(), lists)).await.unwrap();
    assert_eq!(answer, Answer::Executed(Execution { rows_affected: 3, last_insert_id: Some(6) }));
    let lists = vec![vec![Value::Signed(1)], vec![text("x")]];
    let failure = connection.run(Operation::ExecuteMany("INSERT INTO t (a) VALUES (?)".into(), lists)).await.unwrap_err();
    assert_eq!((failure.kind, detail(&failure, "list")), (FailureKind::Conversion, Some("2")));
    connection.run(Operation::Rollback).await.unwrap();
    assert_eq!(one(&mut *connection, "SELECT COUNT(*) FROM t", vec![]).await, Value::Signed(3));
}

#[tokio::test]
async fn results_are_limited_in_rows_and_bytes() {
    let fixture = Fixture::new().await;
    let sql = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 500) SELECT i, REPEAT('x', 100) FROM n";
    for (limit, name) in
        [(ResultLimit { rows: 499, bytes: 1 << 20 }, "rows"), (ResultLimit { rows: 1000, bytes: 20_000 }, "bytes")]
    {
        let mut connection = connected(&fixture).await;
        let failure = connection.run(Operation::Query(statement(sql, vec![]), limit)).await.unwrap_err();
        assert_eq!((failure.kind, detail(&failure, "limit"), failure.lost), (FailureKind::LimitExceeded, Some(name), true));
        assert!(connection.needs_reset() && connection.reset().await.is_err());
    }
    let mut connection = connected(&fixture).await;
    let limit = ResultLimit { rows: 500, bytes: 1 << 20 };
    let Answer::Rows(rows) = connection.run(Operation::Query(statement(sql, vec![]), limit)).await.unwrap() else {
        panic!("rows")
    };
    assert_eq!(rows.batch.row_count, 500);
}

#[tokio::test]
async fn procedures_return_one_result_or_fail() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE PROCEDURE one() SELECT 1 AS a; CREATE PROCEDURE two() BEGIN SELECT 1 AS a; SELECT 'x' AS b; END").await;
    let mut connection = connected(&fixture).await;
    assert_eq!(one(&mut *connection, "CALL one()", vec![]).await, Value::Signed(1));
    let failure = query(&mut *connection, "CALL two()", vec![]).await.unwrap_err();
    assert_eq!((failure.kind, failure.lost), (FailureKind::Invalid, false), "{failure:?}");
    assert_eq!(one(&mut *connection, "SELECT 2", vec![]).await, Value::Signed(2));
}
