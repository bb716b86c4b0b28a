//! What writes, and what it says it did.

use super::*;
use crate::driver::documents::{
    FindAndModify,
    types::{DeleteWrite, Modification, ReplaceWrite, UpdateWrite},
};

fn one(document: Document) -> Vec<u8> {
    bytes(&[document])
}

#[tokio::test]
async fn each_write_counts_what_it_did() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    let done = write(&mut *connection, insert(&numbered(3))).await.unwrap();
    assert_eq!((done.inserted, done.matched, done.modified, done.deleted, done.upserted.len()), (3, 0, 0, 0, 0));
    let done =
        write(&mut *connection, update(doc! { "_id": { "$lt": 2 } }, doc! { "$set": { "name": "name 0" } })).await.unwrap();
    assert_eq!((done.matched, done.modified), (2, 1));
    let options = || ReplaceOptions { upsert: true, ..Default::default() };
    let replace =
        |id: i32| Writes::replace(one(doc! { "_id": id }), one(doc! { "new": true }), options(), Access::ReadWrite).unwrap();
    let done = write(&mut *connection, Request::Replace(people(), replace(2))).await.unwrap();
    assert_eq!((done.matched, done.modified, done.upserted.len()), (1, 1, 0));
    let done = write(&mut *connection, Request::Replace(people(), replace(7))).await.unwrap();
    assert_eq!((done.matched, documents(&done.upserted)), (0, vec![doc! { "index": 0_i64, "_id": 7 }]));
    let done = write(&mut *connection, delete(doc! { "_id": { "$in": [0, 7] } })).await.unwrap();
    assert_eq!(done.deleted, 2);
    assert_eq!(fixture.all("people").await, [doc! { "_id": 1, "name": "name 0" }, doc! { "_id": 2, "new": true }]);
    // A pipeline, and elements of an array.
    write(&mut *connection, insert(&[doc! { "_id": 9, "marks": [1, 5, 9] }])).await.unwrap();
    let options = UpdateOptions { array_filters: one(doc! { "m": { "$gte": 5 } }), ..Default::default() };
    let change = types::Update::Operators(one(doc! { "$set": { "marks.$[m]": 0 } }));
    let writes = Writes::update(one(doc! { "_id": 9 }), change, options.clone(), Access::ReadWrite).unwrap();
    write(&mut *connection, Request::Update(people(), writes)).await.unwrap();
    let change = types::Update::Pipeline(one(doc! { "$set": { "most": { "$max": "$marks" } } }));
    let options = UpdateOptions { array_filters: Vec::new(), ..options };
    let writes = Writes::update(one(doc! { "_id": 9 }), change, options, Access::ReadWrite).unwrap();
    write(&mut *connection, Request::Update(people(), writes)).await.unwrap();
    assert_eq!(fixture.all("people").await.last(), Some(&doc! { "_id": 9, "marks": [1, 0, 0], "most": 1 }));
}

#[tokio::test]
async fn a_duplicate_key_names_the_index_and_keeps_the_connection() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    let made = ask(&mut *connection, unique("name")).await.unwrap();
    assert_eq!(made, Reply::Names(vec!["name_1".to_owned()]));
    let written = [doc! { "_id": 1, "name": "a" }, doc! { "_id": 2, "name": "a" }, doc! { "_id": 3, "name": "b" }];
    let failed = failure(write(&mut *connection, insert(&written)).await);
    assert_eq!(
        (failed.kind, failed.code.as_deref(), failed.lost),
        (FailureKind::DuplicateKey, Some("11000"), false),
        "{failed:?}"
    );
    assert_eq!(failed.details, [("index", "name_1".to_owned())]);
    let details = failed.documents.unwrap();
    assert_eq!((details.done.unwrap().inserted, details.write_errors.len(), details.write_errors[0].index), (1, 1, 1));
    let info = documents(details.info.as_deref().unwrap()).remove(0);
    assert_eq!(info.get_document("keyPattern").unwrap(), &doc! { "name": 1 });
    assert_eq!(info.get_document("keyValue").unwrap(), &doc! { "name": "a" });
    assert!(!connection.needs_reset());

    let unordered = InsertOptions { ordered: false, write_concern: None };
    let request = Request::Insert(people(), Insert::new(&bytes(&written), unordered).unwrap());
    let details = failure(write(&mut *connection, request).await).documents.unwrap();
    let places: Vec<u32> = details.write_errors.iter().map(|error| error.index).collect();
    assert_eq!((details.done.unwrap().inserted, places), (1, vec![0, 1]));

    let change = Modification::Update(types::Update::Operators(one(doc! { "$set": { "name": "a" } })));
    let modify = FindAndModify::new(one(doc! { "_id": 3 }), change, FindAndModifyOptions::default(), Access::ReadWrite).unwrap();
    let failed = failure(ask(&mut *connection, Request::FindAndModify(people(), Box::new(modify))).await);
    assert_eq!((failed.kind, failed.documents.unwrap().info.is_some()), (FailureKind::DuplicateKey, true));

    ask(&mut *connection, Request::drop_index(people(), "name_1".to_owned()).unwrap()).await.unwrap();
    let failed = failure(ask(&mut *connection, Request::drop_index(people(), "name_1".to_owned()).unwrap()).await);
    assert_eq!(failed.kind, FailureKind::Invalid, "{failed:?}");
}

#[tokio::test]
async fn a_bulk_write_goes_in_order_and_tells_places_of_the_whole_list() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    let insert = |id: i32| types::Write::Insert(one(doc! { "_id": id }));
    let updating = |id: i32, upsert| {
        let update = types::Update::Operators(one(doc! { "$set": { "seen": true } }));
        let (filter, array_filters) = (one(doc! { "_id": id }), Vec::new());
        types::Write::Update(UpdateWrite { filter, update, many: false, upsert, array_filters, hint: None, collation: None })
    };
    let replacing = |id: i32| {
        let (filter, replacement) = (one(doc! { "_id": id }), one(doc! { "replaced": true }));
        types::Write::Replace(ReplaceWrite { filter, replacement, upsert: false, hint: None, collation: None })
    };
    let deleting =
        |id: i32| types::Write::Delete(DeleteWrite { filter: one(doc! { "_id": id }), many: false, hint: None, collation: None });
    let bulk = |writes, ordered| {
        let options = BulkOptions { ordered, variables: None, write_concern: None };
        Request::BulkWrite(people(), Writes::bulk(writes, options, Access::ReadWrite).unwrap())
    };
    let writes = vec![insert(1), insert(2), updating(1, false), updating(5, true), replacing(2), deleting(1), insert(6)];
    let done = write(&mut *connection, bulk(writes, true)).await.unwrap();
    assert_eq!((done.inserted, done.matched, done.modified, done.deleted), (3, 2, 2, 1));
    assert_eq!(documents(&done.upserted), [doc! { "index": 3_i64, "_id": 5 }]);

    let writes = || vec![deleting(6), insert(7), insert(7), insert(8), updating(7, false)];
    let details = failure(write(&mut *connection, bulk(writes(), true)).await).documents.unwrap();
    let done = details.done.unwrap();
    assert_eq!((details.write_errors[0].index, details.write_errors.len()), (2, 1));
    assert_eq!((done.deleted, done.inserted, done.matched), (1, 1, 0));
    let details = failure(write(&mut *connection, bulk(writes(), false)).await).documents.unwrap();
    let places: Vec<u32> = details.write_errors.iter().map(|error| error.index).collect();
    let done = details.done.unwrap();
    assert_eq!((places, done.inserted, done.matched), (vec![1, 2], 1, 1));
}

#[tokio::test]
async fn find_and_modify_returns_what_was_or_what_is() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    write(&mut *connection, insert(&[doc! { "_id": 1, "n": 1 }])).await.unwrap();
    let more = || Modification::Update(types::Update::Operators(one(doc! { "$inc": { "n": 1 } })));
    let new = FindAndModifyOptions { return_new: true, projection: Some(one(doc! { "_id": 0 })), ..Default::default() };
    let upsert = FindAndModifyOptions { upsert: true, ..Default::default() };
    for (id, modification, options, expected) in [
        (1, more(), FindAndModifyOptions::default(), Some(doc! { "_id": 1, "n": 1 })),
        (1, more(), new, Some(doc! { "n": 3 })),
        (1, Modification::Replace(one(doc! { "r": 1 })), FindAndModifyOptions::default(), Some(doc! { "_id": 1, "n": 3 })),
        (1, Modification::Delete, FindAndModifyOptions::default(), Some(doc! { "_id": 1, "r": 1 })),
        (1, more(), FindAndModifyOptions::default(), None),
        (1, more(), upsert, None),
    ] {
        let modify = FindAndModify::new(one(doc! { "_id": id }), modification, options, Access::ReadWrite).unwrap();
        let Reply::Document(found) = ask(&mut *connection, Request::FindAndModify(people(), Box::new(modify))).await.unwrap()
        else {
            panic!()
        };
        assert_eq!(found.map(|found| documents(&found).remove(0)), expected);
    }
    assert_eq!(fixture.all("people").await, [doc! { "_id": 1, "n": 1 }]);
}

#[tokio::test]
async fn find_and_modify_tells_what_it_did_when_the_document_is_over_the_limit() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    write(&mut *connection, insert(&[doc! { "_id": 1, "text": "x".repeat(1000) }])).await.unwrap();
    let change = Modification::Update(types::Update::Operators(one(doc! { "$set": { "n": 1 } })));
    let modify = FindAndModify::new(one(doc! { "_id": 1 }), change, FindAndModifyOptions::default(), Access::ReadWrite).unwrap();
    let request = Request::FindAndModify(people(), Box::new(modify));
    let limit = ResultLimit { rows: 1, bytes: 100 };
    let failed = failure(connection.run_within(Operation::Documents(Box::new(request), limit), LEFT).await);
    assert_eq!((failed.kind, failed.lost), (FailureKind::LimitExceeded, false), "{failed:?}");
    assert_eq!(failed.details, [("limit", "max_result_bytes".to_owned()), ("maximum", "100".to_owned())]);
    assert!(failed.documents.unwrap().done.is_some());
    assert!(!connection.needs_reset());
    assert_eq!(count(&mut *connection, doc! { "n": 1 }).await.unwrap(), 1);
}

#[tokio::test]
async fn a_document_of_the_greatest_length_is_written_and_read() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    let around = doc! { "_id": 1, "x": "" }.to_vec().unwrap().len();
    let document = doc! { "_id": 1, "x": "x".repeat((16 << 20) - around) };
    assert_eq!(document.to_vec().unwrap().len(), 16 << 20);
    write(&mut *connection, insert(&[document])).await.unwrap();
    let Ok(Reply::Document(Some(found))) =
        ask(&mut *connection, Request::FindOne(people(), find(doc! {}, FindOptions::default()))).await
    else {
        panic!()
    };
    assert_eq!(found.len(), 16 << 20);
}
