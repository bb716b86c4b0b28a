//! The same server, spoken to in HTTP/2 with prior knowledge.

use http_body_util::{Empty, combinators::BoxBody};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;

over_every_listener! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    requests_and_problems,
    too_many_headers,
    a_request_that_is_reset_drops_its_call_only,
    a_client_that_goes_away_drops_all_its_calls,
    a_stalled_stream_loses_its_answer_and_no_other,
    an_idle_connection_is_told_and_closed,
    a_drain_lets_calls_finish_and_cuts_the_stuck,
}

type ClientBody = BoxBody<Bytes, std::convert::Infallible>;

async fn connect(host: &Host) -> (SendRequest<ClientBody>, JoinHandle<hyper::Result<()>>) {
    handshake(host.address.connect().await.unwrap()).await
}

async fn handshake(stream: Stream) -> (SendRequest<ClientBody>, JoinHandle<hyper::Result<()>>) {
    let (sender, connection) =
        within(hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn request(method: Method, path: &str, body: ClientBody) -> Request<ClientBody> {
    Request::builder().method(method).uri(format!("http://x{path}")).body(body).unwrap()
}

async fn get(sender: &mut SendRequest<ClientBody>, path: &str) -> (http::response::Parts, String) {
    let response = within(sender.send_request(request(Method::GET, path, Empty::new().boxed()))).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = within(body.collect()).await.unwrap().to_bytes();
    (parts, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn requests_and_problems(on: On) {
    let host = Host::start(on, |settings| settings.max_body = 10).await;
    let (mut sender, _connection) = connect(&host).await;
    let (parts, body) = get(&mut sender, "/hello").await;
    assert_eq!((parts.status, body.as_str()), (StatusCode::OK, "hello"));
    assert_eq!(parts.headers["x-request-id"].len(), 36);
    for (path, status) in [("/nowhere", 404), ("/panic", 500), ("/problem/fuel", 500)] {
        let (parts, body) = get(&mut sender, path).await;
        assert_eq!(parts.status, status);
        assert!(body.contains("\"code\":") && !body.contains("secret"), "{body}");
    }
    let big = Full::new(Bytes::from_static(b"hello world")).boxed();
    let response = within(sender.send_request(request(Method::POST, "/echo", big))).await.unwrap();
    assert_eq!(response.status(), 413);
    let response = within(sender.send_request(request(Method::HEAD, "/hello", Empty::new().boxed()))).await.unwrap();
    assert_eq!(response.headers()["content-length"], "5");
    assert!(within(response.into_body().collect()).await.unwrap().to_bytes().is_empty());
    // The reset may overtake the headers in the client's engine.
    if let Ok(failed) = within(sender.send_request(request(Method::GET, "/broken", Empty::new().boxed()))).await {
        assert!(within(failed.into_body().collect()).await.is_err());
    }
    host.counted("deadline-exceeded", 1).await;
    assert!(get(&mut sender, "/hello").await.1 == "hello");
}

async fn too_many_headers(on: On) {
    let host = Host::start(on, |settings| settings.max_headers = 5).await;
    let (mut sender, _connection) = connect(&host).await;
    let mut many = request(Method::GET, "/hello", Empty::new().boxed());
    for n in 0..6 {
        many.headers_mut().insert(http::HeaderName::try_from(format!("h{n}")).unwrap(), HeaderValue::from_static("1"));
    }
    assert_eq!(within(sender.send_request(many)).await.unwrap().status(), 431);
    let mut large = request(Method::GET, "/hello", Empty::new().boxed());
    large.headers_mut().insert("big", HeaderValue::from_str(&"x".repeat(70_000)).unwrap());
    // The peer was told the limit; its own engine may refuse, and so does ours.
    assert!(!within(sender.send_request(large)).await.is_ok_and(|response| response.status().is_success()));
}

async fn a_request_that_is_reset_drops_its_call_only(on: On) {
    let host = Host::start(on, |_| {}).await;
    let (mut sender, _connection) = connect(&host).await;
    let call = tokio::spawn(sender.send_request(request(Method::GET, "/never", Empty::new().boxed())));
    next(&host.script.started).await;
    call.abort();
    next(&host.script.dropped).await;
    host.counted("client-gone", 1).await;
    assert_eq!(get(&mut sender, "/hello").await.1, "hello");
}

async fn a_client_that_goes_away_drops_all_its_calls(on: On) {
    let host = Host::start(on, |_| {}).await;
    let stream = host.address.connect().await.unwrap();
    let close = stream.another_hand();
    let (mut sender, _connection) = handshake(stream).await;
    let calls: Vec<_> =
        (0..3).map(|_| tokio::spawn(sender.send_request(request(Method::GET, "/never", Empty::new().boxed())))).collect();
    for _ in 0..3 {
        next(&host.script.started).await;
    }
    close();
    timeout(Duration::from_secs(2), host.script.dropped.acquire_many(3)).await.expect("noticed").unwrap().forget();
    for call in calls {
        assert!(within(call).await.unwrap().is_err());
    }
}

async fn a_stalled_stream_loses_its_answer_and_no_other(on: On) {
    let host = Host::start(on, |settings| settings.body_stall_timeout = Duration::from_millis(200)).await;
    let (mut sender, _connection) = connect(&host).await;
    let stalled = within(sender.send_request(request(Method::GET, "/endless", Empty::new().boxed()))).await.unwrap();
    next(&host.script.started).await;
    next(&host.script.dropped).await;
    assert_eq!(get(&mut sender, "/hello").await.1, "hello");
    assert!(within(stalled.into_body().collect()).await.is_err());
    host.counted("reader-stalled", 1).await;
}

async fn an_idle_connection_is_told_and_closed(on: On) {
    let host = Host::start(on, |settings| settings.idle_timeout = Duration::from_millis(200)).await;
    let (mut sender, connection) = connect(&host).await;
    assert_eq!(get(&mut sender, "/hello").await.1, "hello");
    within(connection).await.unwrap().unwrap();
}

async fn a_drain_lets_calls_finish_and_cuts_the_stuck(on: On) {
    let host = Host::start(on, |settings| settings.drain_timeout = Duration::from_millis(500)).await;
    let (mut sender, _connection) = connect(&host).await;
    let waiting = tokio::spawn(sender.send_request(request(Method::GET, "/wait", Empty::new().boxed())));
    let never = tokio::spawn(sender.send_request(request(Method::GET, "/never", Empty::new().boxed())));
    next(&host.script.started).await;
    next(&host.script.started).await;
    host.shutdown.cancel();
    host.script.go.add_permits(1);
    assert_eq!(within(waiting).await.unwrap().unwrap().status(), 200);
    // The first counts as finished by the drain only if the server saw the stop before it ended.
    let drained = host.stop().await;
    assert!(matches!(drained, Drained { finished: 0 | 1, cut: 1, stuck: 0 }), "{drained:?}");
    assert!(within(never).await.unwrap().is_err());
}
