//! Starts that must not succeed say why, those that may wait do, and a signal ends any of them.

use std::time::Duration;

use serde_json::json;
use support::{
    host::{Setup, Signal},
    postgres::PostgresDatabase,
};

const GRANT: &str = "databases.main = { access = \"read-write\" }";

/// A URL at which nobody listens: the port was free a moment ago.
fn nobody() -> String {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("postgres://app:hunter2@{address}/app")
}

#[tokio::test]
async fn a_database_that_is_down_is_named_without_its_credentials() {
    let url = nobody();
    let (_, address) = url.rsplit_once('@').unwrap();
    let ended = Setup::new().database("main", &url, "").plugin("probe", "probe", GRANT).fail().await;
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, Some(1), "{said}");
    assert!(said.contains("database `main`"), "{said}");
    assert!(said.contains("refused"), "{said}");
    assert!(!said.contains("hunter2") && !said.contains(address.trim_end_matches("/app")), "{said}");
}

#[tokio::test]
async fn a_missing_sqlite_file_is_named_with_what_to_do() {
    let setup = Setup::new();
    let url = format!("sqlite://{}", setup.folder().join("missing.db").display());
    let ended = setup.database("main", &url, "").plugin("probe", "probe", GRANT).fail().await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("missing.db` does not exist; create it, or give the database `migrations`"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn a_lazy_database_may_be_down_and_its_callers_are_told() {
    let host = Setup::new().database("main", &nobody(), "connect = \"lazy\"").plugin("probe", "probe", GRANT).start().await;
    assert_eq!(host.client().get("/probe/hello").await.text(), "hello");
    let error = host.client().get("/probe/query?sql=SELECT+1").await.json()["error"].clone();
    assert_eq!(error["kind"], "disconnected", "{error}");
    assert!(!host.log().contains("hunter2"));
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_plugin_without_a_database_of_the_kind_that_it_imports_is_logged_and_served() {
    let setup = Setup::new();
    let file = setup.folder().join("main.db");
    std::fs::write(&file, "").unwrap();
    let toml = setup.folder().join("wharf.toml").display().to_string();
    let host = setup
        .database("main", &format!("sqlite://{}", file.display()), "")
        .plugin("documents", "documents_probe", GRANT)
        .plugin("sql", "probe", GRANT)
        .start()
        .await;
    let told = host.logged("plugin `documents` imports wharf:documents/database@0.1.0", Duration::from_secs(5)).await;
    assert!(told.contains("no MongoDB database is granted to it; grant it a MongoDB database"), "{told}");
    assert!(told.contains(&format!("{toml}:")), "{told}");
    assert!(!host.log().contains("plugin `sql`"), "{}", host.log());
    // What needs none is answered, and what opens one is told.
    assert_eq!(host.client().get("/documents/hello").await.text(), "hello");
    let error = host.client().post("/documents/run", &json!([{ "do": "find" }])).await.json()[0]["error"].clone();
    assert_eq!(error["kind"], "invalid", "{error}");
    assert_eq!(host.client().get("/sql/query?sql=SELECT+1").await.json()["error"], json!(null));
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_wrong_password_is_told_without_the_right_one() {
    let database = PostgresDatabase::create().await;
    let url = database.url(&database.owner).replace(&database.owner.password, "not-it");
    let ended = Setup::new().database("main", &url, "").plugin("probe", "probe", GRANT).fail().await;
    if ended.code == Some(0) {
        panic!("a server that trusts everybody cannot tell: {}", ended.stderr);
    }
    assert!(ended.stderr.contains("database `main`"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("not-it"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_role_that_may_do_too_much_is_refused_by_name() {
    let database = PostgresDatabase::create().await;
    let url = database.url(&database.owner);
    let grant = format!("databases.main = {{ access = \"read-only\", url = {:?} }}", database.url(&database.owner));
    let reader = database.url(&database.reader);
    // The database itself is reached by the reader, so that the grant has a role of its own, which owns everything.
    let ended = Setup::new().database("main", &reader, "").plugin("probe", "probe", &grant).fail().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(&database.owner.name), "{}", ended.stderr);
    assert!(!ended.stderr.contains(&database.owner.password) && !ended.stderr.contains(&url), "{}", ended.stderr);
}

#[tokio::test]
async fn both_signals_drain_and_a_call_that_runs_is_finished() {
    for signal in [Signal::Interrupt, Signal::Terminate] {
        let database = PostgresDatabase::create().await;
        let host =
            Setup::new().database("main", &database.url(&database.owner), "").plugin("probe", "probe", GRANT).start().await;
        let client = host.client();
        let steps = json!([{ "do": "query", "sql": "SELECT pg_sleep(1), 1" }]);
        let running = tokio::spawn(async move { client.post("/probe/run", &steps).await });
        let asleep = || async {
            let sessions = database.sessions().await;
            if sessions.iter().any(|session| session.query.contains("pg_sleep")) { Ok(()) } else { Err(format!("{sessions:?}")) }
        };
        support::wait::until("the query to run", Duration::from_secs(10), asleep).await;
        host.signal(signal);
        let ended = host.ended(Duration::from_secs(30)).await;
        assert_eq!(running.await.unwrap().status, 200);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("calls: 1 finished, 0 cut off"), "{}", ended.stderr);
        database.nothing_left().await;
    }
}

#[tokio::test]
async fn a_call_that_does_not_end_is_cut_off_at_the_drain_and_its_query_with_it() {
    let database = PostgresDatabase::create().await;
    let host = Setup::new()
        .database("main", &database.url(&database.owner), "statement_timeout = \"60s\"")
        .plugin("probe", "probe", &format!("limits = {{ deadline = \"60s\" }}\n{GRANT}"))
        .start()
        .await;
    let client = host.client();
    let steps = json!([{ "do": "query", "sql": "SELECT pg_sleep(60), 1" }]);
    let running = tokio::spawn(async move { client.post("/probe/run", &steps).await });
    let asleep = || async {
        let sessions = database.sessions().await;
        if sessions.iter().any(|session| session.query.contains("pg_sleep")) { Ok(()) } else { Err(format!("{sessions:?}")) }
    };
    support::wait::until("the query to run", Duration::from_secs(10), asleep).await;
    let ended = host.stop().await;
    assert_eq!(running.await.unwrap().problem(), (503, "shutting-down".into()));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("1 cut off"), "{}", ended.stderr);
    assert!(ended.stderr.contains("database main: 0 connections left"), "{}", ended.stderr);
    database.nothing_left().await;
}
