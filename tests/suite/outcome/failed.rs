//! A transaction that has failed: its COMMIT is an error, and so is whatever would pass for its continuation.

use sqlx::Connection as _;
use support::servers::{Engine, ServerDatabase};
use wharf::{
    driver::{FailureKind, Operation},
    pool::{OperationError, Via},
};

use super::{Pool, TRANSACTION, execute, failure, ground::Ground, query, run};

#[tokio::test]
async fn a_commit_after_a_statement_that_failed_is_an_error() {
    for engine in Engine::ALL {
        let ground = Ground::new(engine).await;
        let pool = Pool::new(ground.driver()).await;
        for fails in ["SELECT no_such_column", "no SQL", "INSERT INTO notes VALUES (NULL)"] {
            let hold = pool.begun().await;
            run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('lost')")).await.unwrap();
            run(&hold, TRANSACTION, query(fails)).await.unwrap_err();
            assert_eq!(
                run(&hold, TRANSACTION, query("SELECT 1")).await.unwrap_err(),
                OperationError::Aborted,
                "{engine:?} {fails}"
            );
            assert_eq!(
                run(&hold, TRANSACTION, Operation::Commit).await.unwrap_err(),
                OperationError::Aborted,
                "{engine:?} {fails}"
            );
        }
        pool.close().await;
        assert_eq!(ground.settled().await, "", "{engine:?}");
    }
}

#[tokio::test]
async fn a_commit_that_postgres_refuses_has_failed_and_says_so() {
    let ground = Ground::new(Engine::Postgres).await;
    let pool = Pool::new(ground.driver()).await;
    // Checked when it is committed.
    let hold = pool.begun().await;
    run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('a'), ('a')")).await.unwrap();
    assert_eq!(failure(run(&hold, TRANSACTION, Operation::Commit).await).kind, FailureKind::ConstraintViolation);
    // The transaction is over, and the connection stays its holder's.
    run(&hold, Via::Connection, execute("INSERT INTO notes VALUES ('b')")).await.unwrap();
    drop(hold);
    // An earlier statement failed.
    let hold = pool.begun().await;
    run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('c')")).await.unwrap();
    run(&hold, TRANSACTION, query("SELECT 1/0")).await.unwrap_err();
    assert_eq!(run(&hold, TRANSACTION, Operation::Commit).await.unwrap_err(), OperationError::Aborted);
    drop(hold);
    // One that failed where the host did not see it.
    let hold = pool.begun().await;
    run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('d')")).await.unwrap();
    run(&hold, TRANSACTION, execute("DO $$ BEGIN COMMIT; END $$")).await.unwrap_err();
    run(&hold, TRANSACTION, Operation::Commit).await.unwrap_err();
    drop(hold);
    pool.close().await;
    assert_eq!(ground.settled().await, "b");
}

/// On MariaDB a procedure can end the transaction of its caller, and begin another.
#[tokio::test]
async fn a_transaction_that_a_procedure_has_ended_goes_on_in_no_other() {
    for (ends, kept) in [
        ("BEGIN ROLLBACK; END", ""),
        ("BEGIN COMMIT; END", "outer"),
        ("BEGIN ROLLBACK; START TRANSACTION; INSERT INTO notes VALUES ('stray'); END", ""),
        ("BEGIN COMMIT AND CHAIN; INSERT INTO notes VALUES ('stray'); END", "outer"),
        ("BEGIN CREATE TABLE other (a INT); END", "outer"),
        ("BEGIN ROLLBACK; START TRANSACTION; SAVEPOINT a; END", ""),
    ] {
        for by_itself in [true, false] {
            let ground = Ground::new(Engine::Mariadb).await;
            ground.database.execute(&format!("CREATE PROCEDURE ends() {ends}")).await;
            let pool = Pool::new(ground.driver()).await;
            let hold = pool.begun().await;
            run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('outer')")).await.unwrap();
            run(&hold, TRANSACTION, Operation::Savepoint("a".into())).await.unwrap();
            let compound = ends.replacen("BEGIN", "IF 1 THEN", 1).replace("; END", "; END IF");
            let sql = if by_itself { compound } else { "CALL ends()".to_owned() };
            let ended = failure(run(&hold, TRANSACTION, execute(&sql)).await);
            assert_eq!(ended.kind, FailureKind::TransactionAborted, "{sql}: {ended:?}");
            run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('after')")).await.unwrap_err();
            run(&hold, TRANSACTION, Operation::RollbackTo("a".into())).await.unwrap_err();
            run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('after')")).await.unwrap_err();
            run(&hold, TRANSACTION, Operation::Commit).await.unwrap_err();
            drop(hold);
            pool.close().await;
            assert_eq!(ground.settled().await, kept, "{sql}");
        }
    }
}

/// Two transactions that wait for each other, of which the server rolls back the pool's: wholly on MariaDB, savepoints and all.
async fn deadlock(ground: &Ground, pool: &Pool) {
    let hold = pool.begun().await;
    let on = |operation| run(&hold, TRANSACTION, operation);
    on(execute("INSERT INTO notes VALUES ('mine')")).await.unwrap();
    on(execute("UPDATE numbers SET n = n + 1 WHERE id = 1")).await.unwrap();
    on(Operation::Savepoint("a".into())).await.unwrap();
    let ServerDatabase::Mariadb(database) = &ground.database else { panic!("MariaDB") };
    let mut other = database.connect().await;
    // Whoever has written less is the victim, whoever closes the circle.
    let begun = "BEGIN; UPDATE numbers SET n = n + 1 WHERE id > 1";
    sqlx::raw_sql(begun).execute(&mut other).await.unwrap();
    let crossing = sqlx::raw_sql("UPDATE numbers SET n = n + 1 WHERE id = 1").execute(&mut other);
    let (victim, other_one) = tokio::join!(on(execute("UPDATE numbers SET n = n + 1 WHERE id = 2")), crossing);
    other_one.unwrap();
    let victim = failure(victim);
    assert_eq!((victim.kind, victim.code.as_deref(), victim.lost), (FailureKind::Database, Some("40001"), false), "{victim:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    on(execute("INSERT INTO notes VALUES ('after')")).await.unwrap_err();
    on(Operation::RollbackTo("a".into())).await.unwrap_err();
    on(execute("INSERT INTO notes VALUES ('after')")).await.unwrap_err();
    let committed = on(Operation::Commit).await.unwrap_err();
    assert!(!format!("{committed:?}").contains("CommitUnknown"), "{committed:?}");
}

#[tokio::test]
async fn the_victim_of_a_deadlock_on_mariadb_commits_nothing_and_no_savepoint_brings_it_back() {
    let ground = Ground::new(Engine::Mariadb).await;
    ground.database.execute("CREATE TABLE numbers (id INT PRIMARY KEY, n INT)").await;
    ground.database.execute("INSERT INTO numbers SELECT seq, 0 FROM seq_1_to_100").await;
    let pool = Pool::new(ground.driver()).await;
    for _ in 0..3 {
        deadlock(&ground, &pool).await;
        assert_eq!(ground.written().await, "");
    }
    pool.close().await;
    assert_eq!(ground.settled().await, "");
}
