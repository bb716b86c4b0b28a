//! SQL that tries to control what the host controls, on MariaDB.

use std::time::Duration;

use support::mariadb::MariadbDatabase;
use tokio::time::{Instant, timeout};
use wharf::{
    driver::{FailureKind, Operation, mysql::Mysql, settings::Settings as DriverSettings},
    pool::{Limit, OperationError, Settings, Until, Via},
};

use super::super::{Bed, LIMIT, PATIENCE, TRANSACTION, begin, query, run, seen, statement};

async fn bed(database: &MariadbDatabase) -> Bed {
    let driver = Mysql::new(&database.url(&database.owner), DriverSettings::default()).unwrap();
    Bed::new(driver, Settings::default()).await
}

/// The rows that others see.
async fn notes(database: &MariadbDatabase) -> String {
    database.text("SELECT COALESCE(GROUP_CONCAT(note ORDER BY note SEPARATOR ' '), '') FROM notes").await
}

/// The next borrower is in no transaction, and the server agrees.
async fn clean(database: &MariadbDatabase, bed: &Bed, sql: &str) {
    let hold = bed.borrow_it().await;
    let before = seen(&hold, Via::Connection, "SELECT @@in_transaction = 0 AND @@autocommit = 1").await;
    assert_eq!(before, seen(&hold, Via::Connection, "SELECT 1").await, "{sql}");
    // One that has just answered is a moment longer at it.
    database.until_sessions("all to be idle", PATIENCE, |sessions| sessions.iter().all(|row| row.command == "Sleep")).await;
}

#[tokio::test]
async fn a_text_of_several_statements_runs_none_of_them() {
    let database = MariadbDatabase::create().await;
    database.execute("CREATE TABLE notes (note VARCHAR(100))").await;
    let bed = bed(&database).await;
    for sql in [
        "BEGIN; SELECT 1/0",
        "SELECT 1; BEGIN",
        "INSERT INTO notes VALUES ('a'); SELECT no_such_column",
        "INSERT INTO notes VALUES ('a'); INSERT INTO notes VALUES ('b')",
        ";;SELECT 1;COMMIT",
        "SELECT 1; SET autocommit = 0",
        "/* a */ SELECT 1; -- b\nCOMMIT",
    ] {
        for via in [Via::Connection, TRANSACTION] {
            let hold = bed.borrow_it().await;
            if via == TRANSACTION {
                run(&hold, via, begin()).await.unwrap();
            }
            for operation in [Operation::Query(statement(sql), LIMIT), Operation::Execute(statement(sql))] {
                run(&hold, via, operation).await.expect_err(sql);
            }
            drop(hold);
            clean(&database, &bed, sql).await;
            assert_eq!(notes(&database).await, "", "{sql}");
        }
    }
    bed.close().await;
}

#[tokio::test]
async fn without_a_server_s_limit_the_host_s_still_holds() {
    let database = MariadbDatabase::create().await;
    database
        .execute(
            "CREATE PROCEDURE lifts() SET max_statement_time = 0, idle_transaction_timeout = 0, innodb_lock_wait_timeout = 1000; \
             CREATE FUNCTION lift() RETURNS INT BEGIN SET max_statement_time = 0; RETURN 1; END",
        )
        .await;
    let bed = bed(&database).await;
    for off in [
        "SET max_statement_time = 0",
        "SET SESSION max_statement_time = 0, idle_transaction_timeout = 0",
        "CALL lifts()",
        "SELECT lift()",
        "SET STATEMENT sql_mode = '' FOR SET max_statement_time = 0",
    ] {
        let hold = bed.borrow_it().await;
        let opened = bed.opened();
        query(&hold, Via::Connection, off).await.unwrap_or_else(|error| panic!("{off}: {error:?}"));
        assert_eq!(
            seen(&hold, Via::Connection, "SELECT @@max_statement_time = 0").await,
            seen(&hold, Via::Connection, "SELECT 1").await,
            "{off}"
        );
        let until = Until { at: Instant::now() + Duration::from_millis(100), limit: Limit::Statement };
        let error = hold.run(Via::Connection, Operation::Query(statement("SELECT SLEEP(600)"), LIMIT), until).await;
        assert!(matches!(error, Err(OperationError::TimedOut { limit: Limit::Statement, .. })), "{off}: {error:?}");
        drop(hold);
        // Long before the statement would have ended, and on another connection: a late kill could hit the next statement.
        let setting = timeout(PATIENCE, bed.seen("SELECT @@max_statement_time > 0 AND @@idle_transaction_timeout > 0")).await;
        assert_eq!(setting.unwrap(), bed.seen("SELECT 1").await, "{off}");
        assert!(bed.opened() > opened, "{off}");
    }
    bed.close().await;
}

#[tokio::test]
async fn a_commit_inside_of_code_outside_of_a_transaction_is_its_own_and_inside_ends_the_host_s_for_good() {
    let database = MariadbDatabase::create().await;
    database.execute("CREATE TABLE notes (note VARCHAR(100))").await;
    let insert = |note: &str| format!("INSERT INTO notes VALUES ('{note}'); ");
    // What it does, and what is there when it ran outside of a transaction, and when it ran inside of one that wrote `mine`.
    let table = [
        ("commits", format!("{}COMMIT; {}", insert("before"), insert("after")), "after before", "after before mine"),
        ("rolls_back", format!("{}ROLLBACK; {}", insert("before"), insert("after")), "after before", "after"),
        (
            "begins",
            format!("START TRANSACTION; {}COMMIT; {}", insert("before"), insert("after")),
            "after before",
            "after before mine",
        ),
        (
            "defines",
            format!("{}CREATE OR REPLACE TABLE other (a INT); {}", insert("before"), insert("after")),
            "after before",
            "after before mine",
        ),
    ];
    for (name, body, _, _) in &table {
        database.execute(&format!("CREATE PROCEDURE {name}() BEGIN {body} END")).await;
    }
    let bed = bed(&database).await;
    for (name, body, outside, inside) in &table {
        for sql in [format!("CALL {name}()"), format!("IF 1 THEN {body} END IF")] {
            let hold = bed.borrow_it().await;
            query(&hold, Via::Connection, &sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            drop(hold);
            clean(&database, &bed, &sql).await;
            assert_eq!(notes(&database).await, *outside, "{sql}");
            database.execute("DELETE FROM notes").await;

            for committed in [true, false] {
                let hold = bed.borrow_it().await;
                run(&hold, TRANSACTION, begin()).await.unwrap();
                query(&hold, TRANSACTION, "INSERT INTO notes VALUES ('mine')").await.unwrap();
                match query(&hold, TRANSACTION, &sql).await {
                    Err(OperationError::Failed(failure)) if failure.kind == FailureKind::TransactionAborted => {}
                    other => panic!("{sql}: {other:?}"),
                }
                // Nothing that follows passes for a part of it.
                query(&hold, TRANSACTION, "INSERT INTO notes VALUES ('stray')").await.expect_err(&sql);
                if committed {
                    run(&hold, TRANSACTION, Operation::Commit).await.expect_err(&sql);
                }
                drop(hold);
                clean(&database, &bed, &sql).await;
                assert_eq!(notes(&database).await, *inside, "{sql}");
                database.execute("DELETE FROM notes").await;
            }
        }
    }
    bed.close().await;
}

#[tokio::test]
async fn code_that_commits_and_then_fails_keeps_what_it_committed_and_leaves_no_transaction() {
    let database = MariadbDatabase::create().await;
    database.execute("CREATE TABLE notes (note VARCHAR(100))").await;
    let bed = bed(&database).await;
    for begun in ["", "START TRANSACTION; "] {
        let sql = format!(
            "IF 1 THEN INSERT INTO notes VALUES ('before'); COMMIT; {begun}INSERT INTO notes VALUES ('after'); SIGNAL SQLSTATE '45000'; \
             END IF"
        );
        let hold = bed.borrow_it().await;
        query(&hold, Via::Connection, &sql).await.expect_err(&sql);
        drop(hold);
        clean(&database, &bed, &sql).await;
        assert_eq!(notes(&database).await, if begun.is_empty() { "after before" } else { "before" }, "{sql}");
        database.execute("DELETE FROM notes").await;
    }
    bed.close().await;
}

#[tokio::test]
async fn nobody_locks_the_host_out_or_gives_rights_away() {
    let database = MariadbDatabase::create().await;
    let bed = bed(&database).await;
    let hold = bed.borrow_it().await;
    let name = &database.owner.name;
    for sql in [
        "SET PASSWORD = PASSWORD('another')".to_owned(),
        format!("ALTER USER {name} IDENTIFIED BY 'another'"),
        format!("GRANT ALL ON *.* TO {name}"),
        format!("CREATE USER {name}_other"),
        "SET GLOBAL max_connections = 1".to_owned(),
        "KILL CONNECTION 1".to_owned(),
    ] {
        query(&hold, Via::Connection, &sql).await.expect_err(&sql);
    }
    drop(hold);
    drop(database.connect().await);
    bed.close().await;
}
