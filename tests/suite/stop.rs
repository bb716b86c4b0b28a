//! How a host stops: in the middle of its start, with haste, with a database that is gone, and without being asked.

use std::time::Duration;

use futures::{StreamExt, future::ready, stream};
use serde_json::json;
use support::{
    host::{Host, Setup, Signal},
    mariadb, mongodb, postgres,
    servers::{Engine, ServerDatabase},
    wire::Wire,
};
use tokio::net::TcpListener;

const GRANT: &str = "limits = { deadline = \"60s\" }\ndatabases.main = { access = \"read-write\" }";
const PATIENCE: Duration = Duration::from_secs(20);

/// A host with a call that has a query running for a minute, in a transaction.
async fn with_a_long_query(database: &ServerDatabase, server: &str, settings: &str) -> Host {
    let settings = format!("statement_timeout = \"60s\"\n{settings}");
    let host =
        Setup::new().server(server).database("main", &database.url(), &settings).plugin("probe", "probe", GRANT).start().await;
    let sql = database.engine().minute();
    call(&host, json!([{ "do": "begin", "as": "t" }, { "do": "query", "on": "t", "sql": sql }]));
    database.until_running(sql, PATIENCE).await;
    host
}

/// Begins a call whose answer nobody waits for.
fn call(host: &Host, steps: serde_json::Value) {
    let client = host.client();
    tokio::spawn(async move { client.post("/probe/run", &steps).await });
}

fn none_left(name: &str, engine: Engine) -> String {
    format!("database {name}: 0 connections left, says {}", engine.name())
}

#[tokio::test]
async fn a_second_signal_cuts_the_drain_short() {
    for (signal, engine) in
        [Signal::Interrupt, Signal::Terminate].into_iter().flat_map(|signal| Engine::ALL.map(|engine| (signal, engine)))
    {
        let database = ServerDatabase::create(engine).await;
        let host = with_a_long_query(&database, "drain_timeout = \"10m\"", "").await;
        host.signal(signal);
        host.logged("once more cuts it off", PATIENCE).await;
        host.signal(signal);
        let ended = host.ended(PATIENCE).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        for line in ["again: cutting off what runs", &none_left("main", engine)] {
            assert!(ended.stderr.contains(line), "{line}: {}", ended.stderr);
        }
        nothing_left(&database).await;
    }
}

#[tokio::test]
async fn a_second_signal_ends_what_runs_on_mongodb() {
    for signal in [Signal::Interrupt, Signal::Terminate] {
        let wire = Wire::start();
        wire.block("update");
        let host = Setup::new()
            .server("drain_timeout = \"10m\"")
            .database("main", &wire.url("stand_in"), "statement_timeout = \"60s\"")
            .plugin("probe", "documents_matrix", GRANT)
            .start()
            .await;
        let client = host.client();
        tokio::spawn(async move { client.get("/probe/statement-running?slow=notes").await });
        wire.until("an update", PATIENCE, |wire| (wire.waiting() == ["update"]).then_some(())).await;
        host.signal(signal);
        host.logged("once more cuts it off", PATIENCE).await;
        assert_eq!(wire.waiting(), ["update"]);
        host.signal(signal);
        let ended = host.ended(PATIENCE).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        for line in ["again: cutting off what runs", "database main: 0 connections left, says MongoDB"] {
            assert!(ended.stderr.contains(line), "{line}: {}", ended.stderr);
        }
        assert_eq!((wire.waiting(), wire.transactions(), wire.cursors()), (Vec::new(), 0, 0));
        let nobody = |wire: &Wire| wire.sockets().values().all(|sockets| sockets.open == 0).then_some(());
        wire.until("nobody", PATIENCE, nobody).await;
    }
}

/// What must hold once a host has said that nothing is left.
async fn nothing_left(database: &ServerDatabase) {
    match database {
        ServerDatabase::Postgres(database) => database.nothing_left().await,
        // Control sessions have been asked about, too.
        ServerDatabase::Mariadb(database) => assert_eq!(database.sessions().await, []),
    }
}

#[tokio::test]
async fn a_signal_while_it_starts_ends_it_and_closes_what_was_open() {
    for engine in Engine::ALL {
        // Takes the connection, and says nothing for ever.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let database = ServerDatabase::create(engine).await;
        let both = "databases.first = { access = \"read-write\" }\ndatabases.second = { access = \"read-write\" }";
        let host = Setup::new()
            .database("first", &database.url(), "")
            .database("second", &database.url_at(silent.local_addr().unwrap()), "connect_timeout = \"10m\"")
            .plugin("probe", "probe", both)
            .begin();
        let (_connection, _) = tokio::time::timeout(PATIENCE, silent.accept()).await.unwrap().unwrap();
        host.signal(Signal::Interrupt);
        let ended = host.ended(PATIENCE).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        for line in ["stopped before anything was served", &none_left("first", engine), "database second: 0"] {
            assert!(ended.stderr.contains(line), "{line}: {}", ended.stderr);
        }
        nothing_left(&database).await;
    }
}

/// `url` is an administrator's, and `halt` takes the server away.
async fn is_not_confirmed(url: &str, least: &str, halt: impl FnOnce()) {
    let host = Setup::new()
        .server("reclaim_timeout = \"500ms\"")
        .database("main", url, &format!("allow_superuser = true\n{least} = 2"))
        .plugin("probe", "probe", GRANT)
        .start()
        .await;
    halt();
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let said = ended.stderr.lines().find(|line| line.starts_with("database main: ")).unwrap_or_default().to_owned();
    assert!(said.contains("connections left; it could not be asked: ") && !said.contains(": 0 "), "{}", ended.stderr);
    assert!(ended.stderr.contains("not everything could be closed in time"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_database_does_not_confirm_is_said_and_fails_the_exit() {
    let server = postgres::start();
    is_not_confirmed(&server.superuser_url("postgres"), "min_connections", || server.halt()).await;
    let server = mariadb::start(&[]);
    is_not_confirmed(&server.administrator_url("mysql"), "min_connections", || server.halt()).await;
    let server = mongodb::start(&[]);
    is_not_confirmed(&server.administrator_url("app"), "min_pool_size", || server.halt()).await;
}

#[tokio::test]
async fn a_lease_that_is_held_for_long_is_told_with_its_statement_while_it_is_held() {
    let database = ServerDatabase::create(Engine::Postgres).await;
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

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_no_call_and_no_stop() {
    /// What a pipe holds at most, and half of it at least.
    const PIPE: usize = 64 << 10;
    /// A line each, some hundred of which fill the pipe; the host keeps 16,384 more.
    const CALLS: usize = 18_000;
    for format in ["json", "human"] {
        let host = Setup::new().unread().argument(&format!("--log-format={format}")).plugin("probe", "probe", "").start().await;
        let client = host.client();
        let calls = stream::iter(0..CALLS).map(|_| client.get("/probe/hello"));
        let answered = calls.buffer_unordered(16).filter(|reply| ready(reply.text() == "hello")).count().await;
        assert_eq!(answered, CALLS, "{format}");
        let ended = host.stop().await;
        assert_eq!(ended.code, Some(0), "{format}");
        // It was full.
        assert!(ended.stderr.len() > PIPE / 2, "{format}: {} bytes", ended.stderr.len());
    }
}
