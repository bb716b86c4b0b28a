//! What a database remembers of its reclaims and its troubles, and how it is seen at one moment; on the scripted driver.

use std::{sync::Arc, time::Duration};

use support::scripted::{Behaviour, Kind, Script, Step};
use tokio::time::{Instant, timeout};
use wharf::{
    driver::{Answer, FailureKind, Operation, ResultLimit, Statement, TransactionOptions},
    pool::{
        self, AcquireError, Borrower, Bounds, Counter, Database, During, End, Ended, Granted, Hold, HostCapacity, Limit,
        OperationError, PoolSpec, Quota, Settings, ShareView, Until, Via, View,
    },
};

const PATIENCE: Duration = Duration::from_secs(10);
/// Of each step of a reclaim.
const BOUND: Duration = Duration::from_millis(200);

/// A database of one connection, which has as long for each step of a reclaim.
pub(crate) async fn open(script: &Script, bound: Duration) -> (Database, Arc<Granted>) {
    let quota = Quota { pool: 0, max_connections: 1, reserved_connections: 1, max_transaction_time: PATIENCE };
    let pools = vec![PoolSpec { driver: Arc::new(script.clone()), shares_control_of: None }];
    let bounds =
        Bounds { cancel: bound, settle: bound, rollback: bound, reset: bound, close: bound, kill: bound, confirm: bound };
    let settings = Settings { max_connections: 1, min_connections: 0, bounds, ..Settings::default() };
    let (database, grants) = Database::new("db", settings, pools, vec![quota], Arc::new(HostCapacity::new(1)));
    database.start(false).await.unwrap();
    (database, Arc::clone(&grants[0]))
}

async fn acquire(database: &Database, grant: &Granted) -> Result<Hold, AcquireError> {
    let borrower = Borrower { plugin: "plugin".into(), request_id: "request".into(), trail: None };
    database.acquire(grant, borrower, Instant::now() + PATIENCE).await
}

/// Runs a query, which runs into this limit after so long.
async fn query(hold: &Hold, via: Via, after: Duration, limit: Limit) -> Result<Answer, OperationError> {
    let statement = Statement { sql: "SELECT 1".into(), params: Vec::new() };
    let operation = Operation::Query(statement, ResultLimit { rows: 10, bytes: 1000 });
    hold.run(via, operation, Until { at: Instant::now() + after, limit }).await
}

async fn begin(hold: &Hold) {
    let options = TransactionOptions { isolation: None, read_only: false };
    let until = Until { at: Instant::now() + PATIENCE, limit: Limit::Statement };
    hold.run(Via::Transaction(1), Operation::Begin(options.into()), until).await.unwrap();
}

/// How a lease goes, and what it comes to.
#[derive(Clone, Copy, Debug)]
struct Row {
    needs_reset: bool,
    /// One step that does not go well.
    script: Option<(Step, Behaviour)>,
    immortal: bool,
    begins: bool,
    why: Ended,
    /// The reason and the step of the reclaim, unless there is none.
    told: Option<(Ended, pool::Step)>,
    /// And what else is written down.
    during: Option<During>,
}

const ROW: Row = Row {
    needs_reset: true,
    script: None,
    immortal: false,
    begins: false,
    why: Ended::CallEnded(End::Trapped),
    told: Some((Ended::CallEnded(End::Trapped), pool::Step::Reset)),
    during: None,
};

/// A query fails like this.
const fn fails(behaviour: Behaviour) -> Option<(Step, Behaviour)> {
    Some((Step::Run(Kind::Query), behaviour))
}

const ROWS: [Row; 11] = [
    ROW,
    Row { needs_reset: false, told: Some((Ended::CallEnded(End::Trapped), pool::Step::Clean)), ..ROW },
    Row { begins: true, told: Some((Ended::CallEnded(End::Trapped), pool::Step::RolledBack)), ..ROW },
    Row { script: fails(Behaviour::Slow), told: Some((Ended::TimedOut, pool::Step::Cancelled)), ..ROW },
    Row {
        script: Some((Step::Reset, Behaviour::Error(FailureKind::Database))),
        told: Some((Ended::CallEnded(End::Trapped), pool::Step::Closed)),
        during: Some(During::Reset),
        ..ROW
    },
    Row {
        script: Some((Step::Reset, Behaviour::Never)),
        told: Some((Ended::CallEnded(End::Trapped), pool::Step::Killed)),
        during: Some(During::Reset),
        ..ROW
    },
    Row {
        script: fails(Behaviour::Lost(FailureKind::Disconnected)),
        told: Some((Ended::Lost, pool::Step::Killed)),
        during: Some(During::Operation),
        ..ROW
    },
    Row {
        script: fails(Behaviour::Panic),
        told: Some((Ended::Panicked, pool::Step::Killed)),
        during: Some(During::Operation),
        ..ROW
    },
    Row {
        script: fails(Behaviour::Lost(FailureKind::Disconnected)),
        immortal: true,
        told: Some((Ended::Lost, pool::Step::Unconfirmed)),
        during: Some(During::Confirm),
        ..ROW
    },
    // Given back as it should be, and not.
    Row { why: Ended::Released, told: None, ..ROW },
    Row {
        why: Ended::Released,
        script: Some((Step::Reset, Behaviour::Error(FailureKind::Database))),
        told: Some((Ended::Released, pool::Step::Closed)),
        during: Some(During::Reset),
        ..ROW
    },
];

#[tokio::test]
async fn a_reclaim_is_written_down_with_its_reason_and_its_step() {
    for row in ROWS {
        let script = Script::new();
        script.needs_reset(row.needs_reset);
        script.immortal(row.immortal);
        if let Some((step, behaviour)) = row.script {
            script.always(step, behaviour);
        }
        let (database, grant) = open(&script, BOUND).await;
        let hold = acquire(&database, &grant).await.unwrap();
        assert_eq!(database.view().counts.leased, 1, "{row:?}");
        let via = if row.begins { Via::Transaction(1) } else { Via::Connection };
        if row.begins {
            begin(&hold).await;
        }
        // What comes of it does not matter.
        drop(query(&hold, via, BOUND, Limit::Statement).await);
        hold.release(row.why);
        drop(hold);
        let over = async {
            loop {
                let (counts, told) = (database.view().counts, database.reclaimed());
                if counts.leased == 0 && counts.reclaiming == 0 && (row.told.is_none() || !told.is_empty()) {
                    return told;
                }
                tokio::task::yield_now().await;
            }
        };
        let told = timeout(PATIENCE, over).await.unwrap_or_else(|_| panic!("{row:?}: {:?}", database.view()));
        let expected: Vec<_> = row.told.into_iter().map(|(reason, step)| (reason, step, 1, 1)).collect();
        let tallies: Vec<_> = told.iter().map(|it| (it.reason, it.step, it.since_start, it.last_24h)).collect();
        assert_eq!(tallies, expected, "{row:?}");
        let reclaims = database.reclaims(0);
        let told: Vec<_> = reclaims.iter().map(|it| (it.reason, it.step)).collect();
        assert_eq!(told, row.told.into_iter().collect::<Vec<_>>(), "{row:?}");
        for reclaim in &reclaims {
            assert_eq!((reclaim.number, reclaim.session, &*reclaim.borrower.plugin), (1, 1, "plugin"), "{row:?}");
            assert!(reclaim.took <= PATIENCE && reclaim.held <= PATIENCE, "{reclaim:?}");
        }
        let troubles = database.troubles();
        let during: Vec<During> = troubles.iter().map(|trouble| trouble.during).collect();
        assert_eq!(during.is_empty(), row.during.is_none(), "{row:?}: {troubles:?}");
        assert!(row.during.is_none_or(|expected| during.contains(&expected)), "{row:?}: {troubles:?}");
        // Nothing that a server says of a guest's statement.
        assert!(troubles.iter().all(|trouble| !trouble.message.contains("SELECT")), "{troubles:?}");
    }
}

#[tokio::test]
async fn at_the_deadline_it_is_the_call_that_ends_and_not_a_statement_that_timed_out() {
    for (limit, why, timeouts) in [
        (Limit::Statement, Ended::TimedOut, 1),
        (Limit::Transaction, Ended::TimedOut, 1),
        (Limit::Call, Ended::CallEnded(End::DeadlineExceeded), 0),
    ] {
        // While it runs, and before it has started.
        for (after, step) in [(BOUND, pool::Step::Cancelled), (Duration::ZERO, pool::Step::Clean)] {
            let script = Script::new();
            script.needs_reset(false);
            script.always(Step::Run(Kind::Query), Behaviour::Slow);
            let (database, grant) = open(&script, BOUND).await;
            let hold = acquire(&database, &grant).await.unwrap();
            let error = query(&hold, Via::Connection, after, limit).await.unwrap_err();
            assert!(matches!(error, OperationError::TimedOut { limit: told, .. } if told == limit), "{limit:?}: {error:?}");
            drop(hold);
            timeout(PATIENCE, async {
                while database.reclaimed().is_empty() {
                    tokio::task::yield_now().await;
                }
            })
            .await
            .unwrap();
            let told: Vec<_> = database.reclaimed().iter().map(|it| (it.reason, it.step)).collect();
            assert_eq!(told, [(why, step)], "{limit:?} after {after:?}");
            assert_eq!(database.counters().get(Counter::OperationTimeouts), timeouts, "{limit:?} after {after:?}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_written_down_once() {
    let script = Script::new();
    let (database, grant) = open(&script, BOUND).await;
    script.refuse(true);
    for _ in 0..2 {
        let refused = timeout(PATIENCE, acquire(&database, &grant)).await.unwrap();
        assert!(matches!(refused, Err(AcquireError::Connect(_))));
    }
    let troubles = database.troubles();
    let connect = troubles.iter().find(|trouble| trouble.during == During::Connect).unwrap();
    assert!(connect.times >= 1 && connect.first <= connect.last, "{connect:?}");
    assert_eq!(troubles.iter().filter(|trouble| trouble.during == During::Connect).count(), 1, "{troubles:?}");
}

#[tokio::test]
async fn a_database_is_seen_at_one_moment() {
    let (database, grant) = open(&Script::new(), BOUND).await;
    assert_eq!(grant.share(), ShareView { max: 1, reserved: 1, leased: 0, waiting: 0 });
    let View { max, target, paused, waiters, longest_wait, oldest_lease, control_down, down, .. } = database.view();
    assert_eq!((max, target, paused, waiters, longest_wait), (1, 1, None, 0, None));
    assert_eq!((oldest_lease, control_down, down), (None, None, None));

    let hold = acquire(&database, &grant).await.unwrap();
    let mut waiting = Box::pin(acquire(&database, &grant));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    let View { counts, waiters, longest_wait, oldest_lease, .. } = database.view();
    assert_eq!((counts.leased, counts.total(), waiters), (1, 1, 1));
    assert!(longest_wait.is_some() && oldest_lease.is_some());
    assert_eq!(grant.share(), ShareView { max: 1, reserved: 1, leased: 1, waiting: 1 });

    database.pause();
    drop(waiting);
    let first = database.view().paused.unwrap();
    database.pause();
    assert!(database.view().paused.unwrap() >= first);
    drop(hold);
    let drained = async {
        while database.view().counts.total() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, drained).await.unwrap();
    database.resume();
    assert_eq!(database.view().paused, None);
    drop(timeout(PATIENCE, acquire(&database, &grant)).await.unwrap().unwrap());
}
