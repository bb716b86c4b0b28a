//! Grants that come and go while they are used, as a configuration that is read again gives and takes them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt, join_all};
use tokio::time::sleep;

use crate::{
    bed::{Bed, PATIENCE, Server, draw, left_nothing, turns},
    borrower::{Visitor, perhaps, task},
    explore::{Patience, explore},
    pool::{AcquireError, Granted, Quota, Settings},
};

fn quota(pool: usize, max_connections: u32, reserved_connections: u32) -> Quota {
    Quota { pool, max_connections, reserved_connections, max_transaction_time: PATIENCE }
}

/// What a call that starts now gets, for each of two plugins.
type Current = [Mutex<Arc<Granted>>; 2];

fn now(current: &Current, number: usize) -> Arc<Granted> {
    Arc::clone(&current[number].lock().unwrap())
}

/// Two plugins whose grants are renewed, with more or with less and over the other credential, while calls that came before hold the old
/// ones, wait over them, and leave. Then the second plugin is gone: nothing is reserved for it, and nothing of it is left.
fn renewed(patience: Patience) -> BoxFuture<'static, ()> {
    async move {
        let settings = Settings { max_connections: 2, min_connections: 0, acquire_timeout: PATIENCE, ..Settings::default() };
        let mut bed = Bed::new(settings, vec![quota(0, 2, 1), quota(1, 1, 1)], Server::HEALTHY);
        drop(bed.database.start(false).await);
        let current: Arc<Current> = Arc::new([0, 1].map(|number| Mutex::new(Arc::clone(&bed.grants[number]))));
        bed.grants.clear();
        let visits = (0..6).map(|number| {
            let (database, current) = (bed.database.clone(), Arc::clone(&current));
            task(async move {
                for _ in 0..2 {
                    turns(draw(20)).await;
                    let visitor = Visitor { database: database.clone(), grant: now(&current, number % 2), patience: PATIENCE };
                    // Some leave while they wait, and with them goes the last of an old grant.
                    let came_to = if draw(3) == 0 { perhaps(visitor.visit()).await } else { Some(visitor.visit().await) };
                    match came_to {
                        None | Some(Ok(())) => {}
                        Some(Err(AcquireError::WaitTimeout { .. } | AcquireError::Connect(_)))
                            if patience == Patience::Impatient => {}
                        Some(Err(error)) => panic!("{error:?}"),
                    }
                }
            })
        });
        let visits: Vec<_> = visits.collect();
        for _ in 0..4 {
            turns(draw(30)).await;
            let number = draw(2);
            let old = now(&current, number);
            let reserved = draw(2) as u32;
            let new = bed.database.grant(quota(draw(2), 1 + draw(2) as u32, reserved), Some(&*old));
            // Dropped outside of the lock: others may come in between.
            let replaced = std::mem::replace(&mut *current[number].lock().unwrap(), new);
            drop((replaced, old));
        }
        for visited in join_all(visits).await {
            visited.unwrap();
        }
        let last = bed.database.grant(quota(0, 2, 0), Some(&*now(&current, 0)));
        drop(current);
        bed.calms();
        bed.is_quiet().await;
        // What a task of the scheduler's held goes a moment after its end.
        while bed.database.grants() > 1 {
            sleep(Duration::from_millis(5)).await;
        }
        bed.grants.push(last);
        // Has all connections at once, of which none is anybody else's.
        let script = bed.script.clone();
        bed.settles().await;
        left_nothing(&script, 2);
    }
    .boxed()
}

#[test]
fn a_grant_that_is_renewed_costs_nobody_a_connection() {
    explore("a_grant_that_is_renewed_costs_nobody_a_connection", renewed);
}
