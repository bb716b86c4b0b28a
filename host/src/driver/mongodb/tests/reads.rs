//! What reads, and its limits.

use super::*;
use crate::driver::documents::{Distinct, types::DistinctOptions};

async fn with_people(fixture: &Fixture, count: i32) -> Box<dyn Connection> {
    let mut connection = connected(fixture).await;
    if count > 0 {
        write(&mut *connection, insert(&numbered(count))).await.unwrap();
    }
    connection
}

#[tokio::test]
async fn options_of_a_find_do_what_they_say() {
    let fixture = Fixture::new().await;
    let mut connection = with_people(&fixture, 20).await;
    let options = FindOptions {
        projection: Some(bytes(&[doc! { "name": 0 }])),
        sort: Some(bytes(&[doc! { "_id": -1 }])),
        skip: 2,
        limit: Some(3),
        hint: Some(types::Hint::Name("_id_".to_owned())),
        collation: Some(bytes(&[doc! { "locale": "en", "strength": 2 }])),
        variables: Some(bytes(&[doc! { "least": 5 }])),
        read_concern: Some(types::ReadConcern::Local),
    };
    let filter = doc! { "$expr": { "$gte": ["$_id", "$$least"] } };
    let found = read(&mut *connection, Request::Find(people(), find(filter, options))).await.unwrap();
    assert_eq!(found, [doc! { "_id": 17 }, doc! { "_id": 16 }, doc! { "_id": 15 }]);
    for (filter, expected) in [(doc! { "_id": 3 }, true), (doc! { "_id": 99 }, false)] {
        let one = ask(&mut *connection, Request::FindOne(people(), find(filter, FindOptions::default()))).await.unwrap();
        assert!(matches!(one, Reply::Document(found) if found.is_some() == expected));
    }
    assert!(!connection.needs_reset());
}

#[tokio::test]
async fn results_over_their_limits_are_refused_and_leave_nothing() {
    let fixture = Fixture::new().await;
    let mut connection = with_people(&fixture, 3000).await;
    assert_eq!(all(&mut *connection).await.unwrap().len(), 3000);
    let request = || Box::new(Request::Find(people(), find(doc! {}, FindOptions::default())));
    for (limit, name) in [
        (ResultLimit { rows: 2999, ..LIMIT }, "max_rows"),
        (ResultLimit { rows: 10, ..LIMIT }, "max_rows"),
        (ResultLimit { bytes: 1000, ..LIMIT }, "max_result_bytes"),
    ] {
        let failed = failure(connection.run_within(Operation::Documents(request(), limit), LEFT).await);
        assert_eq!(
            (failed.kind, failed.lost, &failed.details[0]),
            (FailureKind::LimitExceeded, false, &("limit", name.to_owned()))
        );
        assert!(!connection.needs_reset());
    }
    let exact = connection.run_within(Operation::Documents(request(), ResultLimit { rows: 3000, ..LIMIT }), LEFT).await;
    assert!(matches!(exact, Ok(Answer::Documents(Reply::Batch(batch))) if batch.count == 3000));
    let status = fixture.administer(doc! { "serverStatus": 1 }).await;
    let open = status.get_document("metrics").unwrap().get_document("cursor").unwrap().get_document("open").unwrap();
    assert!(super::super::reply::count(open, "total") < 10, "{open}");
}

#[tokio::test]
async fn a_result_longer_than_a_message_comes_whole() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    let long = "x".repeat(6 << 20);
    for number in 0..4 {
        write(&mut *connection, insert(&[doc! { "_id": number, "long": &long }])).await.unwrap();
    }
    let found = all(&mut *connection).await.unwrap();
    assert_eq!(found.iter().map(|document| document.get_i32("_id").unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[tokio::test]
async fn counting_and_distinct_values() {
    let fixture = Fixture::new().await;
    let mut connection = with_people(&fixture, 0).await;
    assert_eq!(count(&mut *connection, doc! {}).await.unwrap(), 0);
    write(&mut *connection, insert(&numbered(7))).await.unwrap();
    assert_eq!(count(&mut *connection, doc! { "_id": { "$gte": 3 } }).await.unwrap(), 4);
    let options = CountOptions { skip: 1, limit: Some(2), hint: None, collation: None, read_concern: None };
    let some = Count::new(bytes(&[doc! {}]), options, Access::ReadOnly).unwrap();
    assert_eq!(ask(&mut *connection, Request::Count(people(), some)).await, Ok(Reply::Count(2)));
    assert_eq!(ask(&mut *connection, Request::EstimatedCount(people())).await, Ok(Reply::Count(7)));
    let options = || DistinctOptions { collation: None, read_concern: None };
    let distinct =
        || Distinct::new("_id".to_owned(), bytes(&[doc! { "_id": { "$lt": 3 } }]), options(), Access::ReadOnly).unwrap();
    let Ok(Reply::Document(Some(found))) = ask(&mut *connection, Request::Distinct(people(), distinct())).await else { panic!() };
    assert_eq!(documents(&found), [doc! { "values": [0, 1, 2] }]);
    for limit in [ResultLimit { rows: 2, ..LIMIT }, ResultLimit { bytes: 10, ..LIMIT }] {
        let request = Operation::Documents(Box::new(Request::Distinct(people(), distinct())), limit);
        assert_eq!(failure(connection.run_within(request, LEFT).await).kind, FailureKind::LimitExceeded);
    }
}

#[tokio::test]
async fn pipelines_collections_and_indexes_are_read() {
    let fixture = Fixture::new().await;
    let mut connection = with_people(&fixture, 5).await;
    let pipeline = [doc! { "$match": { "_id": { "$gt": 1 } } }, doc! { "$group": { "_id": null, "n": { "$sum": 1 } } }];
    let found = read(&mut *connection, Request::Aggregate(people(), aggregate(&pipeline))).await.unwrap();
    assert_eq!(found, [doc! { "_id": null, "n": 3 }]);
    let out = [doc! { "$match": { "_id": 4 } }, doc! { "$out": "copies" }];
    assert_eq!(read(&mut *connection, Request::Aggregate(people(), aggregate(&out))).await.unwrap(), []);
    assert_eq!(fixture.all("copies").await, [doc! { "_id": 4, "name": "name 4" }]);
    let names = |found: Vec<Document>| {
        let mut names: Vec<String> = found.iter().map(|document| document.get_str("name").unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let collections = read(&mut *connection, Request::ListCollections(None)).await.unwrap();
    assert_eq!(names(collections), ["copies", "people"]);
    let indexes = read(&mut *connection, Request::ListIndexes(people())).await.unwrap();
    assert_eq!(names(indexes), ["_id_"]);
}
