//! On PostgreSQL; the sessions are those of `pg_stat_activity`.

use std::{fmt::Write as _, time::Instant};

use futures::future::join_all;
use serde_json::{Value as Json, json};
use support::{
    host::{Host, Setup, Signal},
    postgres::{PostgresDatabase, SessionRow},
};

use super::{IN_TIME, OPERATION, RECLAIM, ended_well, kind, run};

/// Connections of a pool.
const POOL: usize = 3;

/// As many, and the control path.
const SESSIONS: usize = POOL + 1;

const TABLE: &str = "CREATE TABLE notes (note text NOT NULL)";

async fn start(database: &PostgresDatabase, settings: &str) -> Host {
    database.execute(TABLE).await;
    let settings = format!("max_connections = {POOL}\nacquire_timeout = \"20s\"\n{settings}");
    let grant = "limits = { deadline = \"25s\" }\ndatabases.main = { access = \"read-write\" }";
    Setup::new().database("main", &database.url(&database.owner), &settings).plugin("probe", "probe", grant).start().await
}

fn insert() -> Json {
    json!({ "do": "execute", "sql": "INSERT INTO notes (note) VALUES ('kept')" })
}

/// A transaction that is committed, and a statement besides.
fn work() -> Json {
    json!([
        { "do": "begin", "as": "t" },
        { "do": "execute", "on": "t", "sql": "INSERT INTO notes (note) VALUES ('kept')" },
        { "do": "query", "on": "t", "sql": "SELECT count(*) FROM notes" },
        { "do": "commit", "on": "t" },
        { "do": "query", "sql": "SELECT pg_sleep(0.01)" },
    ])
}

async fn notes(database: &PostgresDatabase) -> String {
    database.text("SELECT count(*)::text FROM notes").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pool_limits_hold() {
    let database = PostgresDatabase::create().await;
    let host = start(&database, "").await;
    let (client, steps) = (host.client(), work());
    let calls = join_all((0..64).map(|_| run(&client, "probe", &steps)));
    let mut calls = std::pin::pin!(calls);
    let mut seen = Vec::new();
    loop {
        tokio::select! {
            _ = &mut calls => break,
            sessions = database.sessions() => seen.push(sessions.len()),
        }
    }
    let most = seen.iter().max().copied().unwrap_or_default();
    assert!(seen.len() >= 5 && (2..=SESSIONS).contains(&most), "{seen:?}");
    ended_well(&host.stop().await, 1);
    database.nothing_left().await;
}

#[tokio::test]
async fn shutdown_leaves_no_connection() {
    let database = PostgresDatabase::create().await;
    let host = start(&database, "").await;
    let client = host.client();
    run(&client, "probe", &work()).await;
    // One is in the middle of something when the host is told to stop.
    let busy = tokio::spawn(async move {
        let steps = json!([{ "do": "begin", "as": "t" }, { "do": "query", "on": "t", "sql": "SELECT pg_sleep(60)" }]);
        client.post("/probe/run", &steps).await
    });
    database
        .until_sessions("the query", RECLAIM, |rows| {
            rows.iter().any(|row| row.state == "active" && row.query.contains("pg_sleep(60)"))
        })
        .await;
    ended_well(&host.stop().await, 1);
    database.nothing_left().await;
    busy.abort();
}

#[tokio::test]
async fn operations_time_out_in_time() {
    let database = PostgresDatabase::create().await;
    let host = start(&database, &format!("statement_timeout = \"{}ms\"", OPERATION.as_millis())).await;
    let begun = Instant::now();
    let reply = host.client().post("/probe/run", &json!([{ "do": "query", "sql": "SELECT pg_sleep(60)" }])).await;
    assert_eq!(kind(&reply), "deadline-exceeded", "{reply:?}");
    assert!((OPERATION..IN_TIME).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    database.until_quiet(SESSIONS, RECLAIM).await;
    run(&host.client(), "probe", &json!([insert()])).await;
    ended_well(&host.stop().await, 1);
    database.nothing_left().await;
}

#[tokio::test]
async fn fifty_operations_on_different_databases_stay_flat() {
    const DATABASES: usize = 50;
    /// Of all databases together.
    const ROOM: usize = 10;
    let database = PostgresDatabase::create().await;
    database.execute(TABLE).await;
    let (mut setup, mut grants) = (super::with_room_for(ROOM), String::new());
    for number in 0..DATABASES {
        // Each with a pool that is opened at its first use.
        let settings = "max_connections = 1\nmin_connections = 0\nconnect = \"lazy\"";
        setup = setup.database(&format!("d{number}"), &database.url(&database.owner), settings);
        // Writing to a string cannot fail.
        let _ = writeln!(grants, "databases.d{number} = {{ access = \"read-write\" }}");
    }
    let host = setup.plugin("probe", "probe", &format!("limits = {{ deadline = \"25s\" }}\n{grants}")).start().await;
    let client = host.client();
    let mut seen = Vec::new();
    for _ in 0..2 {
        for number in 0..DATABASES {
            let name = format!("d{number}");
            let mut insert = insert();
            insert["on"] = name.as_str().into();
            run(&client, "probe", &json!([{ "do": "open", "database": name, "as": name }, insert])).await;
        }
        seen.push(database.sessions().await.len());
    }
    // Whoever needs a session takes the place of another's that is idle; the control paths stay, one each.
    assert!(seen.iter().all(|seen| *seen <= ROOM + DATABASES) && seen[1] <= seen[0] + 1, "{seen:?}");
    let pooled = database.sessions().await.into_iter().filter(|session| session.application_name != "wharf control").count();
    assert!((1..=ROOM).contains(&pooled), "{pooled}");
    assert_eq!(notes(&database).await, (2 * DATABASES).to_string());
    ended_well(&host.stop().await, DATABASES);
    database.nothing_left().await;
}

#[tokio::test]
async fn twenty_concurrent_operations_succeed() {
    let database = PostgresDatabase::create().await;
    let host = start(&database, "").await;
    let (client, steps) = (host.client(), json!([insert()]));
    join_all((0..20).map(|_| run(&client, "probe", &steps))).await;
    assert_eq!(notes(&database).await, "20");
    database.until_quiet(SESSIONS, RECLAIM).await;
    ended_well(&host.stop().await, 1);
    database.nothing_left().await;
}

#[tokio::test]
async fn cancelled_cleanup_is_awaited() {
    let database = PostgresDatabase::create().await;
    let host = start(&database, "").await;
    for _ in 0..5 {
        let client = host.client();
        let cut = tokio::spawn(async move {
            let steps = json!([
                { "do": "begin", "as": "t" },
                { "do": "execute", "on": "t", "sql": "INSERT INTO notes (note) VALUES ('never kept')" },
                { "do": "query", "on": "t", "sql": "SELECT pg_sleep(60)" },
            ]);
            client.post("/probe/run", &steps).await
        });
        database
            .until_sessions("the query", RECLAIM, |rows| {
                rows.iter().any(|row| row.query.contains("pg_sleep(60)") && row.state == "active")
            })
            .await;
        // The client goes away in the middle of it.
        cut.abort();
        database.until_quiet(SESSIONS, RECLAIM).await;
        assert_eq!((notes(&database).await.as_str(), database.in_transaction().await), ("0", Vec::new()));
    }
    // And at the end: when the host has ended, so has everything that it began.
    let client = host.client();
    let cut =
        tokio::spawn(async move { client.post("/probe/run", &json!([{ "do": "query", "sql": "SELECT pg_sleep(60)" }])).await });
    // Alone: what is cut off while it is being opened is nobody's yet, and ends by itself.
    let alone = |rows: &[SessionRow]| {
        let mut active = rows.iter().filter(|row| row.state == "active");
        active.next().is_some_and(|row| row.query.contains("pg_sleep(60)")) && active.next().is_none()
    };
    database.until_sessions("the query", RECLAIM, alone).await;
    cut.abort();
    host.signal(Signal::Terminate);
    ended_well(&host.ended(RECLAIM * 2).await, 1);
    database.nothing_left().await;
}

#[tokio::test]
async fn statistics_show_zero_active_after_shutdown() {
    let database = PostgresDatabase::create().await;
    let host = start(&database, "").await;
    let (client, steps) = (host.client(), work());
    join_all((0..10).map(|_| run(&client, "probe", &steps))).await;
    let ended = host.stop().await;
    ended_well(&ended, 1);
    assert!(ended.stderr.contains("database main: 0 connections left, says PostgreSQL"), "{}", ended.stderr);
    database.nothing_left().await;
}
