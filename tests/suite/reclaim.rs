//! Every step of a slot's life × everything a driver may do at it × every way a lease ends: afterwards all capacity is free, the next
//! borrower works, nothing is left on the (scripted) server, and no connection was used after its future had been dropped.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use support::scripted::{Behaviour, Event, Kind, Script, Step};
use tokio::time::{Instant, timeout};
use wharf::{
    driver::{FailureKind, Operation, ResultLimit, Statement, TransactionOptions},
    pool::{
        AcquireError, Borrower, Bounds, Counter, Counts, Database, Ended, Granted, Hold, HostCapacity, Limit, OperationError,
        PoolSpec, Quota, Settings, Until, Via,
    },
    shards::Shards,
};

const MAX: u32 = 2;
const BOUND: Duration = Duration::from_millis(30);
/// Longer than all bounds and the first retries of an unconfirmed session together.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a lease ends.
#[derive(Clone, Copy, Debug)]
enum Exit {
    /// Given back with a transaction and a cursor open.
    Leak,
    /// Committed, then given back.
    Commit,
    /// A statement runs into its time limit.
    TimedOut,
    /// Whoever awaited a statement goes away.
    Cancelled,
    /// The pool is closed while a statement runs.
    Revoked,
}

const EXITS: [Exit; 5] = [Exit::Leak, Exit::Commit, Exit::TimedOut, Exit::Cancelled, Exit::Revoked];

const BEHAVIOURS: [Behaviour; 6] = [
    Behaviour::Ok,
    Behaviour::Error(FailureKind::Database),
    Behaviour::Lost(FailureKind::Disconnected),
    Behaviour::Slow,
    Behaviour::Never,
    Behaviour::Panic,
];

fn settings() -> Settings {
    let bounds =
        Bounds { cancel: BOUND, settle: BOUND, rollback: BOUND, reset: BOUND, close: BOUND, kill: BOUND, confirm: BOUND };
    Settings {
        max_connections: MAX,
        min_connections: 0,
        acquire_timeout: Duration::from_millis(500),
        connect_timeout: BOUND * 2,
        bounds,
        ..Settings::default()
    }
}

fn database(script: &Script, settings: Settings) -> (Database, Arc<Granted>) {
    database_in(Shards::default(), script, settings)
}

fn database_in(shards: Shards, script: &Script, settings: Settings) -> (Database, Arc<Granted>) {
    let quota = Quota { pool: 0, max_connections: MAX, reserved_connections: 0, max_transaction_time: Duration::from_secs(10) };
    let pools = vec![PoolSpec { driver: Arc::new(script.clone()), shares_control_of: None }];
    let (database, grants) =
        Database::in_shards("scripted", settings, pools, vec![quota], Arc::new(HostCapacity::new(MAX)), shards);
    (database, Arc::clone(&grants[0]))
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

/// A lease that passes through as many steps as its exit allows; what fails on the way is of no interest.
async fn lease(database: &Database, grant: &Granted, script: &Script, step: Step, exit: Exit) {
    let Ok(hold) = acquire(database, grant).await else { return };
    let transaction = Via::Transaction(1);
    let options = TransactionOptions { isolation: None, read_only: false };
    let _ = hold.run(transaction, Operation::Begin(options.into()), until(BOUND * 2)).await;
    match exit {
        Exit::Leak => {
            let cursor = Via::Cursor { transaction: 1, cursor: 2 };
            let statement = Statement { sql: "SELECT 1".into(), params: Vec::new() };
            let _ = hold.run(cursor, Operation::OpenCursor(2, statement.into()), until(BOUND * 2)).await;
            let limit = ResultLimit { rows: 1, bytes: 1000 };
            let _ = hold.run(cursor, Operation::Fetch(2, limit), until(BOUND * 2)).await;
            hold.cursor_dropped(1, 2);
            hold.transaction_dropped(1);
        }
        Exit::Commit => {
            let _ = hold.run(transaction, query(), until(BOUND * 2)).await;
            let _ = hold.run(transaction, Operation::Commit, until(BOUND * 2)).await;
        }
        Exit::TimedOut => {
            slow_query(script, step);
            let _ = hold.run(transaction, query(), until(BOUND)).await;
        }
        Exit::Cancelled => {
            slow_query(script, step);
            let running = hold.run(transaction, query(), until(PATIENCE));
            // It may have failed already, or never begin: then there is nothing to cancel.
            let _ = timeout(BOUND, running).await;
        }
        Exit::Revoked => {
            slow_query(script, step);
            let closing = database.close(Instant::now() + PATIENCE);
            let running = hold.run(transaction, query(), until(PATIENCE));
            let (_, left) = tokio::join!(running, timeout(BOUND * 20, closing));
            drop(left);
        }
    }
}

/// The query of the lease waits to be cancelled, unless it is the step that is tried.
fn slow_query(script: &Script, step: Step) {
    if step != Step::Run(Kind::Query) {
        script.always(Step::Run(Kind::Query), Behaviour::Slow);
    }
}

/// Lends everything at once, repeatedly if need be, and uses it.
async fn all_free(database: &Database, grant: &Granted) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let (one, other) = tokio::join!(acquire(database, grant), acquire(database, grant));
        let told = match (one, other) {
            (Ok(one), Ok(other)) => {
                let counts = database.counts();
                if counts != (Counts { leased: MAX, ..Counts::default() }) {
                    return Err(format!("with everything lent: {counts:?}"));
                }
                let (one, other) = tokio::join!(
                    one.run(Via::Connection, query(), until(PATIENCE)),
                    other.run(Via::Connection, query(), until(PATIENCE))
                );
                return one.and(other).map(drop).map_err(|error| format!("the next borrower failed: {error:?}"));
            }
            (one, other) => format!("{:?} {:?}", one.err(), other.err()),
        };
        if start.elapsed() > PATIENCE {
            return Err(format!("not everything came back: {:?} {told}", database.counts()));
        }
    }
}

/// No connection is used once a future of it was dropped, and what was dropped is dropped whole.
fn no_use_after_abandon(script: &Script) -> Result<(), String> {
    let events = script.events();
    for (place, event) in events.iter().enumerate() {
        let Event::Abandoned(Step::Run(_) | Step::Reset | Step::Ping, session) = event else { continue };
        let used = |later: &&Event| matches!(later, Event::Began(Step::Run(_) | Step::Reset | Step::Ping | Step::Close, other) if other == session);
        if let Some(later) = events[place..].iter().find(used) {
            return Err(format!("{later:?} after {event:?}"));
        }
    }
    Ok(())
}

async fn cell(step: Step, behaviour: Behaviour, exit: Exit) -> Result<(), String> {
    let script = Script::new();
    script.always(step, behaviour);
    // Slow, but in time: it goes on once it has begun.
    let (slow, releasing) = (script.clone(), behaviour == Behaviour::Slow);
    let releaser = tokio::spawn(async move {
        for times in 1.. {
            slow.began(step, times).await;
            if releasing {
                slow.release(step);
            }
        }
    });
    let (database, grant) = database(&script, settings());
    let _ = timeout(PATIENCE, database.start(false)).await.map_err(|_| "the start did not end")?;
    timeout(PATIENCE, lease(&database, &grant, &script, step, exit)).await.map_err(|_| "the lease did not end")?;
    let peak = script.peak();
    if peak > MAX as usize {
        return Err(format!("{peak} sessions at once"));
    }
    script.always(step, Behaviour::Ok);
    script.always(Step::Run(Kind::Query), Behaviour::Ok);
    if matches!(exit, Exit::Revoked) {
        return revoked(&script, &database, step, behaviour).await;
    }
    all_free(&database, &grant).await?;
    if script.peak() > MAX as usize {
        return Err(format!("{} sessions at once", script.peak()));
    }
    no_use_after_abandon(&script)?;
    let left = timeout(PATIENCE, database.close(Instant::now() + PATIENCE)).await.map_err(|_| "the pool did not close")?;
    releaser.abort();
    match (left.sessions, script.listed(), script.in_transaction()) {
        (0, 0, 0) => Ok(()),
        left => Err(format!("left after close (slots, sessions, transactions): {left:?}")),
    }
}

/// A pool that was closed under load: nothing is left, or it is said what could not be confirmed.
async fn revoked(script: &Script, database: &Database, step: Step, behaviour: Behaviour) -> Result<(), String> {
    let left = database.close(Instant::now() + PATIENCE).await;
    no_use_after_abandon(script)?;
    match (left.sessions, script.listed()) {
        (0, 0) => Ok(()),
        left => Err(format!("left after revocation (slots, sessions) {left:?} with {step:?} {behaviour:?}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_and_every_exit_give_the_connection_back() {
    let cells = Step::all().into_iter().flat_map(|step| {
        BEHAVIOURS.into_iter().flat_map(move |behaviour| EXITS.into_iter().map(move |exit| (step, behaviour, exit)))
    });
    let results = stream::iter(cells).map(|(step, behaviour, exit)| async move {
        let result = tokio::spawn(cell(step, behaviour, exit)).await.unwrap_or_else(|panic| Err(panic.to_string()));
        result.map_err(|why| format!("{step:?} {behaviour:?} {exit:?}: {why}"))
    });
    let results: Vec<Result<(), String>> = results.buffer_unordered(64).collect().await;
    let failed: Vec<&String> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert_eq!(results.len(), Step::all().len() * BEHAVIOURS.len() * EXITS.len());
    assert!(failed.is_empty(), "{} of {} cells failed:\n{failed:#?}", failed.len(), results.len());
}

#[tokio::test]
async fn a_session_that_the_server_does_not_confirm_keeps_its_place_until_it_does() {
    let script = Script::new();
    script.immortal(true);
    let (database, grant) = database(&script, settings());
    database.start(false).await.unwrap();
    let hold = acquire(&database, &grant).await.unwrap();
    script.always(Step::Run(Kind::Query), Behaviour::Lost(FailureKind::Disconnected));
    let _ = hold.run(Via::Connection, query(), until(BOUND)).await.unwrap_err();
    drop(hold);
    let unconfirmed = async {
        while database.counts().unconfirmed != 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, unconfirmed).await.unwrap();
    script.always(Step::Run(Kind::Query), Behaviour::Ok);
    let _one = acquire(&database, &grant).await.unwrap();
    let refused = acquire(&database, &grant).await.unwrap_err();
    assert!(matches!(refused, AcquireError::WaitTimeout { limit: Limit::Acquire, .. }), "{refused:?}");
    assert_eq!(script.peak(), MAX as usize);
    script.immortal(false);
    drop(_one);
    all_free(&database, &grant).await.unwrap();
}

/// Guests compute in the shards: eight sessions of MariaDB that came back at once were once unconfirmed after two seconds each, since each
/// turn of the control path waited for many turns of guests.
#[tokio::test]
async fn the_server_is_asked_for_sessions_beside_the_shards() {
    let script = Script::new();
    let (shards, threads) = Shards::start(1).unwrap();
    let (database, grant) = database_in(shards, &script, settings());
    database.start(false).await.unwrap();
    script.linger(true);
    script.once(Step::Run(Kind::Query), Behaviour::Slow);
    script.once(Step::Close, Behaviour::Lost(FailureKind::Disconnected));
    let hold = acquire(&database, &grant).await.unwrap();
    tokio::select! {
        ended = hold.run(Via::Connection, query(), until(PATIENCE)) => panic!("ended with {ended:?}"),
        () = script.began(Step::Run(Kind::Query), 1) => {}
    }
    drop(hold);
    all_free(&database, &grant).await.unwrap();
    assert_eq!(script.threads(Step::Connect), ["wharf-shard-0".to_owned()].into());
    for step in [Step::ControlPing, Step::Cancel, Step::Terminate, Step::IsListed] {
        assert_eq!(script.threads(step), ["wharf-aside".to_owned()].into(), "{step:?}");
    }
    drop((database, grant));
    threads.stop(PATIENCE);
}

#[tokio::test]
async fn a_lease_that_is_over_is_not_reported_as_held() {
    let script = Script::new();
    script.immortal(true);
    let (database, grant) = database(&script, Settings { leak_warning: BOUND * 5, ..settings() });
    database.start(false).await.unwrap();
    let held = acquire(&database, &grant).await.unwrap();
    let hold = acquire(&database, &grant).await.unwrap();
    script.once(Step::Run(Kind::Query), Behaviour::Lost(FailureKind::Disconnected));
    hold.run(Via::Connection, query(), until(PATIENCE)).await.unwrap_err();
    drop(hold);
    let warned = async {
        while database.counters().get(Counter::LeakWarnings) == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, warned).await.unwrap();
    // One of two, the other one's session is not confirmed as gone.
    assert_eq!((database.counters().get(Counter::LeakWarnings), database.counts().unconfirmed), (1, 1));
    drop(held);
    script.immortal(false);
    all_free(&database, &grant).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_giving_up_frees_the_place() {
    let script = Script::new();
    let (database, grant) = database(&script, Settings { max_waiters: 1, ..settings() });
    database.start(false).await.unwrap();
    let held = [acquire(&database, &grant).await.unwrap(), acquire(&database, &grant).await.unwrap()];
    let mut waiting = Box::pin(acquire(&database, &grant));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    assert_eq!(acquire(&database, &grant).await.unwrap_err(), AcquireError::QueueFull { max_waiters: 1 });
    drop(waiting);
    assert_eq!(database.waiters(), 0);
    let mut waiting = Box::pin(acquire(&database, &grant));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    drop(held);
    timeout(PATIENCE, waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_commit_that_is_interrupted_is_unknown() {
    let script = Script::new();
    script.always(Step::Run(Kind::Commit), Behaviour::Slow);
    let (database, grant) = database(&script, settings());
    database.start(false).await.unwrap();
    let hold = acquire(&database, &grant).await.unwrap();
    let options = TransactionOptions { isolation: None, read_only: false };
    hold.run(Via::Transaction(1), Operation::Begin(options.into()), until(PATIENCE)).await.unwrap();
    let error = hold.run(Via::Transaction(1), Operation::Commit, until(BOUND)).await.unwrap_err();
    let OperationError::Failed(failure) = error else { panic!("{error:?}") };
    assert_eq!(failure.kind, FailureKind::CommitUnknown);
}

#[tokio::test]
async fn an_idle_transaction_is_rolled_back_and_its_holder_told() {
    let script = Script::new();
    let (database, grant) = database(&script, Settings { idle_in_transaction_timeout: BOUND, ..settings() });
    database.start(false).await.unwrap();
    let hold = acquire(&database, &grant).await.unwrap();
    let options = TransactionOptions { isolation: None, read_only: false };
    hold.run(Via::Transaction(1), Operation::Begin(options.into()), until(PATIENCE)).await.unwrap();
    timeout(PATIENCE, script.began(Step::Run(Kind::Rollback), 1)).await.unwrap();
    let error = hold.run(Via::Transaction(1), query(), until(PATIENCE)).await.unwrap_err();
    assert_eq!(error, OperationError::Ended(Ended::IdleInTransaction));
    all_free(&database, &grant).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_was_never_lent_is_closed_politely() {
    let script = Script::new();
    let (database, _) = database(&script, Settings { min_connections: 1, ..settings() });
    database.start(true).await.unwrap();
    let left = database.close(Instant::now() + PATIENCE).await;
    let closed = script.count(|event| matches!(event, Event::Ended(Step::Close, _, support::scripted::Outcome::Ok)));
    let killed = script.count(|event| matches!(event, Event::Began(Step::Terminate, _)));
    assert_eq!((left.sessions, script.listed(), closed, killed), (0, 0, 1, 0), "{:?}", script.events());
}

async fn idle(database: &Database) {
    let idle = async {
        while database.counts().idle == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, idle).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_answers_no_ping_is_given_up_in_its_bound_or_with_the_call() {
    let script = Script::new();
    let (database, grant) = database(&script, Settings { test_before_acquire: Duration::ZERO, ..settings() });
    database.start(false).await.unwrap();
    drop(acquire(&database, &grant).await.unwrap());
    idle(&database).await;
    // Long before the call's time is over the next connection is tried, or opened.
    script.once(Step::Ping, Behaviour::Never);
    drop(timeout(PATIENCE / 2, acquire(&database, &grant)).await.unwrap().unwrap());
    assert_eq!(database.counters().get(Counter::TestFailures), 1);
    // A call that goes away while the ping runs takes nothing with it.
    idle(&database).await;
    script.once(Step::Ping, Behaviour::Never);
    let pings = script.count(|event| matches!(event, Event::Began(Step::Ping, _)));
    tokio::select! {
        _ = acquire(&database, &grant) => unreachable!("the ping never ends"),
        () = script.began(Step::Ping, pings + 1) => {}
    }
    all_free(&database, &grant).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_was_idle_for_long_is_tested_for_one_who_waited_too() {
    let script = Script::new();
    // Whatever was idle at all.
    let settings = Settings { test_before_acquire: Duration::ZERO, ..settings() };
    let quota = |max_connections: u32| Quota {
        pool: 0,
        max_connections,
        reserved_connections: 0,
        max_transaction_time: Duration::from_secs(10),
    };
    let pools = vec![PoolSpec { driver: Arc::new(script.clone()), shares_control_of: None }];
    let (database, grants) =
        Database::new("scripted", settings, pools, vec![quota(1), quota(1)], Arc::new(HostCapacity::new(MAX)));
    let hold = acquire(&database, &grants[0]).await.unwrap();
    drop(acquire(&database, &grants[1]).await.unwrap());
    idle(&database).await;
    let pings = || script.count(|event| matches!(event, Event::Began(Step::Ping, _)));
    let before = pings();
    // It may have no more than it has, and gets the idle one when its own has broken.
    let mut waiting = Box::pin(acquire(&database, &grants[0]));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    script.once(Step::Run(Kind::Query), Behaviour::Lost(FailureKind::Disconnected));
    hold.run(Via::Connection, query(), until(PATIENCE)).await.unwrap_err();
    timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(pings(), before + 1, "{:?}", script.events());
}

#[tokio::test]
async fn a_cancel_that_comes_too_late_keeps_the_control_session() {
    let script = Script::new();
    let bounds = Bounds { cancel: PATIENCE, ..settings().bounds };
    let (database, grant) = database(&script, Settings { bounds, ..settings() });
    database.start(false).await.unwrap();
    script.once(Step::Run(Kind::Query), Behaviour::Slow);
    script.once(Step::Cancel, Behaviour::Slow);
    let hold = acquire(&database, &grant).await.unwrap();
    let timed_out = hold.run(Via::Connection, query(), until(BOUND)).await.unwrap_err();
    assert!(matches!(timed_out, OperationError::TimedOut { .. }), "{timed_out:?}");
    timeout(PATIENCE, script.began(Step::Cancel, 1)).await.unwrap();
    script.release(Step::Run(Kind::Query));
    timeout(
        PATIENCE,
        script.until(|events| events.iter().any(|event| matches!(event, Event::Ended(Step::Run(Kind::Query), ..)))),
    )
    .await
    .unwrap();
    script.release(Step::Cancel);
    drop(hold);
    all_free(&database, &grant).await.unwrap();
    assert_eq!(script.count(|event| matches!(event, Event::Began(Step::Control, _))), 1, "{:?}", script.events());
}

#[tokio::test]
async fn a_cancel_that_comes_too_early_is_sent_again() {
    let script = Script::new();
    let bounds = Bounds { settle: PATIENCE, ..settings().bounds };
    let (database, grant) = database(&script, Settings { bounds, ..settings() });
    database.start(false).await.unwrap();
    script.once(Step::Run(Kind::Query), Behaviour::Slow);
    script.forget_cancels(2);
    let hold = acquire(&database, &grant).await.unwrap();
    let timed_out = hold.run(Via::Connection, query(), until(BOUND)).await.unwrap_err();
    assert!(matches!(timed_out, OperationError::TimedOut { .. }), "{timed_out:?}");
    drop(hold);
    timeout(PATIENCE / 2, script.began(Step::Close, 1)).await.unwrap();
    assert_eq!(script.count(|event| matches!(event, Event::Began(Step::Cancel, _))), 3, "{:?}", script.events());
    // It has settled, so it was closed and not killed.
    assert_eq!(script.count(|event| matches!(event, Event::Began(Step::Terminate, _))), 0, "{:?}", script.events());
    all_free(&database, &grant).await.unwrap();
}

#[tokio::test]
async fn a_failure_of_long_ago_refuses_nobody_while_a_session_is_opened() {
    let script = Script::new();
    // Idle for longer than the pause after a failure and two attempts to open.
    let (database, grant) = database(&script, Settings { idle_timeout: BOUND * 10, connect_timeout: BOUND, ..settings() });
    let hold = acquire(&database, &grant).await.unwrap();
    script.once(Step::Connect, Behaviour::Lost(FailureKind::Disconnected));
    let mut waiting = Box::pin(acquire(&database, &grant));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    timeout(PATIENCE, script.began(Step::Connect, 2)).await.unwrap();
    drop((waiting, hold));
    let gone = async {
        while database.counts().total() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
    script.once(Step::Connect, Behaviour::Slow);
    let mut calls = [Box::pin(acquire(&database, &grant)), Box::pin(acquire(&database, &grant))];
    assert!(futures::poll!(calls[0].as_mut()).is_pending());
    timeout(PATIENCE, script.began(Step::Connect, 3)).await.unwrap();
    assert!(futures::poll!(calls[1].as_mut()).is_pending());
    script.release(Step::Connect);
    for call in calls {
        timeout(PATIENCE, call).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_cancel_that_is_repeated_stays_within_the_bounds_of_the_first() {
    let script = Script::new();
    // A step that does not end is given up after this, which is too long by far to be met by chance.
    let bounds = Bounds { cancel: PATIENCE, settle: BOUND * 5, ..settings().bounds };
    let (database, grant) = database(&script, Settings { bounds, connect_timeout: PATIENCE, ..settings() });
    database.start(false).await.unwrap();
    script.once(Step::Run(Kind::Query), Behaviour::Never);
    script.once(Step::Cancel, Behaviour::Ok);
    script.always(Step::Cancel, Behaviour::Never);
    let hold = acquire(&database, &grant).await.unwrap();
    hold.run(Via::Connection, query(), until(BOUND)).await.unwrap_err();
    drop(hold);
    timeout(PATIENCE / 2, script.began(Step::Terminate, 1)).await.unwrap();
}

#[tokio::test]
async fn what_waits_behind_an_operation_is_told_at_once_when_that_ends_the_lease() {
    let script = Script::new();
    let bounds = Bounds { cancel: PATIENCE, ..settings().bounds };
    let (database, grant) = database(&script, Settings { bounds, ..settings() });
    database.start(false).await.unwrap();
    script.once(Step::Run(Kind::Query), Behaviour::Slow);
    script.once(Step::Cancel, Behaviour::Slow);
    let hold = acquire(&database, &grant).await.unwrap();
    let one = |after: Duration| hold.run(Via::Connection, query(), until(after));
    let both = async { tokio::join!(one(BOUND), one(PATIENCE)) };
    let (first, second) = timeout(PATIENCE / 2, both).await.unwrap();
    assert!(matches!(first, Err(OperationError::TimedOut { .. })), "{first:?}");
    assert_eq!(second.unwrap_err(), OperationError::Ended(Ended::TimedOut));
    script.release(Step::Run(Kind::Query));
    script.release(Step::Cancel);
    drop(hold);
    all_free(&database, &grant).await.unwrap();
}

#[tokio::test]
async fn an_operation_that_is_given_up_before_it_starts_ends_its_transaction_too() {
    let script = Script::new();
    let (database, grant) = database(&script, settings());
    database.start(false).await.unwrap();
    let hold = acquire(&database, &grant).await.unwrap();
    let run = |operation: Operation| hold.run(Via::Transaction(1), operation, until(PATIENCE));
    run(Operation::Begin(TransactionOptions { isolation: None, read_only: false }.into())).await.unwrap();
    script.once(Step::Run(Kind::Query), Behaviour::Slow);
    let mut first = Box::pin(run(query()));
    assert!(futures::poll!(first.as_mut()).is_pending());
    // Behind the first.
    let mut second = Box::pin(run(query()));
    assert!(futures::poll!(second.as_mut()).is_pending());
    drop(second);
    script.release(Step::Run(Kind::Query));
    timeout(PATIENCE, first).await.unwrap().unwrap();
    assert_eq!(run(Operation::Commit).await.unwrap_err(), OperationError::Ended(Ended::Cancelled));
    drop(hold);
    all_free(&database, &grant).await.unwrap();
    assert_eq!(script.in_transaction(), 0);
}

#[tokio::test]
async fn a_driver_that_panics_is_counted_like_any_other_that_fails() {
    for (step, reclaimed) in [(Step::Run(Kind::Query), 1), (Step::Reset, 0)] {
        let script = Script::new();
        let (database, grant) = database(&script, settings());
        database.start(false).await.unwrap();
        script.once(step, Behaviour::Panic);
        let hold = acquire(&database, &grant).await.unwrap();
        let _ = hold.run(Via::Connection, query(), until(PATIENCE)).await;
        drop(hold);
        timeout(PATIENCE, script.began(Step::Terminate, 1)).await.unwrap();
        let counts = [Counter::Reclaimed, Counter::Released, Counter::Discarded].map(|counter| database.counters().get(counter));
        assert_eq!(counts, [reclaimed, 1 - reclaimed, 1], "{step:?}");
    }
}
