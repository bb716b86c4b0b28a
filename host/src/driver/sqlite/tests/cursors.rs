//! Cursors: batches, and an owned connection meanwhile.

use super::*;

async fn open(session: &mut Box<dyn Connection>, number: u32, sql: &str) -> Result<Vec<String>, Failure> {
    match session.run(Operation::OpenCursor(number, statement(sql, []).into())).await? {
        Answer::Columns(columns) => Ok(columns.into_iter().map(|column| column.name).collect()),
        other => panic!("columns, not {other:?}"),
    }
}

/// How many rows the next batch has.
async fn fetch(session: &mut Box<dyn Connection>, number: u32, rows: u32, bytes: usize) -> Result<Option<u32>, Failure> {
    match session.run(Operation::Fetch(number, ResultLimit { rows, bytes })).await? {
        Answer::Batch(batch) => Ok(batch.map(|batch| batch.row_count)),
        other => panic!("a batch, not {other:?}"),
    }
}

#[tokio::test]
async fn batches_respect_rows_and_bytes_and_end_once() {
    let file = File::new().await;
    let mut session = file.writer().await;
    fill(&mut session, 250).await;
    session.run(begin(true)).await.unwrap();
    assert_eq!(open(&mut session, 7, "SELECT id, name FROM patients ORDER BY id").await.unwrap(), ["id", "name"]);
    let mut batches = Vec::new();
    while let Some(rows) = fetch(&mut session, 7, 100, usize::MAX).await.unwrap() {
        batches.push(rows);
    }
    assert_eq!(batches, [100, 100, 50]);
    assert_eq!(fetch(&mut session, 7, 100, usize::MAX).await.unwrap(), None);
    session.run(Operation::CloseCursor(7)).await.unwrap();
    session.run(Operation::CloseCursor(7)).await.unwrap();
    assert_eq!(fetch(&mut session, 7, 100, usize::MAX).await.unwrap_err().kind, FailureKind::Invalid);

    open(&mut session, 8, "SELECT zeroblob(1000) FROM patients").await.unwrap();
    let mut rows = 0;
    while let Some(batch) = fetch(&mut session, 8, 100, 5_000).await.unwrap() {
        assert!((1..5).contains(&batch), "{batch} rows");
        rows += batch;
    }
    assert_eq!(rows, 250);
    session.run(Operation::CloseCursor(8)).await.unwrap();

    open(&mut session, 9, "SELECT zeroblob(1000) FROM patients").await.unwrap();
    assert_eq!(fetch(&mut session, 9, 0, 0).await.unwrap(), Some(1));
    session.run(Operation::Rollback).await.unwrap();
    session.reset().await.unwrap();
    assert_eq!(number(&mut session, "SELECT count(*) FROM patients").await, 250);
}

#[tokio::test]
async fn an_open_cursor_owns_the_connection() {
    let file = File::new().await;
    let mut session = file.writer().await;
    fill(&mut session, 100).await;
    session.run(begin(false)).await.unwrap();
    open(&mut session, 1, "SELECT id FROM patients").await.unwrap();
    fetch(&mut session, 1, 1, 1_000).await.unwrap();
    for operation in [
        Operation::Query(statement("SELECT 1", []), PLENTY),
        Operation::Execute(statement("DELETE FROM patients", [])),
        Operation::ExecuteMany("SELECT 1".into(), vec![Vec::new()]),
        begin(false),
        Operation::Savepoint("s".into()),
        Operation::RollbackTo("s".into()),
        Operation::Release("s".into()),
        Operation::OpenCursor(2, statement("SELECT 1", []).into()),
    ] {
        let failure = session.run(operation.clone()).await.unwrap_err();
        assert_eq!((failure.kind, failure.lost), (FailureKind::Busy, false), "{operation:?}");
    }
    assert_eq!(fetch(&mut session, 2, 1, 1_000).await.unwrap_err().kind, FailureKind::Invalid);
    session.run(Operation::CloseCursor(2)).await.unwrap();
    assert_eq!(fetch(&mut session, 1, 1_000, 1_000_000).await.unwrap(), Some(99));
    assert!(session.needs_reset());
    session.run(Operation::Rollback).await.unwrap();
    session.reset().await.unwrap();
    assert!(!session.needs_reset());
}

#[tokio::test]
async fn a_commit_ends_the_cursor_and_keeps_what_was_written() {
    let file = File::new().await;
    let mut session = file.writer().await;
    fill(&mut session, 100).await;
    session.run(begin(false)).await.unwrap();
    session.run(Operation::Execute(statement("DELETE FROM patients WHERE id > 40", []))).await.unwrap();
    open(&mut session, 1, "SELECT id FROM patients").await.unwrap();
    fetch(&mut session, 1, 1, 1_000).await.unwrap();
    session.run(Operation::Commit).await.unwrap();
    assert_eq!(fetch(&mut session, 1, 1, 1_000).await.unwrap_err().kind, FailureKind::Invalid);
    assert_eq!(number(&mut session, "SELECT count(*) FROM patients").await, 40);
}

#[tokio::test]
async fn a_cursor_that_is_left_in_the_middle_ends_at_once() {
    let file = File::new().await;
    let mut session = file.writer().await;
    for sql in [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 4",
    ] {
        session.run(begin(true)).await.unwrap();
        open(&mut session, 1, sql).await.unwrap();
        assert_eq!(fetch(&mut session, 1, 3, 1_000).await.unwrap(), Some(3));
        session.run(Operation::CloseCursor(1)).await.unwrap();
        assert_eq!(number(&mut session, "SELECT 1").await, 1);
        session.run(Operation::Commit).await.unwrap();
        // A reset closes a cursor, too, and so does closing the session.
        session.run(begin(true)).await.unwrap();
        open(&mut session, 2, sql).await.unwrap();
        fetch(&mut session, 2, 3, 1_000).await.unwrap();
        session.reset().await.unwrap();
    }
    assert_eq!(open(&mut session, 3, "SELECT 1").await.unwrap_err().kind, FailureKind::Invalid);
    session.run(begin(true)).await.unwrap();
    open(&mut session, 3, "SELECT 1 UNION SELECT 2").await.unwrap();
    fetch(&mut session, 3, 1, 1_000).await.unwrap();
    session.close().await.unwrap();
}

#[tokio::test]
async fn a_cursor_that_fails_gives_the_connection_back() {
    let file = File::new().await;
    let mut session = file.writer().await;
    session.run(begin(true)).await.unwrap();
    open(&mut session, 1, "SELECT abs(column1) FROM (VALUES (1), (-9223372036854775808))").await.unwrap();
    let failure = fetch(&mut session, 1, 10, 1_000).await.unwrap_err();
    assert_eq!((failure.kind, failure.lost), (FailureKind::Invalid, false));
    assert_eq!(fetch(&mut session, 1, 10, 1_000).await.unwrap_err().kind, FailureKind::Invalid);
    assert_eq!(number(&mut session, "SELECT 1").await, 1);
    assert_eq!(open(&mut session, 2, "SELECT ?").await.unwrap_err().kind, FailureKind::Invalid);
    assert_eq!(open(&mut session, 2, "DELETE FROM patients RETURNING id").await.unwrap_err().kind, FailureKind::Denied);
    session.run(Operation::Rollback).await.unwrap();
}
