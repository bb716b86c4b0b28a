//! SQL that tries to control what the host controls, on PostgreSQL: transactions and time limits.

use std::time::Duration;

use support::postgres::PostgresDatabase;
use tokio::time::{Instant, timeout};
use wharf::{
    driver::{FailureKind, Operation, postgres::Postgres, settings::Settings as DriverSettings},
    pool::{Hold, Limit, OperationError, Settings, Until, Via},
};

use super::{Bed, LIMIT, PATIENCE, TRANSACTION, begin, query, run, seen, statement};

async fn bed(database: &PostgresDatabase) -> Bed {
    let driver = Postgres::new(&database.url(&database.owner), DriverSettings::default()).unwrap();
    Bed::new(driver, Settings::default()).await
}

fn code(error: OperationError) -> (FailureKind, Option<String>) {
    match error {
        OperationError::Failed(failure) => (failure.kind, failure.code),
        other => panic!("{other:?}"),
    }
}

/// The rows that others see.
async fn notes(database: &PostgresDatabase) -> String {
    database.text("SELECT coalesce(string_agg(note, ' ' ORDER BY note), '') FROM notes").await
}

#[tokio::test]
async fn a_text_of_several_statements_runs_none_of_them() {
    let database = PostgresDatabase::create().await;
    database.execute("CREATE TABLE notes (note text)").await;
    let bed = bed(&database).await;
    for sql in ["BEGIN; SELECT 1/0", "SELECT 1; BEGIN", "INSERT INTO notes VALUES ('a'); SELECT 1/0", ";;SELECT 1;COMMIT"] {
        for via in [Via::Connection, TRANSACTION] {
            let hold = bed.borrow_it().await;
            let opened = bed.opened();
            if via == TRANSACTION {
                run(&hold, via, begin()).await.unwrap();
            }
            for operation in [Operation::Query(statement(sql), LIMIT), Operation::Execute(statement(sql))] {
                run(&hold, via, operation).await.expect_err(sql);
            }
            drop(hold);
            clean(&database, &bed, sql).await;
            assert_eq!((notes(&database).await.as_str(), bed.opened()), ("", opened), "{sql}");
        }
    }
    assert!(database.in_transaction().await.is_empty());
    bed.close().await;
}

#[tokio::test]
async fn without_a_server_s_limit_the_host_s_still_holds() {
    let database = PostgresDatabase::create().await;
    let bed = bed(&database).await;
    for off in [
        "SET statement_timeout = 0",
        "SELECT set_config('statement_timeout', '0', false)",
        "DO $$ BEGIN EXECUTE 'SET statement_timeout = 0'; END $$",
        "ALTER DATABASE \"NAME\" SET statement_timeout = 0",
    ] {
        let off = off.replace("NAME", &database.name);
        let hold = bed.borrow_it().await;
        let opened = bed.opened();
        query(&hold, Via::Connection, &off).await.unwrap();
        let until = Until { at: Instant::now() + Duration::from_millis(100), limit: Limit::Statement };
        let error = hold.run(Via::Connection, Operation::Query(statement("SELECT pg_sleep(600)::text"), LIMIT), until).await;
        assert!(matches!(error, Err(OperationError::TimedOut { limit: Limit::Statement, .. })), "{off}: {error:?}");
        drop(hold);
        // Long before the statement would have ended, and on another connection: a late cancel could hit the next statement.
        let setting = timeout(PATIENCE, bed.seen("SELECT current_setting('statement_timeout') <> '0'")).await.unwrap();
        assert_eq!(setting, bed.seen("SELECT true").await, "{off}");
        assert_eq!(bed.opened(), opened + 1, "{off}");
    }
    bed.close().await;
}

/// Calls it outside and inside of a transaction. What was inserted before and after must not outlive what the host was told.
async fn outside_and_inside(database: &PostgresDatabase, bed: &Bed, sql: &str) {
    // Outside there is no transaction of the host's: the code may commit what is its own.
    let hold = bed.borrow_it().await;
    let opened = bed.opened();
    query(&hold, Via::Connection, sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    drop(hold);
    clean(database, bed, sql).await;
    assert_eq!(notes(database).await, "after before", "{sql}");
    database.execute("DELETE FROM notes").await;

    // Inside there is one, which only the host ends.
    for committed in [true, false] {
        let hold = bed.borrow_it().await;
        run(&hold, TRANSACTION, begin()).await.unwrap();
        query(&hold, TRANSACTION, "INSERT INTO notes VALUES ('mine')").await.unwrap();
        let failure = code(query(&hold, TRANSACTION, sql).await.expect_err(sql));
        assert_eq!(failure, (FailureKind::Database, Some("2D000".to_owned())), "{sql}");
        if committed {
            let error = commit(&hold).await.expect_err(sql);
            assert!(matches!(error, OperationError::Aborted) || code(error).0 == FailureKind::TransactionAborted, "{sql}");
        }
        drop(hold);
        clean(database, bed, sql).await;
        assert_eq!(notes(database).await, "", "{sql}");
    }
    assert_eq!(bed.opened(), opened, "{sql}");
}

async fn commit(hold: &Hold) -> Result<(), OperationError> {
    run(hold, TRANSACTION, Operation::Commit).await.map(drop)
}

/// The next borrower is in no transaction, and the server agrees.
async fn clean(database: &PostgresDatabase, bed: &Bed, sql: &str) {
    let hold = bed.borrow_it().await;
    let before = seen(&hold, Via::Connection, "SELECT pg_current_xact_id_if_assigned()::text IS NULL").await;
    assert_eq!(before, seen(&hold, Via::Connection, "SELECT true").await, "{sql}");
    let open = database.sessions().await;
    assert!(open.iter().all(|row| row.state == "idle"), "{sql}: {open:#?}");
}

#[tokio::test]
async fn a_commit_inside_of_code_ends_no_transaction_of_the_host_s() {
    let database = PostgresDatabase::create().await;
    let body = "INSERT INTO notes VALUES ('before'); COMMIT; INSERT INTO notes VALUES ('after');";
    database
        .execute(&format!(
            "CREATE TABLE notes (note text); \
             CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN {body} END $$; \
             CREATE PROCEDURE calls() LANGUAGE plpgsql AS $$ BEGIN CALL commits(); END $$; \
             CREATE PROCEDURE rolls_back() LANGUAGE plpgsql AS $$ BEGIN \
               INSERT INTO notes VALUES ('undone'); ROLLBACK; {body} END $$; \
             CREATE PROCEDURE chains() LANGUAGE plpgsql AS $$ BEGIN \
               INSERT INTO notes VALUES ('before'); COMMIT AND CHAIN; INSERT INTO notes VALUES ('after'); END $$"
        ))
        .await;
    let bed = bed(&database).await;
    let block = format!("DO $$ BEGIN {body} END $$");
    for sql in ["CALL commits()", "CALL calls()", "CALL rolls_back()", "CALL chains()", &block] {
        outside_and_inside(&database, &bed, sql).await;
    }
    bed.close().await;
}

#[tokio::test]
async fn code_that_commits_and_then_fails_keeps_what_it_committed_and_leaves_no_transaction() {
    let database = PostgresDatabase::create().await;
    database.execute("CREATE TABLE notes (note text)").await;
    let bed = bed(&database).await;
    let opened = bed.opened();
    let sql = "DO $$ BEGIN INSERT INTO notes VALUES ('before'); COMMIT; INSERT INTO notes VALUES ('after'); PERFORM 1/0; END $$";
    let hold = bed.borrow_it().await;
    assert_eq!(code(query(&hold, Via::Connection, sql).await.unwrap_err()).1.as_deref(), Some("22012"));
    drop(hold);
    clean(&database, &bed, sql).await;
    assert_eq!((notes(&database).await.as_str(), bed.opened()), ("before", opened));
    bed.close().await;
}
