//! What only WASI 0.3 can: operations at once, batches as a stream, an operation that is given up.

use mongodb::bson::{Document, doc};
use serde_json::{Value as Json, json};
use support::{host::Setup, wire::Wire};

use super::{bed::with, found, insert, kind, numbered, raw, read, succeeded};

#[tokio::test]
async fn operations_of_one_call_run_at_once_on_connections_of_their_own() {
    let mut bed = with("documents_probe_async").start().await;
    bed.write(insert(numbered(10))).await;
    let one = |id: i32| json!({ "do": "find-one", "filter": raw(doc! { "_id": id }) });
    let steps: Json = (0..10).map(one).collect();
    let outcomes = super::bed::outcomes(&bed.client().post("/it/concurrent", &steps).await);
    succeeded(&outcomes);
    let read: Vec<Document> = outcomes.iter().map(|outcome| read(&outcome["ok"])).collect();
    assert_eq!(read, numbered(10));
    bed.recovers().await;
    bed.ends_well().await;
}

#[tokio::test]
async fn batches_come_as_a_stream_that_is_taken_once() {
    let mut bed = with("documents_probe_async").start().await;
    bed.write(insert(numbered(2500))).await;
    let step = json!({ "sort": raw(doc! { "_id": 1 }), "max": 1000 });
    let told = bed.client().post("/it/stream", &step).await.json();
    let batches: Vec<Vec<Document>> =
        told["batches"].as_array().unwrap().iter().map(|batch| found(&json!({ "ok": batch }))).collect();
    assert!(batches.iter().all(|batch| (1..=1000).contains(&batch.len())), "{}", batches.len());
    assert_eq!(batches.concat(), numbered(2500));
    assert!(told["ended"]["error"].is_null(), "{}", told["ended"]);
    assert_eq!(kind(&told["again"]), "invalid", "{}", told["again"]);
    bed.recovers().await;
    bed.ends_well().await;
}

#[tokio::test]
async fn an_operation_that_is_given_up_is_ended_on_the_server() {
    // A server that ends what is killed, as MongoDB does.
    let wire = Wire::start();
    wire.block("insert");
    let host = Setup::new()
        .database("main", &wire.url("app"), "max_pool_size = 2")
        .plugin("it", "documents_probe_async", "databases.main = { access = \"read-write\" }")
        .start()
        .await;
    let client = host.client();
    let call = tokio::spawn(async move { client.post("/it/cancel", &insert([doc! { "_id": 1 }])).await.json() });
    wire.until("the insert", super::bed::RECLAIM, |wire| (wire.waiting() == ["insert"]).then_some(())).await;
    // What the guest looks for meanwhile, to give up when it is there.
    wire.answer_collection("app.give-up", &[doc! { "_id": 1 }]);
    let told = call.await.unwrap();
    assert_eq!(told["given up"], true, "{told}");
    assert!(told["after"]["error"].is_null(), "{told}");
    wire.until("the insert's end", super::bed::RECLAIM, |wire| wire.waiting().is_empty().then_some(())).await;
    // It was the host that ended it, and nobody has sent it again.
    assert_eq!(wire.commands_named("insert").len(), 1, "{:#?}", wire.commands());
    assert!(!wire.commands_named("killSessions").is_empty(), "{:#?}", wire.commands());
    assert_eq!((wire.transactions(), wire.cursors()), (0, 0));
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
