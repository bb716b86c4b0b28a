//! The limits of calls and grants, at their edges.

use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use serde_json::{Value as Json, json};

use super::{bed::with, found, insert, kind, numbered, raw, raws, succeeded};

/// A pipeline that takes minutes over three hundred documents, and looks at its time limit now and then.
pub(crate) fn slow() -> Json {
    let lookup = |name: &str| doc! { "$lookup": { "from": "notes", "pipeline": [], "as": name } };
    let stages = [lookup("a"), doc! { "$unwind": "$a" }, lookup("b"), doc! { "$unwind": "$b" }, doc! { "$count": "n" }];
    json!({ "do": "aggregate", "pipeline": raws(stages) })
}

/// One of exactly so many bytes.
fn of_length(id: i32, bytes: usize) -> Document {
    let around = doc! { "_id": id, "x": "" }.to_vec().unwrap().len();
    doc! { "_id": id, "x": "x".repeat(bytes - around) }
}

#[tokio::test]
async fn a_result_has_as_many_documents_as_the_grant_allows() {
    let mut bed = with("documents_probe").grant("max_rows = 10").start().await;
    bed.write(insert(numbered(11))).await;
    let all = json!({ "do": "aggregate", "pipeline": raws([doc! { "$match": {} }]) });
    let ten = json!({ "do": "aggregate", "pipeline": raws([doc! { "$limit": 10 }]) });
    for (step, fits) in [
        (json!({ "do": "find" }), false),
        (json!({ "do": "find", "limit": 11 }), false),
        (json!({ "do": "find", "limit": 10 }), true),
        (json!({ "do": "distinct", "name": "n" }), false),
        (json!({ "do": "distinct", "name": "n", "filter": raw(doc! { "_id": { "$lt": 10 } }) }), true),
        (all, false),
        (ten, true),
    ] {
        let outcome = bed.one(step.clone()).await;
        assert_eq!(kind(&outcome), if fits { "" } else { "limit-exceeded" }, "{step}: {outcome}");
        if !fits {
            let details = &outcome["error"]["details"];
            assert_eq!((&details["limit"], &details["maximum"]), (&json!("max_rows"), &json!("10")), "{step}: {outcome}");
        }
    }
    // In batches there is no end of it.
    let outcomes = bed
        .run(json!([{ "do": "cursor", "as": "k" }, { "do": "next", "on": "k" }, { "do": "next", "on": "k" }, { "do": "count" }]))
        .await;
    succeeded(&outcomes);
    assert_eq!(
        (found(&outcomes[1]).len() + outcomes[2]["ok"].as_array().map_or(0, Vec::len), &outcomes[3]["ok"]),
        (11, &json!(11))
    );
    bed.recovers().await;
    bed.ends_well().await;
}

#[tokio::test]
async fn a_result_has_as_many_bytes_as_the_grant_allows() {
    let mut bed = with("documents_probe").grant("max_result_bytes = \"1KiB\"").start().await;
    bed.write(insert([of_length(0, 1024), of_length(1, 1025), of_length(2, 512), of_length(3, 512), of_length(4, 513)])).await;
    let of = |ids: &[i32]| json!({ "do": "find", "filter": raw(doc! { "_id": { "$in": ids } }) });
    let one = |id: i32| json!({ "do": "find-one", "filter": raw(doc! { "_id": id }) });
    for (step, fits) in
        [(of(&[0]), true), (of(&[1]), false), (of(&[2, 3]), true), (of(&[3, 4]), false), (one(0), true), (one(1), false)]
    {
        let outcome = bed.one(step.clone()).await;
        assert_eq!(kind(&outcome), if fits { "" } else { "limit-exceeded" }, "{step}: {outcome}");
        if !fits {
            assert_eq!(outcome["error"]["details"]["limit"], "max_result_bytes", "{step}: {outcome}");
        }
    }
    bed.recovers().await;
    bed.ends_well().await;
}

#[tokio::test]
async fn a_call_has_as_many_operations_and_connections_as_the_grant_allows() {
    let mut bed = with("documents_probe").grant("max_statements = 3, max_connections = 2").start().await;
    let outcomes = bed.run(json!([{ "do": "find-one" }, { "do": "count" }, { "do": "find" }, { "do": "find-one" }])).await;
    succeeded(&outcomes[..3]);
    assert_eq!((kind(&outcomes[3]), &outcomes[3]["error"]["details"]["limit"]), ("limit-exceeded", &json!("max_statements")));
    let begin = |name: &str| json!({ "do": "begin", "as": name });
    let outcomes = bed.run(json!([begin("a"), begin("b"), begin("c"), { "do": "abort", "on": "a" }])).await;
    assert_eq!(outcomes.iter().map(kind).collect::<Vec<_>>(), ["", "", "limit-exceeded", ""], "{outcomes:#?}");
    bed.recovers().await;
    bed.ends_well().await;
}

#[tokio::test]
async fn an_operation_ends_at_its_limit_and_so_does_a_call() {
    let patience = Duration::from_secs(6);
    let mut bed = with("documents_probe").settings("statement_timeout = \"500ms\"").start().await;
    bed.write(insert(numbered(300))).await;
    let start = Instant::now();
    let outcome = bed.one(slow()).await;
    assert_eq!(kind(&outcome), "deadline-exceeded", "{outcome}");
    assert!(start.elapsed() < patience, "{:?}", start.elapsed());
    bed.recovers().await;
    bed.ends_well().await;

    let mut bed = with("documents_probe").limits("deadline = \"1s\"").start().await;
    bed.write(insert(numbered(300))).await;
    let start = Instant::now();
    let reply = bed.client().post("/it/run", &json!([slow()])).await;
    // The handler may still have had the time to say what it was told.
    match reply.status.as_u16() {
        200 => assert_eq!(kind(&super::bed::outcomes(&reply)[0]), "deadline-exceeded", "{reply:?}"),
        _ => assert_eq!(reply.problem(), (504, "deadline-exceeded".to_owned())),
    }
    assert!(start.elapsed() < patience, "{:?}", start.elapsed());
    bed.recovers().await;
    bed.ends_well().await;
}

#[tokio::test]
async fn fuel_that_runs_out_takes_everything_back() {
    let mut bed = with("documents_probe").limits("fuel = 100_000_000, deadline = \"10s\"").start().await;
    bed.write(insert([doc! { "_id": 1 }])).await;
    let steps = json!([
        { "do": "begin", "as": "t" },
        { "do": "delete", "on": "t", "filter": raw(doc! { "_id": 1 }) },
        { "do": "cursor", "on": "t", "as": "k" },
        { "do": "cursor", "as": "l" },
    ]);
    let reply = bed.client().post("/it/run-and-spin", &steps).await;
    assert_eq!(reply.problem(), (500, "fuel-exhausted".to_owned()));
    bed.recovers().await;
    assert!(!bed.database.is_locked("notes", 1).await);
    assert_eq!(bed.database.count("notes").await, 1);
    bed.ends_well().await;
}
