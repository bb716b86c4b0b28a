//! On a server that speaks MongoDB's protocol; the sockets are those that it lists. Where an operation must be ended while it runs, on the
//! stand-in, since the server that the tests start ends nothing that runs.

use std::{collections::BTreeMap, fmt::Write as _, time::Instant};

use futures::future::join_all;
use mongodb::bson::doc;
use serde_json::{Value as Json, json};
use support::{
    host::{Host, Setup, Signal},
    mongodb::{MongodbDatabase, SocketRow},
    wire::Wire,
};

use super::{IN_TIME, OPERATION, RECLAIM, ended_well, kind, run};
use crate::documents::{
    bed::{SOCKETS, pooled, settings_of},
    insert, raw,
};

/// Connections of a pool.
const POOL: usize = 3;

/// As many, and the control path.
const ALL_SOCKETS: usize = (POOL + 1) * SOCKETS;

const GRANT: &str = "limits = { deadline = \"25s\" }\ndatabases.main = { access = \"read-write\" }";

async fn start(database: &MongodbDatabase, settings: &str) -> Host {
    let settings = settings_of(database, POOL, settings).replace("acquire_timeout = \"2s\"", "acquire_timeout = \"20s\"");
    let setup = Setup::new().database("main", &database.url(&database.owner), &settings);
    setup.plugin("probe", "documents_probe", GRANT).start().await
}

/// A transaction that is committed, and an operation besides.
fn work() -> Json {
    json!([
        { "do": "begin", "as": "t" },
        { "do": "insert", "on": "t", "documents": raw(doc! { "kept": true }) },
        { "do": "find-one", "on": "t" },
        { "do": "commit", "on": "t" },
        { "do": "find-one", "in": "others" },
    ])
}

/// How many sockets each client has that is not of a control path.
fn by_app(sockets: &[SocketRow]) -> BTreeMap<&str, usize> {
    let mut apps = BTreeMap::new();
    for socket in sockets.iter().filter(|socket| !socket.app.starts_with("wharf control")) {
        *apps.entry(socket.app.as_str()).or_default() += 1;
    }
    apps
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pool_limits_hold() {
    let database = MongodbDatabase::create().await;
    // So that no transaction has to make it.
    database.run(doc! { "create": "notes" }).await;
    let host = start(&database, "").await;
    let (client, steps) = (host.client(), work());
    let calls = join_all((0..64).map(|_| run(&client, "probe", &steps)));
    let mut calls = std::pin::pin!(calls);
    let mut seen = Vec::new();
    loop {
        tokio::select! {
            _ = &mut calls => break,
            sockets = database.sockets() => seen.push(sockets),
        }
    }
    assert!(seen.len() >= 3, "looked {} times only", seen.len());
    for sockets in &seen {
        let apps = by_app(sockets);
        assert!(apps.len() <= POOL && apps.values().all(|count| *count <= SOCKETS), "{sockets:#?}");
        assert!(sockets.len() <= ALL_SOCKETS, "{sockets:#?}");
    }
    // More than one worked, so the limit was reached for.
    assert!(seen.iter().any(|sockets| by_app(sockets).len() > 1), "{seen:#?}");
    assert_eq!(database.count("notes").await, 64);
    ended_well(&host.stop().await, 1);
    database.nothing_left().await;
}

#[tokio::test]
async fn shutdown_leaves_no_connection() {
    let database = MongodbDatabase::create().await;
    // More than a cursor's first batch.
    database.run(doc! { "insert": "notes", "documents": crate::documents::numbered(1_200) }).await;
    let host = start(&database, "").await;
    let client = host.client();
    run(&client, "probe", &work()).await;
    // One is in the middle of something when the host is told to stop.
    let busy = tokio::spawn(async move {
        let steps = json!([
            { "do": "begin", "as": "t" },
            { "do": "update", "on": "t", "filter": raw(doc! { "_id": 1 }), "update": raw(doc! { "$set": { "n": 1 } }) },
            { "do": "cursor", "as": "k" },
        ]);
        client.post("/probe/run-and-wait", &steps).await
    });
    // Its cursor comes last. Who looked for the lock before the transaction has it could take it from it.
    support::wait::until("the cursor", RECLAIM, || async {
        if database.cursors().await.is_empty() { Err("not open".to_owned()) } else { Ok(()) }
    })
    .await;
    assert!(database.is_locked("notes", 1).await);
    ended_well(&host.stop().await, 1);
    database.nothing_left().await;
    assert!(!database.is_locked("notes", 1).await);
    busy.abort();
}

#[tokio::test]
async fn operations_time_out_in_time() {
    let database = MongodbDatabase::create().await;
    let numbered = crate::documents::numbered(300);
    database.run(doc! { "insert": "notes", "documents": numbered }).await;
    let host = start(&database, &format!("statement_timeout = \"{}ms\"", OPERATION.as_millis())).await;
    let begun = Instant::now();
    let reply = host.client().post("/probe/run", &json!([crate::documents::slow()])).await;
    assert_eq!(kind(&reply), "deadline-exceeded", "{reply:?}");
    assert!((OPERATION..IN_TIME).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    database.until_quiet(ALL_SOCKETS, RECLAIM).await;
    run(&host.client(), "probe", &json!([insert([doc! {}])])).await;
    ended_well(&host.stop().await, 1);
    database.nothing_left().await;
}

#[tokio::test]
async fn fifty_operations_on_different_databases_stay_flat() {
    const DATABASES: usize = 50;
    /// Of all databases together.
    const ROOM: usize = 10;
    let database = MongodbDatabase::create().await;
    let (mut setup, mut grants) = (super::with_room_for(ROOM), String::new());
    for number in 0..DATABASES {
        // Each with a pool that is opened at its first use.
        let settings = settings_of(&database, 1, "min_pool_size = 0\nconnect = \"lazy\"");
        setup = setup.database(&format!("d{number}"), &database.url(&database.owner), &settings);
        // Writing to a string cannot fail.
        let _ = writeln!(grants, "databases.d{number} = {{ access = \"read-write\" }}");
    }
    let host = setup.plugin("probe", "documents_probe", &format!("limits = {{ deadline = \"25s\" }}\n{grants}")).start().await;
    let client = host.client();
    // Whoever needs a connection takes the place of another's that is idle; the control paths stay, one each.
    let mut most = (ROOM + DATABASES) * SOCKETS;
    for _ in 0..2 {
        for number in 0..DATABASES {
            let name = format!("d{number}");
            let mut insert = insert([doc! {}]);
            insert["on"] = name.as_str().into();
            run(&client, "probe", &json!([{ "do": "open", "database": name, "as": name }, insert])).await;
        }
        let is_flat = |sockets: &[SocketRow]| sockets.len() <= most && (1..=ROOM).contains(&by_app(sockets).len());
        let sockets = database.until_sockets("no more sockets than there is room for", RECLAIM, is_flat).await;
        // The second time there are no more than the first time.
        most = sockets.len() + SOCKETS;
    }
    assert_eq!(database.count("notes").await, 2 * DATABASES as u64);
    ended_well(&host.stop().await, DATABASES);
    database.nothing_left().await;
}

#[tokio::test]
async fn twenty_concurrent_operations_succeed() {
    let database = MongodbDatabase::create().await;
    let host = start(&database, "").await;
    let (client, steps) = (host.client(), json!([insert([doc! {}])]));
    join_all((0..20).map(|_| run(&client, "probe", &steps))).await;
    assert_eq!(database.count("notes").await, 20);
    database.until_quiet(ALL_SOCKETS, RECLAIM).await;
    ended_well(&host.stop().await, 1);
    database.nothing_left().await;
}

#[tokio::test]
async fn cancelled_cleanup_is_awaited() {
    let wire = Wire::start();
    let host = Setup::new()
        .database("main", &wire.url("app"), &format!("max_pool_size = {POOL}"))
        .plugin("probe", "documents_probe", GRANT)
        .start()
        .await;
    for round in 0..6 {
        wire.block("insert");
        let client = host.client();
        let cut = tokio::spawn(async move {
            let steps = json!([{ "do": "begin", "as": "t" }, { "do": "insert", "on": "t", "documents": raw(doc! {}) }]);
            client.post("/probe/run", &steps).await
        });
        wire.until("the insert", RECLAIM, |wire| (wire.waiting() == ["insert"]).then_some(())).await;
        // The client goes away in the middle of it, the last time while the host stops.
        cut.abort();
        if round == 5 {
            break;
        }
        let ended = |wire: &Wire| (wire.waiting().is_empty() && wire.transactions() == 0).then_some(());
        wire.until("the transaction's end", RECLAIM, ended).await;
        wire.release();
        run(&host.client(), "probe", &json!([{ "do": "find-one" }])).await;
    }
    host.signal(Signal::Terminate);
    ended_well(&host.ended(RECLAIM * 2).await, 1);
    assert_eq!((wire.waiting(), wire.transactions(), wire.cursors()), (Vec::new(), 0, 0));
    let closed = |wire: &Wire| wire.sockets().values().all(|sockets| sockets.open == 0).then_some(());
    wire.until("every socket closed", RECLAIM, closed).await;
}

#[tokio::test]
async fn statistics_show_zero_active_after_shutdown() {
    let database = MongodbDatabase::create().await;
    database.run(doc! { "create": "notes" }).await;
    let host = start(&database, "").await;
    let (client, steps) = (host.client(), work());
    join_all((0..10).map(|_| run(&client, "probe", &steps))).await;
    assert!(!pooled(&database).await.is_empty());
    let ended = host.stop().await;
    ended_well(&ended, 1);
    assert!(ended.stderr.contains("database main: 0 connections left, says MongoDB"), "{}", ended.stderr);
    database.nothing_left().await;
}
