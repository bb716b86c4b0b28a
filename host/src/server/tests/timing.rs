//! What clients are told of the time of their answers.

use super::*;

over_every_listener! {
    #[tokio::test]
    clients_are_told_what_the_time_went_into_where_that_is_wanted,
    nobody_is_told_otherwise,
}

/// The values of all such headers, and what the last one says in milliseconds.
fn told(answer: &str) -> (Vec<&str>, Vec<(&str, f64)>) {
    let (head, _) = answer.split_once("\r\n\r\n").unwrap();
    let headers: Vec<&str> = head.lines().filter_map(|line| line.strip_prefix("server-timing: ")).collect();
    let parts = headers.last().copied().unwrap_or_default().split(", ").filter_map(|part| part.split_once(";dur="));
    let times = parts.map(|(name, value)| (name, value.parse().unwrap())).collect();
    (headers, times)
}

async fn clients_are_told_what_the_time_went_into_where_that_is_wanted(on: On) {
    let host = Host::start(on, |settings| settings.server_timing = true).await;
    let mut client = host.connect().await;
    let answer = client.get("/timed").await;
    let (headers, times) = told(&answer);
    assert_eq!((headers.len(), headers[0]), (2, "handler;dur=7"), "{answer}");
    let [("queue", queue), ("instance", instance), ("db", database), ("total", total)] = times[..] else { panic!("{answer}") };
    assert!([queue, instance, database].into_iter().all(|part| part >= 1.0), "{answer}");
    assert!(queue + instance + database <= total + 1e-6, "{answer}");
    // Problems tell it, too.
    let answer = client.get("/nowhere").await;
    assert_problem(&answer, 404, "no-route");
    let (_, times) = told(&answer);
    assert!(matches!(times[..], [("queue", 0.0), ("instance", 0.0), ("db", 0.0), ("total", _)]), "{answer}");
}

async fn nobody_is_told_otherwise(on: On) {
    let host = Host::start(on, |_| {}).await;
    let mut client = host.connect().await;
    for path in ["/hello", "/nowhere"] {
        let answer = client.get(path).await;
        assert!(told(&answer).0.is_empty(), "{answer}");
    }
}
