//! Pools of SQLite and MongoDB that grow, shrink, and get another file or user.

use std::fs;

use mongodb::bson::doc;
use serde_json::{Value as Json, json};
use support::{
    host::{Host, Setup},
    mongodb::MongodbDatabase,
    wait::until,
};

use super::{GRANT, PATIENCE, edit, is_fine, pool, reload, until_only};
use crate::documents::{
    bed::{outcomes, settings_of},
    succeeded,
};

const ENDLESS: &str = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";

async fn until_pool(host: &Host, what: &str, expected: impl Fn(&Json) -> bool) {
    until(what, PATIENCE, || async {
        let pool = pool(host).await;
        if expected(&pool) { Ok(()) } else { Err(pool.to_string()) }
    })
    .await;
}

/// A pool of one connection, limited by this setting, has three at once for calls that hold one each until their clients go away, and
/// one afterwards.
async fn grows_and_shrinks(host: &Host, setting: &str, path: &'static str, steps: &Json) {
    let change = async |from: u32, to: u32, generation: u64| {
        edit(host.folder(), &[(&format!("{setting} = {from}"), &format!("{setting} = {to}"))]);
        let done = reload(host, &[]).await;
        assert!(done.stdout.ends_with(&format!("\n\ngeneration {generation} is in force\n")), "{done:?}");
    };
    assert_eq!(pool(host).await["max"], 1);
    change(1, 3, 2).await;
    let call = || {
        let (client, steps) = (host.client().patience(PATIENCE * 2), steps.clone());
        tokio::spawn(async move { client.post(path, &steps).await })
    };
    let calls = [call(), call(), call()];
    until_pool(host, "three connections to be lent", |pool| pool["leased"] == 3).await;
    change(3, 1, 3).await;
    // What is lent stays with its calls.
    let now = pool(host).await;
    assert_eq!((&now["max"], &now["leased"]), (&json!(3), &json!(3)), "{now}");
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    until_pool(host, "one connection to be left", |pool| {
        let is_at_rest = ["leased", "reclaiming", "unconfirmed"].iter().all(|state| pool[*state] == 0);
        pool["max"] == 1 && is_at_rest && pool["idle"].as_u64() <= Some(1)
    })
    .await;
    until_only(host, 3).await;
}

#[tokio::test]
async fn a_pool_of_sqlite_changes_its_size_and_its_file() {
    let setup = Setup::new();
    let folder = setup.folder().join("migrations/sqlite");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("1_first.sql"), "CREATE TABLE first (id INTEGER);").unwrap();
    let settings = "migrations = \"migrations\"\nstatement_timeout = \"60s\"\nmax_connections = 1";
    let host = setup.database("main", "sqlite://main.db", settings).plugin("probe", "probe", GRANT).start().await;
    grows_and_shrinks(&host, "max_connections", "/probe/run", &json!([{ "do": "query", "sql": ENDLESS }])).await;

    let made = host.client().post("/probe/run", &json!([{ "do": "execute", "sql": "CREATE TABLE marked (id INTEGER)" }])).await;
    assert!(made.status == 200 && made.json()[0]["error"].is_null(), "{made:?}");
    let has = async |table: &str| is_fine(&host.client().get(&format!("/probe/query?sql=SELECT+count(*)+FROM+{table}")).await);
    for (from, to, generation) in [("main", "other", 4), ("other", "main", 5)] {
        edit(host.folder(), &[(&format!("sqlite://{from}.db"), &format!("sqlite://{to}.db"))]);
        let done = reload(&host, &[]).await;
        let is_told = done.stdout.contains("databases.main.url: ");
        assert!(is_told && done.stdout.ends_with(&format!("generation {generation} is in force\n")), "{done:?}");
        // The new file has been migrated, and is another one.
        assert_eq!((has("first").await, has("marked").await), (true, to == "main"), "{to}");
    }
    until_only(&host, 5).await;
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn a_pool_of_mongodb_changes_its_size_and_its_user() {
    let database = MongodbDatabase::create().await;
    // So that no transaction has to make it.
    database.run(doc! { "create": "notes" }).await;
    let settings = settings_of(&database, 1, "");
    let setup = Setup::new().database("main", &database.url(&database.owner), &settings);
    let host = setup.plugin("probe", "documents_probe", GRANT).start().await;
    let holds = json!([{ "do": "begin", "as": "t" }, { "do": "find-one", "on": "t" }]);
    grows_and_shrinks(&host, "max_pool_size", "/probe/run-and-wait", &holds).await;

    let find = json!([{ "do": "find-one" }]);
    succeeded(&outcomes(&host.client().post("/probe/run", &find).await));
    edit(host.folder(), &[(&database.url(&database.owner), &database.url(&database.reader))]);
    let done = reload(&host, &[]).await;
    assert_eq!(done.stdout, "databases.main.url: another secret\n\ngeneration 4 is in force\n", "{done:?}");
    succeeded(&outcomes(&host.client().post("/probe/run", &find).await));
    database
        .until_sockets("only the other user to be there", PATIENCE, |sockets| {
            let has = |name: &str| sockets.iter().any(|socket| socket.user == name);
            has(&database.reader.name) && !has(&database.owner.name)
        })
        .await;
    until_only(&host, 4).await;
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    database.nothing_left().await;
}
