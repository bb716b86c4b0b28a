//! Who gets the next connection: grants in turn, reserves kept, databases beside each other on a full host. On the scripted driver.

use std::{cell::Cell, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use support::scripted::{Behaviour, Event, Script, Step};
use tokio::time::{Instant, timeout};
use wharf::{
    driver::{Operation, ResultLimit, Statement},
    pool::{AcquireError, Borrower, Database, Granted, Hold, HostCapacity, Limit, PoolSpec, Quota, Settings, Until, Via},
};

const MAX: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(10);

fn settings() -> Settings {
    Settings { max_connections: MAX, min_connections: 0, acquire_timeout: PATIENCE, ..Settings::default() }
}

fn quota(pool: usize) -> Quota {
    Quota { pool, max_connections: MAX, reserved_connections: 0, max_transaction_time: PATIENCE }
}

async fn acquire(database: &Database, grant: &Granted) -> Result<Hold, AcquireError> {
    let borrower = Borrower { plugin: "plugin".into(), request_id: "request".into(), trail: None };
    database.acquire(grant, borrower, Instant::now() + PATIENCE).await
}

fn until(after: Duration) -> Until {
    Until { at: Instant::now() + after, limit: Limit::Statement }
}

fn query() -> Operation {
    Operation::Query(Statement { sql: "SELECT 1".into(), params: Vec::new() }, ResultLimit { rows: 10, bytes: 1000 })
}

/// How often a flooding grant was lent something while each of the other grant's calls waited, in order.
async fn overtaken(reserved: u32, calls: usize) -> Vec<u32> {
    const PLACES: u32 = 4;
    let script = Script::new();
    let pools = vec![PoolSpec { driver: Arc::new(script.clone()), shares_control_of: None }];
    let quotas = vec![
        Quota { max_connections: PLACES, ..quota(0) },
        Quota { max_connections: PLACES, reserved_connections: reserved, ..quota(0) },
    ];
    let settings = Settings { max_connections: PLACES, min_connections: PLACES, ..settings() };
    let (database, grants) = Database::new("shared", settings, pools, quotas, Arc::new(HostCapacity::new(PLACES)));
    database.start(false).await.unwrap();
    let lent = Cell::new(0);
    let flood = stream::iter(0..64).map(|_| async {
        loop {
            let hold = acquire(&database, &grants[0]).await.unwrap();
            lent.set(lent.get() + 1);
            hold.run(Via::Connection, query(), until(PATIENCE)).await.unwrap();
        }
    });
    let flood = flood.buffer_unordered(64).for_each(|(): ()| async {});
    let other = async {
        let mut waits = Vec::new();
        for _ in 0..calls {
            // The flood takes what it can get, and this grant has given back what it had.
            while database.waiters() < 32 || database.counts().idle < reserved {
                tokio::task::yield_now().await;
            }
            let before = lent.get();
            drop(acquire(&database, &grants[1]).await.unwrap());
            waits.push(lent.get() - before);
        }
        waits
    };
    tokio::select! {
        () = flood => unreachable!("it never ends"),
        waits = timeout(PATIENCE, other) => waits.unwrap(),
    }
}

#[tokio::test]
async fn a_flood_of_one_plugin_costs_another_one_turn_at_most() {
    let mut waits = overtaken(0, 500).await;
    waits.sort_unstable();
    // Sixty calls of the flood wait; in one queue for all each of them would come first.
    let p99 = waits[waits.len() * 99 / 100];
    assert!(p99 <= 4, "{p99}: {waits:?}");
}

#[tokio::test]
async fn a_reserve_is_there_at_once_whatever_others_do() {
    let waits = overtaken(1, 500).await;
    assert!(waits.iter().all(|wait| *wait == 0), "{waits:?}");
}

#[tokio::test]
async fn a_busy_credential_does_not_starve_another_of_the_same_database() {
    let script = Script::new();
    let pool = || PoolSpec { driver: Arc::new(script.clone()), shares_control_of: None };
    let settings = settings();
    let (pools, quotas) = (vec![pool(), pool()], vec![quota(0), quota(1)]);
    let (database, grants) = Database::new("two", settings, pools, quotas, Arc::new(HostCapacity::new(MAX)));
    database.start(false).await.unwrap();
    // Four that take turns on two connections, for ever.
    let busy = stream::iter(0..4).map(|_| async {
        loop {
            let hold = acquire(&database, &grants[0]).await.unwrap();
            hold.run(Via::Connection, query(), until(PATIENCE)).await.unwrap();
        }
    });
    let busy = busy.buffer_unordered(4).for_each(|(): ()| async {});
    let others = async {
        for _ in 0..10 {
            let hold = acquire(&database, &grants[1]).await.unwrap();
            hold.run(Via::Connection, query(), until(PATIENCE)).await.unwrap();
        }
    };
    tokio::select! {
        () = busy => unreachable!("it never ends"),
        done = timeout(PATIENCE, others) => done.unwrap(),
    }
    assert!(script.peak() <= MAX as usize, "{}", script.peak());
}

#[tokio::test]
async fn an_idle_connection_of_one_database_makes_room_for_another_when_the_host_is_full() {
    let script = Script::new();
    let capacity = Arc::new(HostCapacity::new(1));
    let make = |name: &'static str| {
        let pools = vec![PoolSpec { driver: Arc::new(script.clone()), shares_control_of: None }];
        Database::new(name, settings(), pools, vec![quota(0)], Arc::clone(&capacity))
    };
    let ((one, one_grants), (other, other_grants)) = (make("one"), make("other"));
    one.start(false).await.unwrap();
    other.start(false).await.unwrap();
    for _ in 0..5 {
        let held = acquire(&one, &one_grants[0]).await.unwrap();
        let mut waiting = Box::pin(acquire(&other, &other_grants[0]));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop(held);
        drop(timeout(PATIENCE, waiting).await.unwrap().unwrap());
    }
    assert_eq!(script.peak(), 1);
}

#[tokio::test]
async fn one_who_waits_for_room_on_the_host_costs_another_database_one_connection() {
    let script = Script::new();
    let capacity = Arc::new(HostCapacity::new(3));
    let make = |name: &'static str| {
        let pools = vec![PoolSpec { driver: Arc::new(script.clone()), shares_control_of: None }];
        let quota = Quota { max_connections: 3, ..quota(0) };
        Database::new(name, Settings { max_connections: 3, ..settings() }, pools, vec![quota], Arc::clone(&capacity))
    };
    let ((one, one_grants), (other, other_grants)) = (make("one"), make("other"));
    let idle = async |count: u32| {
        let idle = async {
            while one.counts().idle < count {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, idle).await.unwrap();
    };
    for idles_before in [true, false] {
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(acquire(&one, &one_grants[0]).await.unwrap());
        }
        if idles_before {
            held.pop();
            idle(1).await;
        }
        let closed = script.count(|event| matches!(event, Event::Began(Step::Close, _)));
        script.once(Step::Close, Behaviour::Slow);
        let mut waiting = Box::pin(acquire(&other, &other_grants[0]));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        held.pop();
        timeout(PATIENCE, script.began(Step::Close, closed + 1)).await.unwrap();
        // While it is closed the others come free, and stay.
        held.clear();
        idle(2).await;
        script.release(Step::Close);
        drop(timeout(PATIENCE, waiting).await.unwrap().unwrap());
        assert_eq!(one.counts().total(), 2);
    }
}

#[tokio::test]
async fn a_saturated_database_does_not_keep_another_out_of_a_full_host() {
    let script = Script::new();
    let capacity = Arc::new(HostCapacity::new(MAX));
    let make = |name: &'static str| {
        let pools = vec![PoolSpec { driver: Arc::new(script.clone()), shares_control_of: None }];
        Database::new(name, settings(), pools, vec![quota(0)], Arc::clone(&capacity))
    };
    let ((one, one_grants), (other, other_grants)) = (make("one"), make("other"));
    one.start(false).await.unwrap();
    other.start(false).await.unwrap();
    // Twice as many as there are places take turns for ever, so none is ever idle.
    let busy = stream::iter(0..2 * MAX).map(|_| async {
        loop {
            let hold = acquire(&one, &one_grants[0]).await.unwrap();
            hold.run(Via::Connection, query(), until(PATIENCE)).await.unwrap();
        }
    });
    let busy = busy.buffer_unordered(2 * MAX as usize).for_each(|(): ()| async {});
    let others = async {
        // The host is full with the first's.
        while one.counts().leased < MAX {
            tokio::task::yield_now().await;
        }
        for _ in 0..10 {
            drop(acquire(&other, &other_grants[0]).await.unwrap());
        }
    };
    tokio::select! {
        () = busy => unreachable!("it never ends"),
        done = timeout(PATIENCE, others) => done.unwrap(),
    }
    assert!(script.peak() <= MAX as usize, "{}", script.peak());
}

#[tokio::test]
async fn room_that_was_made_for_one_who_gave_up_can_be_asked_for_again() {
    let script = Script::new();
    let pool = || PoolSpec { driver: Arc::new(script.clone()), shares_control_of: None };
    let settings = settings();
    let (pools, quotas) = (vec![pool(), pool()], vec![quota(0), quota(1)]);
    let (database, grants) = Database::new("two", settings, pools, quotas, Arc::new(HostCapacity::new(MAX)));
    let all_idle = async || {
        drop([acquire(&database, &grants[0]).await.unwrap(), acquire(&database, &grants[0]).await.unwrap()]);
        let idle = async {
            while database.counts().idle < MAX {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, idle).await.unwrap();
    };
    all_idle().await;
    // A connection of the first credential is closed for the second, and nobody wants its place any more.
    script.once(Step::Close, Behaviour::Slow);
    let mut waiting = Box::pin(acquire(&database, &grants[1]));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    timeout(PATIENCE, script.began(Step::Close, 1)).await.unwrap();
    drop(waiting);
    script.release(Step::Close);
    let gone = async {
        while database.counts().total() == MAX {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
    all_idle().await;
    timeout(PATIENCE, acquire(&database, &grants[1])).await.unwrap().unwrap();
}

#[tokio::test]
async fn two_databases_that_both_want_the_only_place_take_turns() {
    let script = Script::new();
    let capacity = Arc::new(HostCapacity::new(1));
    let make = |name: &'static str| {
        let pools = vec![PoolSpec { driver: Arc::new(script.clone()), shares_control_of: None }];
        Database::new(name, settings(), pools, vec![quota(0)], Arc::clone(&capacity))
    };
    let databases = [make("one"), make("other")];
    let callers =
        databases.iter().flat_map(|(database, grants)| [(database, &grants[0]); 3]).map(|(database, grant)| async move {
            for _ in 0..20 {
                let hold = acquire(database, grant).await.unwrap();
                hold.run(Via::Connection, query(), until(PATIENCE)).await.unwrap();
            }
        });
    timeout(PATIENCE, futures::future::join_all(callers)).await.unwrap();
    assert_eq!(script.peak(), 1);
}
