//! The promises that Wharf was asked for, by the names that they had in the services it is made for: once over SQL, once over documents.
//! What holds is what the server says, on a connection that is none of the host's.

mod documents;
mod sql;

use std::time::Duration;

use serde_json::Value as Json;
use support::{
    client::{Client, Reply},
    guests,
    host::{Ended, Setup},
};

/// How long a host may take to have everything back: the bounds of reclaim, one after the other.
const RECLAIM: Duration = Duration::from_secs(11);

/// What an operation may take here, by the setting of its database.
const OPERATION: Duration = Duration::from_millis(500);

/// By when a client has heard that it took too long: what a busy machine adds is in it.
const IN_TIME: Duration = Duration::from_secs(5);

/// A host with room for so many connections, of all its databases together.
fn with_room_for(connections: usize) -> Setup {
    let cache = guests::target_folder().join("wharf-tests-cache");
    Setup::empty().toml(&format!(
        "max_connections = {connections}\n\n[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndrain_timeout = \"2s\"\n\n[engine]\ncache = {cache:?}\n"
    ))
}

/// The outcomes of steps, all of which must have succeeded.
fn succeeded(reply: &Reply) -> Vec<Json> {
    assert_eq!(reply.status, 200, "{reply:?}");
    let outcomes = reply.json().as_array().unwrap_or_else(|| panic!("{reply:?}")).clone();
    let failed: Vec<&Json> = outcomes.iter().filter(|outcome| !outcome["error"].is_null()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    outcomes
}

async fn run(client: &Client, plugin: &str, steps: &Json) -> Vec<Json> {
    succeeded(&client.post(&format!("/{plugin}/run"), steps).await)
}

/// The kind of the only outcome's error.
fn kind(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()[0]["error"]["kind"].as_str().unwrap_or("none").to_owned()
}

/// A host that ended well has said of so many databases that nothing is left, of none that something is, and nothing of a panic.
fn ended_well(ended: &Ended, databases: usize) {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let told: Vec<&str> = ended.stderr.lines().filter(|line| line.contains(" connections left")).collect();
    assert_eq!(told.len(), databases, "{}", ended.stderr);
    assert!(told.iter().all(|line| line.contains(": 0 connections left, says ")), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}
