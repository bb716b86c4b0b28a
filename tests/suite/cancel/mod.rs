//! Whoever awaits something of a pool or a lease may go away at any moment: every such future is dropped after every number of polls,
//! woken for the next one or not, and after every poll of the driver's own futures, on every engine. Each time all capacity is free
//! again within the bounds of reclaim, the next borrower finds nothing of the one before, and the server says the same.

mod cut;
mod documents;
mod engines;
mod points;

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::time::{Instant, timeout};
use wharf::{
    driver::{Driver, ResultLimit, settings::Access},
    lease::{CallInfo, Grant, Grants, Scope},
    pool::{Bounds, Counts, Database, Granted, HostCapacity, PoolSpec, Quota, Settings},
};

use self::{
    cut::{Cut, Meter, Metered, When},
    engines::{Bed, ENGINES, Language},
    points::{POINTS, Point, Pool, Rig},
};

/// Connections of the pool.
const MAX: u32 = 2;

/// Longer than all bounds together.
const PATIENCE: Duration = Duration::from_secs(60);

/// No future here takes more polls; one that does has no end.
const MOST: usize = 200;

/// The bounds of reclaim, one after the other.
fn sum_of_bounds() -> Duration {
    let Bounds { cancel, settle, rollback, reset, close, kill, confirm } = Bounds::default();
    cancel + settle + rollback + reset + close + kill + confirm
}

/// A pool over a bed.
struct Open<'a> {
    bed: &'a dyn Bed,
    database: Database,
    grant: Arc<Granted>,
    driver: Arc<dyn Driver>,
    meter: Arc<Meter>,
}

impl<'a> Open<'a> {
    fn cold(bed: &'a dyn Bed) -> Self {
        let meter = Arc::<Meter>::default();
        let driver: Arc<dyn Driver> = Arc::new(Metered { driver: bed.driver(), meter: Arc::clone(&meter) });
        let settings = Settings {
            max_connections: MAX,
            min_connections: MAX,
            acquire_timeout: PATIENCE,
            connect_timeout: PATIENCE,
            // Nothing is closed for idleness, and what is looked after by the clock does not depend on how fast the test is.
            idle_timeout: PATIENCE,
            test_before_acquire: PATIENCE,
            ..Settings::default()
        };
        let quota = Quota { pool: 0, max_connections: MAX, reserved_connections: 0, max_transaction_time: PATIENCE };
        let pools = vec![PoolSpec { driver: Arc::clone(&driver), shares_control_of: None }];
        let (database, grants) = Database::new("db", settings, pools, vec![quota], Arc::new(HostCapacity::new(MAX)));
        Self { bed, database, grant: Arc::clone(&grants[0]), driver, meter }
    }

    async fn warm(bed: &'a dyn Bed) -> Self {
        let open = Self::cold(bed);
        open.database.start(true).await.unwrap();
        open.check(0).await.unwrap();
        open
    }

    /// A call of its own, whose future is dropped at `when`; whether it came to its end before.
    async fn attempt(&self, point: &Point, when: When, call_ends: bool) -> Result<bool, String> {
        let max_result = ResultLimit { rows: 100, bytes: 10_000 };
        let database = self.database.clone();
        let (granted, access) = (Arc::clone(&self.grant), Access::ReadWrite);
        let grant = Grant { database, granted, access, max_connections: MAX, max_result, max_statements: 100 };
        let call = CallInfo {
            plugin: "plugin".into(),
            request_id: "request".into(),
            deadline: Instant::now() + points::CALL,
            trail: None,
        };
        let rig = Rig {
            database: self.database.clone(),
            grant: Arc::clone(&self.grant),
            driver: Arc::clone(&self.driver),
            scope: Scope::new(call, Arc::new(Grants::new(BTreeMap::from([("db".into(), grant)])))),
            cut: Cut { when, meter: Arc::clone(&self.meter) },
            call_ends,
        };
        // A task of its own is polled only when it was woken.
        let attempt = tokio::spawn((point.run)(rig));
        let ended = timeout(PATIENCE, attempt).await.map_err(|_| "it was not woken again".to_owned())?;
        ended.map_err(|panic| panic.to_string())
    }

    /// Nothing is left of whoever was there, as the server and the next borrowers see it. At most `rows` are committed.
    async fn check(&self, rows: i64) -> Result<(), String> {
        let bound = sum_of_bounds();
        self.bed.quiet(MAX as usize, bound).await;
        let mut held = Vec::new();
        for _ in 0..MAX {
            let hold = timeout(bound, points::acquire(&self.database, &self.grant)).await;
            held.push(
                hold.map_err(|_| self.told("not all capacity is free"))?.map_err(|error| self.told(&format!("{error:?}")))?,
            );
        }
        let counts = self.database.counts();
        if counts != (Counts { leased: MAX, ..Counts::default() }) || self.database.waiters() != 0 {
            return Err(self.told("with everything lent"));
        }
        for hold in &held {
            if self.bed.language() == Language::Documents {
                documents::write_and_roll_back(hold).await?;
                continue;
            }
            points::begin_and_roll_back(hold).await?;
            if !self.bed.has_rows() {
                continue;
            }
            let residue = points::number(hold, self.bed.residue()).await?;
            let marks = points::number(hold, "SELECT count(*) FROM marks").await?;
            if residue != 0 || marks > rows {
                return Err(format!("residue {residue}, {marks} rows of at most {rows}"));
            }
        }
        if self.bed.language() == Language::Sql {
            points::clear(&held[0]).await?;
        }
        drop(held);
        self.settled().await
    }

    /// Waits until every connection is idle.
    async fn settled(&self) -> Result<(), String> {
        let settled = async {
            while self.database.counts() != (Counts { idle: MAX, ..Counts::default() }) {
                tokio::task::yield_now().await;
            }
        };
        timeout(sum_of_bounds(), settled).await.map_err(|_| self.told("not everything became idle"))
    }

    fn told(&self, what: &str) -> String {
        format!("{what}: {:?}, {} waiting", self.database.counts(), self.database.waiters())
    }

    /// Closes what is open, which leaves nothing.
    async fn close(self) -> Result<(), String> {
        let left = self.database.close(Instant::now() + sum_of_bounds()).await;
        self.bed.quiet(0, sum_of_bounds()).await;
        if left.sessions == 0 { Ok(()) } else { Err(self.told("left after close")) }
    }
}

/// Drops the future of a point everywhere until it comes to its end; how often it was dropped.
async fn enumerate(bed: &dyn Bed, point: &Point, call_ends: bool) -> Result<usize, String> {
    let mut warm = match point.pool {
        Pool::Warm => Some(Open::warm(bed).await),
        Pool::Cold | Pool::Closed => None,
    };
    let mut dropped = 0;
    for (when, first) in [(When::Polled as fn(usize) -> When, 0), (When::Woken, 1), (When::Driven, 1)] {
        for count in first.. {
            let when = when(count);
            let failed = |why: String| format!("{when:?}: {why}");
            let open = match (warm.take(), point.pool) {
                (Some(open), _) => open,
                (None, Pool::Cold) => Open::cold(bed),
                (None, Pool::Warm | Pool::Closed) => Open::warm(bed).await,
            };
            let ended = open.attempt(point, when, call_ends).await.map_err(failed)?;
            if point.pool != Pool::Closed {
                open.check(point.may_commit.into()).await.map_err(failed)?;
            }
            match point.pool {
                Pool::Warm => warm = Some(open),
                Pool::Cold | Pool::Closed => open.close().await.map_err(failed)?,
            }
            if ended {
                break;
            }
            dropped += 1;
            assert!(count < MOST, "{}: {when:?} and no end", point.name);
        }
    }
    if let Some(open) = warm {
        open.close().await?;
    }
    Ok(dropped)
}

#[tokio::test]
async fn whoever_goes_away_at_any_point_leaves_nothing_behind() {
    let (mut table, mut failed) = (String::new(), Vec::new());
    for (engine, make) in ENGINES {
        let bed = make().await;
        let points: &[Point] = match bed.language() {
            Language::Sql => &POINTS,
            Language::Documents => &documents::POINTS,
        };
        let rows = points
            .iter()
            .flat_map(|point| [(point, false), (point, true)])
            .filter(|(point, call_ends)| point.of_call || !call_ends);
        for (point, call_ends) in rows {
            let how = if call_ends { "call ends" } else { "dropped" };
            let start = Instant::now();
            // What the server says is an assertion of the support; it has to be told where that failed.
            match AssertUnwindSafe(enumerate(&*bed, point, call_ends)).catch_unwind().await {
                Ok(Ok(dropped)) => {
                    table += &format!(
                        "{engine:18} {:30} {how:10} {dropped:4} times {:6} ms\n",
                        point.name,
                        start.elapsed().as_millis()
                    );
                }
                told => {
                    failed.push(format!(
                        "{engine} {} ({how}): {}",
                        point.name,
                        told.map_or("see above".to_owned(), |told| format!("{told:?}"))
                    ));
                    // What is left would be found again at every later point.
                    break;
                }
            }
        }
    }
    println!("{table}");
    assert!(failed.is_empty(), "{failed:#?}\n{table}");
}
