//! `host/reference/sizing.md`: its examples are computed anew, and its formulas held to what a server sees of hosts under load.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use support::{
    host::{Host, Setup},
    postgres::PostgresDatabase,
};
use wharf::pool::Settings;

use crate::tree;

/// What a statement takes: so long that nothing else does.
const USE: Duration = Duration::from_secs(1);
/// As the page has it.
const RESERVE: f64 = 1.3;
const CONNECTIONS: u32 = 3;
const ROUNDS: u32 = 4;

#[test]
fn the_examples_of_the_page_are_what_its_formulas_say() {
    let page = tree::read("host/reference/sizing.md");
    let shown = |line: String| assert!(page.lines().any(|found| found.trim() == line), "{line}");
    shown(format!("(2 + 1) × (10 + 1) = {}", (2 + 1) * (10 + 1)));
    assert!(page.contains(&format!("`87 / 3 - 1 = {}`", (100 - 3 - 10) / 3 - 1)));
    let connections: f64 = 2400.0 * 0.002 * RESERVE;
    shown(format!("2400 × 0.002 × 1.3 = {connections:.2}, so {}", connections.ceil()));
    shown(format!("10 × 10 ÷ 4 = {}", 10 * 10 / 4));
    shown(format!("32 × 32 MiB + 512 MiB = {} MiB", 32 * 32 + 512));
    let bounds = Settings::default().bounds;
    let (kill, confirm) = (bounds.kill.as_secs(), bounds.confirm.as_secs());
    shown(format!("10 + 10 + {kill} + {confirm} + 9.9 = {:.1} s", 20.0 + (kill + confirm) as f64 + 9.9));
}

async fn start(database: &PostgresDatabase, max_concurrency: u32) -> Host {
    let settings = format!("max_connections = {CONNECTIONS}\nacquire_timeout = \"60s\"");
    let plugin = format!(
        "limits = {{ deadline = \"60s\", max_concurrency = {max_concurrency} }}\ndatabases.main = {{ access = \"read-write\" }}"
    );
    Setup::new()
        .server("queue_timeout = \"60s\"")
        .database("main", &database.url(&database.owner), &settings)
        .plugin("probe", "probe", &plugin)
        .start()
        .await
}

/// Statements a second of twice as many clients as the host has connections, each one after the other.
async fn load(host: &Host) -> f64 {
    let client = host.client();
    let steps = json!([{ "do": "query", "sql": format!("SELECT pg_sleep({}), 1", USE.as_secs_f64()) }]);
    let began = Instant::now();
    join_all((0..2 * CONNECTIONS).map(|_| async {
        for _ in 0..ROUNDS {
            let reply = client.post("/probe/run", &steps).await;
            assert!(reply.json()[0]["error"].is_null(), "{reply:?}");
        }
    }))
    .await;
    f64::from(2 * CONNECTIONS * ROUNDS) / began.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_sees_the_sessions_of_the_formula_and_statements_a_second_tell_how_many_are_busy() {
    let database = PostgresDatabase::create().await;
    let hosts = [start(&database, 64).await, start(&database, 64).await];
    let mut most = 0;
    let rates = {
        let mut loads = std::pin::pin!(join_all(hosts.iter().map(load)));
        loop {
            tokio::select! {
                rates = &mut loads => break rates,
                sessions = database.sessions() => most = most.max(sessions.len()),
            }
        }
    };
    let expected = hosts.len() * (CONNECTIONS as usize + 1);
    assert_eq!(most, expected, "sessions of {} hosts of {CONNECTIONS} connections", hosts.len());
    for rate in rates {
        // All of them were, but for what else a call takes: the reserve is for that.
        let busy = rate * USE.as_secs_f64();
        let connections = f64::from(CONNECTIONS);
        assert!(busy <= connections && busy * RESERVE >= connections, "{busy} busy of {connections}");
    }
    for host in hosts {
        assert_eq!(host.stop().await.code, Some(0));
    }
    database.nothing_left().await;
}

#[tokio::test]
async fn less_concurrency_than_the_formula_says_leaves_connections_idle() {
    let database = PostgresDatabase::create().await;
    // A call is all with its database: as many calls as connections are the least.
    let host = start(&database, CONNECTIONS - 1).await;
    let busy = load(&host).await * USE.as_secs_f64();
    assert!(busy <= f64::from(CONNECTIONS - 1), "{busy} busy");
    assert_eq!(host.stop().await.code, Some(0));
}
