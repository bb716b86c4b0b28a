//! Clients that are slow, on every part of a request. What is waited for is the server's close, never a time.

use std::time::Instant;

use super::*;

over_every_listener! {
    #[tokio::test]
    a_client_that_sends_nothing_is_closed,
    slow_headers_are_answered_with_408_and_closed,
    a_second_request_with_slow_headers_is_closed_without_an_answer_to_mistake,
    an_idle_connection_is_closed_after_the_idle_timeout_not_the_header_timeout,
    a_call_may_last_longer_than_header_and_idle_timeouts,
    a_body_that_stops_coming_is_answered_with_408,
    a_body_that_comes_in_pieces_may_take_longer_than_a_stall,
    a_body_that_never_ends_is_answered_with_408,
    a_reader_that_stalls_loses_its_answer_and_its_connection,
    a_handler_that_pauses_is_no_stalled_reader,
    a_reader_that_is_slow_but_goes_on_gets_all_of_one_large_frame,
    a_reader_that_stalls_within_one_large_frame_loses_it,
    a_reader_that_stalls_after_a_beginning_like_that_of_http2_loses_its_answer_too,
}

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

async fn a_client_that_sends_nothing_is_closed(on: On) {
    let host = Host::start(on, |settings| (settings.header_timeout, settings.idle_timeout) = (SHORT, LONG)).await;
    let start = Instant::now();
    assert_eq!(host.connect().await.rest().await, "");
    assert!(start.elapsed() >= SHORT);
}

async fn slow_headers_are_answered_with_408_and_closed(on: On) {
    let host = Host::start(on, |settings| (settings.header_timeout, settings.idle_timeout) = (SHORT, LONG)).await;
    for start in ["P", "GET /hello HTTP/1.1\r\nhost: x\r\nslow"] {
        let answer = host.ask(start).await;
        assert_problem(&answer, 408, "request-timeout");
    }
    // A single byte now and then does not help.
    let mut client = host.connect().await;
    client.send("GET /hello HTTP/1.1\r\n").await;
    client.drip(SHORT / 10).await;
    assert_problem(&client.rest().await, 408, "request-timeout");
    assert_eq!(host.counters.get("request-timeout"), 3);
}

async fn a_second_request_with_slow_headers_is_closed_without_an_answer_to_mistake(on: On) {
    let host = Host::start(on, |settings| (settings.header_timeout, settings.idle_timeout) = (SHORT, LONG)).await;
    let mut client = host.connect().await;
    assert!(client.get("/hello").await.ends_with("hello"));
    host.counted("answered", 1).await;
    client.send("GET /hel").await;
    assert_eq!(client.rest().await, "");
}

async fn an_idle_connection_is_closed_after_the_idle_timeout_not_the_header_timeout(on: On) {
    let host = Host::start(on, |settings| (settings.header_timeout, settings.idle_timeout) = (SHORT / 4, SHORT * 2)).await;
    let mut client = host.connect().await;
    assert!(client.get("/hello").await.ends_with("hello"));
    let start = Instant::now();
    assert_eq!(client.rest().await, "");
    assert!(start.elapsed() >= SHORT, "{:?}", start.elapsed());
}

async fn a_call_may_last_longer_than_header_and_idle_timeouts(on: On) {
    let host = Host::start(on, |settings| (settings.header_timeout, settings.idle_timeout) = (SHORT / 4, SHORT / 4)).await;
    let mut client = host.connect().await;
    client.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
    next(&host.script.started).await;
    // Another connection comes and goes by both time-outs meanwhile.
    for _ in 0..3 {
        assert_eq!(host.connect().await.rest().await, "");
    }
    host.script.go.add_permits(1);
    assert!(client.answer().await.ends_with("waited"));
}

async fn a_body_that_stops_coming_is_answered_with_408(on: On) {
    let host = Host::start(on, |settings| settings.body_stall_timeout = SHORT).await;
    for framing in ["content-length: 100\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let answer = host.ask(&format!("POST /echo HTTP/1.1\r\nhost: x\r\n{framing}")).await;
        assert_problem(&answer, 408, "request-timeout");
    }
}

async fn a_body_that_comes_in_pieces_may_take_longer_than_a_stall(on: On) {
    let host = Host::start(on, |settings| settings.body_stall_timeout = SHORT).await;
    let mut client = host.connect().await;
    client.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\n").await;
    let start = Instant::now();
    let mut pieces = tokio::time::interval(SHORT / 4);
    for _ in 0..8 {
        pieces.tick().await;
        client.send("x").await;
    }
    assert!(client.answer().await.ends_with("xxxxxxxx"));
    assert!(start.elapsed() > SHORT);
}

async fn a_body_that_never_ends_is_answered_with_408(on: On) {
    let limits = |settings: &mut Settings| (settings.body_stall_timeout, settings.request_timeout) = (LONG, SHORT);
    let host = Host::start(on, limits).await;
    let mut client = host.connect().await;
    let start = Instant::now();
    client.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n").await;
    client.drip(SHORT / 10).await;
    assert_problem(&client.rest().await, 408, "request-timeout");
    assert!(start.elapsed() >= SHORT);
}

async fn a_reader_that_stalls_loses_its_answer_and_its_connection(on: On) {
    let host = Host::start(on, |settings| settings.body_stall_timeout = SHORT).await;
    let mut client = host.connect().await;
    client.send("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    next(&host.script.started).await;
    next(&host.script.dropped).await;
    host.counted("reader-stalled", 1).await;
    // What was written before is there, then the connection ends, without a last chunk.
    let mut all = Vec::new();
    let _reset_or_end = within(client.stream.read_to_end(&mut all)).await;
    assert!(!all.ends_with(b"0\r\n\r\n"));
}

async fn a_handler_that_pauses_is_no_stalled_reader(on: On) {
    let host = Host::start(on, |settings| (settings.body_stall_timeout, settings.drain_timeout) = (SHORT / 4, SHORT * 3)).await;
    let mut client = host.connect().await;
    client.send("GET /stuck HTTP/1.1\r\nhost: x\r\n\r\n").await;
    next(&host.script.started).await;
    let drained = host.stop().await;
    assert_eq!(drained, Drained { finished: 0, cut: 1, stuck: 0 });
}

async fn a_reader_that_is_slow_but_goes_on_gets_all_of_one_large_frame(on: On) {
    let host = Host::start(on, |settings| settings.body_stall_timeout = SHORT).await;
    let mut client = host.connect().await;
    client.send("GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let start = Instant::now();
    let mut sips = tokio::time::interval(SHORT / 20);
    let (mut sip, mut total) = (Vec::new(), 0);
    loop {
        sips.tick().await;
        sip.clear();
        match within((&mut client.stream).take(LARGE as u64 / 50).read_to_end(&mut sip)).await.unwrap() {
            0 => break,
            count => total += count,
        }
    }
    assert!(total > LARGE && start.elapsed() > SHORT, "{total} {:?}", start.elapsed());
    host.counted("answered", 1).await;
}

async fn a_reader_that_stalls_within_one_large_frame_loses_it(on: On) {
    let host = Host::start(on, |settings| settings.body_stall_timeout = SHORT).await;
    let mut client = host.connect().await;
    client.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    host.counted("reader-stalled", 1).await;
}

async fn a_reader_that_stalls_after_a_beginning_like_that_of_http2_loses_its_answer_too(on: On) {
    let host = Host::start(on, |settings| settings.body_stall_timeout = SHORT).await;
    let mut client = host.connect().await;
    client.send("PRI * HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_problem(&client.answer().await, 404, "no-route");
    client.send("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // Counted when the connection lets go of it.
    host.counted("reader-stalled", 1).await;
}
