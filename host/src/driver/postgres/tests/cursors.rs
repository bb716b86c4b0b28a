//! Cursors.

use super::*;

async fn open(connection: &mut dyn Connection, number: u32, sql: &str, params: Vec<Value>) -> Result<usize, Failure> {
    match connection.run(Operation::OpenCursor(number, statement(sql, params).into())).await? {
        Answer::Columns(columns) => Ok(columns.len()),
        other => panic!("{other:?}"),
    }
}

async fn fetch(connection: &mut dyn Connection, number: u32, rows: u32, bytes: usize) -> Result<Option<Batch>, Failure> {
    match connection.run(Operation::Fetch(number, ResultLimit { rows, bytes })).await? {
        Answer::Batch(batch) => Ok(batch),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn cursors_interleave_with_each_other_and_with_statements() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    assert_eq!(open(&mut *connection, 1, "SELECT 1", vec![]).await.unwrap_err().kind, FailureKind::Invalid);
    begin(&mut *connection).await;
    let series = "SELECT n FROM generate_series(1, $1::int) n";
    open(&mut *connection, 1, series, vec![Value::Signed(1000)]).await.unwrap();
    open(&mut *connection, 2, "SELECT n::text, n FROM generate_series(1, 10) n", vec![]).await.unwrap();
    let mut seen = Vec::new();
    while let Some(batch) = fetch(&mut *connection, 1, 300, 1 << 20).await.unwrap() {
        assert!(batch.row_count <= 300);
        seen.extend((0..batch.row_count as usize).map(|row| cell(&batch, 0, row)));
        assert_eq!(one(&mut *connection, "SELECT 7", vec![]).await, Value::Signed(7));
        if let Some(other) = fetch(&mut *connection, 2, 4, 1 << 20).await.unwrap() {
            assert_eq!(other.columns.len(), 2);
        }
    }
    assert_eq!(seen, (1..=1000).map(Value::Signed).collect::<Vec<_>>());
    assert_eq!(fetch(&mut *connection, 1, 300, 1 << 20).await.unwrap(), None);
    connection.run(Operation::CloseCursor(1)).await.unwrap();
    connection.run(Operation::CloseCursor(1)).await.unwrap();
    assert_eq!(fetch(&mut *connection, 1, 1, 1).await.unwrap_err().kind, FailureKind::Invalid);
    connection.run(Operation::Commit).await.unwrap();
    // The cursor is gone with its transaction, and closing it is no error.
    connection.run(Operation::CloseCursor(2)).await.unwrap();
}

#[tokio::test]
async fn a_batch_ends_at_its_bytes_and_loses_no_row() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    begin(&mut *connection).await;
    open(&mut *connection, 1, "SELECT n, repeat('x', n * 10) FROM generate_series(1, 200) n", vec![]).await.unwrap();
    let mut next = 1;
    while let Some(batch) = fetch(&mut *connection, 1, 1000, 4096).await.unwrap() {
        let bytes: usize = (0..batch.row_count as usize)
            .map(|row| match cell(&batch, 1, row) {
                Value::Text(text) => text.len() + 12,
                other => panic!("{other:?}"),
            })
            .sum();
        assert!(bytes <= 4096 + 64 || batch.row_count == 1, "{bytes}");
        for row in 0..batch.row_count as usize {
            assert_eq!(cell(&batch, 0, row), Value::Signed(next));
            next += 1;
        }
    }
    assert_eq!(next, 201);
    // At least one row, however large.
    open(&mut *connection, 2, "SELECT repeat('x', 100) FROM generate_series(1, 2)", vec![]).await.unwrap();
    assert_eq!(fetch(&mut *connection, 2, 10, 1).await.unwrap().unwrap().row_count, 1);
    assert_eq!(fetch(&mut *connection, 2, 10, 1).await.unwrap().unwrap().row_count, 1);
    assert_eq!(fetch(&mut *connection, 2, 10, 1).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_no_query_opens_no_cursor() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE TABLE t (id int)").await;
    let mut connection = connected(&fixture).await;
    for (sql, kind) in [
        ("INSERT INTO t VALUES (1) RETURNING id", FailureKind::Invalid),
        ("SELECT 1; SELECT 2", FailureKind::Invalid),
        ("SELECT nothing FROM t", FailureKind::Invalid),
        ("COMMIT", FailureKind::Denied),
    ] {
        begin(&mut *connection).await;
        let failure = open(&mut *connection, 1, sql, vec![]).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{sql}: {failure:?}");
        assert!(!failure.lost);
        connection.run(Operation::Rollback).await.unwrap();
    }
    assert_eq!(one(&mut *connection, "SELECT count(*) FROM t", vec![]).await, Value::Signed(0));
}

#[tokio::test]
async fn rolling_back_to_a_savepoint_closes_later_cursors_only() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    begin(&mut *connection).await;
    open(&mut *connection, 1, "SELECT n FROM generate_series(1, 3) n", vec![]).await.unwrap();
    connection.run(Operation::Savepoint(arc("s"))).await.unwrap();
    open(&mut *connection, 2, "SELECT n FROM generate_series(1, 3) n", vec![]).await.unwrap();
    connection.run(Operation::RollbackTo(arc("s"))).await.unwrap();
    assert_eq!(fetch(&mut *connection, 2, 1, 100).await.unwrap_err().kind, FailureKind::Invalid);
    assert_eq!(fetch(&mut *connection, 1, 10, 100).await.unwrap().unwrap().row_count, 3);
    connection.run(Operation::Commit).await.unwrap();
}

#[tokio::test]
async fn a_cursor_that_the_guest_replaced_is_refused_and_not_misread() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    begin(&mut *connection).await;
    open(&mut *connection, 1, "SELECT n::int8 FROM generate_series(1, 3) n", vec![]).await.unwrap();
    let name = match one(&mut *connection, "SELECT name FROM pg_cursors WHERE name LIKE 'wharf%'", vec![]).await {
        Value::Text(name) => name,
        other => panic!("{other:?}"),
    };
    execute(&mut *connection, &format!("CLOSE {name}"), vec![]).await.unwrap();
    execute(&mut *connection, &format!("DECLARE {name} CURSOR FOR SELECT 'text'::text, 2"), vec![]).await.unwrap();
    assert_eq!(fetch(&mut *connection, 1, 1, 100).await.unwrap_err().kind, FailureKind::Invalid);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_stays_the_next_one() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    begin(&mut *connection).await;
    let sql = "SELECT CASE n WHEN 3 THEN ARRAY[[n, n]] ELSE ARRAY[n] END FROM generate_series(1, 5) n";
    open(&mut *connection, 1, sql, vec![]).await.unwrap();
    connection.run(Operation::Savepoint("s".into())).await.unwrap();
    assert_eq!(fetch(&mut *connection, 1, 2, 1 << 20).await.unwrap().unwrap().row_count, 2);
    for _ in 0..2 {
        assert_eq!(fetch(&mut *connection, 1, 1000, 1 << 20).await.unwrap_err().kind, FailureKind::Conversion);
        connection.run(Operation::RollbackTo("s".into())).await.unwrap();
    }
    connection.run(Operation::Rollback).await.unwrap();
}
