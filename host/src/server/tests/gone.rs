//! Clients that go away: their calls are dropped within two seconds, whatever state the connection is in.

use super::*;

over_every_listener! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    while_the_handler_computes,
    with_the_next_request_already_sent,
    with_a_body_that_nobody_reads,
    with_half_a_body_that_nobody_reads,
    by_closing_its_half_only,
    in_the_middle_of_an_answer_that_flows,
    in_the_middle_of_an_answer_that_waits,
    in_the_middle_of_its_body,
}

const NOTICED: Duration = Duration::from_secs(2);

async fn goes_away_during(on: On, request: &str) {
    let host = Host::start(on, |_| {}).await;
    let mut client = host.connect().await;
    client.send(request).await;
    next(&host.script.started).await;
    drop(client);
    timeout(NOTICED, host.script.dropped.acquire())
        .await
        .unwrap_or_else(|_| panic!("not noticed: {request:?}"))
        .unwrap()
        .forget();
    host.counted("client-gone", 1).await;
    assert!(host.connect().await.get("/hello").await.ends_with("hello"));
}

async fn while_the_handler_computes(on: On) {
    goes_away_during(on, "GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
}

async fn with_the_next_request_already_sent(on: On) {
    goes_away_during(on, "GET /never HTTP/1.1\r\nhost: x\r\n\r\nGET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
}

async fn with_a_body_that_nobody_reads(on: On) {
    goes_away_during(on, "POST /never HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n0123456789").await;
}

async fn with_half_a_body_that_nobody_reads(on: On) {
    goes_away_during(on, "POST /never HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n01234").await;
}

async fn by_closing_its_half_only(on: On) {
    let host = Host::start(on, |_| {}).await;
    let mut client = host.connect().await;
    client.send("GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
    next(&host.script.started).await;
    client.stream.shutdown().await.unwrap();
    timeout(NOTICED, host.script.dropped.acquire()).await.expect("noticed").unwrap().forget();
    let (text, error) = client.end().await;
    assert_eq!(text, "");
    // The supervisor may see the end before TLS has read its good-bye, and closing a socket with unread bytes resets it.
    assert!(matches!(error, None | Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)), "{error:?}");
}

async fn in_the_middle_of_an_answer_that_flows(on: On) {
    goes_away_during(on, "GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
}

async fn in_the_middle_of_an_answer_that_waits(on: On) {
    goes_away_during(on, "GET /stuck HTTP/1.1\r\nhost: x\r\n\r\n").await;
    goes_away_during(on, "GET /stuck HTTP/1.1\r\nhost: x\r\n\r\nGET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
}

async fn in_the_middle_of_its_body(on: On) {
    goes_away_during(on, "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n01234").await;
}
