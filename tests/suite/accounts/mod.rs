//! The accounts example as its clients see it: what it must not tell, what counts and what it costs, what becomes of those who come at once,
//! and of all when the database hangs.

mod answers;
mod attempts;
mod races;
mod silence;

use std::time::Duration;

use mongodb::bson::{Document, doc};
use serde_json::{Value as Json, json};
use support::{
    client::{self, Client, Reply},
    guests,
    host::{Host, Setup},
    mongodb::MongodbDatabase,
};

use crate::tree;

/// Whatever hangs, a client has an answer by then: the limits that are set here, and what a busy machine adds.
const IN_TIME: Duration = Duration::from_secs(8);

const ADA: &str = "ada@example.org";
const PASSWORD: &str = "correct horse battery";
const ANOTHER: &str = "another horse battery";

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

async fn register(client: &Client) -> Reply {
    client.post("/accounts", &json!({ "email": ADA, "name": "Ada", "password": PASSWORD })).await
}

async fn log_in(client: &Client, email: &str, password: &str) -> Reply {
    client.post("/session", &json!({ "email": email, "password": password })).await
}

/// The cookie of somebody who has logged in.
fn cookie(logged_in: &Reply) -> String {
    assert_eq!(logged_in.status, 201, "{logged_in:?}");
    let cookie = logged_in.headers.get("set-cookie").unwrap().to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// A request with a cookie; the body is JSON unless it is null.
async fn send(client: &Client, method: &str, path: &str, cookie: &str, body: &Json) -> Reply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = http::Request::builder().method(method).uri(path).header("cookie", cookie);
    let request = request.header("content-type", "application/json").body(client::bytes(body)).unwrap();
    client.open(request).await.unwrap().whole().await.unwrap()
}

async fn profile(client: &Client, cookie: &str) -> Reply {
    send(client, "GET", "/profile", cookie, &Json::Null).await
}

/// Asks for a new password; the token that would be mailed.
async fn lose_password(client: &Client, database: &MongodbDatabase) -> String {
    let reply = client.post("/password-reset", &json!({ "email": ADA })).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    let newest = doc! { "find": "outbox", "filter": { "to": ADA, "send": true }, "sort": { "expires": -1 }, "limit": 1 };
    let mails = database.run(newest).await;
    let mail = mails.get_document("cursor").unwrap().get_array("firstBatch").unwrap()[0].as_document().unwrap();
    mail.get_str("token").unwrap().to_owned()
}

async fn redeem(client: &Client, token: &str, password: &str) -> Reply {
    client.put("/password", &json!({ "token": token, "password": password })).await
}

/// Changes every document of a collection.
async fn change(database: &MongodbDatabase, collection: &str, change: Document) {
    database.run(doc! { "update": collection, "updates": [{ "q": {}, "u": change, "multi": true }] }).await;
}

/// Forgets who has tried what.
async fn forget_attempts(database: &MongodbDatabase) {
    database.run(doc! { "delete": "attempts", "deletes": [{ "q": {}, "limit": 0 }] }).await;
}
