//! Transactions: begun and ended by the host, and never believed to have committed when they have not.

use super::*;

#[tokio::test]
async fn commit_and_rollback_do_what_they_say() {
    let fixture = Fixture::new().await;
    fixture.run(doc! { "create": "people" }).await;
    let mut connection = connected(&fixture).await;
    begin(&mut *connection).await;
    write(&mut *connection, insert(&[doc! { "_id": 1 }])).await.unwrap();
    assert_eq!(all(&mut *connection).await.unwrap(), [doc! { "_id": 1 }]);
    assert_eq!(count(&mut *connection, doc! {}).await.unwrap(), 1);
    assert_eq!(fixture.all("people").await, []);
    assert!(connection.needs_reset());
    say(&mut *connection, Operation::Commit).await.unwrap();
    assert_eq!(fixture.all("people").await, [doc! { "_id": 1 }]);
    begin(&mut *connection).await;
    write(&mut *connection, delete(doc! {})).await.unwrap();
    say(&mut *connection, Operation::Rollback).await.unwrap();
    assert_eq!(fixture.all("people").await.len(), 1);
    say(&mut *connection, Operation::Rollback).await.unwrap();
    assert_eq!(failure(say(&mut *connection, Operation::Commit).await).kind, FailureKind::Invalid);
    // Nobody has heard of one in which nothing was done.
    begin(&mut *connection).await;
    assert_eq!(failure(say(&mut *connection, Operation::Begin(Begin::Frame)).await).kind, FailureKind::Invalid);
    say(&mut *connection, Operation::Commit).await.unwrap();
    assert!(!connection.needs_reset());
}

#[tokio::test]
async fn a_failed_operation_leaves_only_aborting() {
    let fixture = Fixture::new().await;
    fixture.run(doc! { "create": "people" }).await;
    let mut connection = connected(&fixture).await;
    for failing in [
        insert(&[doc! { "_id": 1 }]),
        Request::Find(people(), find(doc! { "$nope": 1 }, FindOptions::default())),
        Request::Aggregate(people(), aggregate(&[doc! { "$nope": 1 }])),
    ] {
        begin(&mut *connection).await;
        write(&mut *connection, insert(&[doc! { "_id": 1 }])).await.unwrap();
        failure(ask(&mut *connection, failing).await);
        let failed = failure(write(&mut *connection, insert(&[doc! { "_id": 2 }])).await);
        assert_eq!(failed.kind, FailureKind::TransactionAborted);
        assert_eq!(
            failure(open(&mut *connection, 1, Query::Find(people(), find(doc! {}, FindOptions::default()))).await).kind,
            failed.kind
        );
        assert_eq!(failure(say(&mut *connection, Operation::Commit).await).kind, FailureKind::TransactionAborted);
        assert!(!connection.needs_reset());
        assert_eq!(fixture.all("people").await, []);
    }
    write(&mut *connection, insert(&[doc! { "_id": 3 }])).await.unwrap();
    assert_eq!(fixture.all("people").await.len(), 1);
}

#[tokio::test]
async fn a_conflict_between_two_is_told_as_one_that_may_pass() {
    let fixture = Fixture::new().await;
    let (mut one, mut other) = (connected(&fixture).await, connected(&fixture).await);
    write(&mut *one, insert(&[doc! { "_id": 1, "n": 0 }])).await.unwrap();
    begin(&mut *one).await;
    begin(&mut *other).await;
    let change = || update(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } });
    write(&mut *one, change()).await.unwrap();
    let failed = failure(write(&mut *other, change()).await);
    assert_eq!(
        (failed.kind, failed.code.as_deref(), failed.lost),
        (FailureKind::WriteConflict, Some("112"), false),
        "{failed:?}"
    );
    assert!(failed.documents.unwrap().transient);
    say(&mut *other, Operation::Rollback).await.unwrap();
    say(&mut *one, Operation::Commit).await.unwrap();
    assert_eq!(fixture.all("people").await, [doc! { "_id": 1, "n": 1 }]);
}

#[tokio::test]
async fn concerns_are_the_transactions_and_not_the_operations() {
    let fixture = Fixture::new().await;
    fixture.run(doc! { "create": "people" }).await;
    let url = format!("{}&w=majority&readConcernLevel=majority&journal=true", fixture.url);
    let mut connection = Mongodb::new(&url, Settings::default()).unwrap().connect().await.unwrap();
    write(&mut *connection, insert(&[doc! { "_id": 1 }])).await.unwrap();
    let concerns = Concerns { read: Some(types::ReadConcern::Snapshot), write: None };
    say(&mut *connection, Operation::Begin(Begin::Documents(concerns))).await.unwrap();
    write(&mut *connection, insert(&[doc! { "_id": 2 }])).await.unwrap();
    let own = FindOptions { read_concern: Some(types::ReadConcern::Local), ..Default::default() };
    let failed = failure(ask(&mut *connection, Request::Find(people(), find(doc! {}, own))).await);
    assert_eq!((failed.kind, failed.code), (FailureKind::Invalid, None));
    assert_eq!(failure(ask(&mut *connection, Request::EstimatedCount(people())).await).kind, FailureKind::Invalid);
    // Neither of them was sent.
    say(&mut *connection, Operation::Commit).await.unwrap();
    assert_eq!(fixture.all("people").await.len(), 2);
}

#[tokio::test]
async fn a_transaction_that_was_ended_from_outside_did_not_commit() {
    let fixture = Fixture::new().await;
    fixture.run(doc! { "create": "people" }).await;
    let driver = Mongodb::new(&fixture.url, Settings::default()).unwrap().control_with(&fixture.control().await).unwrap();
    let mut control = driver.control().await.unwrap();
    let mut connection = driver.connect().await.unwrap();
    begin(&mut *connection).await;
    write(&mut *connection, insert(&[doc! { "_id": 1 }])).await.unwrap();
    control.cancel(connection.session()).await.unwrap();
    let failed = failure(say(&mut *connection, Operation::Commit).await);
    assert_eq!((failed.kind, failed.lost), (FailureKind::TransactionAborted, false), "{failed:?}");
    assert_eq!(fixture.all("people").await, []);
    assert!(!connection.needs_reset());
}

#[tokio::test]
async fn a_reset_ends_a_transaction_whose_holder_is_gone() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    write(&mut *connection, insert(&[doc! { "_id": 1, "n": 0 }])).await.unwrap();
    begin(&mut *connection).await;
    write(&mut *connection, update(doc! {}, doc! { "$set": { "n": 1 } })).await.unwrap();
    connection.reset().await.unwrap();
    let mut other = connected(&fixture).await;
    write(&mut *other, update(doc! {}, doc! { "$set": { "n": 2 } })).await.unwrap();
    assert_eq!(fixture.all("people").await, [doc! { "_id": 1, "n": 2 }]);
    // Closing does the same.
    begin(&mut *other).await;
    write(&mut *other, update(doc! {}, doc! { "$set": { "n": 3 } })).await.unwrap();
    other.close().await.unwrap();
    write(&mut *connection, update(doc! {}, doc! { "$set": { "n": 4 } })).await.unwrap();
}
