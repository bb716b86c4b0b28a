//! What a reload has taken away and another one puts back while a call still has it.

use std::fs;

use serde_json::json;
use support::{
    guests,
    servers::{Engine, ServerDatabase},
};
use tokio::time::timeout;

use super::{PATIENCE, QUERY, edit, is_fine, plugins, pool, reload, start, until_only};

#[tokio::test]
async fn a_database_and_a_plugin_that_come_back_count_with_what_still_runs_of_them() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = start(&database, "max_connections = 1").await;
    let (client, sql) = (host.client().patience(PATIENCE * 2), Engine::Postgres.minute());
    let call = tokio::spawn(async move { client.post("/probe/run", &json!([{ "do": "query", "sql": sql }])).await });
    database.until_running(sql, PATIENCE).await;

    let path = host.folder().join("wharf.toml");
    let right = fs::read_to_string(&path).unwrap();
    let (server, _) = right.split_once("\n[databases.main]").unwrap();
    let component = guests::component("probe");
    fs::write(&path, format!("{server}\n[plugins.new]\ncomponent = {component:?}\nroutes = [\"/new/{{*rest}}\"]\n")).unwrap();
    let done = reload(&host, &[]).await;
    assert_eq!(
        done.stdout, "databases.main: gone\nplugins.new: new\nplugins.probe: gone\n\ngeneration 2 is in force\n",
        "{done:?}"
    );

    fs::write(&path, &right).unwrap();
    edit(host.folder(), &[(&database.url(), "sqlite://other.db")]);
    let refused = reload(&host, &[]).await;
    let part = "database `main`: calls that run still use one of this name that is of another engine";
    assert!(refused.code == Some(1) && refused.stderr.contains(part), "{refused:?}");
    fs::write(&path, &right).unwrap();
    let checked = reload(&host, &["--check"]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let done = reload(&host, &[]).await;
    assert_eq!(
        done.stdout, "databases.main: new\nplugins.new: gone\nplugins.probe: new\n\ngeneration 3 is in force\n",
        "{done:?}"
    );
    let (now, probe) = (pool(&host).await, plugins(&host).await["plugins"][0].take());
    assert_eq!((&now["max"], &now["leased"], &probe["running"]), (&json!(1), &json!(1), &json!(1)), "{now} {probe}");
    assert_eq!(probe["databases"][0]["leased"], 1, "{probe}");

    // The server ends its statement, and what it had is lent to the next.
    let running = database.until_running(sql, PATIENCE).await;
    let id = running.iter().find(|session| session.running.contains(sql)).map(|session| session.id).unwrap();
    let ServerDatabase::Postgres(postgres) = &database else { unreachable!() };
    postgres.execute(&format!("SELECT pg_cancel_backend({id})")).await;
    assert_eq!(timeout(PATIENCE, call).await.unwrap().unwrap().status, 200);
    until_only(&host, 3).await;
    assert!(is_fine(&host.client().get(QUERY).await));
    database.until_sessions("a connection and the control path", PATIENCE, |sessions| sessions.len() <= 2).await;
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    database.until_nobody(PATIENCE).await;
}
