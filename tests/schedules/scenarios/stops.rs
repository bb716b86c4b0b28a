//! A database is closed while it is in use.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use tokio::time::sleep;

use crate::{
    bed::{Bed, PATIENCE, Server, draw, left_nothing, turns},
    borrower::{Visitor, perhaps, task},
    explore::{Patience, explore},
    pool::{AcquireError, Quota, Settings},
};

fn stop(_patience: Patience) -> BoxFuture<'static, ()> {
    async move {
        let settings = Settings { max_connections: 2, acquire_timeout: PATIENCE, ..Settings::default() };
        let quota = |pool| Quota { pool, max_connections: 2, reserved_connections: 0, max_transaction_time: PATIENCE };
        let server = if draw(2) == 0 { Server::HEALTHY } else { Server::SICK };
        let bed = Bed::new(settings, vec![quota(0), quota(draw(2))], server);
        drop(bed.database.start(false).await);
        let visits = (0..5).map(|number| {
            let visitor = Visitor::of(&bed, number % 2, Duration::from_secs(1 + draw(10) as u64));
            task(async move {
                loop {
                    match perhaps(visitor.visit()).await {
                        Some(Err(AcquireError::ShuttingDown)) => return,
                        None | Some(Ok(()) | Err(AcquireError::WaitTimeout { .. })) => {}
                        Some(Err(AcquireError::Connect(_))) => sleep(Duration::from_millis(100)).await,
                        Some(Err(error)) => panic!("{error:?}"),
                    }
                }
            })
        });
        let visits = visits.collect::<Vec<_>>();
        turns(draw(200)).await;
        let script = bed.script.clone();
        bed.closes().await;
        left_nothing(&script, 2);
        for visited in join_all(visits).await {
            visited.unwrap();
        }
    }
    .boxed()
}

#[test]
fn a_stop_in_the_middle_closes_everything() {
    explore("a_stop_in_the_middle_closes_everything", stop);
}
