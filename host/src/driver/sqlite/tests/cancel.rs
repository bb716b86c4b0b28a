//! Ending statements and sessions from outside.

use std::time::Instant;

use super::*;
use crate::driver::Session;

/// Starts the endless statement in a task of its own and returns once the engine has compiled it.
async fn start(driver: &Sqlite) -> (tokio::task::JoinHandle<(SqliteSession, Result<Answer, Failure>)>, Session) {
    let mut session = driver.open().await.unwrap();
    let told = session.session().clone();
    let shared = driver.registry.get(&told).unwrap();
    let task = tokio::spawn(async move {
        let result = session.run(Operation::Query(statement(ENDLESS, []), PLENTY)).await;
        (session, result)
    });
    let began = Instant::now();
    while !shared.compiled.load(Ordering::Acquire) {
        tokio::task::yield_now().await;
        assert!(began.elapsed() < Duration::from_secs(5), "the statement never began");
    }
    (task, told)
}

async fn wait_until_gone(control: &mut Box<dyn Control>, session: &Session) {
    let began = Instant::now();
    while control.is_listed(session).await.unwrap() {
        tokio::task::yield_now().await;
        assert!(began.elapsed() < Duration::from_secs(5), "the session never ended");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_statement_is_cancelled_within_a_second() {
    let file = File::new().await;
    let driver = file.driver(Access::ReadWrite);
    let mut control = driver.control().await.unwrap();
    let (task, told) = start(&driver).await;
    let began = Instant::now();
    control.cancel(&told).await.unwrap();
    let (mut session, result) = task.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let failure = result.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_deref(), failure.lost), (FailureKind::Cancelled, Some("9"), false));
    // A late cancel must not meet the next borrower's statement: nothing runs, nothing is given back.
    let next = session.run(Operation::Query(statement("SELECT 1", []), PLENTY)).await.unwrap_err();
    assert_eq!(next.kind, FailureKind::Cancelled);
    assert!(session.needs_reset());
    session.reset().await.unwrap_err();
    assert!(control.is_listed(&told).await.unwrap());
    Box::new(session).close().await.unwrap();
    assert!(!control.is_listed(&told).await.unwrap());
    // Those who are gone are ended already.
    control.cancel(&told).await.unwrap();
    control.terminate(&told).await.unwrap();
    control.ping().await.unwrap();
    control.close().await;
}

#[tokio::test]
async fn a_cancelled_session_can_still_roll_back() {
    let file = File::new().await;
    let driver = file.driver(Access::ReadWrite);
    let mut control = driver.control().await.unwrap();
    let mut session = driver.connect().await.unwrap();
    session.run(begin(false)).await.unwrap();
    fill(&mut session, 1).await;
    let told = session.session().clone();
    control.cancel(&told).await.unwrap();
    assert_eq!(session.run(Operation::Commit).await.unwrap_err().kind, FailureKind::Cancelled);
    session.run(Operation::Rollback).await.unwrap();
    session.reset().await.unwrap_err();
    let mut other = file.writer().await;
    assert_eq!(number(&mut other, "SELECT count(*) FROM patients").await, 0);
    fill(&mut other, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_dropped_in_the_middle_ends_its_worker() {
    let file = File::new().await;
    let driver = file.driver(Access::ReadWrite);
    let mut control = driver.control().await.unwrap();
    let (task, told) = start(&driver).await;
    assert!(control.is_listed(&told).await.unwrap());
    task.abort();
    assert!(task.await.is_err());
    control.terminate(&told).await.unwrap();
    wait_until_gone(&mut control, &told).await;
    // The last session of a file takes its log away when it closes.
    assert!(!file.folder.path().join("clinic.db-wal").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminated_session_does_nothing_more() {
    let file = File::new().await;
    let driver = file.driver(Access::ReadWrite);
    let mut control = driver.control().await.unwrap();
    let (task, told) = start(&driver).await;
    control.terminate(&told).await.unwrap();
    let (mut session, result) = task.await.unwrap();
    let failure = result.unwrap_err();
    assert_eq!((failure.kind, failure.lost), (FailureKind::Disconnected, true));
    for operation in [Operation::Rollback, begin(false), Operation::Query(statement("SELECT 1", []), PLENTY)] {
        let failure = session.run(operation).await.unwrap_err();
        assert_eq!((failure.kind, failure.lost), (FailureKind::Disconnected, true));
    }
    session.reset().await.unwrap_err();
    drop(session);
    wait_until_gone(&mut control, &told).await;
}

#[tokio::test]
async fn a_statement_ends_at_the_drivers_own_limit() {
    let file = File::new().await;
    let settings = Settings { statement_timeout: Duration::from_millis(50), ..File::settings(Access::ReadOnly) };
    let mut session = Sqlite::new(&file.url(), settings).unwrap().connect().await.unwrap();
    let failure = query(&mut session, ENDLESS, []).await.unwrap_err();
    assert_eq!((failure.kind, failure.lost), (FailureKind::Cancelled, false));
    assert_eq!(number(&mut session, "SELECT 1").await, 1);
    session.reset().await.unwrap();
}

#[tokio::test]
async fn a_cursor_is_cancelled_too() {
    let file = File::new().await;
    let driver = file.driver(Access::ReadWrite);
    let mut control = driver.control().await.unwrap();
    let mut session = driver.open().await.unwrap();
    let told = session.session().clone();
    session.run(begin(true)).await.unwrap();
    session.run(Operation::OpenCursor(1, statement(ENDLESS, []).into())).await.unwrap();
    let fetch = session.run(Operation::Fetch(1, PLENTY));
    let (result, ()) = tokio::join!(fetch, async { control.cancel(&told).await.unwrap() });
    assert_eq!(result.unwrap_err().kind, FailureKind::Cancelled);
    session.run(Operation::Rollback).await.unwrap();
    Box::new(session).close().await.unwrap();
}
