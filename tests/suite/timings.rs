//! How long things take in a pool is counted, each by what it came to; on the scripted driver.

use std::time::Duration;

use support::scripted::{Behaviour, Kind, Script, Step};
use tokio::time::{Instant, timeout};
use wharf::{
    driver::{FailureKind, Operation, ResultLimit, Statement},
    pool::{AcquireError, Borrower, Database, Ended, Granted, Hold, Limit, Until, Via},
};

use crate::journal::open;

const PATIENCE: Duration = Duration::from_secs(10);
/// Of each step of a reclaim, and of a query that takes too long.
const BOUND: Duration = Duration::from_millis(50);

async fn acquire(database: &Database, grant: &Granted, patience: Duration) -> Result<Hold, AcquireError> {
    let borrower = Borrower { plugin: "plugin".into(), request_id: "request".into(), trail: None };
    database.acquire(grant, borrower, Instant::now() + patience).await
}

/// Runs a query as the only thing that the connection is lent for; what comes of it does not matter.
async fn query(hold: &Hold) {
    let statement = Statement { sql: "SELECT 1".into(), params: Vec::new() };
    let operation = Operation::Query(statement, ResultLimit { rows: 10, bytes: 1000 });
    drop(hold.run_last(Via::Connection, operation, Until { at: Instant::now() + BOUND, limit: Limit::Statement }).await);
}

async fn until_given_back(database: &Database) {
    let given_back = async {
        while database.counts().leased + database.counts().reclaiming > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, given_back).await.unwrap();
}

#[tokio::test]
async fn an_operation_is_timed_by_what_it_came_to_and_a_reclaim_by_its_reason() {
    for (behaviour, error, reclaimed) in [
        (Behaviour::Ok, "", None),
        (Behaviour::Error(FailureKind::ConstraintViolation), "constraint-violation", None),
        (Behaviour::Lost(FailureKind::Disconnected), "disconnected", Some(Ended::Lost)),
        (Behaviour::Slow, "timed-out", Some(Ended::TimedOut)),
        (Behaviour::Never, "timed-out", Some(Ended::TimedOut)),
    ] {
        let script = Script::new();
        script.needs_reset(false);
        script.always(Step::Run(Kind::Query), behaviour);
        let (database, grant) = open(&script, BOUND).await;
        let hold = acquire(&database, &grant, PATIENCE).await.unwrap();
        query(&hold).await;
        drop(hold);
        until_given_back(&database).await;
        let timings = database.timings();
        assert_eq!((timings.operations.len(), timings.operations.count(["query", error])), (1, 1), "{behaviour:?}");
        let told: Vec<Ended> = Ended::ALL.iter().copied().filter(|reason| timings.reclaims.count([reason.name()]) > 0).collect();
        assert_eq!(told, Vec::from_iter(reclaimed), "{behaviour:?}");
        assert_eq!([timings.created.count(), timings.waited.count(), timings.used.count()], [1, 1, 1], "{behaviour:?}");
        // It was lent for as long as the query took, at the least.
        let least = if error == "timed-out" { BOUND } else { Duration::ZERO };
        assert!(u128::from(timings.used.sum_micros()) >= least.as_micros(), "{behaviour:?}: {timings:?}");
    }
}

#[tokio::test]
async fn who_waits_is_timed_once_it_is_served_and_not_when_it_is_refused() {
    let script = Script::new();
    script.needs_reset(false);
    let (database, grant) = open(&script, BOUND).await;
    let first = acquire(&database, &grant, PATIENCE).await.unwrap();
    assert!(matches!(acquire(&database, &grant, BOUND).await, Err(AcquireError::WaitTimeout { .. })));
    let timings = database.timings();
    assert_eq!((timings.waited.count(), timings.used.count()), (1, 0));
    let mut second = Box::pin(acquire(&database, &grant, PATIENCE));
    assert!(futures::poll!(second.as_mut()).is_pending());
    drop(first);
    let second = timeout(PATIENCE, second).await.unwrap().unwrap();
    assert_eq!((timings.waited.count(), timings.used.count()), (2, 1));
    drop(second);
    until_given_back(&database).await;
    assert_eq!((timings.created.count(), timings.used.count()), (1, 2));
    // Unless a driver fails to open a session.
    let script = Script::new();
    script.refuse(true);
    let (database, grant) = open(&script, BOUND).await;
    assert!(timeout(PATIENCE, acquire(&database, &grant, PATIENCE)).await.unwrap().is_err());
    assert_eq!((database.timings().created.count(), database.timings().waited.count()), (0, 0));
}
