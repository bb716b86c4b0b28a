//! A server that takes sessions, and then answers none of them for a long time.

use std::{sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt, join_all};
use support::scripted::{Behaviour, Event, Script, Step};
use tokio::time::sleep;

use crate::{
    bed::{Bed, PATIENCE, draw, left_nothing},
    borrower::{Visitor, task},
    explore::{Patience, explore},
    pool::{HostCapacity, Quota, Settings},
};

const STALL: Duration = Duration::from_secs(300);

/// Two that have no answer, and one more for each that is given up, after 10, 20, 40 and then every 80 s.
const CONTROLS: usize = 12;

fn stall(_patience: Patience) -> BoxFuture<'static, ()> {
    async move {
        let script = Script::new();
        for step in Step::all().into_iter().filter(|step| !matches!(step, Step::Connect | Step::Control)) {
            script.always(step, Behaviour::Slow);
        }
        let settings = Settings { max_connections: 2, min_connections: 1, ..Settings::default() };
        let quota = |pool| Quota { pool, max_connections: 2, reserved_connections: 0, max_transaction_time: PATIENCE };
        let bed = Bed::on(&script, &Arc::new(HostCapacity::new(10)), settings, vec![quota(0), quota(draw(2))]);
        drop(bed.database.start(false).await);
        let visits = (0..4).map(|number| {
            let visitor = Visitor::of(&bed, number % 2, Duration::from_secs(15));
            task(async move {
                for _ in 0..4 {
                    // Whatever it comes to; the next one comes somewhat later.
                    drop(visitor.visit().await);
                    sleep(Duration::from_secs(20)).await;
                }
            })
        });
        let visits: Vec<_> = visits.collect();
        sleep(STALL).await;
        let controls = script.count(|event| matches!(event, Event::Began(Step::Control, _)));
        assert!(controls <= CONTROLS, "{controls} control sessions were opened");
        bed.calms();
        for visited in join_all(visits).await {
            visited.unwrap();
        }
        bed.settles().await;
        left_nothing(&script, 2);
    }
    .boxed()
}

#[test]
fn a_server_that_answers_nobody_is_not_flooded_with_sessions() {
    explore("a_server_that_answers_nobody_is_not_flooded_with_sessions", stall);
}
