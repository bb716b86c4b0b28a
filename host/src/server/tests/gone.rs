//! Clients that go away: their calls are dropped within two seconds, whatever state the connection is in.

use super::*;

const NOTICED: Duration = Duration::from_secs(2);

async fn goes_away_during(request: &str) {
    let host = Host::start(|_| {}).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_handler_computes() {
    goes_away_during("GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_next_request_already_sent() {
    goes_away_during("GET /never HTTP/1.1\r\nhost: x\r\n\r\nGET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_body_that_nobody_reads() {
    goes_away_during("POST /never HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n0123456789").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_half_a_body_that_nobody_reads() {
    goes_away_during("POST /never HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n01234").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_closing_its_half_only() {
    let host = Host::start(|_| {}).await;
    let mut client = host.connect().await;
    client.send("GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
    next(&host.script.started).await;
    client.stream.shutdown().await.unwrap();
    timeout(NOTICED, host.script.dropped.acquire()).await.expect("noticed").unwrap().forget();
    assert_eq!(client.rest().await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_middle_of_an_answer_that_flows() {
    goes_away_during("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_middle_of_an_answer_that_waits() {
    goes_away_during("GET /stuck HTTP/1.1\r\nhost: x\r\n\r\n").await;
    goes_away_during("GET /stuck HTTP/1.1\r\nhost: x\r\n\r\nGET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_middle_of_its_body() {
    goes_away_during("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n01234").await;
}
