//! Savepoints: what fails within one rolls back nothing but that.

use std::sync::Arc;

use support::servers::Engine;
use wharf::{
    driver::{
        Answer, Operation,
        settings::{Access, Settings as DriverSettings},
        sqlite::Sqlite,
    },
    pool::Via,
};

use super::{Pool, TRANSACTION, begin, execute, ground::Ground, query, run};

/// Leaves the notes `end` and `outer`, around a statement that fails again and again.
async fn nested(pool: &Pool, fails: &str) {
    let hold = pool.begun().await;
    let name = |name: &str| -> Arc<str> { name.into() };
    let insert = |note: &str| execute(&format!("INSERT INTO notes VALUES ('{note}')"));
    let on = |operation| run(&hold, TRANSACTION, operation);
    on(insert("outer")).await.unwrap();
    on(Operation::Savepoint(name("a"))).await.unwrap();
    on(insert("lost")).await.unwrap();
    on(execute(fails)).await.expect_err(fails);
    // Only going back is left, and going back undoes nothing else.
    on(insert("refused")).await.unwrap_err();
    on(Operation::RollbackTo(name("a"))).await.unwrap_or_else(|error| panic!("{fails}: {error:?}"));
    on(insert("after")).await.unwrap();
    // The same name within, which fails twice.
    on(Operation::Savepoint(name("a"))).await.unwrap();
    for _ in 0..2 {
        on(insert("lost too")).await.unwrap();
        on(execute(fails)).await.unwrap_err();
        on(Operation::RollbackTo(name("a"))).await.unwrap();
    }
    on(Operation::Release(name("a"))).await.unwrap();
    // One that is not there changes nothing.
    for operation in [Operation::RollbackTo(name("b")), Operation::Release(name("b")), begin()] {
        on(operation).await.unwrap_err();
    }
    on(insert("last")).await.unwrap();
    // The first of the name is still there, and with it everything before.
    on(Operation::RollbackTo(name("a"))).await.unwrap();
    on(insert("end")).await.unwrap();
    on(Operation::Commit).await.unwrap();
}

async fn on_a_server(engine: Engine, schema: &str, fail: &[&str]) {
    let ground = Ground::new(engine).await;
    ground.database.execute(schema).await;
    let pool = Pool::new(ground.driver()).await;
    for fails in fail {
        nested(&pool, fails).await;
        assert_eq!(ground.written().await, "end outer", "{fails}");
        ground.database.execute("DELETE FROM notes").await;
    }
    pool.close().await;
}

#[tokio::test]
async fn what_fails_within_a_savepoint_rolls_back_nothing_but_that_on_postgres() {
    let schema = "DROP TABLE notes; CREATE TABLE notes (note text UNIQUE)";
    let fail = ["SELECT 1/0", "INSERT INTO notes VALUES ('outer')", "no SQL", "DO $$ BEGIN ROLLBACK; END $$"];
    on_a_server(Engine::Postgres, schema, &fail).await;
}

#[tokio::test]
async fn what_fails_within_a_savepoint_rolls_back_nothing_but_that_on_mariadb() {
    let schema = "CREATE PROCEDURE fails() BEGIN INSERT INTO notes VALUES ('lost as well'); SIGNAL SQLSTATE '45000'; END; \
                  CREATE PROCEDURE undoes() BEGIN \
                    SAVEPOINT own; INSERT INTO notes VALUES ('lost as well'); ROLLBACK TO own; RELEASE SAVEPOINT nobody_s; END";
    let fail = [
        "INSERT INTO notes VALUES ('outer')",
        "INSERT INTO notes VALUES ('lost as well'), ('outer')",
        "INSERT INTO notes VALUES (REPEAT('x', 101))",
        "SELECT no_such_column",
        "no SQL",
        "CALL fails()",
        "CALL undoes()",
        "SET STATEMENT max_statement_time = 0.01 FOR SELECT SLEEP(600)",
        // Refused before the server hears of it.
        "COMMIT",
        "ROLLBACK",
        "CREATE TABLE other (a INT)",
    ];
    on_a_server(Engine::Mariadb, schema, &fail).await;
}

#[tokio::test]
async fn what_fails_within_a_savepoint_rolls_back_nothing_but_that_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let settings = DriverSettings { access: Access::ReadWrite, ..DriverSettings::default() };
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("outcome.db").display());
    let pool = Pool::new(Arc::new(Sqlite::new(&url, settings).unwrap())).await;
    let hold = pool.borrow_it().await;
    run(&hold, Via::Connection, execute("CREATE TABLE notes (note TEXT UNIQUE)")).await.unwrap();
    drop(hold);
    let count = |expected: &'static str| {
        let pool = &pool;
        async move {
            let hold = pool.borrow_it().await;
            let sql = format!(
                "SELECT 1 WHERE (SELECT coalesce(group_concat(note, ' '), '') FROM (SELECT note FROM notes ORDER BY note)) = '{expected}'"
            );
            let Answer::Rows(rows) = run(&hold, Via::Connection, query(&sql)).await.unwrap() else { panic!("rows") };
            assert_eq!(rows.batch.row_count, 1, "not {expected}");
        }
    };
    for fails in ["INSERT INTO notes VALUES ('outer')", "no SQL", "INSERT OR ABORT INTO notes VALUES ('outer')"] {
        nested(&pool, fails).await;
        count("end outer").await;
        let hold = pool.borrow_it().await;
        run(&hold, Via::Connection, execute("DELETE FROM notes")).await.unwrap();
    }
    // Where the engine itself rolls back everything, nothing that follows may pass for the transaction.
    let hold = pool.begun().await;
    run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('outer')")).await.unwrap();
    run(&hold, TRANSACTION, Operation::Savepoint("a".into())).await.unwrap();
    run(&hold, TRANSACTION, execute("INSERT OR ROLLBACK INTO notes VALUES ('outer')")).await.unwrap_err();
    run(&hold, TRANSACTION, Operation::RollbackTo("a".into())).await.unwrap_err();
    run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('stray')")).await.unwrap_err();
    run(&hold, TRANSACTION, Operation::Commit).await.unwrap_err();
    drop(hold);
    count("").await;
    pool.close().await;
}
