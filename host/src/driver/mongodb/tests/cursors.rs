//! Cursors in a frame and in a transaction: batches as asked, and nothing left behind.

use super::*;

async fn open_on_the_server(fixture: &Fixture) -> usize {
    let listed = fixture.administer(doc! { "currentOp": 1, "$all": true }).await;
    let namespace = format!("{}.people", fixture.name);
    let is_ours = |entry: &&Document| {
        entry.get_str("type").is_ok_and(|kind| kind == "idleCursor") && entry.get_str("ns").is_ok_and(|name| name == namespace)
    };
    super::super::reply::documents(&listed, "inprog").filter(is_ours).count()
}

fn sorted() -> Query {
    Query::Find(people(), find(doc! {}, FindOptions { sort: Some(bytes(&[doc! { "_id": 1 }])), ..Default::default() }))
}

async fn enter(connection: &mut dyn Connection, in_transaction: bool) {
    if in_transaction { begin(connection).await } else { frame(connection).await }
}

#[tokio::test]
async fn batches_are_as_long_as_is_asked() {
    let fixture = Fixture::new().await;
    for in_transaction in [false, true] {
        let mut connection = connected(&fixture).await;
        fixture.run(doc! { "delete": "people", "deletes": [{ "q": {}, "limit": 0 }] }).await;
        write(&mut *connection, insert(&numbered(2500))).await.unwrap();
        enter(&mut *connection, in_transaction).await;
        open(&mut *connection, 7, sorted()).await.unwrap();
        let mut found = Vec::new();
        for rows in [1, 10, 0, 1500, 900] {
            let batch = fetch(&mut *connection, 7, ResultLimit { rows, ..LIMIT }).await.unwrap().unwrap();
            assert!(batch.count >= 1 && batch.count <= rows.max(1), "{} of {rows}", batch.count);
            found.extend(documents(&batch.documents));
        }
        while let Some(batch) = fetch(&mut *connection, 7, ResultLimit { bytes: 1000, ..LIMIT }).await.unwrap() {
            assert!(batch.documents.len() <= 1000);
            found.extend(documents(&batch.documents));
        }
        assert_eq!(found, numbered(2500));
        assert_eq!(failure(fetch(&mut *connection, 7, LIMIT).await).kind, FailureKind::Invalid);
        say(&mut *connection, Operation::Rollback).await.unwrap();
        assert!(!connection.needs_reset());
        assert_eq!(open_on_the_server(&fixture).await, 0);
    }
}

#[tokio::test]
async fn a_cursor_that_is_closed_before_its_end_is_gone() {
    let fixture = Fixture::new().await;
    for in_transaction in [false, true] {
        let mut connection = connected(&fixture).await;
        fixture.run(doc! { "delete": "people", "deletes": [{ "q": {}, "limit": 0 }] }).await;
        write(&mut *connection, insert(&numbered(1500))).await.unwrap();
        enter(&mut *connection, in_transaction).await;
        for number in 1..4 {
            open(&mut *connection, number, sorted()).await.unwrap();
            fetch(&mut *connection, number, ResultLimit { rows: 3, ..LIMIT }).await.unwrap().unwrap();
        }
        assert_eq!(open_on_the_server(&fixture).await, 3);
        for _ in 0..2 {
            say(&mut *connection, Operation::CloseCursor(1)).await.unwrap();
        }
        assert_eq!(open_on_the_server(&fixture).await, 2);
        assert!(connection.needs_reset());
        if in_transaction {
            say(&mut *connection, Operation::Commit).await.unwrap();
        } else {
            connection.reset().await.unwrap();
        }
        assert!(!connection.needs_reset());
        assert_eq!(open_on_the_server(&fixture).await, 0);
        assert_eq!(all(&mut *connection).await.unwrap().len(), 1500);
    }
}

#[tokio::test]
async fn a_pipeline_is_read_by_cursor_and_small_results_leave_none() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    write(&mut *connection, insert(&numbered(5))).await.unwrap();
    frame(&mut *connection).await;
    let pipeline = [doc! { "$sort": { "_id": -1 } }, doc! { "$limit": 2 }];
    open(&mut *connection, 1, Query::Aggregate(people(), aggregate(&pipeline))).await.unwrap();
    open(&mut *connection, 2, Query::Find(people(), find(doc! { "_id": 99 }, FindOptions::default()))).await.unwrap();
    let batch = fetch(&mut *connection, 1, LIMIT).await.unwrap().unwrap();
    let ids: Vec<i32> = documents(&batch.documents).iter().map(|document| document.get_i32("_id").unwrap()).collect();
    assert_eq!(ids, [4, 3]);
    assert_eq!(fetch(&mut *connection, 1, LIMIT).await.unwrap(), None);
    assert_eq!(fetch(&mut *connection, 2, LIMIT).await.unwrap(), None);
    assert_eq!(open_on_the_server(&fixture).await, 0);
    let failed =
        failure(open(&mut *connection, 3, Query::Find(people(), find(doc! { "$nope": 1 }, FindOptions::default()))).await);
    assert_eq!((failed.kind, failed.lost), (FailureKind::Invalid, false));
    say(&mut *connection, Operation::Rollback).await.unwrap();
    assert!(!connection.needs_reset());
}

#[tokio::test]
async fn what_was_read_ahead_has_a_limit() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    let long = "x".repeat(15 << 20);
    for number in 0..3 {
        write(&mut *connection, insert(&[doc! { "_id": number, "long": &long }])).await.unwrap();
    }
    frame(&mut *connection).await;
    let mut opened = 0;
    let failed = loop {
        match open(&mut *connection, opened, sorted()).await {
            Ok(()) if opened < 32 => opened += 1,
            Ok(()) => panic!("32 cursors hold whatever they like"),
            Err(failed) => break failed,
        }
    };
    assert_eq!((failed.kind, failed.lost), (FailureKind::LimitExceeded, false), "{failed:?}");
    assert_eq!(failed.details[0], ("limit", "cursor_bytes".to_owned()));
    say(&mut *connection, Operation::Rollback).await.unwrap();
    assert!(!connection.needs_reset());
}
