//! Transactions, savepoints, constraints, and writers that meet.

use std::time::Instant;

use super::*;

async fn done(session: &mut Box<dyn Connection>, operation: Operation) -> Result<(), Failure> {
    assert_eq!(session.run(operation).await?, Answer::Done);
    Ok(())
}

async fn add(session: &mut Box<dyn Connection>, record_number: &str) -> Result<Execution, Failure> {
    execute(session, "INSERT INTO patients (record_number) VALUES (?)", [text(record_number)]).await
}

const COUNT: &str = "SELECT count(*) FROM patients";

#[tokio::test]
async fn transactions_are_all_or_nothing_and_savepoints_in_between() {
    let file = File::new().await;
    let mut session = file.writer().await;
    for operation in
        [Operation::Commit, Operation::Savepoint("s".into()), Operation::RollbackTo("s".into()), Operation::Release("s".into())]
    {
        assert_eq!(session.run(operation).await.unwrap_err().kind, FailureKind::Invalid);
    }
    done(&mut session, Operation::Rollback).await.unwrap();
    done(&mut session, begin(false)).await.unwrap();
    assert_eq!(session.run(begin(false)).await.unwrap_err().kind, FailureKind::Invalid);
    add(&mut session, "a").await.unwrap();
    done(&mut session, Operation::Savepoint("select".into())).await.unwrap();
    add(&mut session, "b").await.unwrap();
    done(&mut session, Operation::Savepoint("select".into())).await.unwrap();
    add(&mut session, "c").await.unwrap();
    done(&mut session, Operation::RollbackTo("select".into())).await.unwrap();
    assert_eq!(number(&mut session, COUNT).await, 2);
    done(&mut session, Operation::Release("select".into())).await.unwrap();
    done(&mut session, Operation::RollbackTo("select".into())).await.unwrap();
    assert_eq!(number(&mut session, COUNT).await, 1);
    assert_eq!(session.run(Operation::Release("other".into())).await.unwrap_err().kind, FailureKind::Invalid);
    done(&mut session, Operation::Commit).await.unwrap();
    done(&mut session, begin(false)).await.unwrap();
    add(&mut session, "d").await.unwrap();
    assert!(session.needs_reset());
    session.reset().await.unwrap();
    assert!(!session.needs_reset());
    assert_eq!(number(&mut session, COUNT).await, 1);
}

#[tokio::test]
async fn a_read_only_transaction_refuses_writes_also_of_kept_statements() {
    let file = File::new().await;
    let mut session = file.writer().await;
    add(&mut session, "a").await.unwrap();
    done(&mut session, begin(true)).await.unwrap();
    let failure = add(&mut session, "b").await.unwrap_err();
    assert_eq!((failure.kind, failure.lost), (FailureKind::Denied, false));
    assert_eq!(number(&mut session, COUNT).await, 1);
    // It takes no writer's place.
    let mut other = file.writer().await;
    add(&mut other, "c").await.unwrap();
    assert_eq!(number(&mut session, COUNT).await, 1);
    done(&mut session, Operation::Commit).await.unwrap();
    add(&mut session, "b").await.unwrap();
    assert_eq!(number(&mut session, COUNT).await, 3);
}

#[tokio::test]
async fn a_second_writer_waits_for_busy_timeout_and_no_longer() {
    let file = File::new().await;
    let (mut first, mut second) = (file.writer().await, file.writer().await);
    done(&mut first, begin(false)).await.unwrap();
    for operation in [begin(false), Operation::Execute(statement("DELETE FROM patients", []))] {
        let began = Instant::now();
        let failure = second.run(operation).await.unwrap_err();
        assert_eq!((failure.kind, failure.code.as_deref(), failure.lost), (FailureKind::Database, Some("5"), false));
        assert!(began.elapsed() >= Duration::from_millis(90), "{:?}", began.elapsed());
    }
    assert_eq!(number(&mut second, COUNT).await, 0);
    done(&mut first, Operation::Commit).await.unwrap();
    done(&mut second, begin(false)).await.unwrap();
    done(&mut second, Operation::Rollback).await.unwrap();
}

#[tokio::test]
async fn broken_constraints_say_which() {
    let file = File::new().await;
    let mut session = file.writer().await;
    add(&mut session, "a").await.unwrap();
    execute(&mut session, "CREATE TABLE strict_one (n INTEGER) STRICT", []).await.unwrap();
    for (sql, kind, code, details) in [
        (
            "INSERT INTO patients (record_number) VALUES ('a')",
            FailureKind::ConstraintViolation,
            "2067",
            vec![("table", "patients"), ("column", "record_number")],
        ),
        (
            "INSERT INTO patients (id, record_number) VALUES (1, 'b')",
            FailureKind::ConstraintViolation,
            "1555",
            vec![("table", "patients"), ("column", "id")],
        ),
        (
            "INSERT INTO patients (record_number) VALUES (NULL)",
            FailureKind::ConstraintViolation,
            "1299",
            vec![("table", "patients"), ("column", "record_number")],
        ),
        (
            "INSERT INTO visits (patient, minutes) VALUES (1, 0)",
            FailureKind::ConstraintViolation,
            "275",
            vec![("constraint", "positive_minutes")],
        ),
        ("INSERT INTO visits (patient, minutes) VALUES (99, 1)", FailureKind::ConstraintViolation, "787", vec![]),
        ("INSERT INTO strict_one VALUES ('x')", FailureKind::Conversion, "3091", vec![("table", "strict_one"), ("column", "n")]),
        ("INSERT INTO patients (id, record_number) VALUES ('x', 'b')", FailureKind::Conversion, "20", vec![]),
    ] {
        let failure = execute(&mut session, sql, []).await.unwrap_err();
        let told: Vec<_> = failure.details.iter().map(|(key, value)| (*key, value.as_str())).collect();
        assert_eq!((failure.kind, failure.code.as_deref(), told, failure.lost), (kind, Some(code), details, false), "{sql}");
    }
}

#[tokio::test]
async fn what_the_engine_rolled_back_cannot_be_committed() {
    let file = File::new().await;
    let mut session = file.writer().await;
    add(&mut session, "a").await.unwrap();
    done(&mut session, begin(false)).await.unwrap();
    add(&mut session, "b").await.unwrap();
    let failure = execute(&mut session, "INSERT OR ROLLBACK INTO patients (record_number) VALUES ('a')", []).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::ConstraintViolation);
    // Nothing may slip out of the transaction that is no more.
    assert_eq!(add(&mut session, "c").await.unwrap_err().kind, FailureKind::TransactionAborted);
    assert_eq!(session.run(begin(false)).await.unwrap_err().kind, FailureKind::TransactionAborted);
    assert_eq!(session.run(Operation::Commit).await.unwrap_err().kind, FailureKind::TransactionAborted);
    assert_eq!(number(&mut session, COUNT).await, 1);

    done(&mut session, begin(false)).await.unwrap();
    execute(&mut session, "INSERT OR ROLLBACK INTO patients (record_number) VALUES ('a')", []).await.unwrap_err();
    done(&mut session, Operation::Rollback).await.unwrap();
    session.reset().await.unwrap();

    // An ordinary failure leaves the transaction to its owner.
    done(&mut session, begin(false)).await.unwrap();
    add(&mut session, "a").await.unwrap_err();
    add(&mut session, "b").await.unwrap();
    done(&mut session, Operation::Commit).await.unwrap();
    assert_eq!(number(&mut session, COUNT).await, 2);
}

#[tokio::test]
async fn constraints_that_wait_for_the_commit_fail_it() {
    let file = File::new().await;
    let mut session = file.writer().await;
    execute(&mut session, "CREATE TABLE later (p INTEGER REFERENCES patients (id) DEFERRABLE INITIALLY DEFERRED)", [])
        .await
        .unwrap();
    done(&mut session, begin(false)).await.unwrap();
    execute(&mut session, "INSERT INTO later VALUES (99)", []).await.unwrap();
    let failure = session.run(Operation::Commit).await.unwrap_err();
    assert_eq!((failure.kind, failure.lost), (FailureKind::ConstraintViolation, false));
    done(&mut session, Operation::Rollback).await.unwrap();
    session.reset().await.unwrap();
    assert_eq!(number(&mut session, "SELECT count(*) FROM later").await, 0);
}

#[tokio::test]
async fn a_new_file_is_opened_by_many_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/new.db", folder.path().display());
    let driver = Sqlite::new(&url, File::settings(Access::ReadWrite)).unwrap().create_if_missing();
    let sessions = futures::future::join_all((0..8).map(|_| driver.connect())).await;
    let mut ids: Vec<i64> = sessions.into_iter().map(|session| session.unwrap().session().id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 8);
}

#[tokio::test]
async fn a_reader_needs_no_writer_beside_it() {
    let file = File::new().await;
    let mut writer = file.writer().await;
    fill(&mut writer, 5).await;
    let mut beside = file.reader().await;
    assert_eq!(number(&mut beside, COUNT).await, 5);
    beside.close().await.unwrap();
    writer.close().await.unwrap();
    let mut alone = file.reader().await;
    alone.ping().await.unwrap();
    assert_eq!(number(&mut alone, COUNT).await, 5);
    alone.close().await.unwrap();
}
