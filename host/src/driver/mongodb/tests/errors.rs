//! What the server refuses, by kind.

use super::*;

#[tokio::test]
async fn what_makes_no_sense_is_invalid_and_costs_nothing() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    write(&mut *connection, insert(&[doc! { "_id": 1, "text": "x" }])).await.unwrap();
    for (request, kind) in [
        (Request::Find(people(), find(doc! { "$nope": 1 }, FindOptions::default())), FailureKind::Invalid),
        (Request::Find(people(), find(doc! { "a": { "$nope": 1 } }, FindOptions::default())), FailureKind::Invalid),
        (update(doc! {}, doc! { "$nope": { "a": 1 } }), FailureKind::Invalid),
        (Request::Aggregate(people(), aggregate(&[doc! { "$nope": 1 }])), FailureKind::Invalid),
        (update(doc! {}, doc! { "$inc": { "text": 1 } }), FailureKind::Invalid),
        (
            Request::Aggregate(people(), aggregate(&[doc! { "$project": { "n": { "$toInt": "$text" } } }])),
            FailureKind::Conversion,
        ),
    ] {
        let failed = failure(ask(&mut *connection, request.clone()).await);
        assert_eq!((failed.kind, failed.lost), (kind, false), "{request:?}: {failed:?}");
        assert!(failed.code.is_some() && failed.documents.unwrap().code.is_some());
        assert!(!connection.needs_reset());
    }
}

#[tokio::test]
async fn a_validator_says_what_it_refused() {
    let fixture = Fixture::new().await;
    let schema = doc! { "$jsonSchema": { "required": ["name"], "properties": { "age": { "bsonType": "int", "minimum": 0 } } } };
    fixture.run(doc! { "create": "people", "validator": schema }).await;
    let mut connection = connected(&fixture).await;
    let failed = failure(write(&mut *connection, insert(&[doc! { "age": -1 }])).await);
    assert_eq!((failed.kind, failed.code.as_deref()), (FailureKind::Validation, Some("121")));
    let info = documents(failed.documents.unwrap().info.as_deref().unwrap()).remove(0);
    assert!(info.get_document("errInfo").is_ok(), "{info}");
}

#[tokio::test]
async fn an_operation_ends_when_its_time_is_up() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    write(&mut *connection, insert(&numbered(300))).await.unwrap();
    // Each document with all others, and again.
    let lookup = |name: &str| doc! { "$lookup": { "from": "people", "pipeline": [], "as": name } };
    let long = aggregate(&[lookup("a"), doc! { "$unwind": "$a" }, lookup("b"), doc! { "$unwind": "$b" }, doc! { "$count": "n" }]);
    let operation = Operation::Documents(Box::new(Request::Aggregate(people(), long)), LIMIT);
    let failed = failure(connection.run_within(operation, Duration::from_millis(300)).await);
    assert_eq!((failed.kind, failed.code.as_deref(), failed.lost), (FailureKind::Cancelled, Some("50"), false), "{failed:?}");
    connection.ping().await.unwrap();
}

#[tokio::test]
async fn what_is_only_for_sql_is_refused() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    for operation in [
        Operation::Execute(crate::driver::Statement::default()),
        Operation::Savepoint("a".into()),
        Operation::OpenCursor(1, crate::driver::Statement::default().into()),
        Operation::Begin(crate::driver::TransactionOptions { isolation: None, read_only: false }.into()),
    ] {
        let failed = failure(connection.run(operation).await);
        assert_eq!((failed.kind, failed.lost), (FailureKind::Invalid, false));
    }
    assert_eq!(failure(say(&mut *connection, Operation::Commit).await).kind, FailureKind::Invalid);
    say(&mut *connection, Operation::Rollback).await.unwrap();
    say(&mut *connection, Operation::CloseCursor(3)).await.unwrap();
    assert_eq!(failure(fetch(&mut *connection, 3, LIMIT).await).kind, FailureKind::Invalid);
    assert!(!connection.needs_reset());
}
