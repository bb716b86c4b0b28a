//! Limits and credentials that change while they are used.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt, join_all};
use tokio::time::{Instant, sleep};

use crate::{
    bed::{Bed, PATIENCE, Server, conducted, draw, left_nothing, turns},
    borrower::{Visitor, perhaps, task},
    explore::{Patience, explore},
    pool::{AcquireError, Database, Granted, HostCapacity, PoolSpec, Quota, Settings},
};

/// The most connections that there ever are.
const MOST: u32 = 3;

fn settings(max_connections: u32) -> Settings {
    Settings { max_connections, min_connections: draw(2) as u32, acquire_timeout: PATIENCE, ..Settings::default() }
}

fn quota(pool: usize, reserved_connections: u32) -> Quota {
    Quota { pool, max_connections: MOST, reserved_connections, max_transaction_time: PATIENCE }
}

/// What a call may come to; of a server that is sick, or with a clock that is in a hurry, also nothing.
fn excuse(came_to: Result<(), AcquireError>, calm: bool) {
    match came_to {
        Ok(()) => {}
        Err(AcquireError::WaitTimeout { .. } | AcquireError::Connect(_)) if !calm => {}
        Err(error) => panic!("{error:?}"),
    }
}

/// Less and more of a database and of its host, and a pause now and then, with all connections lent and others waiting.
fn resized(patience: Patience) -> BoxFuture<'static, ()> {
    async move {
        let calm = draw(2) == 0;
        let script = conducted(if calm { Server::HEALTHY } else { Server::SICK });
        let calm = calm && patience == Patience::Patient;
        let capacity = Arc::new(HostCapacity::new(MOST));
        let reserved = draw(2) as u32;
        let bed = Bed::on(&script, &capacity, settings(MOST), vec![quota(0, reserved), quota(draw(2), 0)]);
        drop(bed.database.start(false).await);
        let since = Instant::now();
        let visits = (0..6).map(|number| {
            let visitor = Visitor::of(&bed, number % 2, PATIENCE);
            task(async move {
                for _ in 0..2 {
                    excuse(visitor.visit().await, calm);
                }
            })
        });
        let visits: Vec<_> = visits.collect();
        // What is reserved for one leaves something for the other.
        let some = |least: u32| least + draw((MOST - least + 1) as usize) as u32;
        for _ in 0..5 {
            turns(draw(40)).await;
            match draw(4) {
                0 => capacity.set_max(some(1)),
                1 => {
                    bed.database.pause();
                    turns(draw(40)).await;
                    bed.database.resume();
                }
                _ => bed.database.reconfigure(settings(some(1 + reserved))),
            }
        }
        for visited in join_all(visits).await {
            visited.unwrap();
        }
        assert!(!calm || since.elapsed() == Duration::ZERO, "somebody waited for {:?}", since.elapsed());
        // Fewer again, with everything idle: what is beyond goes at once.
        bed.calms();
        bed.is_quiet().await;
        let (max, places) = (some(1), some(1));
        bed.database.reconfigure(settings(max));
        capacity.set_max(places);
        bed.is_quiet().await;
        assert!(bed.database.counts().total() <= max.min(places), "{:?} of {max} and {places}", bed.database.counts());
        bed.database.pause();
        bed.is_quiet().await;
        assert_eq!((bed.database.counts().total(), script.listed()), (0, 0));
        bed.database.resume();
        capacity.set_max(MOST);
        bed.settles().await;
        left_nothing(&script, MOST);
    }
    .boxed()
}

#[test]
fn limits_that_change_strand_nobody() {
    explore("limits_that_change_strand_nobody", resized);
}

/// Databases on a host that gets smaller: each has to give something up, and neither is kept out.
fn smaller_host(patience: Patience) -> BoxFuture<'static, ()> {
    async move {
        let capacity = Arc::new(HostCapacity::new(MOST));
        let script = conducted(Server::HEALTHY);
        let beds = [0, 1].map(|_| Bed::on(&script, &capacity, settings(2), vec![quota(0, 0)]));
        for bed in &beds {
            drop(bed.database.start(false).await);
        }
        let since = Instant::now();
        let visits = (0..5).map(|number| {
            let visitor = Visitor::of(&beds[number % 2], 0, PATIENCE);
            task(async move {
                for _ in 0..2 {
                    excuse(visitor.visit().await, patience == Patience::Patient);
                }
            })
        });
        let visits: Vec<_> = visits.collect();
        for _ in 0..3 {
            turns(draw(40)).await;
            capacity.set_max(1 + draw(MOST as usize) as u32);
        }
        for visited in join_all(visits).await {
            visited.unwrap();
        }
        assert!(
            patience == Patience::Impatient || since.elapsed() == Duration::ZERO,
            "somebody waited for {:?}",
            since.elapsed()
        );
        capacity.set_max(1);
        for bed in &beds {
            bed.calms();
            bed.is_quiet().await;
        }
        let left: u32 = beds.iter().map(|bed| bed.database.counts().total()).sum();
        assert!(left <= 1, "{left} connections on a host that may have one");
        for bed in beds {
            bed.closes().await;
        }
        left_nothing(&script, MOST);
    }
    .boxed()
}

#[test]
fn a_host_that_gets_smaller_serves_all_its_databases() {
    explore("a_host_that_gets_smaller_serves_all_its_databases", smaller_host);
}

/// One plugin's grant, which is for another credential now and then.
struct Changing {
    database: Database,
    granted: Mutex<Arc<Granted>>,
}

impl Changing {
    fn now(&self) -> Arc<Granted> {
        Arc::clone(&self.granted.lock().unwrap())
    }

    /// The next grant takes the place of this one. Both are dropped outside of the lock: others may come in between.
    fn replace(&self, next: Arc<Granted>) {
        let replaced = std::mem::replace(&mut *self.granted.lock().unwrap(), next);
        drop(replaced);
    }
}

/// A credential is replaced by another, several times, while calls hold connections of the old one, wait for them, and leave.
fn replaced(patience: Patience) -> BoxFuture<'static, ()> {
    async move {
        let calm = draw(2) == 0;
        let mut bed = Bed::new(settings(2), vec![quota(0, 0)], if calm { Server::HEALTHY } else { Server::SICK });
        let calm = calm && patience == Patience::Patient;
        drop(bed.database.start(false).await);
        let granted = Mutex::new(bed.grants.remove(0));
        let changing = Arc::new(Changing { database: bed.database.clone(), granted });
        let visits = (0..6).map(|_| {
            let changing = Arc::clone(&changing);
            task(async move {
                for _ in 0..2 {
                    turns(draw(20)).await;
                    let visitor = Visitor { database: changing.database.clone(), grant: changing.now(), patience: PATIENCE };
                    let leaves = draw(3) == 0;
                    let came_to = if leaves { perhaps(visitor.visit()).await } else { Some(visitor.visit().await) };
                    excuse(came_to.unwrap_or(Ok(())), calm);
                }
            })
        });
        let visits: Vec<_> = visits.collect();
        let mut pool = 0;
        for _ in 0..3 {
            turns(draw(40)).await;
            let shares_control_of = (draw(2) == 0).then_some(pool);
            let added = bed.database.add_pool(PoolSpec { driver: Arc::new(bed.script.clone()), shares_control_of }).await;
            let next = match added {
                Ok(next) => next,
                Err(error) => {
                    assert!(!calm, "{error:?}");
                    continue;
                }
            };
            let old = changing.now();
            changing.replace(bed.database.grant(quota(next, 0), Some(&*old)));
            drop(old);
            bed.database.retire_pool(pool);
            pool = next;
        }
        for visited in join_all(visits).await {
            visited.unwrap();
        }
        bed.calms();
        bed.is_quiet().await;
        // By its clock the database closes the control paths of those that are retired.
        while (bed.database.grants(), bed.database.pools()) != (1, 1) {
            sleep(Duration::from_millis(50)).await;
        }
        bed.grants.push(changing.now());
        let script = bed.script.clone();
        bed.settles().await;
        drop(changing);
        left_nothing(&script, 2);
    }
    .boxed()
}

#[test]
fn a_credential_that_is_replaced_is_used_to_its_end() {
    explore("a_credential_that_is_replaced_is_used_to_its_end", replaced);
}
