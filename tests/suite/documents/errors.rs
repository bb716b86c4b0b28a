//! Failures that a handler can act on, by kind and with what the server adds.

use mongodb::bson::doc;
use serde_json::{Value as Json, json};

use super::{bed::with, insert, kind, raw, read, succeeded};

#[tokio::test]
async fn a_duplicate_key_tells_the_keys_and_what_was_written() {
    for guest in ["documents_probe", "documents_probe_async"] {
        let mut bed = with(guest).start().await;
        succeeded(&[bed
            .one(json!({ "do": "create-indexes", "indexes": [{ "keys": raw(doc! { "email": 1 }), "unique": true }] }))
            .await]);
        let people = [doc! { "_id": 1, "email": "a" }, doc! { "_id": 2, "email": "a" }, doc! { "_id": 3, "email": "b" }];
        let outcome = bed.one(insert(people.clone())).await;
        let error = &outcome["error"];
        assert_eq!(
            (kind(&outcome), &error["code"], &error["transient"]),
            ("duplicate-key", &json!(11000), &json!(false)),
            "{outcome}"
        );
        assert_eq!(read(&error["info"]), doc! { "keyPattern": { "email": 1 }, "keyValue": { "email": "a" } });
        assert_eq!(error["details"]["index"], "email_1", "{outcome}");
        assert_eq!((&error["done"]["inserted"], places(error)), (&json!(1), vec![1]), "{outcome}");

        let outcome = bed.one(json!({ "do": "insert", "documents": super::raws(people), "ordered": false })).await;
        assert_eq!((&outcome["error"]["done"]["inserted"], places(&outcome["error"])), (&json!(1), vec![0, 1]), "{outcome}");

        let change = raw(doc! { "$set": { "email": "a" } });
        let outcome = bed.one(json!({ "do": "find-and-modify", "filter": raw(doc! { "_id": 3 }), "update": change })).await;
        assert_eq!(kind(&outcome), "duplicate-key", "{outcome}");
        let writes = json!([
            { "do": "delete", "filter": raw(doc! { "_id": 3 }) },
            { "do": "insert", "document": raw(doc! { "_id": 4, "email": "d" }) },
            { "do": "insert", "document": raw(doc! { "_id": 4 }) },
            { "do": "insert", "document": raw(doc! { "_id": 5, "email": "e" }) },
        ]);
        let outcome = bed.one(json!({ "do": "bulk-write", "writes": writes })).await;
        let error = &outcome["error"];
        let done = ["inserted", "deleted"].map(|what| error["done"][what].as_u64().unwrap());
        assert_eq!((kind(&outcome), places(error), done), ("duplicate-key", vec![2], [1, 1]), "{outcome}");
        bed.recovers().await;
        bed.ends_well().await;
    }
}

fn places(error: &Json) -> Vec<u64> {
    error["write-errors"].as_array().unwrap().iter().map(|error| error["index"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_validator_says_what_it_refused() {
    let bed = with("documents_probe").start().await;
    let schema = doc! { "$jsonSchema": { "required": ["name"], "properties": { "age": { "bsonType": "int", "minimum": 0 } } } };
    bed.database.run(doc! { "create": "people", "validator": schema }).await;
    let mut step = insert([doc! { "age": -1 }]);
    step["in"] = "people".into();
    let outcome = bed.one(step).await;
    assert_eq!((kind(&outcome), &outcome["error"]["code"]), ("validation", &json!(121)), "{outcome}");
    let info = read(&outcome["error"]["info"]);
    assert!(info.get_document("errInfo").is_ok(), "{info}");
    bed.ends_well().await;
}

/// Of a type that the server does not take, it says so with numbers of many kinds.
const TYPED: &[&str] = &["invalid", "conversion", "database"];
const INVALID: &[&str] = &["invalid"];
const CONVERSION: &[&str] = &["conversion"];

#[tokio::test]
async fn what_makes_no_sense_to_the_server_is_invalid_and_costs_no_connection() {
    let mut bed = with("documents_probe").pool(1).start().await;
    bed.write(insert([doc! { "_id": 1, "text": "x", "marks": [1] }])).await;
    let before = bed.sockets().await;
    let stages = |stage: mongodb::bson::Document| json!({ "do": "aggregate", "pipeline": super::raws([stage]) });
    let update = |update: mongodb::bson::Document| json!({ "do": "update", "filter": raw(doc! {}), "update": raw(update) });
    for (step, expected) in [
        // Unknown operators.
        (json!({ "do": "find", "filter": raw(doc! { "$nope": 1 }) }), INVALID),
        (json!({ "do": "find", "filter": raw(doc! { "a": { "$nope": 1 } }) }), INVALID),
        (json!({ "do": "count", "filter": raw(doc! { "$nope": 1 }) }), INVALID),
        (json!({ "do": "delete", "filter": raw(doc! { "$nope": 1 }) }), INVALID),
        (stages(doc! { "$nope": 1 }), INVALID),
        (stages(doc! { "$project": { "a": { "$nope": 1 } } }), INVALID),
        (update(doc! { "$nope": { "a": 1 } }), INVALID),
        // Wrong types.
        (json!({ "do": "find", "filter": raw(doc! { "$and": 1 }) }), TYPED),
        (json!({ "do": "find", "sort": raw(doc! { "a": "up" }) }), TYPED),
        (json!({ "do": "find", "hint": { "name": "no such index" } }), TYPED),
        (stages(doc! { "$limit": "many" }), TYPED),
        (update(doc! { "$inc": { "text": 1 } }), INVALID),
        (update(doc! { "$push": { "text": 1 } }), TYPED),
        (stages(doc! { "$project": { "n": { "$toInt": "$text" } } }), CONVERSION),
        // What the host refuses, before a connection is asked for.
        (update(doc! { "a": 1 }), INVALID),
        (update(doc! {}), INVALID),
        (json!({ "do": "update", "filter": raw(doc! {}), "pipeline": [] }), INVALID),
        (json!({ "do": "replace", "filter": raw(doc! {}), "replacement": raw(doc! { "$set": { "a": 1 } }) }), INVALID),
        (json!({ "do": "insert", "documents": [] }), INVALID),
        (json!({ "do": "insert", "documents": raw(doc! {}), "write-concern": { "w": 0 } }), INVALID),
        (json!({ "do": "find", "limit": 0 }), INVALID),
        (json!({ "do": "count", "limit": 0 }), INVALID),
        (json!({ "do": "find", "skip": u64::MAX }), INVALID),
        (json!({ "do": "create-indexes", "indexes": [] }), INVALID),
        (json!({ "do": "create-indexes", "indexes": [{ "keys": raw(doc! {}) }] }), INVALID),
        (json!({ "do": "drop-index", "name": "*" }), INVALID),
        (json!({ "do": "drop-index", "name": "" }), INVALID),
    ] {
        let outcomes = bed.run(json!([step, { "do": "find-one" }])).await;
        assert!(expected.contains(&kind(&outcomes[0])), "{step}: {outcomes:#?}");
        assert_eq!(kind(&outcomes[1]), "", "{step}: {outcomes:#?}");
        let message = outcomes[0]["error"]["message"].as_str().unwrap();
        assert!(!message.contains(&bed.database.address()) && !message.contains("secret"), "{message}");
    }
    let ids = |sockets: &[support::mongodb::SocketRow]| sockets.iter().map(|socket| socket.id).collect::<Vec<_>>();
    assert_eq!(ids(&bed.sockets().await), ids(&before));
    bed.recovers().await;
    bed.ends_well().await;
}
