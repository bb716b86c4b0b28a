//! Who gets the next connection: grants in turn, reserves kept, databases beside each other on a full host. On the scripted driver, which speaks SQL,
//! and on MongoDB's.

mod engines;

use std::{cell::Cell, sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::time::{Instant, timeout};
use wharf::pool::{AcquireError, Borrower, Database, Granted, Hold, HostCapacity, Limit, Quota, Settings, Until, Via};

use self::engines::Server;

const MAX: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(60);

/// By when a session that is to be closed says so: long before its bound is over.
const GOOD_BYE: Duration = Duration::from_secs(2);

/// Runs each test on either engine. One that is not named here does not compile, since nobody calls it.
macro_rules! on_every_engine {
    ($($name:ident,)*) => {
        mod scripted {
            $(#[tokio::test] async fn $name() { super::$name(&super::Server::scripted()).await })*
        }

        mod mongodb {
            $(#[tokio::test] async fn $name() { super::$name(&super::Server::stand_in()).await })*
        }
    };
}

on_every_engine! {
    a_flood_of_one_plugin_costs_another_one_turn_at_most,
    a_reserve_is_there_at_once_whatever_others_do,
    a_busy_credential_does_not_starve_another_of_the_same_database,
    an_idle_connection_of_one_database_makes_room_for_another_when_the_host_is_full,
    one_who_waits_for_room_on_the_host_costs_another_database_one_connection,
    a_saturated_database_does_not_keep_another_out_of_a_full_host,
    room_that_was_made_for_one_who_gave_up_can_be_asked_for_again,
    two_databases_that_both_want_the_only_place_take_turns,
}

fn settings() -> Settings {
    Settings {
        max_connections: MAX,
        min_connections: 0,
        acquire_timeout: PATIENCE,
        // Nobody waits for a ping because the test is slow.
        test_before_acquire: PATIENCE,
        ..Settings::default()
    }
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

/// Borrows, does something, and gives back, without end.
async fn work(server: &Server, database: &Database, grant: &Granted, lent: impl Fn()) {
    loop {
        let hold = acquire(database, grant).await.unwrap();
        lent();
        hold.run(Via::Connection, server.operation(), until(PATIENCE)).await.unwrap();
    }
}

/// Closes databases, which leaves nothing.
async fn close(databases: &[&Database]) {
    for database in databases {
        assert_eq!(database.close(Instant::now() + PATIENCE).await.sessions, 0);
    }
}

/// How often a flooding grant was lent something while each of the other grant's calls waited, in order.
async fn overtaken(server: &Server, reserved: u32, calls: usize) -> Vec<u32> {
    const PLACES: u32 = 4;
    let quotas = vec![
        Quota { max_connections: PLACES, ..quota(0) },
        Quota { max_connections: PLACES, reserved_connections: reserved, ..quota(0) },
    ];
    let settings = Settings { max_connections: PLACES, min_connections: PLACES, ..settings() };
    let capacity = Arc::new(HostCapacity::new(PLACES));
    let (database, grants) = Database::new("shared", settings, vec![server.pool()], quotas, capacity);
    database.start(false).await.unwrap();
    let lent = Cell::new(0);
    let flood = join_all((0..64).map(|_| work(server, &database, &grants[0], || lent.set(lent.get() + 1))));
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
    let waits = tokio::select! {
        biased;
        // First, so that all that it was lent before the other waited is counted by then.
        _ = flood => unreachable!("it never ends"),
        waits = timeout(PATIENCE, other) => waits.unwrap(),
    };
    close(&[&database]).await;
    waits
}

async fn a_flood_of_one_plugin_costs_another_one_turn_at_most(server: &Server) {
    let mut waits = overtaken(server, 0, 500).await;
    waits.sort_unstable();
    // Sixty calls of the flood wait; in one queue for all each of them would come first.
    let p99 = waits[waits.len() * 99 / 100];
    assert!(p99 <= 4, "{p99}: {waits:?}");
}

async fn a_reserve_is_there_at_once_whatever_others_do(server: &Server) {
    let waits = overtaken(server, 1, 500).await;
    assert!(waits.iter().all(|wait| *wait == 0), "{waits:?}");
}

async fn a_busy_credential_does_not_starve_another_of_the_same_database(server: &Server) {
    let (pools, quotas) = (vec![server.pool(), server.pool()], vec![quota(0), quota(1)]);
    let (database, grants) = Database::new("two", settings(), pools, quotas, Arc::new(HostCapacity::new(MAX)));
    database.start(false).await.unwrap();
    // Four that take turns on two connections, for ever.
    let busy = join_all((0..4).map(|_| work(server, &database, &grants[0], || ())));
    let others = async {
        for _ in 0..10 {
            let hold = acquire(&database, &grants[1]).await.unwrap();
            hold.run(Via::Connection, server.operation(), until(PATIENCE)).await.unwrap();
        }
    };
    tokio::select! {
        _ = busy => unreachable!("it never ends"),
        done = timeout(PATIENCE, others) => done.unwrap(),
    }
    close(&[&database]).await;
    assert!(server.peak() <= MAX as usize, "{}", server.peak());
}

async fn an_idle_connection_of_one_database_makes_room_for_another_when_the_host_is_full(server: &Server) {
    let capacity = Arc::new(HostCapacity::new(1));
    let make = |name: &'static str| Database::new(name, settings(), vec![server.pool()], vec![quota(0)], Arc::clone(&capacity));
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
    close(&[&one, &other]).await;
    assert_eq!(server.peak(), 1);
}

async fn one_who_waits_for_room_on_the_host_costs_another_database_one_connection(server: &Server) {
    let capacity = Arc::new(HostCapacity::new(3));
    let make = |name: &'static str| {
        let (settings, quota) = (Settings { max_connections: 3, ..settings() }, Quota { max_connections: 3, ..quota(0) });
        Database::new(name, settings, vec![server.pool()], vec![quota], Arc::clone(&capacity))
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
        server.hold_up_good_bye();
        let mut waiting = Box::pin(acquire(&other, &other_grants[0]));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        held.pop();
        server.until_good_bye(GOOD_BYE).await;
        // While it is closed the others come free, and stay.
        held.clear();
        idle(2).await;
        server.answer_good_bye();
        drop(timeout(PATIENCE, waiting).await.unwrap().unwrap());
        assert_eq!(one.counts().total(), 2);
    }
    close(&[&one, &other]).await;
}

async fn a_saturated_database_does_not_keep_another_out_of_a_full_host(server: &Server) {
    let capacity = Arc::new(HostCapacity::new(MAX));
    let make = |name: &'static str| Database::new(name, settings(), vec![server.pool()], vec![quota(0)], Arc::clone(&capacity));
    let ((one, one_grants), (other, other_grants)) = (make("one"), make("other"));
    one.start(false).await.unwrap();
    other.start(false).await.unwrap();
    // Twice as many as there are places take turns for ever, so none is ever idle.
    let busy = join_all((0..2 * MAX).map(|_| work(server, &one, &one_grants[0], || ())));
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
        _ = busy => unreachable!("it never ends"),
        done = timeout(PATIENCE, others) => done.unwrap(),
    }
    close(&[&one, &other]).await;
    assert!(server.peak() <= MAX as usize, "{}", server.peak());
}

async fn room_that_was_made_for_one_who_gave_up_can_be_asked_for_again(server: &Server) {
    let (pools, quotas) = (vec![server.pool(), server.pool()], vec![quota(0), quota(1)]);
    let (database, grants) = Database::new("two", settings(), pools, quotas, Arc::new(HostCapacity::new(MAX)));
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
    server.hold_up_good_bye();
    let mut waiting = Box::pin(acquire(&database, &grants[1]));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    server.until_good_bye(GOOD_BYE).await;
    drop(waiting);
    server.answer_good_bye();
    let gone = async {
        while database.counts().total() == MAX {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
    all_idle().await;
    drop(timeout(PATIENCE, acquire(&database, &grants[1])).await.unwrap().unwrap());
    close(&[&database]).await;
}

async fn two_databases_that_both_want_the_only_place_take_turns(server: &Server) {
    let capacity = Arc::new(HostCapacity::new(1));
    let make = |name: &'static str| Database::new(name, settings(), vec![server.pool()], vec![quota(0)], Arc::clone(&capacity));
    let databases = [make("one"), make("other")];
    let callers =
        databases.iter().flat_map(|(database, grants)| [(database, &grants[0]); 3]).map(|(database, grant)| async move {
            for _ in 0..20 {
                let hold = acquire(database, grant).await.unwrap();
                hold.run(Via::Connection, server.operation(), until(PATIENCE)).await.unwrap();
            }
        });
    timeout(PATIENCE, join_all(callers)).await.unwrap();
    close(&[&databases[0].0, &databases[1].0]).await;
    assert_eq!(server.peak(), 1);
}
