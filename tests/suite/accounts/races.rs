//! Those who do the same, or the opposite, at once.

use futures::future::join_all;
use support::{client::Reply, mongodb::MongodbDatabase};

use super::{ADA, ANOTHER, PASSWORD, cookie, forget_attempts, log_in, lose_password, on_server, profile, redeem, register};

fn statuses(replies: &[Reply]) -> Vec<u16> {
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    statuses.sort_unstable();
    statuses
}

#[tokio::test]
async fn of_those_who_register_an_address_at_once_one_gets_it() {
    let database = MongodbDatabase::create().await;
    let host = on_server(&database).await;
    let client = host.client();
    let replies = join_all((0..4).map(|_| register(&client))).await;
    assert_eq!(statuses(&replies), [201, 409, 409, 409], "{replies:?}");
    assert_eq!(database.count("accounts").await, 1);
    assert_eq!(host.stop().await.code, Some(0));
    database.nothing_left().await;
}

#[tokio::test]
async fn of_those_who_redeem_a_token_at_once_one_changes_the_password() {
    let database = MongodbDatabase::create().await;
    let host = on_server(&database).await;
    let client = host.client();
    assert_eq!(register(&client).await.status, 201);
    let token = lose_password(&client, &database).await;
    let passwords: Vec<String> = (0..4).map(|number| format!("{ANOTHER} {number}")).collect();
    let replies = join_all(passwords.iter().map(|password| redeem(&client, &token, password))).await;
    let (changed, refused): (Vec<_>, Vec<_>) = passwords.iter().zip(&replies).partition(|(_, reply)| reply.status == 204);
    let [(password, _)] = changed[..] else { panic!("{replies:?}") };
    for (_, reply) in refused {
        // Who met the other's writes each time has changed nothing either.
        let expected = [(400, "invalid-token".to_owned()), (503, "write-conflict".to_owned())];
        assert!(expected.contains(&reply.problem()), "{reply:?}");
    }
    assert_eq!(log_in(&client, ADA, password).await.status, 201);
    assert_eq!(host.stop().await.code, Some(0));
    database.nothing_left().await;
}

#[tokio::test]
async fn attempts_at_once_are_all_counted() {
    let database = MongodbDatabase::create().await;
    let host = on_server(&database).await;
    let client = host.client();
    let replies = join_all((0..14).map(|_| log_in(&client, ADA, PASSWORD))).await;
    assert_eq!(statuses(&replies), [[401_u16; 10].as_slice(), &[429; 4]].concat(), "{replies:?}");
    assert_eq!(host.stop().await.code, Some(0));
    database.nothing_left().await;
}

#[tokio::test]
async fn no_log_in_with_the_old_password_outlives_its_reset() {
    let database = MongodbDatabase::create().await;
    let host = on_server(&database).await;
    let client = host.client();
    assert_eq!(register(&client).await.status, 201);
    let mut old = PASSWORD.to_owned();
    for round in 0..8 {
        let token = lose_password(&client, &database).await;
        let new = format!("{ANOTHER} {round}");
        let log_ins = join_all((0..3).map(|_| log_in(&client, ADA, &old)));
        let (log_ins, reset) = tokio::join!(log_ins, redeem(&client, &token, &new));
        assert_eq!(reset.status, 204, "{reset:?}");
        for log_in in log_ins {
            // Whichever came first: with the old password nobody is logged in any more.
            if log_in.status == 201 {
                assert_eq!(
                    profile(&client, &cookie(&log_in)).await.problem(),
                    (401, "not-logged-in".to_owned()),
                    "round {round}"
                );
            } else {
                assert_eq!(log_in.problem(), (401, "wrong-credentials".to_owned()), "round {round}");
            }
        }
        assert_eq!(profile(&client, &cookie(&log_in(&client, ADA, &new).await)).await.status, 200, "round {round}");
        forget_attempts(&database).await;
        old = new;
    }
    assert_eq!(host.stop().await.code, Some(0));
    database.nothing_left().await;
}
