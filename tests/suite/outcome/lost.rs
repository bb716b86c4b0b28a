//! A connection that is lost during COMMIT: the outcome is unknown, whatever it is.

use serde_json::json;
use support::{cut::At, host::Setup, servers::Engine};
use wharf::{
    driver::{FailureKind, Operation, Value},
    pool::Via,
};

use super::{
    Pool, TRANSACTION, execute, failure,
    ground::{Ground, placeholder},
    query, run,
};

/// In the host's own COMMIT on either server.
const COMMIT: &str = "; COMMIT";

/// Where a COMMIT is lost, and whether it took effect: nobody knows of one that the host's killing of the session may overtake.
const CUTS: [(At, Option<bool>); 3] = [(At::Sending, Some(false)), (At::Sent, None), (At::Answered, Some(true))];

/// All or nothing, as expected where anything is.
#[track_caller]
fn check(written: &str, whole: &str, committed: Option<bool>, what: &str) {
    assert!(written == whole || written.is_empty(), "{what}: {written}");
    if let Some(committed) = committed {
        assert_eq!(written == whole, committed, "{what}: {written}");
    }
}

#[tokio::test]
async fn a_connection_lost_during_commit_leaves_the_outcome_unknown() {
    for engine in Engine::ALL {
        for (at, committed) in CUTS {
            let ground = Ground::new(engine).await;
            let (_cut, driver) = ground.through(COMMIT, at).await;
            let pool = Pool::new(driver).await;
            let hold = pool.begun().await;
            run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('mine')")).await.unwrap();
            let failure = failure(run(&hold, TRANSACTION, Operation::Commit).await);
            assert_eq!((failure.kind, failure.lost), (FailureKind::CommitUnknown, true), "{engine:?} {at:?}: {failure:?}");
            // It is told once: what follows cannot repair it.
            run(&hold, TRANSACTION, Operation::Commit).await.unwrap_err();
            drop(hold);
            // The next borrower has another connection.
            let next = pool.borrow_it().await;
            run(&next, Via::Connection, query("SELECT 1")).await.unwrap();
            drop(next);
            pool.close().await;
            check(&ground.settled().await, "mine", committed, &format!("{engine:?} {at:?}"));
        }
    }
}

#[tokio::test]
async fn a_list_of_parameters_that_is_cut_off_in_its_commit_is_unknown_too() {
    for engine in Engine::ALL {
        for (at, committed) in CUTS {
            let ground = Ground::new(engine).await;
            let (_cut, driver) = ground.through(COMMIT, at).await;
            let pool = Pool::new(driver).await;
            let hold = pool.borrow_it().await;
            let lists = ["a", "b"].map(|note| vec![Value::Text(note.to_owned())]).to_vec();
            let sql = format!("INSERT INTO notes VALUES ({})", placeholder(engine));
            let many = Operation::ExecuteMany(sql.into(), lists);
            let failure = failure(run(&hold, Via::Connection, many).await);
            assert_eq!(failure.kind, FailureKind::CommitUnknown, "{engine:?} {at:?}: {failure:?}");
            drop(hold);
            pool.close().await;
            check(&ground.settled().await, "a b", committed, &format!("{engine:?} {at:?}"));
        }
    }
}

#[tokio::test]
async fn a_guest_is_told_that_the_outcome_is_unknown() {
    for engine in Engine::ALL {
        for (at, expected) in [(At::Sending, ""), (At::Answered, "mine")] {
            let ground = Ground::new(engine).await;
            let (_cut, url) = ground.cut(COMMIT, at).await;
            let host = Setup::new()
                .database("main", &url, "")
                .plugin("probe", "probe", "databases.main = { access = \"read-write\" }")
                .start()
                .await;
            let steps = json!([
                { "do": "begin", "as": "t" },
                { "do": "execute", "on": "t", "sql": "INSERT INTO notes VALUES ('mine')" },
                { "do": "commit", "on": "t" },
            ]);
            let outcomes = host.client().post("/probe/run", &steps).await.json();
            assert_eq!(outcomes[2]["error"]["kind"], "commit-unknown", "{engine:?} {at:?}: {outcomes:#?}");
            assert!(!outcomes.to_string().contains("127.0.0.1"), "{outcomes:#?}");
            let reply = host.client().get("/probe/query?sql=SELECT+1").await.json();
            assert_eq!(reply["error"], serde_json::Value::Null, "{engine:?}: {reply:#?}");
            assert_eq!(host.stop().await.code, Some(0), "{engine:?} {at:?}");
            assert_eq!(ground.settled().await, expected, "{engine:?} {at:?}");
        }
    }
}
