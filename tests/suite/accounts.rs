//! The accounts example as its clients see it: what it must not tell, what it costs, and what becomes of it when the database hangs.

use std::time::{Duration, Instant};

use mongodb::bson::{DateTime, doc};
use serde_json::{Value as Json, json};
use support::{
    client::{Client, Reply},
    guests,
    host::{Host, Setup},
    mongodb::MongodbDatabase,
    wait,
    wire::{Mode, Wire},
};

use crate::tree;

/// Whatever hangs, a client has an answer by then: the limits that are set here, and what a busy machine adds.
const IN_TIME: Duration = Duration::from_secs(8);

/// Until a database that is back is used again.
const RECOVERY: Duration = Duration::from_secs(30);

const ADA: &str = "ada@example.org";
const PASSWORD: &str = "correct horse battery";

/// The limits of the example: fuel, deadline, memory.
fn limits() -> (i64, String, String) {
    let manifest: toml::Table = tree::read("examples/accounts/wharf.toml").parse().unwrap();
    let limits = &manifest["plugins"]["accounts"]["limits"];
    let text = |name: &str| limits[name].as_str().unwrap().to_owned();
    (limits["fuel"].as_integer().unwrap(), text("deadline"), text("memory"))
}

/// A host with the plugin of the example on this database.
async fn start(url: &str, settings: &str) -> Host {
    let component = guests::target_folder().join("wasm32-wasip2/plugin/accounts.wasm");
    assert!(component.is_file(), "{} is missing: run tests/run, which builds the plugins first", component.display());
    let (fuel, deadline, memory) = limits();
    let plugin = format!(
        "\n[plugins.accounts]\ncomponent = {component:?}\n\
         routes = [\"/accounts\", \"/session\", \"/password-reset\", \"/password\", \"/profile\"]\n\
         limits = {{ fuel = {fuel}, deadline = {deadline:?}, memory = {memory:?} }}\n\
         databases.accounts = {{ access = \"read-write\" }}\n"
    );
    Setup::new().argument("--log=info,wharf::call=debug").database("accounts", url, settings).toml(&plugin).start().await
}

/// The same on a server that speaks MongoDB's protocol, with the collections that the example migrates to.
async fn on_server(database: &MongodbDatabase) -> Host {
    let migrations = tree::root().join("examples/accounts/migrations");
    let settings = format!("control_url = {:?}\nmigrations = {migrations:?}\nmax_pool_size = 4", database.url(&database.control));
    start(&database.url(&database.owner), &settings).await
}

/// The same on the stand-in, whose every address has had one attempt at something.
async fn on_stand_in(wire: &Wire, settings: &str) -> Host {
    let attempts = doc! { "_id": "x", "count": 1_i64, "expires": DateTime::from_millis(4_000_000_000_000) };
    wire.answer("findAndModify", &doc! { "value": attempts, "lastErrorObject": { "n": 1, "updatedExisting": true }, "ok": 1.0 });
    start(&wire.url("accounts"), settings).await
}

async fn register(client: &Client) -> Reply {
    client.post("/accounts", &json!({ "email": ADA, "name": "Ada", "password": PASSWORD })).await
}

async fn log_in(client: &Client, email: &str, password: &str) -> Reply {
    client.post("/session", &json!({ "email": email, "password": password })).await
}

#[tokio::test]
async fn an_unknown_account_and_a_wrong_password_are_told_alike() {
    let database = MongodbDatabase::create().await;
    let host = on_server(&database).await;
    let client = host.client();
    assert_eq!(register(&client).await.status, 201);
    assert_eq!(register(&client).await.problem(), (409, "email-taken".to_owned()));
    let (unknown, wrong) =
        (log_in(&client, "nobody@example.org", PASSWORD).await, log_in(&client, ADA, "correct horse bakery").await);
    assert_eq!(unknown.problem(), (401, "wrong-credentials".to_owned()));
    assert_eq!((unknown.status, unknown.text()), (wrong.status, wrong.text()));
    let names = |reply: &Reply| -> Vec<String> { reply.headers.keys().map(ToString::to_string).collect() };
    assert_eq!(names(&unknown), names(&wrong));
    // Both have done the work of a real one.
    let fuel = fuel_of(&host, 4).await;
    let (one, other) = (fuel[2], fuel[3]);
    assert!(one.abs_diff(other) < one / 10, "{fuel:?}");
    let right = log_in(&client, ADA, PASSWORD).await;
    assert_eq!(right.status, 201, "{right:?}");
    // Lost passwords, too, are nobody's business.
    for email in [ADA, "nobody@example.org"] {
        let reply = client.post("/password-reset", &json!({ "email": email })).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (202, ""), "{reply:?}");
    }
    assert_eq!(host.stop().await.code, Some(0));
    database.nothing_left().await;
}

#[tokio::test]
async fn attempts_to_log_in_are_counted_for_each_address() {
    let database = MongodbDatabase::create().await;
    let host = on_server(&database).await;
    let client = host.client();
    let mut told = Vec::new();
    for _ in 0..11 {
        told.push(log_in(&client, ADA, "correct horse bakery").await.status.as_u16());
    }
    assert_eq!(told, [[401_u16; 10].as_slice(), &[429]].concat());
    let refused = log_in(&client, " Ada@Example.ORG", PASSWORD).await;
    assert_eq!(refused.problem(), (429, "too-many-attempts".to_owned()));
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    assert_eq!(log_in(&client, "piet@example.org", PASSWORD).await.status, 401);
    assert_eq!(host.stop().await.code, Some(0));
    database.nothing_left().await;
}

/// What each call has used, once so many have ended.
async fn fuel_of(host: &Host, calls: usize) -> Vec<u64> {
    wait::until("what calls have used", IN_TIME, || async {
        // Takes a moment of its own, so that the log is not asked without end.
        assert_eq!(host.client().get("/nothing").await.status, 404);
        let log = host.log();
        let ended = log.lines().filter(|line| line.contains("call ended"));
        let fuel: Vec<u64> = ended.filter_map(|line| number(line, "\"fuel\":")).collect();
        if fuel.len() >= calls { Ok(fuel) } else { Err(format!("{fuel:?}")) }
    })
    .await
}

fn number(line: &str, after: &str) -> Option<u64> {
    let (_, rest) = line.split_once(after)?;
    rest.split(|digit: char| !digit.is_ascii_digit()).next()?.parse().ok()
}

#[tokio::test]
async fn a_password_costs_what_the_example_allows_and_no_more() {
    let database = MongodbDatabase::create().await;
    let host = on_server(&database).await;
    let client = host.client();
    assert_eq!(register(&client).await.status, 201);
    assert_eq!(log_in(&client, ADA, PASSWORD).await.status, 201);
    let allowed = u64::try_from(limits().0).unwrap();
    for fuel in fuel_of(&host, 2).await {
        // Cheaper than this it would be no password's hash; a tenth is left for what an author may add.
        assert!((100_000_000..allowed / 10 * 9).contains(&fuel), "{fuel} of {allowed}");
    }
    assert_eq!(host.stop().await.code, Some(0));
    database.nothing_left().await;
}

#[tokio::test]
async fn a_database_that_falls_silent_is_told_in_time_and_used_again_when_it_speaks() {
    let wire = Wire::start();
    let settings = "max_pool_size = 2\nacquire_timeout = \"1s\"\nstatement_timeout = \"1s\"\nconnect_timeout = \"1s\"\n\
                    server_selection_timeout = \"1s\"";
    let host = on_stand_in(&wire, settings).await;
    let client = host.client();
    assert_eq!(log_in(&client, ADA, PASSWORD).await.problem(), (401, "wrong-credentials".to_owned()));
    wire.be(Mode::Silent);
    for _ in 0..4 {
        let begun = Instant::now();
        let (status, code) = log_in(&client, ADA, PASSWORD).await.problem();
        assert!([503, 504].contains(&status), "{status} {code}");
        assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    }
    wire.be(Mode::Answering);
    wait::until("the database to be used again", RECOVERY, || async {
        let reply = log_in(&client, ADA, PASSWORD).await;
        if reply.status == 401 { Ok(()) } else { Err(format!("{reply:?}")) }
    })
    .await;
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

#[tokio::test]
async fn an_operation_that_hangs_is_504_and_who_waits_for_its_connection_503() {
    let wire = Wire::start();
    let host = on_stand_in(&wire, "max_pool_size = 1\nacquire_timeout = \"500ms\"\nstatement_timeout = \"3s\"").await;
    wire.block("findAndModify");
    let client = host.client();
    let hanging = tokio::spawn({
        let client = client.clone();
        async move { log_in(&client, ADA, PASSWORD).await.problem() }
    });
    wire.until("the operation", IN_TIME, |wire| (wire.waiting() == ["findAndModify"]).then_some(())).await;
    assert_eq!(log_in(&client, "piet@example.org", PASSWORD).await.problem(), (503, "pool-exhausted".to_owned()));
    assert_eq!(hanging.await.unwrap(), (504, "deadline-exceeded".to_owned()));
    wire.release();
    wait::until("the connection to be free again", RECOVERY, || async {
        let reply = log_in(&client, ADA, PASSWORD).await;
        if reply.status == 401 { Ok(()) } else { Err(format!("{reply:?}")) }
    })
    .await;
    // What a problem tells is nothing of the inside.
    let told: Json = log_in(&client, ADA, PASSWORD).await.json();
    assert!(!told.to_string().contains("127.0.0.1"), "{told}");
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
