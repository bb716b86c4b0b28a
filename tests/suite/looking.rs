//! What is seen of a call's connections from outside, and what its cancel takes from it; on the scripted driver.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use support::scripted::{Behaviour, Kind, Script, Step};
use tokio::time::{Instant, timeout};
use wharf::{
    driver::{ResultLimit, Statement, TransactionOptions, settings::Access},
    lease::{CallInfo, End, Error, Grant, Grants, Scope},
    pool::{Database, HostCapacity, LeaseView, PoolSpec, Quota, Settings},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// A database with one connection, which the plugin knows as `db`.
async fn grants(script: &Script) -> Arc<Grants> {
    let quota = Quota { pool: 0, max_connections: 1, reserved_connections: 0, max_transaction_time: PATIENCE };
    let pools = vec![PoolSpec { driver: Arc::new(script.clone()), shares_control_of: None }];
    let settings = Settings { max_connections: 1, ..Settings::default() };
    let (database, granted) = Database::new("scripted", settings, pools, vec![quota], Arc::new(HostCapacity::new(1)));
    database.start(true).await.unwrap();
    let max_result = ResultLimit { rows: 10, bytes: 1000 };
    let granted = Arc::clone(&granted[0]);
    let grant = Grant { database, granted, access: Access::ReadWrite, max_connections: 1, max_result, max_statements: u32::MAX };
    Arc::new(Grants::new(BTreeMap::from([("db".into(), grant)])))
}

fn call(grants: &Arc<Grants>) -> Arc<Scope> {
    let call =
        CallInfo { plugin: "plugin".into(), request_id: "request".into(), deadline: Instant::now() + PATIENCE, trail: None };
    Scope::new(call, Arc::clone(grants))
}

/// Drives the future until the only lease of a call is seen in this state.
async fn seen<F: Future<Output: std::fmt::Debug>>(scope: &Scope, state: &str, mut future: std::pin::Pin<&mut F>) -> LeaseView {
    let looking = async {
        loop {
            if let [lease] = &scope.leased()[..]
                && lease.state == state
            {
                return lease.clone();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        lease = timeout(PATIENCE, looking) => lease.unwrap(),
        early = future.as_mut() => panic!("over before it was {state}: {early:?}"),
    }
}

#[tokio::test]
async fn a_lease_is_seen_with_its_statement_and_without_its_values() {
    let script = Script::new();
    let scope = call(&grants(&script).await);
    assert!(scope.leased().is_empty());
    let database = scope.open("db").unwrap();
    assert!(scope.leased().is_empty());
    let transaction = database.begin(TransactionOptions { isolation: None, read_only: false }).await.unwrap();
    let leases = scope.leased();
    let [lease] = &leases[..] else { panic!("{leases:?}") };
    assert_eq!((&*lease.database, lease.state, &lease.statement), ("scripted", "idle in transaction", &None));
    let session = lease.session.clone().unwrap().id;

    script.always(Step::Run(Kind::Query), Behaviour::Slow);
    let statement = Statement { sql: "SELECT name FROM people WHERE id = 4711".into(), params: Vec::new() };
    let mut query = Box::pin(transaction.query(statement));
    let lease = seen(&scope, "query", query.as_mut()).await;
    assert_eq!(lease.statement.as_deref(), Some("SELECT name FROM people WHERE id = ?"));
    assert_eq!(lease.session.map(|session| session.id), Some(session));
    assert!(scope.waits_for().is_empty());
    drop(query);
    scope.end(End::Returned);
    assert!(scope.leased().is_empty());
}

#[tokio::test]
async fn what_a_cancelled_call_held_goes_to_who_waits_for_it() {
    let script = Script::new();
    let grants = grants(&script).await;
    let (holder, waiter) = (call(&grants), call(&grants));
    script.once(Step::Run(Kind::Query), Behaviour::Slow);
    let database = holder.open("db").unwrap();
    let connection = database.connect().await.unwrap();
    let mut query = Box::pin(connection.query(Statement::default()));
    seen(&holder, "query", query.as_mut()).await;

    let wanting = waiter.open("db").unwrap();
    let mut waiting = Box::pin(wanting.connect());
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    assert_eq!(waiter.waits_for(), [Arc::<str>::from("db")]);
    assert!(waiter.leased().is_empty() && holder.waits_for().is_empty());

    holder.cancel();
    assert!(holder.life().is_cancelled() && holder.leased().is_empty());
    assert!(timeout(PATIENCE, query).await.unwrap().is_err());
    let got = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert!(waiter.waits_for().is_empty());
    assert_eq!(waiter.leased().iter().map(|lease| lease.state).collect::<Vec<_>>(), ["ready"]);
    drop(connection);
    assert_eq!(database.connect().await.unwrap_err(), Error::CallEnded(End::Cancelled));
    drop(got);
    assert!(waiter.leased().is_empty());
}

#[tokio::test]
async fn whoever_gives_up_its_wait_is_seen_to_wait_no_more() {
    let script = Script::new();
    let grants = grants(&script).await;
    let (holder, waiter) = (call(&grants), call(&grants));
    let _held = holder.open("db").unwrap().connect().await.unwrap();
    let wanting = waiter.open("db").unwrap();
    // Statements may wait side by side.
    let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(wanting.query(Statement::default()))).collect();
    for one in &mut waiting {
        assert!(futures::poll!(one.as_mut()).is_pending());
    }
    assert_eq!(waiter.waits_for(), [Arc::<str>::from("db")]);
    drop(waiting.pop());
    assert_eq!(waiter.waits_for(), [Arc::<str>::from("db")]);
    drop(waiting);
    assert!(waiter.waits_for().is_empty());
}
