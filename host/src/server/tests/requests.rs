//! What is answered to whole requests.

use super::*;
use crate::telemetry::metrics::Text;

over_every_listener! {
    #[tokio::test]
    a_request_is_answered_and_its_connection_kept,
    pipelined_requests_are_answered_in_order,
    problems_are_told_in_full_and_the_connection_goes_on,
    an_answer_that_fails_late_is_cut_off_and_its_reason_counted,
    a_good_request_id_is_kept_and_a_bad_one_replaced_for_all,
    a_handler_has_no_say_in_framing_or_request_id,
    head_and_204_have_no_body,
    http_1_0_is_answered_and_closed,
    malformed_requests_get_a_problem_and_are_closed,
    a_malformed_request_after_a_good_one_is_told_apart,
    a_request_names_one_host,
    every_call_leaves_one_access_line,
    who_asks_is_what_a_trusted_proxy_says,
    a_small_body_that_nobody_reads_does_not_cost_the_connection,
    whatever_clients_say_the_series_are_few,
}

async fn a_request_is_answered_and_its_connection_kept(on: On) {
    let host = Host::start(on, |_| {}).await;
    let mut client = host.connect().await;
    for _ in 0..3 {
        let answer = client.get("/hello").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    }
    host.counted("answered", 3).await;
    assert_eq!(host.stop().await, Drained { finished: 0, cut: 0, stuck: 0 });
}

async fn pipelined_requests_are_answered_in_order(on: On) {
    let host = Host::start(on, |_| {}).await;
    let mut client = host.connect().await;
    client
        .send(
            "GET /hello HTTP/1.1\r\nhost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nhost: x\r\n\r\nGET /204 HTTP/1.1\r\nhost: x\r\n\r\n",
        )
        .await;
    assert!(client.answer().await.ends_with("hello"));
    assert_problem(&client.answer().await, 404, "no-route");
    assert!(client.answer().await.starts_with("HTTP/1.1 204 "));
}

async fn problems_are_told_in_full_and_the_connection_goes_on(on: On) {
    let host = Host::start(on, |_| {}).await;
    let mut client = host.connect().await;
    assert_problem(&client.get("/nowhere").await, 404, "no-route");
    let answer = client.get("/problem/method-not-allowed").await;
    assert_problem(&answer, 405, "method-not-allowed");
    assert_eq!(header_of(&answer, "allow"), Some("GET, PUT"));
    let answer = client.get("/problem/overloaded").await;
    assert_problem(&answer, 503, "overloaded");
    assert_eq!(header_of(&answer, "retry-after"), Some("3"));
    assert_problem(&client.get("/problem/fuel").await, 500, "fuel-exhausted");
    assert_problem(&client.get("/103").await, 500, "invalid-response");
    assert_problem(&client.get("/wrong-length").await, 500, "invalid-response");
    assert_problem(&client.get("/panic").await, 500, "host-panicked");
    assert!(client.get("/hello").await.ends_with("hello"));
}

async fn an_answer_that_fails_late_is_cut_off_and_its_reason_counted(on: On) {
    let host = Host::start(on, |_| {}).await;
    for (path, outcome) in [("/broken", "deadline-exceeded"), ("/panic-later", "host-panicked")] {
        let answer = host.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
        host.counted(outcome, 1).await;
    }
}

async fn a_good_request_id_is_kept_and_a_bad_one_replaced_for_all(on: On) {
    let host = Host::start(on, |_| {}).await;
    let mut client = host.connect().await;
    client.send("GET /id HTTP/1.1\r\nhost: x\r\nx-request-id: abc-1.2_3\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(header_of(&answer, "x-request-id"), Some("abc-1.2_3"));
    assert!(answer.ends_with("\r\n\r\nabc-1.2_3"), "{answer}");
    for bad in ["", "x-request-id: a b\r\n", "x-request-id: a\r\nx-request-id: b\r\n", "x-request-id: {}\r\n"] {
        client.send(format!("GET /id HTTP/1.1\r\nhost: x\r\n{bad}\r\n")).await;
        let answer = client.answer().await;
        let id = header_of(&answer, "x-request-id").unwrap();
        assert_eq!(id.len(), 36, "{answer}");
        assert!(answer.ends_with(id), "{answer}");
    }
}

async fn a_handler_has_no_say_in_framing_or_request_id(on: On) {
    let host = Host::start(on, |_| {}).await;
    let mut client = host.connect().await;
    let answer = client.get("/hop-by-hop").await;
    assert!(answer.ends_with("\r\n\r\nok") && !answer.contains("x-secret") && !answer.contains("forged"), "{answer}");
    assert_eq!((header_of(&answer, "transfer-encoding"), header_of(&answer, "content-length")), (None, Some("2")));
}

async fn head_and_204_have_no_body(on: On) {
    let host = Host::start(on, |_| {}).await;
    let mut client = host.connect().await;
    client.send("HEAD /hello HTTP/1.1\r\nhost: x\r\n\r\nGET /204 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let both = client.rest().await;
    let (head, rest) = both.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-length: 5"), "{both}");
    assert!(rest.starts_with("HTTP/1.1 204 ") && rest.ends_with("\r\n\r\n") && !rest.contains("content-length"), "{both}");
    host.counted("answered", 2).await;
}

async fn http_1_0_is_answered_and_closed(on: On) {
    let host = Host::start(on, |_| {}).await;
    let answer = host.ask("GET /hello HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK") && answer.ends_with("hello"), "{answer}");
}

async fn malformed_requests_get_a_problem_and_are_closed(on: On) {
    let host = Host::start(on, |_| {}).await;
    let long = "a".repeat(70_000);
    let table: [(String, u16, &str); 12] = [
        ("nonsense\r\n\r\n".into(), 400, "bad-request"),
        ("GET / HTTP/9.9\r\nhost: x\r\n\r\n".into(), 400, "bad-request"),
        ("GET / HTTP/1.1\r\nhost x\r\n\r\n".into(), 400, "bad-request"),
        ("GET / HTTP/1.1\r\nhost: x\r\nbad\u{1}name: 1\r\n\r\n".into(), 400, "bad-request"),
        ("G\u{0}T / HTTP/1.1\r\nhost: x\r\n\r\n".into(), 400, "bad-request"),
        ("GET /a b HTTP/1.1\r\nhost: x\r\n\r\n".into(), 400, "bad-request"),
        ("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".into(), 400, "bad-request"),
        ("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".into(), 400, "bad-request"),
        ("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n".into(), 400, "bad-request"),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".into(), 400, "bad-request"),
        (format!("GET / HTTP/1.1\r\nhost: x\r\nbig: {long}\r\n\r\n"), 431, "headers-too-large"),
        (format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), 431, "headers-too-large"),
    ];
    for (times, (request, status, code)) in table.iter().enumerate() {
        assert_problem(&host.ask(request).await, *status, code);
        assert_eq!(host.counters.iter().map(|(_, count)| count).sum::<u64>(), times as u64 + 1);
    }
    assert!(host.connect().await.get("/hello").await.ends_with("hello"));
}

async fn a_malformed_request_after_a_good_one_is_told_apart(on: On) {
    let host = Host::start(on, |_| {}).await;
    let mut client = host.connect().await;
    assert!(client.get("/hello").await.ends_with("hello"));
    client.send("nonsense\r\n\r\n").await;
    assert_problem(&client.rest().await, 400, "bad-request");
}

async fn a_request_names_one_host(on: On) {
    let host = Host::start(on, |_| {}).await;
    let mut client = host.connect().await;
    for request in [
        "GET /hello HTTP/1.1\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        client.send(request).await;
        assert_problem(&client.answer().await, 400, "bad-request");
    }
}

async fn every_call_leaves_one_access_line(on: On) {
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Sink(Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            std::io::Write::write(&mut *self.0.lock().unwrap(), bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let sink = Sink::default();
    let writer = sink.clone();
    let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(move || writer.clone());
    let filter = tracing_subscriber::EnvFilter::new("access=info");
    // The test's runtime has one thread, so that this covers the server's tasks too.
    let _lines = tracing::subscriber::set_default(tracing_subscriber::registry().with(filter).with(layer));
    let host = Host::start(on, |_| {}).await;
    let mut client = host.connect().await;
    // Whether a line is wanted is cached for the whole process, and other tests that start and end meanwhile may have the cache say no.
    let mut lines = String::new();
    for calls in 1..=20 {
        tracing::callsite::rebuild_interest_cache();
        client.send("GET /hello?password=secret HTTP/1.1\r\nhost: x\r\nx-request-id: r1\r\n\r\n").await;
        client.answer().await;
        host.counted("answered", calls).await;
        lines = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        if !lines.is_empty() {
            break;
        }
    }
    drop(client);
    let line: serde_json::Value = serde_json::from_str(lines.trim()).unwrap_or_else(|error| panic!("{error}: {lines}"));
    for (field, value) in
        [("method", "GET"), ("path", "/hello"), ("request_id", "r1"), ("plugin", "by-path"), ("outcome", "answered")]
    {
        assert_eq!(line[field], value, "{lines}");
    }
    assert_eq!(line["client"], if let On::Unix = on { "unix" } else { "127.0.0.1" }, "{lines}");
    assert_eq!((line["status"].as_u64(), line["bytes"].as_u64()), (Some(200), Some(5)), "{lines}");
    assert!(!lines.contains("secret"), "{lines}");
}

async fn who_asks_is_what_a_trusted_proxy_says(on: On) {
    let ask = "GET /origin HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-forwarded-for: 1.1.1.1, 203.0.113.9\r\n\r\n";
    let [stranger, proxy] = match on {
        On::Unix => ["unix false"; 2],
        On::Tcp | On::Tls => ["127.0.0.1 false", "203.0.113.9 true"],
    };
    let host = Host::start(on, |_| {}).await;
    assert!(host.ask(ask).await.ends_with(stranger));
    let host = Host::start(on, |settings| settings.proxies.trusted = vec!["127.0.0.0/8".parse().unwrap()]).await;
    assert!(host.ask(ask).await.ends_with(proxy));
}

async fn a_small_body_that_nobody_reads_does_not_cost_the_connection(on: On) {
    let host = Host::start(on, |_| {}).await;
    let mut client = host.connect().await;
    for _ in 0..2 {
        client.send("POST /hello HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc").await;
        assert!(client.answer().await.ends_with("hello"));
        let answer = client.get("/nowhere").await;
        assert_problem(&answer, 404, "no-route");
        assert_eq!(header_of(&answer, "connection"), None);
    }
}

#[test]
fn a_body_of_a_request_fits_where_bodies_are_boxed() {
    fn fits<T: Send + Sync + Unpin + 'static>() {}
    fits::<RequestBody>();
    fits::<RequestBodyError>();
}

async fn whatever_clients_say_the_series_are_few(on: On) {
    let host = Host::start(on, |_| {}).await;
    let mut client = host.connect().await;
    for number in 0..200 {
        client.send(format!("METHOD{number} /path{number} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert_problem(&client.answer().await, 404, "no-route");
    }
    client.get("/hello").await;
    client.get("/problem/fuel").await;
    assert_problem(&host.ask("nonsense\r\n\r\n").await, 400, "bad-request");
    for (outcome, times) in [("no-route", 200), ("answered", 1), ("fuel-exhausted", 1), ("bad-request", 1)] {
        host.counted(outcome, times).await;
    }
    let mut text = Text::new();
    host.requests.tell(&mut text);
    let text = text.finish();
    let counts = text.lines().filter_map(|line| line.strip_prefix("http_server_request_duration_seconds_count"));
    let mut counts: Vec<String> =
        counts.map(|line| line.replace("http_request_method", "m").replace("http_response_status_code", "s")).collect();
    counts.sort();
    let of_route = "{http_route=\"/{*rest}\",plugin=\"by-path\",url_scheme=\"http\"";
    assert_eq!(
        counts,
        [
            format!("{of_route},m=\"GET\",s=\"200\"}} 1"),
            format!("{of_route},m=\"GET\",s=\"500\",error_type=\"fuel-exhausted\"}} 1"),
            format!("{of_route},m=\"_OTHER\",s=\"404\",error_type=\"no-route\"}} 200"),
            "{url_scheme=\"http\",m=\"_OTHER\",s=\"400\",error_type=\"bad-request\"} 1".to_owned(),
        ]
    );
    assert_eq!(host.requests.active(), 0);
}
