//! What a running host tells of its databases, calls and plugins, against what the server says; and what an operator does to them.

use std::{collections::BTreeSet, time::Duration};

use http::{Request, header};
use serde_json::{Value as Json, json};
use support::{
    client::{Client, Reply, bytes},
    host::{Host, Setup},
    proxy::Proxy,
    schema::violations,
    secrets,
    servers::{Engine, ServerDatabase},
    wait::until,
};
use wharf::{
    call::Outcome,
    driver::FailureKind,
    pool::{Counter, During, Ended, Step},
};

use crate::tree;

const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "secret-token-of-the-test";

/// A document, the path that answers with it, and its schema.
const DOCUMENTS: [(&str, &str); 5] = [
    ("/health/live", "live"),
    ("/health/ready", "ready"),
    ("/health/database-pool", "database-pool"),
    ("/calls", "calls"),
    ("/plugins", "plugins"),
];

async fn start(database: &ServerDatabase) -> Host {
    let grant = "limits = { deadline = \"60s\" }\ndatabases.main = { access = \"read-write\", max_connections = 2, reserved_connections = 1 }";
    Setup::new()
        .toml(&format!("[admin]\ntoken = \"{TOKEN}\""))
        .database("main", &database.url(), "max_connections = 3\nacquire_timeout = \"2s\"\nstatement_timeout = \"60s\"")
        .plugin("probe", "probe", grant)
        .start()
        .await
}

/// Asks for a change, with the token.
async fn change(admin: &Client, path: &str) -> Reply {
    let request = Request::post(path).header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
    admin.open(request.body(bytes("")).unwrap()).await.unwrap().whole().await.unwrap()
}

/// The database of the host, which has one.
async fn pool(admin: &Client) -> Json {
    let health = admin.get("/health/database-pool").await.json();
    assert_eq!(health["databases"].as_array().map(Vec::len), Some(1), "{health}");
    health["databases"][0].clone()
}

async fn until_pool(admin: &Client, what: &str, is: impl Fn(&Json) -> bool) -> Json {
    until(what, PATIENCE, || async {
        let pool = pool(admin).await;
        if is(&pool) { Ok(pool) } else { Err(pool.to_string()) }
    })
    .await
}

fn total(pool: &Json) -> u64 {
    ["connecting", "idle", "leased", "reclaiming", "unconfirmed"].map(|state| pool[state].as_u64().unwrap()).into_iter().sum()
}

/// Begins a call that runs a statement of a minute in a transaction.
fn minute(host: &Host) -> tokio::task::JoinHandle<Reply> {
    let client = host.client();
    let steps = json!([{ "do": "begin", "as": "t" }, { "do": "query", "on": "t", "sql": Engine::Postgres.minute() }]);
    tokio::spawn(async move { client.patience(PATIENCE * 2).post("/probe/run", &steps).await })
}

/// Every document of the host's is what its schema says.
async fn keeps_to_its_schemas(admin: &Client) {
    for (path, name) in DOCUMENTS {
        let reply = admin.get(path).await;
        let served = admin.get(&format!("/schema/{name}.json")).await;
        assert_eq!(served.headers[header::CONTENT_TYPE], "application/schema+json");
        let schema = served.json();
        assert_eq!(schema, serde_json::from_str::<Json>(&tree::read(&format!("host/src/admin/schema/{name}.json"))).unwrap());
        assert_eq!(violations(&schema, &reply.json()), Vec::<String>::new(), "{path}: {}", reply.text());
    }
}

#[tokio::test]
async fn who_holds_what_is_told_as_the_server_sees_it_and_a_call_can_be_ended() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = start(&database).await;
    let admin = host.admin().await;
    let quiet = pool(&admin).await;
    assert_eq!((&quiet["state"], &quiet["oldest_lease_ms"], &quiet["reclaimed"]), (&json!("up"), &Json::Null, &json!([])));
    keeps_to_its_schemas(&admin).await;

    let call = minute(&host);
    let seen = database.until_running("pg_sleep", PATIENCE).await;
    let running = seen.iter().find(|session| session.running.contains("pg_sleep")).unwrap();
    let busy = pool(&admin).await;
    // And the control path.
    assert_eq!(total(&busy) + 1, database.sessions().await.len() as u64, "{busy}");
    assert_eq!((&busy["leased"], &busy["max"], &busy["target"], &busy["waiters"]), (&json!(1), &json!(3), &json!(3), &json!(0)));
    assert!(busy["oldest_lease_ms"].is_u64(), "{busy}");
    let share = json!({ "plugin": "probe", "access": "read-write", "max": 2, "reserved": 1, "leased": 1, "waiting": 0 });
    assert_eq!(busy["plugins"], json!([share]));
    let health = admin.get("/health/database-pool").await.json();
    assert_eq!((&health["active"], &health["used"]), (&json!(format!("{}/50", total(&busy))), &json!(total(&busy))), "{health}");

    let calls = admin.get("/calls").await.json();
    let one = &calls["calls"][0];
    assert_eq!((&one["plugin"], &one["state"], &one["waits_for"]), (&json!("probe"), &json!("running"), &json!([])), "{calls}");
    let lease = &one["leases"][0];
    assert_eq!((&lease["session"], &lease["state"]), (&json!(running.id), &json!("query")), "{calls}");
    let statement = lease["statement"].as_str().unwrap();
    assert!(statement.contains("pg_sleep") && !statement.contains("a literal") && !statement.contains("60"), "{statement}");
    let plugins = admin.get("/plugins").await.json();
    assert_eq!((&plugins["plugins"][0]["running"], &plugins["plugins"][0]["max"].is_u64()), (&json!(1), &true), "{plugins}");
    keeps_to_its_schemas(&admin).await;

    let (id, request_id) = (one["id"].as_u64().unwrap(), one["request_id"].as_str().unwrap());
    let cancelled = change(&admin, &format!("/calls/{id}/cancel")).await;
    assert_eq!((cancelled.status.as_u16(), &cancelled.json()["id"]), (200, &json!(id)), "{cancelled:?}");
    assert_eq!(call.await.unwrap().problem(), (503, "cancelled-by-operator".to_owned()));
    let pool = until_pool(&admin, "the reclaim to be told", |pool| pool["reclaimed"] != json!([])).await;
    let reclaimed = json!([{ "reason": "cancelled-by-operator", "step": "cancelled", "since_start": 1, "last_24h": 1 }]);
    assert_eq!(pool["reclaimed"], reclaimed, "{pool}");
    let last = &pool["last_reclaims"][0];
    assert_eq!((&last["request_id"], &last["session"]), (&json!(request_id), &json!(running.id)), "{pool}");
    let gone = |sessions: &[support::servers::Seen]| sessions.iter().all(|session| session.id != running.id);
    database.until_sessions("the session to be gone", PATIENCE, gone).await;
    for unknown in [format!("/calls/{id}/cancel"), format!("/calls/{request_id}/cancel"), "/calls/x/cancel".to_owned()] {
        assert_eq!(change(&admin, &unknown).await.problem(), (404, "not-found".to_owned()), "{unknown}");
    }
    keeps_to_its_schemas(&admin).await;
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn what_a_handler_leaks_is_told_with_the_reason_and_never_with_a_value() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = start(&database).await;
    let admin = host.admin().await;
    let secret = secrets::plant();
    let steps = json!([{ "do": "begin", "as": "t" }, { "do": "query", "on": "t", "sql": format!("SELECT '{secret}'") }]);
    for _ in 0..2 {
        assert_eq!(host.client().post("/probe/run-and-trap", &steps).await.problem().1, "handler-trapped");
    }
    let rolled_back = json!([{ "reason": "trapped", "step": "rolled-back", "since_start": 2, "last_24h": 2 }]);
    let pool = until_pool(&admin, "both to be rolled back", |pool| pool["reclaimed"] == rolled_back).await;
    assert_eq!(pool["last_reclaims"].as_array().map(Vec::len), Some(2), "{pool}");
    // One whose session goes away in the middle of it.
    let call = minute(&host);
    let seen = database.until_running("pg_sleep", PATIENCE).await;
    let session = seen.iter().find(|session| session.running.contains("pg_sleep")).unwrap();
    database.text(&format!("SELECT pg_terminate_backend({})::text", session.id)).await;
    assert_eq!(call.await.unwrap().status, 200);
    let is_told =
        |pool: &Json| pool["last_errors"].as_array().is_some_and(|errors| errors.iter().any(|it| it["during"] == "operation"));
    let pool = until_pool(&admin, "the loss to be told", is_told).await;
    assert!(!pool.to_string().contains(&secret) && !pool.to_string().contains("a literal"), "{pool}");
    keeps_to_its_schemas(&admin).await;
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_session_that_its_server_does_not_confirm_as_gone_is_told_until_it_does() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let proxy = Proxy::start(database.address(), database.control().to_owned()).await;
    let host = Setup::new()
        .toml(&format!("[admin]\ntoken = \"{TOKEN}\""))
        .database("main", &database.url_at(proxy.address()), "min_connections = 0\nstatement_timeout = \"60s\"")
        .plugin("probe", "probe", "limits = { deadline = \"60s\" }\ndatabases.main = { access = \"read-write\" }")
        .start()
        .await;
    let admin = host.admin().await;
    let gauge = async |count: u64| {
        let metrics = admin.get("/metrics").await;
        let is_it = |line: &&str| line.starts_with("db_client_connection_count{") && line.contains("\"unconfirmed\"");
        let told: Vec<&str> = metrics.text().lines().filter(is_it).collect();
        assert!(told.len() == 1 && told[0].ends_with(&format!("}} {count}")), "{told:?}");
    };
    gauge(0).await;
    let call = minute(&host);
    database.until_running("pg_sleep", PATIENCE).await;
    // Neither the session nor the control path is answered any more.
    proxy.silence_all();
    let calls = admin.get("/calls").await.json();
    change(&admin, &format!("/calls/{}/cancel", calls["calls"][0]["id"])).await;
    assert_eq!(call.await.unwrap().problem(), (503, "cancelled-by-operator".to_owned()));
    let pool = until_pool(&admin, "the session to be unconfirmed", |pool| pool["unconfirmed"] == 1).await;
    assert_eq!((&pool["leased"], &pool["counters"]["unconfirmed"]), (&json!(0), &json!(1)), "{pool}");
    assert_eq!(pool["last_reclaims"][0]["step"], "unconfirmed", "{pool}");
    gauge(1).await;
    keeps_to_its_schemas(&admin).await;
    proxy.speak();
    until_pool(&admin, "the session to be confirmed", |pool| pool["unconfirmed"] == 0).await;
    gauge(0).await;
    assert_eq!(host.stop().await.code, Some(0));
    database.until_nobody(PATIENCE).await;
}

#[tokio::test]
async fn a_drained_pool_has_no_session_and_lends_nothing_until_it_is_resumed() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = start(&database).await;
    let admin = host.admin().await;
    let steps = json!([{ "do": "query", "sql": "SELECT 1" }]);
    let first = host.client().post("/probe/run", &steps).await.json();
    assert!(first[0].get("error").is_none(), "{first}");
    let call = minute(&host);
    database.until_running("pg_sleep", PATIENCE).await;
    let draining = change(&admin, "/pools/main/drain").await.json();
    assert_eq!((&draining["state"], &draining["leased"]), (&json!("draining"), &json!(1)), "{draining}");
    let ready = admin.get("/health/ready").await;
    assert_eq!((ready.status.as_u16(), &ready.json()["reasons"][0]["code"]), (503, &json!("pool-drained")), "{ready:?}");
    keeps_to_its_schemas(&admin).await;
    let refused = host.client().post("/probe/run", &steps).await.json();
    assert_eq!(refused[0]["error"]["kind"], "pool-exhausted", "{refused}");
    // What was lent goes on until it ends.
    let calls = admin.get("/calls").await.json();
    change(&admin, &format!("/calls/{}/cancel", calls["calls"][0]["id"])).await;
    assert_eq!(call.await.unwrap().status, 503);
    let drained = until_pool(&admin, "the pool to be drained", |pool| pool["state"] == "drained").await;
    assert_eq!(total(&drained), 0, "{drained}");
    database.until_sessions("the control path alone to be there", PATIENCE, |sessions| sessions.len() == 1).await;
    let resumed = change(&admin, "/pools/main/resume").await.json();
    assert_eq!(resumed["state"], "up", "{resumed}");
    let again = host.client().post("/probe/run", &steps).await.json();
    assert!(again[0].get("error").is_none(), "{again}");
    assert_eq!(admin.get("/health/ready").await.status, 200);
    assert_eq!(change(&admin, "/pools/other/drain").await.problem(), (404, "not-found".to_owned()));
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn nothing_is_changed_without_the_token_and_nothing_shown_where_views_are_closed() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = Setup::new()
        .toml(&format!("[admin]\ntoken = \"{TOKEN}\"\nopen_views = false"))
        .database("main", &database.url(), "")
        .plugin("probe", "probe", "databases.main = { access = \"read-write\" }")
        .start()
        .await;
    let admin = host.admin().await;
    for path in ["/health/database-pool", "/calls", "/plugins", "/schema/live.json", "/nothing"] {
        assert_eq!(admin.get(path).await.problem(), (401, "unauthorized".to_owned()), "{path}");
    }
    for path in ["/pools/main/drain", "/pools/main/resume", "/calls/1/cancel"] {
        assert_eq!(admin.post(path, &Json::Null).await.problem(), (401, "unauthorized".to_owned()), "{path}");
    }
    assert_eq!(admin.get("/health/ready").await.status, 200);
    assert_eq!(host.stop().await.code, Some(0));
}

/// The names that a schema allows somewhere.
fn allowed(schema: &Json, at: &str) -> Vec<String> {
    let names = schema.pointer(at).and_then(Json::as_array).unwrap_or_else(|| panic!("nothing at {at}"));
    names.iter().filter_map(Json::as_str).map(str::to_owned).collect()
}

#[test]
fn the_schemas_know_all_that_there_is() {
    let schema: Json = serde_json::from_str(&tree::read("host/src/admin/schema/database-pool.json")).unwrap();
    let pool = "/properties/databases/items/properties";
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let reasons: Vec<&str> = Ended::ALL.iter().map(|reason| reason.name()).collect();
    let steps: Vec<&str> = Step::ALL.iter().map(|step| step.name()).collect();
    assert_eq!(reasons.iter().collect::<BTreeSet<_>>().len(), reasons.len(), "{reasons:?}");
    for outcome in Outcome::ALL {
        assert!(Ended::ALL.contains(&Ended::CallEnded(outcome.end())), "{outcome:?}");
    }
    for list in ["reclaimed", "last_reclaims"] {
        assert_eq!(allowed(&schema, &format!("{pool}/{list}/items/properties/reason/enum")), names(&reasons));
        assert_eq!(allowed(&schema, &format!("{pool}/{list}/items/properties/step/enum")), names(&steps));
    }
    let counters: Vec<&str> = Counter::ALL.iter().map(|counter| counter.name()).collect();
    assert_eq!(allowed(&schema, &format!("{pool}/counters/required")), names(&counters));
    let during = allowed(&schema, &format!("{pool}/last_errors/items/properties/during/enum"));
    let kinds = allowed(&schema, &format!("{pool}/last_errors/items/properties/kind/enum"));
    for known in
        [During::Connect, During::Control, During::Operation, During::Cancel, During::Rollback, During::Reset, During::Confirm]
    {
        assert!(during.contains(&known.name().to_owned()), "{known:?}");
    }
    for known in [
        FailureKind::Cancelled,
        FailureKind::Denied,
        FailureKind::Disconnected,
        FailureKind::CommitUnknown,
        FailureKind::NotPrimary,
    ] {
        assert!(kinds.contains(&known.name().to_owned()), "{known:?}");
    }
}
