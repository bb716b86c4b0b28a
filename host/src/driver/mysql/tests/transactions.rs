//! Transactions: begun and ended by the host, and never believed to have committed when they have not.

use super::*;
use crate::driver::types::IsolationLevel;

async fn say(connection: &mut dyn Connection, operation: Operation) -> Result<(), Failure> {
    connection.run(operation).await.map(drop)
}

async fn count(fixture: &Fixture) -> i64 {
    fixture.number(&format!("SELECT COUNT(*) FROM {}.t", fixture.name)).await
}

async fn with_table(fixture: &Fixture) -> Box<dyn Connection> {
    fixture.run("CREATE TABLE t (a INT PRIMARY KEY, b INT) ENGINE = InnoDB").await;
    connected(fixture).await
}

#[tokio::test]
async fn commit_and_rollback_do_what_they_say() {
    let fixture = Fixture::new().await;
    let mut connection = with_table(&fixture).await;
    begin(&mut *connection).await;
    all(&mut *connection, &["INSERT INTO t VALUES (1, 1)"]).await;
    assert_eq!(count(&fixture).await, 0);
    say(&mut *connection, Operation::Commit).await.unwrap();
    assert_eq!(count(&fixture).await, 1);
    begin(&mut *connection).await;
    all(&mut *connection, &["DELETE FROM t"]).await;
    say(&mut *connection, Operation::Rollback).await.unwrap();
    assert_eq!(count(&fixture).await, 1);
    say(&mut *connection, Operation::Rollback).await.unwrap();
    assert_eq!(say(&mut *connection, Operation::Commit).await.unwrap_err().kind, FailureKind::Invalid);
}

#[tokio::test]
async fn isolation_and_read_only_hold_for_one_transaction() {
    let fixture = Fixture::new().await;
    let mut connection = with_table(&fixture).await;
    let mut other = connected(&fixture).await;
    for (isolation, sees) in [(IsolationLevel::ReadUncommitted, 1), (IsolationLevel::ReadCommitted, 0)] {
        let options = TransactionOptions { isolation: Some(isolation), read_only: true };
        say(&mut *connection, Operation::Begin(options.into())).await.unwrap();
        begin(&mut *other).await;
        all(&mut *other, &["INSERT INTO t VALUES (1, 1)"]).await;
        assert_eq!(one(&mut *connection, "SELECT COUNT(*) FROM t", vec![]).await, Value::Signed(sees), "{isolation:?}");
        say(&mut *other, Operation::Rollback).await.unwrap();
        let failure = failure(&mut *connection, "INSERT INTO t VALUES (2, 2)", vec![]).await;
        assert_eq!((failure.kind, failure.code.as_deref()), (FailureKind::Denied, Some("25006")));
        say(&mut *connection, Operation::Rollback).await.unwrap();
    }
    begin(&mut *connection).await;
    all(&mut *connection, &["INSERT INTO t VALUES (3, 3)"]).await;
    say(&mut *connection, Operation::Commit).await.unwrap();
}

#[tokio::test]
async fn savepoints_shadow_each_other() {
    let fixture = Fixture::new().await;
    let mut connection = with_table(&fixture).await;
    let savepoint = |name: &str| Operation::Savepoint(name.into());
    begin(&mut *connection).await;
    say(&mut *connection, savepoint("s")).await.unwrap();
    all(&mut *connection, &["INSERT INTO t VALUES (1, 1)"]).await;
    say(&mut *connection, savepoint("s")).await.unwrap();
    all(&mut *connection, &["INSERT INTO t VALUES (2, 2)"]).await;
    say(&mut *connection, savepoint("S")).await.unwrap();
    all(&mut *connection, &["INSERT INTO t VALUES (3, 3)"]).await;
    say(&mut *connection, Operation::RollbackTo("S".into())).await.unwrap();
    assert_eq!(one(&mut *connection, "SELECT COUNT(*) FROM t", vec![]).await, Value::Signed(2));
    say(&mut *connection, Operation::RollbackTo("s".into())).await.unwrap();
    assert_eq!(one(&mut *connection, "SELECT COUNT(*) FROM t", vec![]).await, Value::Signed(1));
    say(&mut *connection, Operation::Release("s".into())).await.unwrap();
    say(&mut *connection, Operation::RollbackTo("s".into())).await.unwrap();
    assert_eq!(one(&mut *connection, "SELECT COUNT(*) FROM t", vec![]).await, Value::Signed(0));
    all(&mut *connection, &["INSERT INTO t VALUES (4, 4)"]).await;
    say(&mut *connection, Operation::Release("s".into())).await.unwrap();
    assert_eq!(say(&mut *connection, Operation::Release("s".into())).await.unwrap_err().kind, FailureKind::Invalid);
    say(&mut *connection, Operation::Commit).await.unwrap();
    assert_eq!(count(&fixture).await, 1);
}

#[tokio::test]
async fn a_failed_statement_leaves_only_rolling_back() {
    let fixture = Fixture::new().await;
    let mut connection = with_table(&fixture).await;
    begin(&mut *connection).await;
    all(&mut *connection, &["INSERT INTO t VALUES (1, 1)"]).await;
    say(&mut *connection, Operation::Savepoint("s".into())).await.unwrap();
    failure(&mut *connection, "INSERT INTO t VALUES (1, 1)", vec![]).await;
    let failed = failure(&mut *connection, "INSERT INTO t VALUES (2, 2)", vec![]).await;
    assert_eq!(failed.kind, FailureKind::TransactionAborted);
    say(&mut *connection, Operation::RollbackTo("s".into())).await.unwrap();
    all(&mut *connection, &["INSERT INTO t VALUES (2, 2)"]).await;
    failure(&mut *connection, "INSERT INTO t VALUES (1, 1)", vec![]).await;
    assert_eq!(say(&mut *connection, Operation::Commit).await.unwrap_err().kind, FailureKind::TransactionAborted);
    assert_eq!(count(&fixture).await, 0);
    all(&mut *connection, &["INSERT INTO t VALUES (3, 3)"]).await;
    assert_eq!(count(&fixture).await, 1);
}

#[tokio::test]
async fn a_deadlock_ends_the_transaction_and_no_savepoint_brings_it_back() {
    let fixture = Fixture::new().await;
    let mut connection = with_table(&fixture).await;
    all(&mut *connection, &["INSERT INTO t VALUES (1, 1), (2, 2)"]).await;
    let mut other = connected(&fixture).await;
    begin(&mut *connection).await;
    begin(&mut *other).await;
    // The one with less to undo is the victim.
    all(&mut *other, &["INSERT INTO t VALUES (3, 3), (4, 4), (5, 5), (6, 6)", "UPDATE t SET b = 7 WHERE a = 2"]).await;
    all(&mut *connection, &["UPDATE t SET b = 8 WHERE a = 1"]).await;
    say(&mut *connection, Operation::Savepoint("s".into())).await.unwrap();
    let waiting = tokio::spawn(async move {
        let result = execute(&mut *other, "UPDATE t SET b = 9 WHERE a = 1", vec![]).await;
        (other, result)
    });
    // No other test waits for a row. INNODB_TRX would not do: it is not brought up to date while somebody keeps looking.
    let waits =
        "SELECT VARIABLE_VALUE >= 1 FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'INNODB_ROW_LOCK_CURRENT_WAITS'";
    fixture.until(waits, 1).await;
    let failed = failure(&mut *connection, "UPDATE t SET b = 10 WHERE a = 2", vec![]).await;
    assert_eq!((failed.kind, failed.code.as_deref()), (FailureKind::Database, Some("40001")), "{failed:?}");
    let failed = say(&mut *connection, Operation::RollbackTo("s".into())).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::TransactionAborted, "{failed:?}");
    assert_eq!(say(&mut *connection, Operation::Commit).await.unwrap_err().kind, FailureKind::TransactionAborted);
    let (mut other, result) = waiting.await.unwrap();
    result.unwrap();
    say(&mut *other, Operation::Commit).await.unwrap();
    assert_eq!(count(&fixture).await, 6);
}

#[tokio::test]
async fn what_commits_by_itself_is_refused_or_noticed() {
    let fixture = Fixture::new().await;
    let mut connection = with_table(&fixture).await;
    fixture
        .run(
            "CREATE PROCEDURE commits() COMMIT; CREATE PROCEDURE chains() BEGIN COMMIT; START TRANSACTION; END; \
             CREATE PROCEDURE quiet() DO 1; CREATE PROCEDURE begins() START TRANSACTION; \
             CREATE PROCEDURE switches() SET autocommit = 0",
        )
        .await;
    begin(&mut *connection).await;
    for sql in ["CREATE TABLE u (a INT)", "DROP TABLE t", "TRUNCATE t", "LOCK TABLES t WRITE", "ALTER TABLE t ADD c INT"] {
        assert_eq!(failure(&mut *connection, sql, vec![]).await.kind, FailureKind::Denied, "{sql}");
    }
    all(&mut *connection, &["CREATE TEMPORARY TABLE temporary_one (a INT)", "CALL quiet()", "INSERT INTO t VALUES (1, 1)"]).await;
    say(&mut *connection, Operation::Commit).await.unwrap();

    for (sql, own) in [("CALL commits()", 0), ("CALL chains()", 0), ("IF 1 THEN COMMIT; END IF", 0), ("CALL quiet()", 1)] {
        let mut connection = connected(&fixture).await;
        begin(&mut *connection).await;
        all(&mut *connection, &["UPDATE t SET b = b + 1"]).await;
        let result = execute(&mut *connection, sql, vec![]).await;
        let kind = result.err().map(|failure| failure.kind);
        assert_eq!(kind, (own == 0).then_some(FailureKind::TransactionAborted), "{sql}");
        let committed = say(&mut *connection, Operation::Commit).await.map_err(|failure| failure.kind);
        assert_eq!(committed, if own == 0 { Err(FailureKind::TransactionAborted) } else { Ok(()) }, "{sql}");
    }

    for sql in ["CALL begins()", "CALL switches()", "IF 1 THEN SET autocommit = 0; END IF"] {
        let mut connection = connected(&fixture).await;
        let failure = failure(&mut *connection, sql, vec![]).await;
        assert_eq!((failure.kind, failure.lost), (FailureKind::Denied, true), "{sql}");
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_unknown() {
    let fixture = Fixture::new().await;
    let driver = Mysql::new(&fixture.url, Settings::default()).unwrap();
    let mut control = driver.control().await.unwrap();
    let mut connection = with_table(&fixture).await;
    begin(&mut *connection).await;
    all(&mut *connection, &["INSERT INTO t VALUES (1, 1)"]).await;
    let session = connection.session().clone();
    control.terminate(&session).await.unwrap();
    fixture.until(&format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {}", session.id), 0).await;
    let failure = say(&mut *connection, Operation::Commit).await.unwrap_err();
    assert_eq!((failure.kind, failure.lost), (FailureKind::CommitUnknown, true), "{failure:?}");
}

#[tokio::test]
async fn a_statement_whose_answer_is_lost_may_have_taken_effect_unless_it_only_reads() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE TABLE t (a INT)").await;
    let mut control = Mysql::new(&fixture.url, Settings::default()).unwrap().control().await.unwrap();
    for (sql, expected) in
        [("INSERT INTO t VALUES (1)", FailureKind::CommitUnknown), ("SELECT COUNT(*) FROM t", FailureKind::Disconnected)]
    {
        let mut connection = connected(&fixture).await;
        // So that nothing is left to be prepared.
        all(&mut *connection, &[sql]).await;
        let session = connection.session().clone();
        control.terminate(&session).await.unwrap();
        fixture.until(&format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {}", session.id), 0).await;
        let failure = failure(&mut *connection, sql, vec![]).await;
        assert_eq!((failure.kind, failure.lost), (expected, true), "{sql}");
    }
    // The control path knows itself, so that nobody takes it for one that was left.
    let own = control.session().unwrap().clone();
    assert!(control.is_listed(&own).await.unwrap());
}

#[tokio::test]
async fn an_idle_transaction_is_ended_by_the_server() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE TABLE t (a INT)").await;
    let settings = Settings { idle_in_transaction_timeout: std::time::Duration::from_secs(1), ..Settings::default() };
    let mut connection = Mysql::new(&fixture.url, settings).unwrap().connect().await.unwrap();
    begin(&mut *connection).await;
    let id = connection.session().id;
    fixture.until(&format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {id}"), 0).await;
    let failure = failure(&mut *connection, "INSERT INTO t VALUES (1)", vec![]).await;
    assert_eq!((failure.kind, failure.lost), (FailureKind::Disconnected, true));
}
