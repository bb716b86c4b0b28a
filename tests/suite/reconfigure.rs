//! Limits, grants and credentials that change while they are used. On the scripted driver.

use std::{sync::Arc, time::Duration};

use support::scripted::{Behaviour, Event, Script, Step};
use tokio::time::{Instant, timeout};
use wharf::{
    driver::{Driver, FailureKind, Operation, ResultLimit, Statement},
    pool::{
        AcquireError, Borrower, Bounds, Counts, Database, Granted, Hold, HostCapacity, Limit, PoolSpec, Quota, Settings, Until,
        Via,
    },
};

/// The most connections that there ever are.
const MAX: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(10);

fn settings(max_connections: u32) -> Settings {
    Settings { max_connections, min_connections: 0, acquire_timeout: PATIENCE, ..Settings::default() }
}

fn quota(pool: usize, reserved_connections: u32) -> Quota {
    Quota { pool, max_connections: MAX, reserved_connections, max_transaction_time: PATIENCE }
}

fn spec(script: &Script, shares_control_of: Option<usize>) -> PoolSpec {
    PoolSpec { driver: Arc::new(script.clone()) as Arc<dyn Driver>, shares_control_of }
}

/// A database with one grant.
async fn open(script: &Script, capacity: &Arc<HostCapacity>) -> (Database, Arc<Granted>) {
    let pools = vec![spec(script, None)];
    let (database, grants) = Database::new("db", settings(MAX), pools, vec![quota(0, 0)], Arc::clone(capacity));
    database.start(false).await.unwrap();
    (database, Arc::clone(&grants[0]))
}

async fn acquire(database: &Database, grant: &Granted) -> Result<Hold, AcquireError> {
    let borrower = Borrower { plugin: "plugin".into(), request_id: "request".into(), trail: None };
    database.acquire(grant, borrower, Instant::now() + PATIENCE).await
}

async fn all(database: &Database, grant: &Granted) -> Vec<Hold> {
    let mut held = Vec::new();
    for _ in 0..database.settings().max_connections {
        held.push(acquire(database, grant).await.unwrap());
    }
    held
}

/// Waits until the connections are in these states.
async fn are(database: &Database, counts: Counts) {
    let reached = async {
        while database.counts() != counts {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{:?} and not {counts:?}", database.counts()));
}

async fn query(hold: &Hold) {
    let statement = Statement { sql: "SELECT 1".into(), params: Vec::new() };
    let query = Operation::Query(statement, ResultLimit { rows: 10, bytes: 1000 });
    let until = Until { at: Instant::now() + PATIENCE, limit: Limit::Statement };
    hold.run(Via::Connection, query, until).await.unwrap();
}

fn controls_closed(script: &Script) -> usize {
    script.count(|event| matches!(event, Event::Began(Step::ControlClose, _)))
}

fn opened(script: &Script) -> usize {
    script.count(|event| matches!(event, Event::Began(Step::Connect, _)))
}

#[tokio::test]
async fn fewer_connections_are_there_as_they_come_back_and_more_at_once() {
    let script = Script::new();
    let (database, grant) = open(&script, &Arc::new(HostCapacity::new(MAX))).await;
    let mut held = all(&database, &grant).await;
    database.reconfigure(settings(1));
    // What is lent goes on.
    assert_eq!(database.counts(), Counts { leased: MAX, ..Counts::default() });
    for hold in &held {
        query(hold).await;
    }
    let mut waiting = Box::pin(acquire(&database, &grant));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    held.truncate(1);
    are(&database, Counts { leased: 1, ..Counts::default() }).await;
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    assert_eq!((script.listed(), opened(&script)), (1, MAX as usize));
    database.reconfigure(settings(2));
    let second = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    // With everything idle again, what is beyond is closed at once.
    drop((held, second));
    are(&database, Counts { idle: 2, ..Counts::default() }).await;
    database.reconfigure(settings(1));
    are(&database, Counts { idle: 1, ..Counts::default() }).await;
    assert_eq!(script.listed(), 1);
}

#[tokio::test]
async fn other_limits_hold_for_who_comes_next() {
    let script = Script::new();
    let (database, grant) = open(&script, &Arc::new(HostCapacity::new(MAX))).await;
    let _held = all(&database, &grant).await;
    let mut waiting = Box::pin(acquire(&database, &grant));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    database.reconfigure(Settings { max_waiters: 1, ..settings(MAX) });
    assert_eq!(acquire(&database, &grant).await.unwrap_err(), AcquireError::QueueFull { max_waiters: 1 });
    drop(waiting);
    let short = Duration::from_millis(1);
    database.reconfigure(Settings { acquire_timeout: short, statement_timeout: short, ..settings(MAX) });
    let late = acquire(&database, &grant).await.unwrap_err();
    assert!(matches!(late, AcquireError::WaitTimeout { limit: Limit::Acquire, .. }), "{late:?}");
    assert_eq!(database.statement_timeout(), short);
}

#[tokio::test]
async fn a_host_with_fewer_places_takes_them_from_what_is_idle_and_then_from_what_comes_back() {
    let script = Script::new();
    let capacity = Arc::new(HostCapacity::new(2 * MAX));
    let ((one, one_grant), (other, other_grant)) = (open(&script, &capacity).await, open(&script, &capacity).await);
    let mut held = all(&one, &one_grant).await;
    drop(all(&other, &other_grant).await);
    are(&other, Counts { idle: MAX, ..Counts::default() }).await;
    capacity.set_max(2);
    are(&other, Counts::default()).await;
    assert_eq!(one.counts(), Counts { leased: MAX, ..Counts::default() });
    drop(held.pop());
    are(&one, Counts { leased: 2, ..Counts::default() }).await;
    // What is owed is paid: the next ones stay.
    drop(held);
    are(&one, Counts { idle: 2, ..Counts::default() }).await;
    capacity.set_max(2 * MAX);
    drop((all(&one, &one_grant).await, all(&other, &other_grant).await));
    are(&other, Counts { idle: MAX, ..Counts::default() }).await;
}

#[tokio::test]
async fn a_pause_closes_what_comes_back_and_whoever_comes_waits_for_its_end() {
    let script = Script::new();
    let (database, grant) = open(&script, &Arc::new(HostCapacity::new(MAX))).await;
    let mut held = all(&database, &grant).await;
    drop(held.pop());
    are(&database, Counts { leased: 2, idle: 1, ..Counts::default() }).await;
    database.pause();
    are(&database, Counts { leased: 2, ..Counts::default() }).await;
    query(&held[0]).await;
    let mut waiting = Box::pin(acquire(&database, &grant));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    drop(held);
    are(&database, Counts::default()).await;
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    assert!(database.is_paused());
    assert_eq!(script.listed(), 0);
    database.resume();
    query(&timeout(PATIENCE, waiting).await.unwrap().unwrap()).await;
    assert!(!database.is_paused());
}

/// Waits until one pool and one grant are left.
async fn over(database: &Database) {
    let over = async {
        while (database.pools(), database.grants()) != (1, 1) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, over).await.unwrap();
}

#[tokio::test]
async fn a_credential_that_is_retired_serves_who_has_a_grant_for_it_and_then_ends() {
    let (old_script, new_script) = (Script::new(), Script::new());
    let (database, old) = open(&old_script, &Arc::new(HostCapacity::new(MAX))).await;
    let held = acquire(&database, &old).await.unwrap();
    let pool = database.add_pool(spec(&new_script, None)).await.unwrap();
    // It has been tried.
    assert_eq!((opened(&new_script), database.pools()), (1, 2));
    let new = database.grant(quota(pool, 0), Some(&*old));
    database.retire_pool(0);
    query(&held).await;
    // One more, although the pool is retired; as it comes back, nothing of it is kept.
    drop(acquire(&database, &old).await.unwrap());
    are(&database, Counts { leased: 1, idle: 1, ..Counts::default() }).await;
    assert_eq!((opened(&old_script), old_script.listed(), new_script.listed()), (2, 1, 1));
    // What is lent over either grant counts against the share that the plugin has.
    let mut lent = vec![acquire(&database, &new).await.unwrap(), acquire(&database, &new).await.unwrap()];
    let mut waiting = Box::pin(acquire(&database, &old));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    lent.pop();
    drop(timeout(PATIENCE, waiting).await.unwrap().unwrap());
    drop((held, old));
    over(&database).await;
    assert_eq!((old_script.listed(), controls_closed(&old_script)), (0, 1));
    query(&acquire(&database, &new).await.unwrap()).await;
    drop(lent);
    let left = database.close(Instant::now() + PATIENCE).await;
    assert_eq!((left.sessions, new_script.listed()), (0, 0));
}

#[tokio::test]
async fn a_control_path_that_another_credential_shares_stays_open() {
    let script = Script::new();
    let (database, old) = open(&script, &Arc::new(HostCapacity::new(MAX))).await;
    let pool = database.add_pool(spec(&script, Some(0))).await.unwrap();
    let new = database.grant(quota(pool, 0), Some(&*old));
    database.retire_pool(0);
    drop(old);
    over(&database).await;
    let controls = script.count(|event| matches!(event, Event::Began(Step::Control, _)));
    assert_eq!((controls, controls_closed(&script)), (1, 0));
    query(&acquire(&database, &new).await.unwrap()).await;
    let left = database.close(Instant::now() + PATIENCE).await;
    assert_eq!((left.sessions, script.listed()), (0, 0));
}

#[tokio::test]
async fn a_credential_that_does_not_work_is_not_added() {
    let script = Script::new();
    let (database, grant) = open(&script, &Arc::new(HostCapacity::new(MAX))).await;
    for step in [Step::Control, Step::Connect] {
        let broken = Script::new();
        broken.always(step, Behaviour::Lost(FailureKind::Disconnected));
        database.add_pool(spec(&broken, None)).await.unwrap_err();
        assert_eq!(broken.listed(), 0);
    }
    over(&database).await;
    drop(all(&database, &grant).await);
}

#[tokio::test]
async fn a_credential_that_need_not_work_yet_is_added_and_serves_once_it_does() {
    let (old_script, new_script) = (Script::new(), Script::new());
    let (database, old) = open(&old_script, &Arc::new(HostCapacity::new(MAX))).await;
    new_script.refuse(true);
    let pool = database.add_pool_lazily(spec(&new_script, None)).await;
    let new = database.grant(quota(pool, 0), Some(&*old));
    database.retire_pool(0);
    drop(old);
    over(&database).await;
    let refused = acquire(&database, &new).await.unwrap_err();
    assert!(matches!(refused, AcquireError::Connect(_)), "{refused:?}");
    new_script.refuse(false);
    let serves = async {
        loop {
            match acquire(&database, &new).await {
                Ok(hold) => return hold,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    query(&timeout(PATIENCE, serves).await.unwrap()).await;
    let left = database.close(Instant::now() + PATIENCE).await;
    assert_eq!((left.sessions, new_script.listed()), (0, 0));
}

#[tokio::test]
async fn a_grant_that_is_dropped_keeps_nothing_back_from_others() {
    let script = Script::new();
    let (database, grant) = open(&script, &Arc::new(HostCapacity::new(MAX))).await;
    let reserved = database.grant(quota(0, MAX - 1), None);
    let held = acquire(&database, &grant).await.unwrap();
    let mut waiting = Box::pin(acquire(&database, &grant));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    let lent = acquire(&database, &reserved).await.unwrap();
    // Whoever waits is served as soon as nothing is reserved any more, also while something is lent still.
    drop(reserved);
    let second = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(database.grants(), 2);
    drop(lent);
    let third = timeout(PATIENCE, acquire(&database, &grant)).await.unwrap().unwrap();
    assert_eq!(database.grants(), 1);
    drop((held, second, third));
}

#[tokio::test]
async fn a_server_that_is_gone_keeps_no_place_from_another_one() {
    const BRIEF: Duration = Duration::from_millis(20);
    for (address, is_another) in [("there", true), ("here", false)] {
        let (old_script, new_script, capacity) = (Script::new(), Script::new(), Arc::new(HostCapacity::new(MAX)));
        old_script.reside("here");
        new_script.reside(address);
        let (database, old) = open(&old_script, &capacity).await;
        let bounds = Bounds { close: BRIEF, kill: BRIEF, confirm: BRIEF, ..Bounds::default() };
        database.reconfigure(Settings { bounds, ..settings(MAX) });
        let held = all(&database, &old).await;
        old_script.immortal(true);
        let pool = database.add_pool(spec(&new_script, None)).await.unwrap();
        let new = database.grant(quota(pool, 0), Some(&*old));
        database.retire_pool(0);
        drop((held, old));
        let unconfirmed = Counts { unconfirmed: MAX, ..Counts::default() };
        are(&database, unconfirmed).await;
        let mut waiting = Box::pin(acquire(&database, &new));
        if is_another {
            let first = timeout(PATIENCE, waiting).await.unwrap().unwrap();
            let mut lent = vec![first];
            while lent.len() < MAX as usize {
                lent.push(acquire(&database, &new).await.unwrap());
            }
            assert_eq!((database.counts(), capacity.usage()), (Counts { leased: MAX, ..unconfirmed }, (MAX, MAX)));
            let mut waiting = Box::pin(acquire(&database, &new));
            assert!(futures::poll!(waiting.as_mut()).is_pending());
            // Those that are gone after all give nothing back that they had not kept.
            old_script.immortal(false);
            are(&database, Counts { leased: MAX, ..Counts::default() }).await;
            assert!(futures::poll!(waiting.as_mut()).is_pending());
            assert_eq!(capacity.usage(), (MAX, MAX));
        } else {
            assert!(futures::poll!(waiting.as_mut()).is_pending());
            assert_eq!((database.counts(), capacity.usage(), opened(&new_script)), (unconfirmed, (MAX, MAX), 0));
            old_script.immortal(false);
            drop(timeout(PATIENCE, waiting).await.unwrap().unwrap());
        }
        over(&database).await;
        let left = database.close(Instant::now() + PATIENCE).await;
        assert_eq!((left.sessions, old_script.listed(), new_script.listed(), capacity.usage()), (0, 0, 0, (0, MAX)));
    }
}

#[tokio::test]
async fn a_database_that_is_closed_keeps_no_place_of_the_host_whatever_is_left_of_it() {
    const BRIEF: Duration = Duration::from_millis(20);
    let (script, capacity) = (Script::new(), Arc::new(HostCapacity::new(MAX)));
    script.immortal(true);
    let (database, grant) = open(&script, &capacity).await;
    let bounds = Bounds { close: BRIEF, kill: BRIEF, confirm: BRIEF, ..Bounds::default() };
    database.reconfigure(Settings { bounds, ..settings(MAX) });
    drop(all(&database, &grant).await);
    let left = database.close(Instant::now() + BRIEF).await;
    assert!(left.sessions >= MAX, "{left:?}");
    let free = async {
        while capacity.usage() != (0, MAX) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, free).await.unwrap();
    let script = Script::new();
    let (other, grant) = open(&script, &capacity).await;
    assert_eq!(all(&other, &grant).await.len(), MAX as usize);
}
