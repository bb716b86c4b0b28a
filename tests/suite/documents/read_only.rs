//! Grants to read: nothing can be written through them, and their user may not write either.

use mongodb::bson::doc;
use serde_json::{Value as Json, json};
use support::{host::Setup, mongodb::MongodbDatabase};

use super::{
    bed::{settings_of, with},
    found, insert, kind, numbered, raw, raws, succeeded,
};

/// Every function that writes.
fn writes() -> Vec<Json> {
    let (any, set) = (raw(doc! {}), raw(doc! { "$set": { "n": -1 } }));
    vec![
        insert([doc! { "_id": "trespass" }]),
        json!({ "do": "update", "filter": any, "update": set, "many": true }),
        json!({ "do": "update", "filter": raw(doc! { "_id": "trespass" }), "update": set, "upsert": true }),
        json!({ "do": "update", "filter": any, "pipeline": raws([doc! { "$set": { "n": -1 } }]) }),
        json!({ "do": "replace", "filter": any, "replacement": raw(doc! { "n": -1 }) }),
        json!({ "do": "delete", "filter": any, "many": true }),
        json!({ "do": "find-and-modify", "filter": any, "update": set }),
        json!({ "do": "find-and-modify", "filter": any, "replacement": raw(doc! { "n": -1 }) }),
        json!({ "do": "find-and-modify", "filter": any }),
        json!({ "do": "bulk-write", "writes": [{ "do": "insert", "document": raw(doc! { "_id": "trespass" }) }] }),
        json!({ "do": "bulk-write", "writes": [{ "do": "delete", "filter": any, "many": true }] }),
        json!({ "do": "create-indexes", "indexes": [{ "keys": raw(doc! { "n": 1 }) }] }),
        json!({ "do": "drop-index", "name": "n_1" }),
    ]
}

#[tokio::test]
async fn nothing_is_written_through_a_grant_to_read() {
    for guest in ["documents_probe", "documents_probe_async"] {
        let mut bed = with(guest).read_only().start().await;
        bed.write(insert(numbered(3))).await;
        let outcomes = bed
            .run(json!([
                { "do": "find", "sort": raw(doc! { "_id": 1 }) },
                { "do": "count" },
                { "do": "aggregate", "pipeline": raws([doc! { "$match": {} }]) },
                { "do": "list-indexes" },
                { "do": "begin", "as": "t" },
                { "do": "find-one", "on": "t" },
                { "do": "commit", "on": "t" },
            ]))
            .await;
        succeeded(&outcomes);
        assert_eq!(found(&outcomes[0]), numbered(3));
        for step in writes() {
            let mut within = step.clone();
            within["on"] = "t".into();
            let outcomes = bed.run(json!([step, { "do": "begin", "as": "t" }, within])).await;
            assert_eq!([kind(&outcomes[0]), kind(&outcomes[2])], ["denied"; 2], "{step}: {outcomes:#?}");
        }
        bed.recovers().await;
        let left = bed.write(json!({ "do": "find", "sort": raw(doc! { "_id": 1 }) })).await;
        assert_eq!(found(&left), numbered(3));
        bed.ends_well().await;
    }
}

#[tokio::test]
async fn a_grant_to_read_needs_a_user_that_may_only_read() {
    let database = MongodbDatabase::create().await;
    for grant in
        ["access = \"read-only\"".to_owned(), format!("access = \"read-only\", url = {:?}", database.url(&database.owner))]
    {
        let ended = Setup::new()
            .database("main", &database.url(&database.owner), &settings_of(&database, 2, ""))
            .plugin("it", "documents_probe", &format!("databases.main = {{ {grant} }}"))
            .fail()
            .await;
        assert_ne!(ended.code, Some(0), "{grant}: {}", ended.stderr);
        assert!(ended.stderr.contains("read"), "{grant}: {}", ended.stderr);
        assert!(!ended.stderr.contains(&database.owner.password), "{}", ended.stderr);
    }
    database.nothing_left().await;
}
