//! Cursors own the connection, and give it back only with nothing on the way.

use super::*;

const NUMBERS: &str = "SELECT seq AS i, REPEAT('x', 50) AS x FROM seq_1_to_1000000 WHERE seq <= ?";

async fn open(connection: &mut dyn Connection, rows: i64) {
    let opened = connection.run(Operation::OpenCursor(1, statement(NUMBERS, vec![Value::Signed(rows)]).into())).await.unwrap();
    let Answer::Columns(columns) = opened else { panic!("columns") };
    assert_eq!(columns.iter().map(|column| &*column.name).collect::<Vec<_>>(), ["i", "x"]);
}

async fn fetch(connection: &mut dyn Connection, rows: u32, bytes: usize) -> Result<Option<Batch>, Failure> {
    match connection.run(Operation::Fetch(1, ResultLimit { rows, bytes })).await? {
        Answer::Batch(batch) => Ok(batch),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn batches_come_in_order_and_within_their_limits() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    begin(&mut *connection).await;
    open(&mut *connection, 100).await;
    let batch = fetch(&mut *connection, 30, 1 << 20).await.unwrap().unwrap();
    assert_eq!((batch.row_count, cell(&batch, 0, 29)), (30, Value::Unsigned(30)));
    let batch = fetch(&mut *connection, 1000, 700).await.unwrap().unwrap();
    assert!((2..15).contains(&batch.row_count), "{}", batch.row_count);
    assert_eq!(cell(&batch, 0, 0), Value::Unsigned(31));
    let batch = fetch(&mut *connection, 1, 0).await.unwrap().unwrap();
    assert_eq!(batch.row_count, 1);
    let mut rows = 31;
    while let Some(batch) = fetch(&mut *connection, 20, 1 << 20).await.unwrap() {
        rows += batch.row_count;
    }
    assert!(rows < 100 && fetch(&mut *connection, 1, 1).await.unwrap().is_none());
    connection.run(Operation::CloseCursor(1)).await.unwrap();
    connection.run(Operation::CloseCursor(1)).await.unwrap();
    assert_eq!(one(&mut *connection, "SELECT 5", vec![]).await, Value::Signed(5));
    connection.run(Operation::Commit).await.unwrap();
}

#[tokio::test]
async fn an_open_cursor_keeps_everything_else_out() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    let failure = connection.run(Operation::OpenCursor(1, statement("SELECT 1", vec![]).into())).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid);
    begin(&mut *connection).await;
    open(&mut *connection, 10).await;
    fetch(&mut *connection, 1, 1 << 20).await.unwrap();
    for operation in [
        Operation::Query(statement("SELECT 1", vec![]), LIMIT),
        Operation::Execute(statement("SELECT 1", vec![])),
        Operation::Savepoint("s".into()),
        Operation::OpenCursor(2, statement("SELECT 1", vec![]).into()),
    ] {
        let failure = connection.run(operation).await.unwrap_err();
        assert_eq!((failure.kind, failure.lost), (FailureKind::Busy, false));
    }
    let failure = connection.run(Operation::Fetch(2, LIMIT)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid);
    // What is left is little: it is read over, and the transaction commits.
    connection.run(Operation::Commit).await.unwrap();
    assert_eq!(one(&mut *connection, "SELECT 1", vec![]).await, Value::Signed(1));
}

#[tokio::test]
async fn a_cursor_closed_long_before_its_end_costs_the_connection_and_nothing_is_committed() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE TABLE t (a INT)").await;
    for end in ["close and commit", "commit", "rollback", "reset"] {
        let mut connection = connected(&fixture).await;
        begin(&mut *connection).await;
        all(&mut *connection, &["INSERT INTO t VALUES (1)"]).await;
        open(&mut *connection, 200_000).await;
        fetch(&mut *connection, 10, 1 << 20).await.unwrap();
        match end {
            "close and commit" => {
                connection.run(Operation::CloseCursor(1)).await.unwrap();
                let failure = connection.run(Operation::Commit).await.unwrap_err();
                assert_eq!((failure.kind, failure.lost), (FailureKind::Disconnected, true));
            }
            "commit" => {
                let failure = connection.run(Operation::Commit).await.unwrap_err();
                assert_eq!((failure.kind, failure.lost), (FailureKind::Disconnected, true));
            }
            "rollback" => {
                connection.run(Operation::Rollback).await.unwrap();
            }
            _ => {}
        }
        assert!(connection.needs_reset(), "{end}");
        assert!(connection.reset().await.is_err(), "{end}");
        let id = connection.session().id;
        connection.close().await.unwrap();
        fixture.until(&format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {id}"), 0).await;
        assert_eq!(fixture.number(&format!("SELECT COUNT(*) FROM {}.t", fixture.name)).await, 0, "{end}");
    }
}

#[tokio::test]
async fn errors_in_the_middle_end_the_cursor_and_doom_the_transaction() {
    let fixture = Fixture::new().await;
    fixture
        .run("SET sql_mode = ''; CREATE TABLE z (a DATE); INSERT INTO z VALUES ('2024-01-01'), ('0000-00-00'), ('2024-01-02')")
        .await;
    let mut connection = connected(&fixture).await;
    begin(&mut *connection).await;
    connection.run(Operation::OpenCursor(1, statement("SELECT a FROM z", vec![]).into())).await.unwrap();
    assert!(fetch(&mut *connection, 1, 1 << 20).await.unwrap().is_some());
    let failure = fetch(&mut *connection, 1, 1 << 20).await.unwrap_err();
    assert_eq!((failure.kind, failure.lost), (FailureKind::Conversion, false));
    let failure = connection.run(Operation::Commit).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TransactionAborted);
    assert_eq!(one(&mut *connection, "SELECT 1", vec![]).await, Value::Signed(1));

    begin(&mut *connection).await;
    connection.run(Operation::OpenCursor(1, statement("SELECT (SELECT 1 UNION SELECT 2)", vec![]).into())).await.unwrap();
    let failure = fetch(&mut *connection, 1, 1 << 20).await.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_deref()), (FailureKind::Database, Some("21000")), "{failure:?}");
    connection.run(Operation::Rollback).await.unwrap();
}
