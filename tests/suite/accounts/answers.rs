//! What is told, what it costs, and what counts no longer.

use mongodb::bson::{DateTime, doc};
use serde_json::json;
use support::{client::Reply, host::Host, mongodb::MongodbDatabase, wait};

use super::{
    ADA, ANOTHER, IN_TIME, PASSWORD, change, cookie, limits, log_in, lose_password, on_server, profile, redeem, register, send,
};

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
async fn a_password_costs_what_the_example_allows_and_no_more() {
    let database = MongodbDatabase::create().await;
    let host = on_server(&database).await;
    let client = host.client();
    assert_eq!(register(&client).await.status, 201);
    assert_eq!(log_in(&client, ADA, PASSWORD).await.status, 201);
    let allowed = u64::try_from(limits().0).unwrap();
    for fuel in fuel_of(&host, 2).await {
        // Some 800 million, as the example says; half of what is allowed is left for what an author may add.
        assert!((600_000_000..1_000_000_000).contains(&fuel) && fuel <= allowed / 2, "{fuel} of {allowed}");
    }
    assert_eq!(host.stop().await.code, Some(0));
    database.nothing_left().await;
}

#[tokio::test]
async fn what_has_expired_counts_no_longer_though_it_is_still_there() {
    let database = MongodbDatabase::create().await;
    let host = on_server(&database).await;
    let client = host.client();
    assert_eq!(register(&client).await.status, 201);
    let cookie = cookie(&log_in(&client, ADA, PASSWORD).await);
    assert_eq!(profile(&client, &cookie).await.status, 200);
    let token = lose_password(&client, &database).await;
    for collection in ["sessions", "resets"] {
        change(&database, collection, doc! { "$set": { "expires": DateTime::from_millis(0) } }).await;
    }
    assert_eq!(profile(&client, &cookie).await.problem(), (401, "not-logged-in".to_owned()));
    assert_eq!(redeem(&client, &token, ANOTHER).await.problem(), (400, "invalid-token".to_owned()));
    assert_eq!(log_in(&client, ADA, PASSWORD).await.status, 201);
    assert_eq!(host.stop().await.code, Some(0));
    database.nothing_left().await;
}

#[tokio::test]
async fn a_session_counts_for_the_password_that_it_was_made_with() {
    let database = MongodbDatabase::create().await;
    let host = on_server(&database).await;
    let client = host.client();
    assert_eq!(register(&client).await.status, 201);
    let old = cookie(&log_in(&client, ADA, PASSWORD).await);
    assert_eq!(profile(&client, &old).await.status, 200);
    // As they were before there were generations.
    for collection in ["accounts", "sessions"] {
        change(&database, collection, doc! { "$unset": { "generation": "" } }).await;
    }
    assert_eq!(profile(&client, &old).await.status, 200);
    // A reset that has not seen the session.
    change(&database, "accounts", doc! { "$inc": { "generation": 1_i64 } }).await;
    assert_eq!(profile(&client, &old).await.problem(), (401, "not-logged-in".to_owned()));
    let replaced = send(&client, "PUT", "/profile", &old, &json!({ "name": "Eve", "about": "" })).await;
    assert_eq!(replaced.problem(), (401, "not-logged-in".to_owned()));
    let new = cookie(&log_in(&client, ADA, PASSWORD).await);
    assert_eq!(profile(&client, &new).await.json()["name"], "Ada");
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
