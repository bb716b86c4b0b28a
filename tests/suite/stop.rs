//! How a host stops: in the middle of its start, with haste, with a database that is gone, and without being asked.

use std::time::Duration;

use serde_json::json;
use support::{
    host::{Host, Setup, Signal},
    postgres::{PostgresDatabase, SessionRow, start},
};
use tokio::net::TcpListener;

const GRANT: &str = "limits = { deadline = \"60s\" }\ndatabases.main = { access = \"read-write\" }";
const PATIENCE: Duration = Duration::from_secs(20);

/// A host with a call that has a query running for a minute, in a transaction.
async fn with_a_long_query(database: &PostgresDatabase, server: &str, settings: &str) -> Host {
    let settings = format!("statement_timeout = \"60s\"\n{settings}");
    let host = Setup::new()
        .server(server)
        .database("main", &database.url(&database.owner), &settings)
        .plugin("probe", "probe", GRANT)
        .start()
        .await;
    let client = host.client();
    tokio::spawn(async move {
        let steps = json!([
            { "do": "begin", "as": "t" },
            { "do": "query", "on": "t", "sql": "SELECT pg_sleep(60), 'a literal', 1" },
        ]);
        client.post("/probe/run", &steps).await
    });
    let asleep = |sessions: &[SessionRow]| sessions.iter().any(|session| session.query.contains("pg_sleep"));
    database.until_sessions("the query to run", PATIENCE, asleep).await;
    host
}

#[tokio::test]
async fn a_second_signal_cuts_the_drain_short() {
    for signal in [Signal::Interrupt, Signal::Terminate] {
        let database = PostgresDatabase::create().await;
        let host = with_a_long_query(&database, "drain_timeout = \"10m\"", "").await;
        host.signal(signal);
        host.logged("once more cuts it off", PATIENCE).await;
        host.signal(signal);
        let ended = host.ended(PATIENCE).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        for line in ["again: cutting off what runs", "database main: 0 connections left, says PostgreSQL"] {
            assert!(ended.stderr.contains(line), "{line}: {}", ended.stderr);
        }
        database.nothing_left().await;
    }
}

#[tokio::test]
async fn a_signal_while_it_starts_ends_it_and_closes_what_was_open() {
    // Takes the connection, and says nothing for ever.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://app:secret@{}/app?sslmode=disable", silent.local_addr().unwrap());
    let database = PostgresDatabase::create().await;
    let host = Setup::new()
        .database("first", &database.url(&database.owner), "")
        .database("second", &url, "connect_timeout = \"10m\"")
        .plugin("probe", "probe", "databases.first = { access = \"read-write\" }\ndatabases.second = { access = \"read-write\" }")
        .begin();
    let (_connection, _) = tokio::time::timeout(PATIENCE, silent.accept()).await.unwrap().unwrap();
    host.signal(Signal::Interrupt);
    let ended = host.ended(PATIENCE).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for line in
        ["stopped before anything was served", "database first: 0 connections left, says PostgreSQL", "database second: 0"]
    {
        assert!(ended.stderr.contains(line), "{line}: {}", ended.stderr);
    }
    database.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_database_does_not_confirm_is_said_and_fails_the_exit() {
    let server = start();
    let host = Setup::new()
        .server("reclaim_timeout = \"500ms\"")
        .database("main", &server.superuser_url("postgres"), "allow_superuser = true\nmin_connections = 2")
        .plugin("probe", "probe", GRANT)
        .start()
        .await;
    server.halt();
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let said = ended.stderr.lines().find(|line| line.starts_with("database main: ")).unwrap_or_default().to_owned();
    assert!(said.contains("connections left; it could not be asked: ") && !said.contains(": 0 "), "{}", ended.stderr);
    assert!(ended.stderr.contains("not everything could be closed in time"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_host_that_is_killed_leaves_no_session_behind() {
    let database = PostgresDatabase::create().await;
    let host = with_a_long_query(&database, "", "").await;
    // Dropped, it is killed. The server looks every second whether the client of a running query is still there.
    drop(host);
    database.until_quiet(0, Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_lease_that_is_held_for_long_is_told_with_its_statement_while_it_is_held() {
    let database = PostgresDatabase::create().await;
    let host = with_a_long_query(&database, "drain_timeout = \"100ms\"", "leak_warning = \"100ms\"").await;
    let told = host.logged("held for longer than `leak_warning`", PATIENCE).await;
    for part in
        ["\"plugin\":\"probe\"", "\"state\":\"query\"", "SELECT pg_sleep (?), ?, ?", "\"database\":\"main\"", "request_id"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!host.log().contains("a literal"), "{}", host.log());
    let ended = host.stop().await;
    assert!(ended.stderr.contains("the lease that was held for too long has ended"), "{}", ended.stderr);
}
