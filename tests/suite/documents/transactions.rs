//! Transactions from a handler's side.

use mongodb::bson::doc;
use serde_json::{Value as Json, json};

use super::{bed::with, insert, kind, raw, succeeded};

fn on(transaction: &str, mut step: Json) -> Json {
    step["on"] = transaction.into();
    step
}

#[tokio::test]
async fn what_is_committed_stays_and_what_is_not_does_not() {
    for guest in ["documents_probe", "documents_probe_async"] {
        let mut bed = with(guest).start().await;
        let options = json!({ "do": "begin", "as": "t", "read-concern": "snapshot", "write-concern": { "w": "majority" } });
        let outcomes = bed
            .run(json!([
                insert([doc! { "_id": 0 }]),
                options,
                on("t", insert([doc! { "_id": 1 }])),
                on("t", json!({ "do": "count" })),
                // On a connection of its own, which sees nothing of it.
                { "do": "count" },
                { "do": "commit", "on": "t" },
                { "do": "count" },
                { "do": "begin", "as": "u" },
                on("u", insert([doc! { "_id": 2 }])),
                { "do": "abort", "on": "u" },
                { "do": "begin", "as": "v" },
                on("v", insert([doc! { "_id": 3 }])),
                { "do": "drop", "on": "v" },
                { "do": "count" },
            ]))
            .await;
        succeeded(&outcomes);
        let counts: Vec<&Json> = [3, 4, 6, 13].map(|place| &outcomes[place]["ok"]).to_vec();
        assert_eq!(counts, [2, 1, 2, 2], "{guest}");
        bed.recovers().await;
        assert_eq!(bed.database.count("notes").await, 2, "{guest}");
        bed.ends_well().await;
    }
}

#[tokio::test]
async fn after_a_failure_only_abort_is_left() {
    let mut bed = with("documents_probe").start().await;
    let outcomes = bed
        .run(json!([
            insert([doc! { "_id": 1 }]),
            { "do": "begin", "as": "t" },
            on("t", insert([doc! { "_id": 2 }])),
            on("t", insert([doc! { "_id": 1 }])),
            on("t", json!({ "do": "find-one" })),
            { "do": "commit", "on": "t" },
            { "do": "begin", "as": "u" },
            on("u", insert([doc! { "_id": 1 }])),
            { "do": "abort", "on": "u" },
        ]))
        .await;
    let kinds: Vec<&str> = outcomes.iter().map(kind).collect();
    let expected = ["", "", "", "duplicate-key", "transaction-aborted", "transaction-aborted", "", "duplicate-key", ""];
    assert_eq!(kinds, expected, "{outcomes:#?}");
    bed.recovers().await;
    assert_eq!(bed.database.count("notes").await, 1);
    bed.ends_well().await;
}

#[tokio::test]
async fn of_two_that_write_the_same_one_may_try_again() {
    let mut bed = with("documents_probe").start().await;
    let change =
        |value: i32| json!({ "do": "update", "filter": raw(doc! { "_id": 1 }), "update": raw(doc! { "$set": { "n": value } }) });
    let outcomes = bed
        .run(json!([
            insert([doc! { "_id": 1 }]),
            { "do": "begin", "as": "t" },
            on("t", change(1)),
            { "do": "begin", "as": "u" },
            on("u", change(2)),
            { "do": "commit", "on": "t" },
            { "do": "abort", "on": "u" },
        ]))
        .await;
    let refused = outcomes.iter().position(|outcome| !outcome["error"].is_null());
    assert_eq!((refused, kind(&outcomes[4])), (Some(4), "write-conflict"), "{outcomes:#?}");
    assert_eq!(outcomes[4]["error"]["transient"], true, "{}", outcomes[4]);
    succeeded(&outcomes[5..]);
    bed.recovers().await;
    bed.ends_well().await;
}

#[tokio::test]
async fn what_a_transaction_cannot_do_is_invalid() {
    let mut bed = with("documents_probe").start().await;
    for (step, begins) in [
        (json!({ "do": "begin", "as": "t", "read-concern": "linearizable" }), true),
        (json!({ "do": "begin", "as": "t", "write-concern": { "w": 0 } }), true),
        (json!({ "do": "estimated-count", "on": "t" }), false),
        (json!({ "do": "find", "on": "t", "read-concern": "majority" }), false),
        (json!({ "do": "delete", "on": "t", "filter": raw(doc! {}), "write-concern": { "w": 1 } }), false),
    ] {
        let outcomes = bed.run(if begins { json!([step]) } else { json!([{ "do": "begin", "as": "t" }, step]) }).await;
        assert_eq!(kind(outcomes.last().unwrap()), "invalid", "{outcomes:#?}");
        bed.recovers().await;
    }
    bed.ends_well().await;
}

#[tokio::test]
async fn however_a_call_ends_its_transaction_leaves_no_lock() {
    let steps = json!([
        { "do": "begin", "as": "t" },
        { "do": "update", "on": "t", "filter": raw(doc! { "_id": 1 }), "update": raw(doc! { "$set": { "n": 1 } }) },
        { "do": "cursor", "on": "t", "as": "k" },
        { "do": "collection", "on": "t", "as": "c" },
    ]);
    // Only what waits for its deadline needs a short one.
    let by_deadline: [(&str, &[(&str, u16)]); 2] = [
        ("15s", &[("run", 200), ("run-and-leak", 200), ("run-and-trap", 500), ("run-and-spin", 500)]),
        ("3s", &[("run-and-wait", 504)]),
    ];
    for (deadline, variants) in by_deadline {
        let limits = format!("fuel = 100_000_000, deadline = \"{deadline}\", memory = \"64MiB\"");
        let mut bed = with("documents_probe").limits(&limits).start().await;
        bed.write(insert([doc! { "_id": 1 }])).await;
        for &(variant, status) in variants {
            let reply = bed.client().post(&format!("/it/{variant}"), &steps).await;
            assert_eq!(reply.status, status, "{variant}: {reply:?}");
            bed.recovers().await;
            assert!(!bed.database.is_locked("notes", 1).await, "{variant}");
            assert_eq!(bed.write(json!({ "do": "count", "filter": raw(doc! { "n": 1 }) })).await["ok"], 0, "{variant}");
        }
        bed.ends_well().await;
    }
}
