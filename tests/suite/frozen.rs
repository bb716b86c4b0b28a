//! Components that were built against the first release run for ever after, and its types never change.

use std::path::{Path, PathBuf};

use serde_json::json;
use support::{host::Setup, postgres::PostgresDatabase};

fn frozen() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("frozen/sql-0.1.0")
}

/// A host with a frozen component as the plugin `probe`.
async fn start(component: &str, database: &PostgresDatabase) -> support::host::Host {
    let component = frozen().join(component);
    let plugin = format!(
        "[plugins.probe]\ncomponent = {component:?}\nroutes = [\"/probe/{{*rest}}\"]\ndatabases.main = {{ access = \"read-write\" }}"
    );
    Setup::new().database("main", &database.url(&database.owner), "").toml(&plugin).start().await
}

#[tokio::test]
async fn the_first_plain_component_still_runs() {
    let database = PostgresDatabase::create().await;
    let host = start("probe.wasm", &database).await;
    let steps = json!([
        { "do": "execute", "sql": "CREATE TABLE kept (id int PRIMARY KEY, name text, at timestamptz, tags text[])" },
        { "do": "execute", "sql": "INSERT INTO kept VALUES (1, 'one', '2026-01-02T03:04:05Z', '{a,NULL}')" },
        { "do": "execute", "sql": "INSERT INTO kept VALUES (1, 'again', now(), '{}')" },
        { "do": "begin", "as": "t" },
        { "do": "cursor", "on": "t", "as": "c", "sql": "SELECT id, name FROM kept" },
        { "do": "next", "on": "c", "rows": 10 },
        { "do": "rollback", "on": "t" },
    ]);
    let outcomes = host.client().post("/probe/run", &steps).await.json();
    assert_eq!(outcomes[1]["ok"]["rows-affected"], 1, "{outcomes:#}");
    assert_eq!((&outcomes[2]["error"]["kind"], &outcomes[2]["error"]["code"]), (&json!("constraint-violation"), &json!("23505")));
    assert_eq!(outcomes[5]["ok"], json!([[{ "signed": 1 }, { "text": "one" }]]), "{outcomes:#}");
    assert_eq!(outcomes[6], json!({ "ok": null }));
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn the_first_async_component_still_runs() {
    let database = PostgresDatabase::create().await;
    let host = start("probe_async.wasm", &database).await;
    let reply = host.client().get("/probe/query?sql=SELECT+1").await;
    assert_eq!(reply.status, 200, "{reply:?}\n{}", host.log());
    assert_eq!(host.stop().await.code, Some(0));
}

/// The declarations of a WIT file, without comments and white space.
fn declarations(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let bare = text.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
    bare.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn what_was_published_is_still_declared_as_it_was() {
    let now = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("wit");
    let types = "sql/types.wit";
    assert_eq!(declarations(&frozen().join("wit").join(types)), declarations(&now.join(types)), "a published type has changed");
    // Functions may be added, but none may go or change.
    for file in ["sql/database.wit", "sql-async/database.wit"] {
        let declared = declarations(&now.join(file));
        let gone: Vec<String> =
            declarations(&frozen().join("wit").join(file)).into_iter().filter(|line| !declared.contains(line)).collect();
        assert!(gone.is_empty(), "{file} no longer has {gone:?}");
    }
}
