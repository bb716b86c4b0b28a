//! Many borrowers of few connections.

use std::{sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt, join_all};
use tokio::time::{Instant, sleep};

use crate::{
    bed::{Bed, PATIENCE, Server, conducted, draw, left_nothing},
    borrower::{Visitor, perhaps, task},
    explore::{Patience, explore},
    pool::{AcquireError, Counter, HostCapacity, Quota, Settings},
};

fn settings(max_connections: u32) -> Settings {
    Settings { max_connections, min_connections: 0, acquire_timeout: PATIENCE, ..Settings::default() }
}

fn quota(pool: usize, max_connections: u32, reserved_connections: u32) -> Quota {
    Quota { pool, max_connections, reserved_connections, max_transaction_time: PATIENCE }
}

/// Each borrower comes twice, and has to be served as soon as there is something to have: nobody waits for the clock, and no session is
/// opened that serves nobody.
async fn all_are_served(patience: Patience, visitors: Vec<Visitor>, beds: &[Bed]) {
    let (since, most) = (Instant::now(), 2 * visitors.len() as u64);
    let visits = visitors.into_iter().map(|visitor| {
        task(async move {
            for _ in 0..2 {
                match visitor.visit().await {
                    Ok(()) => {}
                    Err(AcquireError::WaitTimeout { .. } | AcquireError::Connect(_)) if patience == Patience::Impatient => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    });
    for visited in join_all(visits).await {
        visited.unwrap();
    }
    if patience == Patience::Patient {
        assert_eq!(since.elapsed(), Duration::ZERO, "somebody waited");
        let opened: u64 = beds.iter().map(|bed| bed.database.counters().get(Counter::Connected)).sum();
        assert!(opened <= most, "{opened} sessions were opened for {most} borrowers");
    }
}

/// One pool, a plugin with a reserve and one without.
fn one_pool(patience: Patience) -> BoxFuture<'static, ()> {
    async move {
        let bed = Bed::new(settings(2), vec![quota(0, 2, 1), quota(0, 2, 0)], Server::HEALTHY);
        drop(bed.database.start(false).await);
        let visitors = (0..5).map(|number| Visitor::of(&bed, number % 2, PATIENCE)).collect();
        all_are_served(patience, visitors, std::slice::from_ref(&bed)).await;
        let script = bed.script.clone();
        bed.settles().await;
        left_nothing(&script, 2);
    }
    .boxed()
}

#[test]
fn whoever_waits_for_one_pool_is_served() {
    explore("whoever_waits_for_one_pool_is_served", one_pool);
}

/// Two credentials of one database that is too small for both: each makes room for the other.
fn two_pools(patience: Patience) -> BoxFuture<'static, ()> {
    async move {
        let max = 1 + draw(2) as u32;
        let bed = Bed::new(settings(max), vec![quota(0, 2, 0), quota(1, 2, 0)], Server::HEALTHY);
        drop(bed.database.start(false).await);
        let visitors = (0..5).map(|number| Visitor::of(&bed, number % 2, PATIENCE)).collect();
        all_are_served(patience, visitors, std::slice::from_ref(&bed)).await;
        let script = bed.script.clone();
        bed.settles().await;
        left_nothing(&script, max);
    }
    .boxed()
}

#[test]
fn two_credentials_make_room_for_each_other() {
    explore("two_credentials_make_room_for_each_other", two_pools);
}

/// Databases on a host that has fewer places than they would like.
fn full_host(patience: Patience) -> BoxFuture<'static, ()> {
    async move {
        let places = 1 + draw(2) as u32;
        let capacity = Arc::new(HostCapacity::new(places));
        let script = conducted(Server::HEALTHY);
        let beds = [0, 1].map(|_| Bed::on(&script, &capacity, settings(2), vec![quota(0, 2, 0)]));
        for bed in &beds {
            drop(bed.database.start(false).await);
        }
        let visitors = (0..5).map(|number| Visitor::of(&beds[number % 2], 0, PATIENCE)).collect();
        all_are_served(patience, visitors, &beds).await;
        for bed in beds {
            bed.closes().await;
        }
        left_nothing(&script, places);
    }
    .boxed()
}

#[test]
fn databases_share_a_full_host() {
    explore("databases_share_a_full_host", full_host);
}

/// Sessions are lost, too old or idle for too long, statements fail or hang, calls run out of time, and borrowers go away at any point.
fn trouble(_patience: Patience) -> BoxFuture<'static, ()> {
    async move {
        let settings = Settings { min_connections: draw(3) as u32, max_lifetime: Duration::from_secs(20), ..settings(2) };
        // The second one has something of a host that is full.
        let places = 2 + draw(2) as u32;
        let capacity = Arc::new(HostCapacity::new(places));
        let script = conducted(Server::SICK);
        script.linger(draw(2) == 0);
        let quotas = vec![quota(0, 2, 1), quota(draw(2), 2, 0)];
        let beds = [0, 1].map(|_| Bed::on(&script, &capacity, settings.clone(), quotas.clone()));
        for bed in &beds {
            // It may fail, too.
            drop(bed.database.start(false).await);
        }
        let visits = (0..6).map(|number| {
            let visitor = Visitor::of(&beds[number / 4], number % 2, Duration::from_secs(1 + draw(10) as u64));
            task(async move {
                for _ in 0..2 {
                    // Longer than a connection is lent without being tried, kept when idle, or kept at all; mostly not.
                    sleep([0, 0, 0, 2000, 31_000][draw(5)] * Duration::from_millis(1)).await;
                    match perhaps(visitor.visit()).await {
                        None | Some(Ok(()) | Err(AcquireError::WaitTimeout { .. } | AcquireError::Connect(_))) => {}
                        Some(Err(error)) => panic!("{error:?}"),
                    }
                }
            })
        });
        for visited in join_all(visits).await {
            visited.unwrap();
        }
        let [first, second] = beds;
        second.closes().await;
        first.settles().await;
        left_nothing(&script, places);
    }
    .boxed()
}

#[test]
fn trouble_leaves_nothing_behind() {
    explore("trouble_leaves_nothing_behind", trouble);
}

/// A server that refuses everybody for some time: callers are told at once, and served again soon after its return.
fn outage(patience: Patience) -> BoxFuture<'static, ()> {
    async move {
        let bed = Bed::new(settings(2), vec![quota(0, 2, 1), quota(draw(2), 2, 0)], Server::HEALTHY);
        drop(bed.database.start(false).await);
        let visitors = (0..4).map(|number| Visitor::of(&bed, number % 2, PATIENCE)).collect::<Vec<_>>();
        let visits = visitors.into_iter().map(|visitor| {
            task(async move {
                for _ in 0..3 {
                    while let Err(error) = visitor.visit().await {
                        let late = matches!(error, AcquireError::WaitTimeout { .. }) && patience == Patience::Impatient;
                        assert!(late || matches!(error, AcquireError::Connect(_)), "{error:?}");
                        sleep(Duration::from_millis(20)).await;
                    }
                }
            })
        });
        let visits = visits.collect::<Vec<_>>();
        bed.script.refuse(true);
        sleep(Duration::from_millis(draw(2000) as u64)).await;
        bed.script.refuse(false);
        let back = Instant::now();
        for visited in join_all(visits).await {
            visited.unwrap();
        }
        // Attempts are half a second apart at most, and a lost control session may cost one bound.
        assert!(patience == Patience::Impatient || back.elapsed() < Duration::from_secs(3), "served after {:?}", back.elapsed());
        let script = bed.script.clone();
        bed.settles().await;
        left_nothing(&script, 2);
    }
    .boxed()
}

#[test]
fn an_outage_ends_with_the_server_s_return() {
    explore("an_outage_ends_with_the_server_s_return", outage);
}
