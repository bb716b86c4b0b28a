//! A database on the scripted driver: how its server behaves, and what must hold of it in the end.

use std::{sync::Arc, time::Duration};

use shuttle::rand::Rng;
use support::scripted::{Behaviour, Event, Script, Step};
use tokio::time::{Instant, sleep};
use wharf::driver::{Driver, FailureKind};

use crate::{
    explore::be_patient,
    pool::{AcquireError, Borrower, Counts, Database, Granted, Hold, HostCapacity, PoolSpec, Quota, Settings},
};

/// Longer than all bounds of a pool together.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The longest pause between two attempts to connect, and a little.
pub(crate) const SOON: Duration = Duration::from_millis(600);

/// Draws a number below `bound` from the schedule.
pub(crate) fn draw(bound: usize) -> usize {
    shuttle::rand::thread_rng().gen_range(0..bound)
}

/// Lets others go first, so many times.
pub(crate) async fn turns(times: usize) {
    for _ in 0..times {
        shuttle::future::yield_now().await;
    }
}

/// How a server behaves, by chance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    /// Of 16 steps, how many find the session lost the next time that there is such a step.
    pub(crate) loses: usize,
    /// Of 16 steps, how many fail in the same way, and the session stays.
    pub(crate) fails: usize,
    /// Of 16 steps, how many do not end by themselves.
    pub(crate) hangs: usize,
}

impl Server {
    pub(crate) const HEALTHY: Self = Self { loses: 0, fails: 0, hangs: 0 };
    pub(crate) const SICK: Self = Self { loses: 1, fails: 1, hangs: 1 };
}

/// One database and its script.
pub(crate) struct Bed {
    pub(crate) database: Database,
    pub(crate) grants: Vec<Arc<Granted>>,
    pub(crate) script: Script,
}

impl Bed {
    /// A database whose sessions are opened by one script, through as many pools as the quotas name.
    pub(crate) fn new(settings: Settings, quotas: Vec<Quota>, server: Server) -> Self {
        Self::on(&conducted(server), &Arc::new(HostCapacity::new(10)), settings, quotas)
    }

    /// The same on a server that others use as well, on a host with so many places.
    pub(crate) fn on(script: &Script, capacity: &Arc<HostCapacity>, settings: Settings, quotas: Vec<Quota>) -> Self {
        let last = quotas.iter().map(|quota| quota.pool).max().unwrap_or_default();
        let pools = (0..=last).map(|pool| PoolSpec {
            driver: Arc::new(script.clone()) as Arc<dyn Driver>,
            shares_control_of: (pool > 0).then_some(0),
        });
        let (database, grants) = Database::new("db", settings, pools.collect(), quotas, Arc::clone(capacity));
        Self { database, grants, script: script.clone() }
    }

    /// Waits until nothing is lent, has every connection at once, and closes.
    pub(crate) async fn settles(self) {
        self.calms();
        self.is_quiet().await;
        let max = self.database.settings().max_connections;
        drop(futures::future::join_all((0..max).map(|_| self.acquire())).await);
        self.is_quiet().await;
        assert_eq!(self.script.in_transaction(), 0);
        self.closes().await;
    }

    /// Closes, and asks the pool what is left.
    pub(crate) async fn closes(self) {
        self.calms();
        let left = self.database.close(Instant::now() + PATIENCE).await;
        assert_eq!((left.sessions, left.unasked), (0, None), "{:?}", self.database.counts());
        assert_eq!(self.database.counts(), Counts::default());
    }

    /// As a caller would who comes again while the database was down a moment ago.
    async fn acquire(&self) -> Hold {
        let since = Instant::now();
        loop {
            match self.database.acquire(&self.grants[0], borrower(), since + PATIENCE).await {
                Ok(hold) => return hold,
                Err(AcquireError::Connect(_)) if since.elapsed() < SOON => sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error:?} after {:?}", since.elapsed()),
            }
        }
    }

    /// Everything goes well from now on, and nobody is in a hurry.
    pub(crate) fn calms(&self) {
        self.script.calm();
        be_patient();
    }

    /// Waits until nothing is lent, and nothing under way.
    pub(crate) async fn is_quiet(&self) {
        let since = Instant::now();
        loop {
            let counts = self.database.counts();
            if counts.total() == counts.idle && self.database.waiters() == 0 {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "{counts:?}, {} waiting", self.database.waiters());
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Whether the server lists nothing any more, and never listed more sessions than it should.
pub(crate) fn left_nothing(script: &Script, most: u32) {
    assert_eq!((script.listed(), script.in_transaction()), (0, 0));
    assert!(script.peak() <= most as usize, "{} sessions of at most {most}", script.peak());
}

pub(crate) fn borrower() -> Borrower {
    Borrower { plugin: "plugin".into(), request_id: "request".into(), trail: None }
}

/// A script that is conducted as a server behaves: steps are let go after they have begun, and those to come are written.
pub(crate) fn conducted(server: Server) -> Script {
    let made = Script::new();
    // Every step waits until it is let go, so that others may come in between.
    for step in Step::all() {
        made.always(step, Behaviour::Slow);
    }
    let script = made.clone();
    drop(shuttle::future::spawn(async move {
        let mut seen = 0;
        loop {
            for event in script.since(seen).await {
                seen += 1;
                let Event::Began(step, _) = event else { continue };
                if draw(16) >= server.hangs {
                    script.release(step);
                }
                if draw(16) < server.loses {
                    script.once(step, Behaviour::Lost(FailureKind::Disconnected));
                }
                if draw(16) < server.fails {
                    script.once(step, Behaviour::Error(FailureKind::Database));
                }
            }
        }
    }));
    made
}
