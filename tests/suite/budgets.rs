//! What one call may have under way at once, at the edge of each budget, on the scripted driver.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::FutureExt;
use support::scripted::{Behaviour, Event, Kind, Script, Step};
use tokio::time::Instant;
use wharf::{
    driver::{ResultLimit, Statement, TransactionOptions, Value, settings::Access},
    lease::{CallInfo, End, Error, Grant, Grants, Scope},
    pool::{Database, HostCapacity, OperationError, PoolSpec, Quota, Settings},
};

const PATIENCE: Duration = Duration::from_secs(10);
const STATEMENTS: u32 = 100;
const MIB: usize = 1 << 20;

async fn scope(script: &Script) -> Arc<Scope> {
    let quota = Quota { pool: 0, max_connections: 1, reserved_connections: 0, max_transaction_time: PATIENCE };
    let pools = vec![PoolSpec { driver: Arc::new(script.clone()), shares_control_of: None }];
    let (database, grants) = Database::new("scripted", Settings::default(), pools, vec![quota], Arc::new(HostCapacity::new(1)));
    database.start(true).await.unwrap();
    let max_result = ResultLimit { rows: 10, bytes: 1000 };
    let access = Access::ReadWrite;
    let grant =
        Grant { database, granted: Arc::clone(&grants[0]), access, max_connections: 1, max_result, max_statements: STATEMENTS };
    let call =
        CallInfo { plugin: "plugin".into(), request_id: "request".into(), deadline: Instant::now() + PATIENCE, trail: None };
    Scope::new(call, Arc::new(Grants::new(BTreeMap::from([("db".into(), grant)]))))
}

fn carrying(bytes: usize) -> Statement {
    Statement { sql: "SELECT $1".into(), params: vec![Value::Bytes(vec![0; bytes])] }
}

fn limit(name: &'static str, maximum: u64) -> Error {
    Error::Limit { limit: name, maximum }
}

#[tokio::test]
async fn statements_that_wait_carry_no_more_together_than_one_may_alone() {
    let script = Script::new();
    script.always(Step::Run(Kind::Query), Behaviour::Slow);
    let database = scope(&script).await.open("db").unwrap();
    // Seven of 2 MiB fit beside each other; with what each costs besides, the eighth does not, and a smaller one does.
    let mut waiting: Vec<_> = (0..7).map(|_| Box::pin(database.query(carrying(2 * MIB)))).collect();
    for query in &mut waiting {
        assert!(futures::poll!(query.as_mut()).is_pending());
    }
    let refused = limit("bytes_in_flight", 16 * MIB as u64);
    assert_eq!(database.query(carrying(2 * MIB)).await, Err(refused.clone()));
    let mut small = Box::pin(database.query(carrying(MIB)));
    assert!(futures::poll!(small.as_mut()).is_pending());
    assert_eq!(database.query(carrying(MIB)).await, Err(refused));
    // Whatever ends gives its share back; alone, a statement may be as large as a host call carries.
    drop((waiting, small));
    script.always(Step::Run(Kind::Query), Behaviour::Ok);
    database.query(carrying(16 * MIB)).await.unwrap();
}

#[tokio::test]
async fn a_statement_counts_before_it_waits_for_a_connection() {
    let script = Script::new();
    script.always(Step::Run(Kind::Query), Behaviour::Slow);
    let scope = scope(&script).await;
    let database = scope.open("db").unwrap();
    let mut waiting: Vec<_> = (0..STATEMENTS).map(|_| Box::pin(database.query(Statement::default()))).collect();
    for query in &mut waiting {
        assert!(futures::poll!(query.as_mut()).is_pending());
    }
    let refused = limit("max_statements", STATEMENTS.into());
    assert_eq!(database.query(Statement::default()).now_or_never(), Some(Err(refused)));
    scope.end(End::Returned);
    assert_eq!(waiting.remove(1).await, Err(Error::CallEnded(End::Returned)));
}

#[tokio::test]
async fn a_transaction_has_64_savepoints_at_once() {
    let script = Script::new();
    let database = scope(&script).await.open("db").unwrap();
    let transaction = database.begin(TransactionOptions { isolation: None, read_only: false }).await.unwrap();
    for number in 0..64 {
        transaction.savepoint(&format!("s{number}")).await.unwrap();
    }
    let refused = Err(Error::Operation(OperationError::TooMany { what: "savepoints", maximum: 64 }));
    assert_eq!(transaction.savepoint("s0").await, refused);
    transaction.release("s63").await.unwrap();
    transaction.savepoint("s0").await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(script.count(|event| matches!(event, Event::Began(Step::Run(Kind::Savepoint), _))), 65);
}
