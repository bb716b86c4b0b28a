//! A PostgreSQL server that goes away under load and comes back.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::future::join_all;
use serde_json::json;
use sqlx::{Connection, Row};
use support::{host::Setup, postgres::start};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// How many calls were answered, and how many failed, by the kind of error.
type Outcomes = (u64, BTreeMap<String, u64>);

const MAX: i64 = 4;
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_under_load_is_used_again_within_a_second() {
    let server = start();
    let settings = format!("allow_superuser = true\nmax_connections = {MAX}");
    let host = Setup::new()
        .database("main", &server.superuser_url("postgres"), &settings)
        .plugin("probe", "probe", "databases.main = { access = \"read-write\" }")
        .start()
        .await;
    let outcomes = watch::Sender::new(Outcomes::default());
    let over = AtomicBool::new(false);
    let client = host.client();
    let load = join_all((0..16).map(|_| async {
        let steps =
            json!([{ "do": "begin", "as": "t" }, { "do": "query", "on": "t", "sql": "SELECT 1" }, { "do": "commit", "on": "t" }]);
        while !over.load(Ordering::Relaxed) {
            let reply = client.post("/probe/run", &steps).await;
            assert_eq!(reply.status, 200);
            let steps = reply.json();
            let error = steps.as_array().unwrap().iter().find(|outcome| !outcome["error"].is_null());
            outcomes.send_modify(|(answered, failed)| match error {
                None => *answered += 1,
                Some(error) => *failed.entry(error["error"]["kind"].to_string()).or_default() += 1,
            });
        }
    }));
    let answered = |outcomes: &Outcomes| outcomes.0;
    let failed = |outcomes: &Outcomes| outcomes.1.values().sum::<u64>();
    let more = async |count: &dyn Fn(&Outcomes) -> u64, than: u64| {
        let mut receiver = outcomes.subscribe();
        let before = count(&receiver.borrow());
        timeout(PATIENCE, receiver.wait_for(|now| count(now) > before + than)).await.unwrap().unwrap();
    };
    let operator = async {
        let mut pauses = Vec::new();
        for _ in 0..3 {
            more(&answered, 50).await;
            server.halt();
            // Many more than there are connections: none of them waits for one that will not come.
            more(&failed, 200).await;
            server.resume();
            let back = Instant::now();
            more(&answered, 0).await;
            pauses.push(back.elapsed());
            let mut admin = server.connect("postgres").await;
            for _ in 0..20 {
                let sql =
                    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
                let sessions: i64 = sqlx::query(sql).fetch_one(&mut admin).await.unwrap().get(0);
                // The control connection, too.
                assert!(sessions <= MAX + 1, "{sessions}");
            }
            admin.close().await.unwrap();
        }
        over.store(true, Ordering::Relaxed);
        pauses
    };
    let (_, pauses) = tokio::join!(load, operator);
    // Of three, since other tests run beside this one.
    assert!(pauses.iter().min().unwrap() < &Duration::from_secs(1), "{pauses:?}");
    let kinds = outcomes.borrow().1.clone();
    assert!(kinds.keys().all(|kind| ["\"disconnected\"", "\"commit-unknown\""].contains(&kind.as_str())), "{kinds:?}");
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("database main: 0 connections left, says PostgreSQL"), "{}", ended.stderr);
}
