//! Results that are read in batches.

use serde_json::json;

use super::{bed::with, found, insert, kind, numbered, raw, raws, succeeded};
use mongodb::bson::doc;

#[tokio::test]
async fn a_cursor_gives_batches_and_then_nothing() {
    for guest in ["documents_probe", "documents_probe_async"] {
        let mut bed = with(guest).start().await;
        let by_id = raw(doc! { "_id": 1 });
        let outcomes = bed
            .run(json!([
                insert(numbered(5)),
                { "do": "cursor", "sort": by_id, "as": "k" },
                { "do": "next", "on": "k", "max": 3 },
                { "do": "next", "on": "k", "max": 3 },
                { "do": "next", "on": "k", "max": 3 },
                { "do": "close", "on": "k" },
                { "do": "aggregate-cursor", "pipeline": raws([doc! { "$match": { "_id": { "$gt": 2 } } }, doc! { "$sort": { "_id": 1 } }]), "as": "a" },
                { "do": "next", "on": "a" },
                { "do": "next", "on": "a" },
            ]))
            .await;
        succeeded(&outcomes);
        let all = numbered(5);
        assert_eq!((found(&outcomes[2]), found(&outcomes[3])), (all[..3].to_vec(), all[3..].to_vec()), "{guest}");
        assert!(outcomes[4]["ok"].is_null() && outcomes[8]["ok"].is_null(), "{outcomes:#?}");
        assert_eq!(found(&outcomes[7]), all[3..]);
        bed.recovers().await;
        bed.ends_well().await;
    }
}

#[tokio::test]
async fn a_cursor_that_is_left_half_read_is_killed() {
    let mut bed = with("documents_probe").start().await;
    succeeded(&bed.run(json!([insert(numbered(3000))])).await);
    for last in
        [json!({ "do": "close", "on": "k" }), json!({ "do": "drop", "on": "k" }), json!({ "do": "next", "on": "k", "max": 1 })]
    {
        let steps = json!([{ "do": "cursor", "as": "k" }, { "do": "next", "on": "k", "max": 2 }, last]);
        for variant in ["run", "run-and-leak"] {
            let reply = bed.client().post(&format!("/it/{variant}"), &steps).await;
            succeeded(&super::bed::outcomes(&reply));
            bed.recovers().await;
        }
    }
    let steps = json!([{ "do": "cursor", "as": "k" }, { "do": "next", "on": "k", "max": 2 }]);
    for variant in ["run-and-trap", "run-and-spin"] {
        let reply = bed.client().post(&format!("/it/{variant}"), &steps).await;
        assert_eq!(reply.status, 500, "{variant}: {reply:?}");
        bed.recovers().await;
    }
    bed.ends_well().await;
}

#[tokio::test]
async fn a_closed_cursor_and_a_batch_of_none_are_invalid() {
    let mut bed = with("documents_probe").start().await;
    let outcomes = bed
        .run(json!([
            insert(numbered(3)),
            { "do": "cursor", "as": "k" },
            { "do": "next", "on": "k", "max": 0 },
            { "do": "close", "on": "k" },
            { "do": "next", "on": "k" },
        ]))
        .await;
    assert_eq!(outcomes[2..].iter().map(kind).collect::<Vec<_>>(), ["invalid", "", "invalid"], "{outcomes:#?}");
    bed.recovers().await;
    bed.ends_well().await;
}
