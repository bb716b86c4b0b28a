//! How often something may be tried for one address.

use serde_json::json;
use support::{client::Client, mongodb::MongodbDatabase};

use super::{ADA, ANOTHER, PASSWORD, log_in, lose_password, on_server, redeem, register};

/// What so many log-ins with a wrong password, one after the other, are answered.
async fn wrong(client: &Client, times: usize) -> Vec<u16> {
    let mut told = Vec::new();
    for _ in 0..times {
        told.push(log_in(client, ADA, "correct horse bakery").await.status.as_u16());
    }
    told
}

#[tokio::test]
async fn attempts_to_log_in_are_counted_for_each_address() {
    let database = MongodbDatabase::create().await;
    let host = on_server(&database).await;
    let client = host.client();
    assert_eq!(wrong(&client, 11).await, [[401_u16; 10].as_slice(), &[429]].concat());
    let refused = log_in(&client, " Ada@Example.ORG", PASSWORD).await;
    assert_eq!(refused.problem(), (429, "too-many-attempts".to_owned()));
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    assert_eq!(log_in(&client, "piet@example.org", PASSWORD).await.status, 401);
    assert_eq!(host.stop().await.code, Some(0));
    database.nothing_left().await;
}

#[tokio::test]
async fn a_success_and_a_reset_forget_the_attempts() {
    let database = MongodbDatabase::create().await;
    let host = on_server(&database).await;
    let client = host.client();
    assert_eq!(register(&client).await.status, 201);
    assert_eq!(wrong(&client, 9).await, [401; 9]);
    assert_eq!(log_in(&client, ADA, PASSWORD).await.status, 201);
    assert_eq!(wrong(&client, 11).await, [[401_u16; 10].as_slice(), &[429]].concat());
    // Anybody can do that to her, and she ends it.
    let token = lose_password(&client, &database).await;
    assert_eq!(redeem(&client, &token, ANOTHER).await.status, 204);
    assert_eq!(log_in(&client, ADA, ANOTHER).await.status, 201);
    assert_eq!(host.stop().await.code, Some(0));
    database.nothing_left().await;
}

#[tokio::test]
async fn lost_passwords_are_counted_for_each_address() {
    let database = MongodbDatabase::create().await;
    let host = on_server(&database).await;
    let client = host.client();
    let lost = async |email: &str| client.post("/password-reset", &json!({ "email": email })).await;
    for _ in 0..3 {
        assert_eq!(lost(ADA).await.status, 202);
    }
    let refused = lost(" Ada@Example.ORG").await;
    assert_eq!(refused.problem(), (429, "too-many-attempts".to_owned()));
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    assert_eq!(lost("piet@example.org").await.status, 202);
    assert_eq!(host.stop().await.code, Some(0));
    database.nothing_left().await;
}
