//! What clients are told when the database hangs, falls silent or breaks off. On the stand-in, since no server that tests can have does that
//! when it is told to.

use std::time::{Duration, Instant};

use mongodb::bson::{Binary, DateTime, doc, oid::ObjectId, spec::BinarySubtype};
use serde_json::{Value as Json, json};
use support::{
    client::Client,
    host::Host,
    wait,
    wire::{Mode, Wire},
};

use super::{ADA, ANOTHER, IN_TIME, PASSWORD, log_in, send, start};

/// Until a database that is back is used again.
const RECOVERY: Duration = Duration::from_secs(30);

/// The hash of the password, as the example makes it.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdCBvZiBhIHRlc3QuLg$cwix5dMihzPB2tuUgdR/+BhLkB8M8kPWrz0iR/wWXNY";

/// Long after all tests.
const FAR: DateTime = DateTime::from_millis(4_000_000_000_000);

/// A host on the stand-in. What is found and changed there by whatever key, in whatever collection, has the fields that are asked for: one
/// attempt at something, a token to reset a password, an e-mail address.
async fn on_stand_in(wire: &Wire, settings: &str) -> Host {
    let found = doc! { "_id": key(), "account": ObjectId::from_bytes([1; 12]), "email": ADA, "count": 1_i64, "expires": FAR };
    wire.answer("findAndModify", &doc! { "value": found, "lastErrorObject": { "n": 1, "updatedExisting": true }, "ok": 1.0 });
    start(&wire.url("accounts"), settings).await
}

/// Some hash of a token.
fn key() -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: vec![7; 32] }
}

/// Waits until a log-in is answered so.
async fn until_answered(client: &Client, status: u16) {
    wait::until("the database to be used again", RECOVERY, || async {
        let reply = log_in(client, ADA, PASSWORD).await;
        if reply.status == status { Ok(()) } else { Err(format!("{reply:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_database_that_falls_silent_is_told_in_time_and_used_again_when_it_speaks() {
    let wire = Wire::start();
    let settings = "max_pool_size = 4\nacquire_timeout = \"5s\"\nstatement_timeout = \"1s\"\nconnect_timeout = \"1s\"\n\
                    server_selection_timeout = \"1s\"\ntest_before_acquire = \"0s\"";
    let host = on_stand_in(&wire, settings).await;
    let client = host.client();
    assert_eq!(log_in(&client, ADA, PASSWORD).await.problem(), (401, "wrong-credentials".to_owned()));
    wire.be(Mode::Silent);
    for _ in 0..4 {
        let begun = Instant::now();
        // The connection is asked first whether it still works, and so nothing of the call has begun.
        assert_eq!(log_in(&client, ADA, PASSWORD).await.problem(), (503, "disconnected".to_owned()));
        assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    }
    wire.be(Mode::Answering);
    until_answered(&client, 401).await;
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

#[tokio::test]
async fn an_operation_that_hangs_is_504_and_who_waits_for_its_connection_503() {
    let wire = Wire::start();
    let host = on_stand_in(&wire, "max_pool_size = 1\nacquire_timeout = \"500ms\"\nstatement_timeout = \"8s\"").await;
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
    until_answered(&client, 401).await;
    // What a problem tells is nothing of the inside.
    let told: Json = log_in(&client, ADA, PASSWORD).await.json();
    assert!(!told.to_string().contains("127.0.0.1"), "{told}");
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn a_write_whose_connection_breaks_is_503_and_nobody_is_asked_to_try_again() {
    let wire = Wire::start();
    let host = on_stand_in(&wire, "max_pool_size = 1\nstatement_timeout = \"8s\"").await;
    wire.block("findAndModify");
    let client = host.client();
    let hanging = tokio::spawn({
        let client = client.clone();
        async move { log_in(&client, ADA, PASSWORD).await.problem() }
    });
    wire.until("the operation", IN_TIME, |wire| (wire.waiting() == ["findAndModify"]).then_some(())).await;
    wire.be(Mode::Refusing);
    assert_eq!(hanging.await.unwrap(), (503, "commit-unknown".to_owned()));
    wire.release();
    wire.be(Mode::Answering);
    until_answered(&client, 401).await;
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn whatever_hangs_in_whatever_request_is_told_in_time() {
    let wire = Wire::start();
    let host = on_stand_in(&wire, "max_pool_size = 2\nstatement_timeout = \"1s\"").await;
    let account = ObjectId::from_bytes([1; 12]);
    let ada = doc! { "_id": account, "email": ADA, "name": "Ada", "about": "", "password": HASH, "created": FAR };
    wire.answer_collection("accounts.accounts", &[ada]);
    for collection in ["accounts.sessions", "accounts.resets"] {
        wire.answer_collection(collection, &[doc! { "_id": key(), "account": account, "expires": FAR }]);
    }
    let client = host.client();
    until_answered(&client, 201).await;
    let new = json!({ "email": "piet@example.org", "name": "Piet", "password": PASSWORD });
    let credentials = json!({ "email": ADA, "password": PASSWORD });
    let lost = json!({ "email": ADA });
    let password = json!({ "token": "abc", "password": ANOTHER });
    let rows: [(&str, &str, &Json, &[&str]); 7] = [
        ("POST", "/accounts", &new, &["insert"]),
        ("POST", "/session", &credentials, &["findAndModify", "find", "delete", "insert"]),
        ("DELETE", "/session", &Json::Null, &["delete"]),
        ("POST", "/password-reset", &lost, &["findAndModify", "find", "insert"]),
        ("PUT", "/password", &password, &["find", "findAndModify", "delete", "commitTransaction"]),
        ("GET", "/profile", &Json::Null, &["find"]),
        ("PUT", "/profile", &json!({ "name": "Ada", "about": "" }), &["find", "findAndModify"]),
    ];
    for (method, path, body, commands) in rows {
        for command in commands {
            wire.block(command);
            let begun = Instant::now();
            let told = send(&client, method, path, "__Host-session=abc", body).await.problem();
            let expected = match *command {
                // It may have committed, whoever ends it.
                "commitTransaction" => (503, "commit-unknown".to_owned()),
                _ => (504, "deadline-exceeded".to_owned()),
            };
            assert_eq!(told, expected, "{method} {path}, {command}");
            assert!(begun.elapsed() < IN_TIME, "{method} {path}, {command}: {:?}", begun.elapsed());
            wire.release();
            until_answered(&client, 201).await;
        }
    }
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}
