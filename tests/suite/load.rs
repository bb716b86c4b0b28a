//! Many calls at once and one after the other: what is lent comes back, and the server never sees more sessions than it should.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value as Json, json};
use support::{
    client::Client,
    host::{Host, Setup},
    postgres::PostgresDatabase,
};

/// A host with one plugin on several databases, a PostgreSQL one and two of SQLite.
async fn start(database: &PostgresDatabase, settings: &str) -> Host {
    let setup = Setup::new();
    let file = |name: &str| {
        let path = setup.folder().join(name);
        // An empty file is an empty database.
        std::fs::File::create(&path).unwrap();
        format!("sqlite://{}", path.display())
    };
    let (second, third) = (file("second.db"), file("third.db"));
    setup
        .database("main", &database.url(&database.owner), settings)
        .database("second", &second, "")
        .database("third", &third, "")
        .plugin(
            "probe",
            "probe",
            "databases.main = { access = \"read-write\" }\n\
             databases.second = { access = \"read-write\" }\n\
             databases.third = { access = \"read-write\" }",
        )
        .start()
        .await
}

/// One call that uses all three databases, and a transaction on the first.
fn work() -> Json {
    json!([
        { "do": "open", "database": "second", "as": "second" },
        { "do": "open", "database": "third", "as": "third" },
        { "do": "begin", "as": "t" },
        { "do": "query", "on": "t", "sql": "SELECT 1" },
        { "do": "query", "on": "second", "sql": "SELECT 2" },
        { "do": "query", "on": "third", "sql": "SELECT 3" },
        { "do": "commit", "on": "t" },
    ])
}

async fn call(client: &Client) {
    let reply = client.post("/probe/run", &work()).await;
    let outcomes = reply.json();
    let failed = outcomes.as_array().unwrap().iter().find(|outcome| !outcome["error"].is_null());
    assert_eq!((reply.status.as_u16(), failed), (200, None));
}

#[tokio::test]
async fn twenty_at_once_and_five_hundred_in_a_row_leave_counts_stable() {
    let database = PostgresDatabase::create().await;
    let mut host = start(&database, "max_connections = 5").await;
    let client = host.client();
    join_all((0..20).map(|_| call(&client))).await;
    let after_burst = database.sessions().await.len();
    assert!(after_burst <= 6, "{after_burst} sessions with max_connections = 5 and the control connection");
    for _ in 0..500 {
        call(&client).await;
    }
    let in_the_end = database.sessions().await.len();
    // A call that finds the last one's connection on its way back may open another, but never one more than there may be.
    assert!(in_the_end <= 6, "{in_the_end} sessions, {after_burst} after the burst");
    database.until_quiet(6, Duration::from_secs(10)).await;
    host.assert_alive();
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("0 connections left").count(), 3, "{}", ended.stderr);
    database.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_three_never_shows_more_than_three_sessions_under_64_clients() {
    let database = PostgresDatabase::create().await;
    let host = start(&database, "max_connections = 3\nacquire_timeout = \"30s\"").await;
    let client = host.client();
    let clients = join_all((0..64).map(|_| async {
        for _ in 0..10 {
            call(&client).await;
        }
    }));
    let mut clients = std::pin::pin!(clients);
    let mut seen = Vec::new();
    loop {
        tokio::select! {
            _ = &mut clients => break,
            sessions = database.sessions() => seen.push(sessions.len()),
        }
    }
    let most = seen.iter().max().copied().unwrap_or_default();
    assert!(seen.len() >= 5, "looked {} times only", seen.len());
    assert!((2..=4).contains(&most), "{most} sessions with max_connections = 3 and the control connection");
    assert_eq!(host.stop().await.code, Some(0));
    database.nothing_left().await;
}
