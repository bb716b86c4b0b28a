//! How the server stops.

use std::time::Instant;

use super::*;

over_every_listener! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    a_running_call_finishes_and_idle_connections_close_at_once,
    a_stuck_call_is_cut_told_and_reported,
    the_drain_ends_with_the_last_call_not_with_its_timeout,
    a_server_without_connections_stops_at_once,
    a_server_whose_places_are_all_taken_stops_as_well,
}

async fn a_running_call_finishes_and_idle_connections_close_at_once(on: On) {
    let host = Host::start(on, |_| {}).await;
    let mut idle = host.connect().await;
    assert!(idle.get("/hello").await.ends_with("hello"));
    let silent = host.connect().await;
    let mut busy = host.connect().await;
    next(&host.script.started).await;
    busy.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
    next(&host.script.started).await;
    host.shutdown.cancel();
    assert_eq!(idle.rest().await, "");
    assert_eq!(silent.rest().await, "");
    host.script.go.add_permits(1);
    let answer = busy.rest().await;
    assert!(answer.ends_with("waited"), "{answer}");
    // The connection has ended by now; whether its last answer still said so depends on which of its tasks saw the stop first.
    assert_ne!(header_of(&answer, "connection"), Some("keep-alive"));
    let address = host.address.clone();
    let drained = host.stop().await;
    assert!(matches!(drained, Drained { finished: 0 | 1, cut: 0, stuck: 0 }), "{drained:?}");
    assert!(address.connect().await.is_err());
}

async fn a_stuck_call_is_cut_told_and_reported(on: On) {
    let drain = Duration::from_millis(300);
    let host = Host::start(on, |settings| settings.drain_timeout = drain).await;
    let mut stuck = host.connect().await;
    stuck.send("GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
    next(&host.script.started).await;
    let mut pipelined = host.connect().await;
    pipelined.send("GET /never HTTP/1.1\r\nhost: x\r\n\r\nGET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    next(&host.script.started).await;
    let mut streaming = host.connect().await;
    streaming.send("GET /stuck HTTP/1.1\r\nhost: x\r\n\r\n").await;
    next(&host.script.started).await;
    let (counters, script) = (Arc::clone(&host.counters), Arc::clone(&host.script));
    let start = Instant::now();
    let (drained, first, second, third) = tokio::join!(host.stop(), stuck.rest(), pipelined.rest(), streaming.rest());
    assert_eq!(drained, Drained { finished: 0, cut: 3, stuck: 0 });
    assert!(start.elapsed() >= drain);
    assert_problem(&first, 503, "shutting-down");
    assert_problem(&second, 503, "shutting-down");
    assert!(third.starts_with("HTTP/1.1 200 OK") && !third.ends_with("0\r\n\r\n"), "{third}");
    assert_eq!(counters.get("shutting-down"), 3);
    assert_eq!(script.dropped.available_permits(), 3);
}

async fn the_drain_ends_with_the_last_call_not_with_its_timeout(on: On) {
    let host = Host::start(on, |settings| settings.drain_timeout = Duration::from_secs(600)).await;
    assert!(host.connect().await.get("/hello").await.ends_with("hello"));
    assert_eq!(host.stop().await.cut, 0);
}

async fn a_server_without_connections_stops_at_once(on: On) {
    assert_eq!(Host::start(on, |_| {}).await.stop().await, Drained { finished: 0, cut: 0, stuck: 0 });
}

async fn a_server_whose_places_are_all_taken_stops_as_well(on: On) {
    let host = Host::start(on, |settings| settings.max_connections = 1).await;
    let mut only = host.connect().await;
    assert!(only.get("/hello").await.ends_with("hello"));
    let _waiting = host.address.wire().await.unwrap();
    assert_eq!(host.stop().await.stuck, 0);
}
