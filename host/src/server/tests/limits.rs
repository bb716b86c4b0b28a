//! Sizes and numbers.

use super::*;

over_every_listener! {
    #[tokio::test]
    a_declared_body_over_the_limit_never_reaches_the_handler,
    a_client_that_sends_a_huge_body_first_still_reads_the_refusal,
    a_body_that_waits_for_a_go_ahead_is_refused_without_one,
    a_chunked_body_that_grows_over_the_limit_is_an_error_inside_and_413_outside,
    a_broken_chunk_is_a_bad_request,
    long_paths_and_many_headers_are_refused,
    connections_over_the_limit_wait_until_one_ends,
    settings_change_while_it_serves,
    an_address_in_use_is_an_error_that_names_it,
}

async fn a_declared_body_over_the_limit_never_reaches_the_handler(on: On) {
    let host = Host::start(on, |settings| settings.max_body = 10).await;
    let answer = host.ask("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\nhello world").await;
    assert_problem(&answer, 413, "body-too-large");
    assert_eq!(header_of(&answer, "connection"), Some("close"));
    assert_eq!(host.script.started.available_permits(), 0);
    let answer = host.connect().await.answer_to("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhelloworld").await;
    assert!(answer.ends_with("helloworld"), "{answer}");
}

async fn a_client_that_sends_a_huge_body_first_still_reads_the_refusal(on: On) {
    let host = Host::start(on, |settings| settings.max_body = 10).await;
    let mut client = host.connect().await;
    client.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 20000000\r\n\r\n").await;
    client.send(vec![b'x'; 20_000_000]).await;
    assert_problem(&client.rest().await, 413, "body-too-large");
}

async fn a_body_that_waits_for_a_go_ahead_is_refused_without_one(on: On) {
    let host = Host::start(on, |settings| settings.max_body = 10).await;
    let mut client = host.connect().await;
    client.send("POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 11\r\n\r\n").await;
    assert_problem(&client.rest().await, 413, "body-too-large");
    let mut client = host.connect().await;
    client.send("POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n").await;
    assert!(client.answer().await.starts_with("HTTP/1.1 100 Continue"));
    client.send("hello").await;
    assert!(client.answer().await.ends_with("hello"));
}

async fn a_chunked_body_that_grows_over_the_limit_is_an_error_inside_and_413_outside(on: On) {
    let host = Host::start(on, |settings| settings.max_body = 10).await;
    let mut client = host.connect().await;
    client.send("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n6\r\nhello \r\n").await;
    next(&host.script.started).await;
    client.send("5\r\nworld\r\n0\r\n\r\n").await;
    let answer = client.rest().await;
    assert_problem(&answer, 413, "body-too-large");
    let answer = host
        .connect()
        .await
        .answer_to("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n")
        .await;
    assert!(answer.ends_with("helloworld"), "{answer}");
}

async fn a_broken_chunk_is_a_bad_request(on: On) {
    let host = Host::start(on, |_| {}).await;
    let answer = host.ask("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n").await;
    assert_problem(&answer, 400, "bad-request");
}

async fn long_paths_and_many_headers_are_refused(on: On) {
    let host = Host::start(on, |settings| settings.max_headers = 5).await;
    let mut client = host.connect().await;
    assert_problem(&client.get(&format!("/{}", "a".repeat(8 * 1024))).await, 414, "uri-too-long");
    assert!(client.get(&format!("/hello?{}", "a".repeat(8 * 1024 - 7))).await.ends_with("hello"));
    let headers: String = (0..5).map(|n| format!("h{n}: 1\r\n")).collect();
    client.send(format!("GET /hello HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
    assert_problem(&client.rest().await, 431, "headers-too-large");
}

async fn connections_over_the_limit_wait_until_one_ends(on: On) {
    let host = Host::start(on, |settings| settings.max_connections = 1).await;
    let mut first = host.connect().await;
    assert!(first.get("/hello").await.ends_with("hello"));
    let address = host.address.clone();
    let second = tokio::spawn(async move { Client::new(address.connect().await.unwrap()).get("/hello").await });
    // The server turns around for the first client while the second one's request lies there.
    for _ in 0..10 {
        assert!(first.get("/hello").await.ends_with("hello"));
    }
    host.counted("answered", 11).await;
    assert!(!second.is_finished());
    drop(first);
    assert!(within(second).await.unwrap().ends_with("hello"));
    assert_eq!(host.counters.get("answered"), 12);
}

async fn settings_change_while_it_serves(on: On) {
    let host = Host::start(on, |settings| settings.max_connections = 1).await;
    let post = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhelloworld";
    let mut first = host.connect().await;
    first.send(post).await;
    assert!(first.answer().await.ends_with("helloworld"));
    // One that waits is let in, and one that is there has other limits from its next request on.
    let address = host.address.clone();
    let second = tokio::spawn(async move {
        let mut second = Client::new(address.connect().await.unwrap());
        assert!(second.get("/hello").await.ends_with("hello"));
        second
    });
    for _ in 0..10 {
        assert!(first.get("/hello").await.ends_with("hello"));
    }
    assert!(!second.is_finished());
    host.tuning.set(Settings { max_connections: 2, max_body: 9, ..Settings::default() }).unwrap();
    let second = within(second).await.unwrap();
    first.send(post).await;
    assert_problem(&first.rest().await, 413, "body-too-large");
    assert!(matches!(
        host.tuning.set(Settings { max_connections: 0, ..Settings::default() }),
        Err(BindError::Setting("max_connections"))
    ));
    // Nobody is sent away when there are to be fewer.
    let mut third = host.connect().await;
    assert!(third.get("/hello").await.ends_with("hello"));
    host.tuning.set(Settings { max_connections: 1, ..Settings::default() }).unwrap();
    assert!(third.get("/hello").await.ends_with("hello"));
    drop(second);
    assert!(third.get("/hello").await.ends_with("hello"));
}

#[tokio::test]
async fn settings_out_of_bounds_are_refused() {
    type Change = fn(&mut Settings);
    let broken: [(&str, Change); 3] = [
        ("max_connections", |settings| settings.max_connections = 0),
        ("max_header_bytes", |settings| settings.max_header_bytes = 100),
        ("max_headers", |settings| settings.max_headers = 0),
    ];
    for (name, change) in broken {
        let mut settings = Settings::default();
        change(&mut settings);
        let (listener, _) = Listener::tcp(ANY).await.unwrap();
        assert!(matches!(Server::new(listener, settings), Err(BindError::Setting(found)) if found == name));
    }
}

async fn an_address_in_use_is_an_error_that_names_it(on: On) {
    let host = Host::start(on, |_| {}).await;
    let (name, error) = match &host.address {
        Address::Tcp(address) | Address::Tls(address, _) => (address.to_string(), Listener::tcp(*address).await.unwrap_err()),
        Address::Unix(path) => (path.display().to_string(), Listener::unix(path).unwrap_err()),
    };
    assert_eq!(error.to_string(), format!("cannot listen on {name}"));
}

impl Client {
    async fn answer_to(mut self, request: &str) -> String {
        self.send(request).await;
        self.answer().await
    }
}
