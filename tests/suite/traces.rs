//! Traces: what a receiver is told of calls, statements and reclaims, and that nobody waits for it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::future::join_all;
use http::{Method, Request};
use serde_json::{Value as Json, json};
use support::{
    client::{self, Reply},
    host::{Host, Setup},
    receiver::{Manner, Receiver, Span},
    servers::{Engine, ServerDatabase},
};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(30);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn traced(endpoint: &str, settings: &str) -> Setup {
    Setup::new().toml(&format!("\n[traces]\nendpoint = \"{endpoint}\"\n{settings}"))
}

fn at(receiver: &Receiver) -> String {
    format!("http://{}", receiver.address())
}

/// A host that needs no database.
async fn start(endpoint: &str, settings: &str) -> Host {
    traced(endpoint, settings).plugin("probe", "probe", "").start().await
}

async fn ask(host: &Host, method: Method, path: &str, headers: &[(&str, &str)], body: &Json) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(client::bytes(body.to_string())).unwrap();
    host.client().open(request).await.unwrap().whole().await.unwrap()
}

/// The values of a header that the handler is given.
async fn handed(host: &Host, name: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let answer = ask(host, Method::GET, &format!("/probe/header?name={name}"), headers, &Json::Null).await;
    serde_json::from_value(answer.json()).unwrap()
}

/// In the order in which they began: each core hands out its own.
fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    let mut named: Vec<&Span> = spans.iter().filter(|span| span.text("name") == name).collect();
    named.sort_by_key(|span| span.text("startTimeUnixNano"));
    named
}

#[tokio::test]
async fn a_call_its_statements_and_its_reclaim_are_one_trace() {
    let receiver = Receiver::start().await;
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = traced(&at(&receiver), "sample = \"1\"\nheaders = \"x-key: of-the-test\"")
        .database("main", &database.url(), "")
        .plugin("probe", "probe", "databases.main = { access = \"read-write\" }")
        .start()
        .await;
    let steps = json!([
        { "do": "query", "sql": "SELECT 'planted', 1" },
        { "do": "execute", "sql": "SELECT planted FROM nowhere WHERE a = 'planted'" },
        { "do": "begin", "as": "t" },
        { "do": "query", "on": "t", "sql": "SELECT 2" },
    ]);
    let headers = [("traceparent", CLIENT)];
    let answer = ask(&host, Method::POST, "/probe/run-and-trap", &headers, &steps).await;
    assert_eq!(answer.problem(), (500, "handler-trapped".to_owned()));
    assert_eq!(host.stop().await.code, Some(0));

    let seen = receiver.seen();
    for (asked, headers) in &seen.requests {
        assert_eq!(asked, "POST /v1/traces");
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["x-key"], "of-the-test");
    }
    let spans = &seen.spans;
    assert!(spans.len() == 6 && spans.iter().all(|span| span.text("traceId") == TRACE), "{spans:?}");
    assert_eq!(spans.iter().map(|span| span.text("spanId")).collect::<BTreeSet<_>>().len(), spans.len());
    let [call] = named(spans, "POST /probe/{*rest}")[..] else { panic!("{spans:?}") };
    assert_eq!(call.text("parentSpanId"), "b7ad6b7169203331");
    assert!(spans.iter().all(|span| [call.text("spanId"), "b7ad6b7169203331"].contains(&span.text("parentSpanId"))), "{spans:?}");
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/probe/{*rest}"),
        ("url.scheme", "http"),
        ("http.response.status_code", "500"),
        ("url.path", "/probe/run-and-trap"),
        ("wharf.plugin", "probe"),
        ("wharf.outcome", "trapped"),
    ] {
        assert_eq!(call.attribute(key), Some(value), "{call:?}");
    }
    assert_eq!((call.failure(), call.attribute("wharf.digest").map(str::len)), (Some("handler-trapped"), Some(64)));
    assert!(call.attribute("wharf.fuel").unwrap().parse::<u64>().unwrap() > 0);

    let [first, second] = named(spans, "query main")[..] else { panic!("{spans:?}") };
    for (query, text) in [(first, "SELECT ?, ?"), (second, "SELECT ?")] {
        assert_eq!((query.attribute("db.query.text"), query.attribute("db.response.returned_rows")), (Some(text), Some("1")));
        assert_eq!((query.attribute("db.system.name"), query.failure()), (Some("postgresql"), None));
        assert_eq!(query.0["kind"], 3);
    }
    assert_eq!((first.events(), second.events().len()), (vec!["leased"], 0));
    let [failed] = named(spans, "execute main")[..] else { panic!("{spans:?}") };
    assert_eq!(failed.attribute("db.response.status_code"), Some("42P01"));
    assert!(failed.failure().is_some() && !failed.attribute("db.query.text").unwrap().contains('\''), "{failed:?}");
    assert_eq!(named(spans, "begin main").len(), 1);
    let [reclaim] = named(spans, "reclaim main")[..] else { panic!("{spans:?}") };
    assert_eq!((reclaim.attribute("wharf.reason"), reclaim.attribute("wharf.step")), (Some("trapped"), Some("rolled-back")));
    assert_eq!((reclaim.events()[0], reclaim.failure()), ("rolled-back", None));
}

#[tokio::test]
async fn a_call_that_is_cut_off_tells_what_was_under_way() {
    let receiver = Receiver::start().await;
    let database = ServerDatabase::create(Engine::Postgres).await;
    let grant = "limits = { deadline = \"1s\" }\ndatabases.main = { access = \"read-write\" }";
    let host = traced(&at(&receiver), "sample = \"1\"").database("main", &database.url(), "").plugin("probe", "probe", grant);
    let host = host.start().await;
    let steps = json!([{ "do": "query", "sql": database.engine().minute() }]);
    let answer = ask(&host, Method::POST, "/probe/run", &[], &steps).await;
    assert_eq!(answer.problem(), (504, "deadline-exceeded".to_owned()));
    assert_eq!(host.stop().await.code, Some(0));

    let spans = receiver.seen().spans;
    let [call] = named(&spans, "POST /probe/{*rest}")[..] else { panic!("{spans:?}") };
    assert_eq!((call.failure(), call.attribute("wharf.outcome")), (Some("deadline-exceeded"), Some("deadline-exceeded")));
    let [query] = named(&spans, "query main")[..] else { panic!("{spans:?}") };
    assert_eq!((query.failure(), query.events()), (Some("given-up"), vec!["leased"]));
    let [reclaim] = named(&spans, "reclaim main")[..] else { panic!("{spans:?}") };
    assert_eq!(
        (reclaim.attribute("wharf.step"), reclaim.events()),
        (Some("cancelled"), vec!["cancelled", "closed", "confirmed"])
    );
    assert!([query, reclaim].iter().all(|span| span.text("parentSpanId") == call.text("spanId")), "{spans:?}");
}

#[tokio::test]
async fn the_handler_is_told_its_own_span() {
    let receiver = Receiver::start().await;
    let host = start(&at(&receiver), "sample = \"1\"").await;
    let headers = [("traceparent", CLIENT), ("tracestate", "a=1"), ("tracestate", "b=2")];
    let told = handed(&host, "traceparent", &headers).await;
    assert_eq!(handed(&host, "tracestate", &headers).await, ["a=1", "b=2"]);
    let alone = handed(&host, "traceparent", &[]).await;
    // Of what makes no sense nothing is handed on.
    let broken = [("traceparent", "00-nonsense"), ("tracestate", "a=1")];
    assert_eq!(handed(&host, "tracestate", &broken).await, [""; 0]);
    assert_eq!(host.stop().await.code, Some(0));
    let seen = receiver.seen();
    let spans = named(&seen.spans, "GET /probe/{*rest}");
    let [first, _, root, _] = spans[..] else { panic!("{spans:?}") };
    assert_eq!(told, [format!("00-{TRACE}-{}-01", first.text("spanId"))]);
    // One of its own, with a number that is random by the standard.
    assert_eq!(alone, [format!("00-{}-{}-03", root.text("traceId"), root.text("spanId"))]);
    assert_eq!((root.text("parentSpanId"), root.attribute("wharf.outcome"), root.failure()), ("", Some("answered"), None));
    assert_eq!(root.attribute("http.response.status_code"), Some("200"));
}

#[tokio::test]
async fn without_an_endpoint_what_the_client_says_reaches_the_handler() {
    let host = Setup::new().plugin("probe", "probe", "").start().await;
    for said in [CLIENT, "nonsense"] {
        assert_eq!(handed(&host, "traceparent", &[("traceparent", said)]).await, [said]);
    }
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn clients_cannot_have_their_calls_traced() {
    let receiver = Receiver::start().await;
    let host = start(&at(&receiver), "sample = \"0\"").await;
    for _ in 0..100 {
        let told = handed(&host, "traceparent", &[("traceparent", CLIENT)]).await;
        assert!(told.len() == 1 && told[0].starts_with(&format!("00-{TRACE}-")) && told[0].ends_with("-00"), "{told:?}");
    }
    assert_eq!(host.stop().await.code, Some(0));
    assert!(receiver.seen().requests.is_empty());
}

#[tokio::test]
async fn a_flood_is_traced_as_far_as_is_allowed() {
    let receiver = Receiver::start().await;
    let host = start(&at(&receiver), "sample = \"1\"\nmax_spans_per_second = 5").await;
    let started = Instant::now();
    let calls = (0..200).map(|_| ask(&host, Method::GET, "/probe/hello", &[("traceparent", CLIENT)], &Json::Null));
    assert!(join_all(calls).await.iter().all(|answer| answer.status == 200));
    let seconds = started.elapsed().as_secs() + 2;
    assert_eq!(host.stop().await.code, Some(0));
    let spans = receiver.seen().spans.len() as u64;
    assert!(spans >= 5 && spans <= 5 * seconds, "{spans} in {seconds} s");
}

/// Calls are answered and the host stops in order, however its spans fare; what it says of them.
async fn goes_on(endpoint: String) -> String {
    let host = start(&endpoint, "sample = \"1\"\ntimeout = \"100ms\"").await;
    for _ in 0..20 {
        assert_eq!(host.client().get("/probe/hello").await.text(), "hello");
    }
    let line = host.logged("spans cannot be exported", PATIENCE).await;
    assert_eq!(host.client().get("/probe/hello").await.text(), "hello");
    let stopping = Instant::now();
    let ended = host.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(10), "{ended:?}");
    assert!(ended.code == Some(0) && ended.stderr.contains("spans were lost since the start"), "{ended:?}");
    assert_eq!(ended.stderr.matches("spans cannot be exported").count(), 1, "{ended:?}");
    line
}

#[tokio::test]
async fn nobody_waits_for_a_receiver() {
    let silent = Receiver::with(&[Manner::Silent], None).await;
    let refusing = Receiver::with(&[Manner::Refuses(500)], None).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let said = join_all([goes_on(at(&silent)), goes_on(at(&refusing)), goes_on(format!("http://{gone}"))]).await;
    for (line, why) in said.iter().zip(["no answer within 100 ms", "the receiver answers 500", "no connection"]) {
        assert!(line.contains(why), "{line}");
    }
    assert!(silent.seen().requests.len() >= 3);
}

#[tokio::test]
async fn what_may_be_taken_later_is_tried_again_and_nothing_else() {
    let busy = Receiver::with(&[Manner::Refuses(503), Manner::Refuses(429), Manner::Takes], None).await;
    let strict = Receiver::with(&[Manner::Refuses(400), Manner::Takes], None).await;
    let host = start(&at(&busy), "sample = \"1\"").await;
    let answer = host.client().get("/probe/hello").await;
    assert_eq!(answer.status, 200);
    let seen = busy.until("the third try", PATIENCE, |seen| !seen.spans.is_empty()).await;
    assert_eq!((seen.requests.len(), seen.spans.len()), (3, 1));
    let ended = host.stop().await;
    assert!(ended.code == Some(0) && !ended.stderr.contains("spans"), "{ended:?}");

    let host = start(&at(&strict), "sample = \"1\"").await;
    for tries in [1, 2] {
        assert_eq!(host.client().get("/probe/hello").await.status, 200);
        strict.until("a try", PATIENCE, |seen| seen.requests.len() == tries).await;
    }
    let ended = host.stop().await;
    assert!(ended.code == Some(0) && ended.stderr.contains("spans are exported again"), "{ended:?}");
    assert_eq!((strict.seen().requests.len(), strict.seen().spans.len()), (2, 1));
}
