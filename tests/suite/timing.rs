//! `Server-Timing` of a running host: what a client is told is what the host did, and only where the operator wants it.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use serde_json::json;
use support::{client::Reply, host::Setup, postgres::PostgresDatabase};

const GRANT: &str = "limits = { max_concurrency = 1 }\ndatabases.main = { access = \"read-write\" }";
/// What a statement takes.
const SLOW: Duration = Duration::from_secs(1);

/// What a reply says, in milliseconds by part.
fn told(reply: &Reply) -> BTreeMap<&str, f64> {
    let header = reply.headers.get("server-timing").map_or("", |header| header.to_str().unwrap());
    let parts = header.split(", ").filter_map(|part| part.split_once(";dur="));
    parts.map(|(name, value)| (name, value.parse().unwrap())).collect()
}

#[tokio::test]
async fn a_client_is_told_of_its_place_in_the_queue_its_instance_and_its_database() {
    let database = PostgresDatabase::create().await;
    let host = Setup::new()
        .server("server_timing = true\nqueue_timeout = \"30s\"")
        .database("main", &database.url(&database.owner), "")
        .plugin("probe", "probe", GRANT)
        .start()
        .await;
    let client = host.client();
    let sql = format!("SELECT pg_sleep({}), 1", SLOW.as_secs_f64());
    let steps = json!([{ "do": "query", "sql": sql }]);
    let replies = join_all((0..2).map(|_| client.post("/probe/run", &steps))).await;
    let slow = SLOW.as_secs_f64() * 1000.0;
    for reply in &replies {
        let told = told(reply);
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(told.keys().copied().collect::<Vec<_>>(), ["db", "instance", "queue", "total"], "{reply:?}");
        assert!(told["db"] >= slow && told["instance"] > 0.0, "{told:?}");
        assert!(told["queue"] + told["instance"] + told["db"] <= told["total"] + 1e-6, "{told:?}");
    }
    // One of them waited for the other, which took at least as long as its statement; when it came is not known that well.
    let longest = replies.iter().map(|reply| told(reply)["queue"]).fold(0.0, f64::max);
    assert!(longest >= slow / 2.0, "{longest}");
    let reply = client.get("/probe/hello").await;
    assert!(told(&reply)["db"] == 0.0, "{reply:?}");
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn nothing_is_told_unless_the_operator_wants_it() {
    let host = Setup::new().plugin("probe", "probe", "").start().await;
    let reply = host.client().get("/probe/hello").await;
    assert_eq!((reply.status.as_u16(), reply.headers.get("server-timing")), (200, None));
    assert_eq!(host.stop().await.code, Some(0));
}
