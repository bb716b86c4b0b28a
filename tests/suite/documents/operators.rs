//! Operators that are refused wherever they stand: those that write or run code for grants that only read, those that tell of others and those
//! that servers use among themselves for everybody.

use mongodb::bson::{Bson, Document, doc};
use serde_json::{Value as Json, json};

use super::{bed::with, insert, kind, raw, raws, succeeded};

/// What only reads must not name.
const WRITING: [&str; 5] = ["$out", "$merge", "$where", "$function", "$accumulator"];

/// What nobody may name: what tells of others, or is the server's own.
const REFUSED: [&str; 7] = [
    "$changeStream",
    "$currentOp",
    "$listLocalSessions",
    "$listSessions",
    "$planCacheStats",
    "$_internalJsEmit",
    "$internalSearchMongotRemote",
];

/// A name, and what makes it look like itself.
fn named(name: &str) -> Document {
    let code = || Bson::from("function() { return true; }");
    let value: Bson = match name {
        "$out" => "stolen".into(),
        "$merge" => doc! { "into": "stolen" }.into(),
        "$where" => code(),
        "$function" => doc! { "body": code(), "args": [], "lang": "js" }.into(),
        "$accumulator" => {
            doc! { "init": code(), "accumulate": code(), "accumulateArgs": [], "merge": code(), "lang": "js" }.into()
        }
        _ => doc! {}.into(),
    };
    doc! { name: value }
}

/// Within so many documents and arrays.
fn within(document: Document, depth: usize) -> Document {
    (0..depth).fold(document, |inner, level| {
        if level % 2 == 0 {
            doc! { "a": [inner] }
        } else {
            doc! { "a": inner }
        }
    })
}

/// Places in which a server would evaluate it.
fn places(it: &Document) -> Vec<Json> {
    let aggregate = |stages: Vec<Document>| json!({ "do": "aggregate", "pipeline": raws(stages) });
    let mut places = vec![
        aggregate(vec![it.clone()]),
        aggregate(vec![doc! { "$match": {} }, it.clone()]),
        aggregate(vec![doc! { "$facet": { "a": [it.clone()] } }]),
        aggregate(vec![doc! { "$lookup": { "from": "notes", "pipeline": [it.clone()], "as": "b" } }]),
        aggregate(vec![doc! { "$lookup": { "from": "notes", "pipeline": [{ "$facet": { "a": [it.clone()] } }], "as": "b" } }]),
        aggregate(vec![doc! { "$unionWith": { "coll": "notes", "pipeline": [it.clone()] } }]),
        aggregate(vec![doc! { "$group": { "_id": Bson::Null, "n": it.clone() } }]),
        aggregate(vec![doc! { "$project": { "n": { "$cond": [true, it.clone(), 1] } } }]),
        aggregate(vec![doc! { "$project": { "n": { "$literal": it.clone() } } }]),
        json!({ "do": "aggregate", "pipeline": [], "variables": raw(doc! { "v": it.clone() }) }),
        json!({ "do": "aggregate-cursor", "pipeline": raw(it.clone()), "as": "k" }),
        json!({ "do": "list-collections", "filter": raw(it.clone()) }),
    ];
    for what in ["find", "find-one", "cursor"] {
        places.push(json!({ "do": what, "filter": raw(it.clone()) }));
        places.push(json!({ "do": what, "filter": raw(doc! { "$and": [{ "$or": [it.clone()] }] }) }));
        places.push(json!({ "do": what, "filter": raw(doc! { "$expr": { "$eq": [1, it.clone()] } }) }));
        places.push(json!({ "do": what, "projection": raw(doc! { "n": it.clone() }) }));
        places.push(json!({ "do": what, "sort": raw(doc! { "n": it.clone() }) }));
        places.push(json!({ "do": what, "variables": raw(doc! { "v": it.clone() }) }));
    }
    for what in ["count", "distinct"] {
        places.push(json!({ "do": what, "name": "n", "filter": raw(doc! { "$nor": [it.clone()] }) }));
    }
    // An array within a document is two.
    for depth in [3, 40, 60] {
        places.push(json!({ "do": "find", "filter": raw(within(it.clone(), depth)) }));
        places.push(aggregate(vec![within(it.clone(), depth)]));
    }
    places
}

#[tokio::test]
async fn a_grant_to_read_names_nothing_that_writes_or_runs_code_at_any_depth() {
    for guest in ["documents_probe", "documents_probe_async"] {
        let mut bed = with(guest).read_only().start().await;
        bed.write(insert([doc! { "_id": 1 }])).await;
        for name in WRITING {
            let steps = places(&named(name));
            for (step, outcome) in steps.iter().zip(bed.run(steps.clone().into()).await) {
                assert_eq!(kind(&outcome), "denied", "{name}: {step}: {outcome}");
                assert_eq!(outcome["error"]["details"]["operator"], name, "{step}: {outcome}");
            }
        }
        let collections = bed.write(json!({ "do": "list-collections" })).await;
        assert!(
            super::found(&collections).iter().all(|collection| collection.get_str("name").unwrap() == "notes"),
            "{collections}"
        );
        assert_eq!(bed.database.count("notes").await, 1);
        bed.recovers().await;
        bed.ends_well().await;
    }
}

#[tokio::test]
async fn nobody_names_what_tells_of_others_or_is_the_servers_own() {
    let mut bed = with("documents_probe").start().await;
    for name in REFUSED {
        let mut steps = places(&named(name));
        steps.push(json!({ "do": "update", "filter": raw(doc! {}), "pipeline": raw(named(name)) }));
        steps.push(json!({ "do": "delete", "filter": raw(named(name)) }));
        for (step, outcome) in steps.iter().zip(bed.run(steps.clone().into()).await) {
            assert_eq!(kind(&outcome), "denied", "{name}: {step}: {outcome}");
        }
    }
    bed.recovers().await;
    bed.ends_well().await;
}

#[tokio::test]
async fn a_grant_to_write_writes_by_pipelines_and_stores_any_name() {
    let mut bed = with("documents_probe").start().await;
    let outcomes = bed
        .run(json!([
            insert([doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 2 }]),
            { "do": "aggregate", "pipeline": raws([doc! { "$match": { "n": 2 } }, doc! { "$out": "copies" }]) },
            { "do": "aggregate", "pipeline": raws([doc! { "$merge": { "into": "copies" } }]) },
            { "do": "count", "in": "copies" },
        ]))
        .await;
    succeeded(&outcomes);
    assert_eq!(outcomes[3]["ok"], 2, "{outcomes:#?}");
    // Code is the server's to refuse or to run; data may be called anything, as far as the host is concerned.
    for step in [
        json!({ "do": "find", "filter": raw(named("$where")) }),
        json!({ "do": "insert", "documents": raw(doc! { "_id": 3, "names": { "$where": 1, "$currentOp": 1, "$out": 1 } }) }),
        json!({ "do": "replace", "filter": raw(doc! { "_id": 1 }), "replacement": raw(doc! { "names": { "$merge": 1 } }) }),
    ] {
        let outcome = bed.one(step.clone()).await;
        assert_ne!(kind(&outcome), "denied", "{step}: {outcome}");
    }
    bed.recovers().await;
    bed.ends_well().await;
}
