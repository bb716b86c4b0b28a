//! Residue that is not a matter of a statement and a look: locks, the next transaction, seeds, cursors; and what leaves none.

use sqlx::Connection;
use wharf::driver::Operation;

use super::{
    super::{Bed, Fate, LIMIT, SITUATIONS, Settings, TRANSACTION, Via, begin, query, run, seen, statement},
    driver, drop_member, made, prepared, row,
    table::Came,
};

#[tokio::test]
async fn a_transaction_that_was_left_open_is_gone_with_its_work_and_its_locks() {
    let database = prepared().await;
    let bed = Bed::new(driver(&database), Settings::default()).await;
    let probe = "SELECT SUM(n), @@in_transaction FROM numbers";
    let fresh = bed.seen(probe).await;
    for sql in
        ["INSERT INTO numbers VALUES (4)", "SELECT n FROM numbers FOR UPDATE", "DELETE FROM numbers", "UPDATE numbers SET n = 7"]
    {
        for fails in [false, true] {
            let hold = bed.borrow_it().await;
            let opened = bed.opened();
            run(&hold, TRANSACTION, begin()).await.unwrap();
            query(&hold, TRANSACTION, sql).await.unwrap();
            assert_ne!(seen(&hold, TRANSACTION, probe).await, fresh, "{sql}");
            // Others do not get the rows.
            let mut other = database.connect().await;
            let got = sqlx::raw_sql("SELECT n FROM numbers FOR UPDATE NOWAIT").fetch_all(&mut other).await;
            assert!(got.is_err(), "{sql}");
            other.close().await.unwrap();
            if fails {
                query(&hold, TRANSACTION, "SELECT no_such_column").await.unwrap_err();
            }
            drop(hold);
            assert_eq!(bed.opened(), opened, "{sql}, {fails}");
            assert_eq!(bed.seen(probe).await, fresh, "{sql}, {fails}");
            assert_eq!(database.text("SELECT CONCAT(COUNT(*)) FROM numbers FOR UPDATE NOWAIT").await, "3", "{sql}, {fails}");
            assert_eq!(bed.opened(), opened, "{sql}, {fails}");
        }
    }
    bed.close().await;
    drop_member(&database).await;
}

#[tokio::test]
async fn the_isolation_of_the_next_transaction_is_not_that_of_the_next_borrower_s() {
    let database = prepared().await;
    database.execute("CREATE PROCEDURE weakens() SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED").await;
    let mut other = database.connect().await;
    sqlx::raw_sql("BEGIN; INSERT INTO numbers VALUES (100)").execute(&mut other).await.unwrap();
    let bed = Bed::new(driver(&database), Settings::default()).await;
    let probe = "SELECT COUNT(*) FROM numbers";
    for sql in ["SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED", "CALL weakens()"] {
        for begins in [true, false] {
            let hold = bed.borrow_it().await;
            let via = if begins { TRANSACTION } else { Via::Connection };
            query(&hold, Via::Connection, sql).await.unwrap();
            // A probe by itself would be the next transaction.
            drop(hold);
            let hold = bed.borrow_it().await;
            if begins {
                run(&hold, via, begin()).await.unwrap();
            }
            assert_eq!(seen(&hold, via, probe).await, seen(&hold, via, "SELECT 3").await, "{sql}, {begins}");
        }
        // It shows to who set it.
        let hold = bed.borrow_it().await;
        query(&hold, Via::Connection, sql).await.unwrap();
        run(&hold, TRANSACTION, begin()).await.unwrap();
        assert_eq!(seen(&hold, TRANSACTION, probe).await, seen(&hold, TRANSACTION, "SELECT 4").await, "{sql}");
    }
    bed.close().await;
    other.close().await.unwrap();
    drop_member(&database).await;
}

#[tokio::test]
async fn a_seed_does_not_tell_the_next_borrower_s_random_numbers() {
    let database = prepared().await;
    database.execute("CREATE PROCEDURE seeds() SET rand_seed1 = 5, rand_seed2 = 7").await;
    let bed = Bed::new(driver(&database), Settings::default()).await;
    for sql in ["SET rand_seed1 = 5, rand_seed2 = 7", "CALL seeds()"] {
        let hold = bed.borrow_it().await;
        query(&hold, Via::Connection, sql).await.unwrap();
        let told = seen(&hold, Via::Connection, "SELECT RAND(), RAND(), RAND()").await;
        query(&hold, Via::Connection, sql).await.unwrap();
        assert_eq!(seen(&hold, Via::Connection, "SELECT RAND(), RAND(), RAND()").await, told, "{sql}");
        query(&hold, Via::Connection, sql).await.unwrap();
        drop(hold);
        assert_ne!(bed.seen("SELECT RAND(), RAND(), RAND()").await, told, "{sql}");
    }
    bed.close().await;
    drop_member(&database).await;
}

#[tokio::test]
async fn what_leaves_nothing_costs_no_connection() {
    let database = prepared().await;
    let bed = Bed::new(driver(&database), Settings::default()).await;
    let hold = bed.borrow_it().await;
    let opened = bed.opened();
    drop(hold);
    for sql in [
        "SELECT n, CONCAT('a', n) FROM numbers WHERE n > 1 ORDER BY n LIMIT 2",
        "WITH x AS (SELECT n FROM numbers) SELECT MAX(n) FROM x",
        "INSERT INTO keyed () VALUES ()",
        "UPDATE numbers SET n = n WHERE n = 1",
        "DELETE FROM keyed",
        "SHOW TABLES",
        "SELECT RAND(3), UUID(), NOW()",
    ] {
        for situation in SITUATIONS {
            for _ in 0..2 {
                let row = row(&bed, sql, situation, "SELECT 1", false).await;
                assert_eq!((row.came, row.fate), (Came::Ran, Fate::Kept), "{sql}, {situation:?}");
            }
        }
    }
    // A statement that fails has left nothing either.
    for (sql, number) in [("SELECT no_such_column", 1054), ("INSERT INTO keyed VALUES (1), (1)", 1062), ("SELECT FROM", 1064)] {
        for situation in SITUATIONS {
            let row = row(&bed, sql, situation, "SELECT 1", false).await;
            assert_eq!((row.came, row.fate), (Came::Failed(number), Fate::Kept), "{sql}, {situation:?}");
        }
    }
    assert_eq!(bed.opened(), opened);
    bed.close().await;
    drop_member(&database).await;
}

/// Where PostgreSQL has vehicles and MariaDB has none: if a server takes them, they belong into the table.
#[tokio::test]
async fn no_default_check_index_or_generated_column_of_mariadb_calls_a_function() {
    let database = prepared().await;
    database.execute("CREATE FUNCTION leave_it() RETURNS INT DETERMINISTIC BEGIN SET @left_over = 1; RETURN 1; END").await;
    for sql in [
        "CREATE TABLE other (a INT DEFAULT (leave_it()))",
        "CREATE TABLE other (a INT, b INT AS (leave_it()))",
        "CREATE TABLE other (a INT, b INT AS (leave_it()) STORED)",
        "CREATE TABLE other (a INT CHECK (leave_it() = 1))",
        "CREATE TABLE other (a INT, CHECK (leave_it() = a))",
        "ALTER TABLE numbers ALTER n SET DEFAULT (leave_it())",
    ] {
        assert_eq!(made(&database, sql).await, Came::Unmade(1901), "{sql}");
    }
    assert_eq!(made(&database, "CREATE TABLE other (a INT) PARTITION BY HASH (leave_it())").await, Came::Unmade(1064));
    drop_member(&database).await;
}

#[tokio::test]
async fn a_cursor_s_function_leaves_nothing_either() {
    let database = prepared().await;
    database.execute("CREATE FUNCTION leave_it() RETURNS INT BEGIN SET @left_over = 1; RETURN 1; END").await;
    let bed = Bed::new(driver(&database), Settings::default()).await;
    let probe = "SELECT @left_over";
    let fresh = bed.seen(probe).await;
    for committed in [true, false] {
        let hold = bed.borrow_it().await;
        let opened = bed.opened();
        run(&hold, TRANSACTION, begin()).await.unwrap();
        let cursor = Via::Cursor { transaction: 1, cursor: 1 };
        run(&hold, cursor, Operation::OpenCursor(1, statement("SELECT leave_it()").into())).await.unwrap();
        run(&hold, cursor, Operation::Fetch(1, LIMIT)).await.unwrap();
        if committed {
            run(&hold, cursor, Operation::CloseCursor(1)).await.unwrap();
            run(&hold, TRANSACTION, Operation::Commit).await.unwrap();
            assert_ne!(seen(&hold, Via::Connection, probe).await, fresh);
        }
        drop(hold);
        assert_eq!(bed.seen(probe).await, fresh);
        assert_eq!(bed.opened(), opened + 1);
    }
    bed.close().await;
    drop_member(&database).await;
}
