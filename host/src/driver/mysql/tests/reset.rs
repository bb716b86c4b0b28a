//! What a borrower leaves never reaches the next one: harmless statements leave nothing, everything else costs the session.

use sqlx::{Connection as _, MySqlConnection};

use super::{
    super::{catalog, host},
    *,
};

/// Whether the session may be used again after these statements, and whether that took a reset.
async fn kept(fixture: &Fixture, statements: &[&str]) -> (bool, bool) {
    let mut connection = connected(fixture).await;
    for sql in statements {
        _ = query(&mut *connection, sql, vec![]).await;
    }
    let due = connection.needs_reset();
    (!due || connection.reset().await.is_ok(), due)
}

async fn with_schema() -> Fixture {
    let fixture = Fixture::new().await;
    fixture
        .run(
            "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT DEFAULT 1, b VARCHAR(50) DEFAULT (UPPER('x')), \
               c INT GENERATED ALWAYS AS (a + 1) VIRTUAL); \
             CREATE TABLE watched (a INT); CREATE TABLE numbered (a INT); \
             CREATE SEQUENCE s; CREATE TABLE sequenced (a INT DEFAULT NEXTVAL(s)); \
             CREATE FUNCTION leaves() RETURNS INT NOT DETERMINISTIC BEGIN SET @left = 1; RETURN 1; END; \
             CREATE VIEW looks AS SELECT leaves() AS a; \
             CREATE TRIGGER watch BEFORE INSERT ON watched FOR EACH ROW SET @seen = NEW.a; \
             CREATE PROCEDURE locks() DO GET_LOCK('wharf', 0)",
        )
        .await;
    fixture
}

#[tokio::test]
async fn harmless_statements_keep_their_session() {
    let fixture = with_schema().await;
    for sql in [
        "SELECT 1",
        "SELECT id, UPPER(b), c FROM t WHERE a IN (1, 2) ORDER BY id LIMIT 3",
        "SELECT COUNT(*) FROM t JOIN numbered n ON n.a = t.a GROUP BY t.a HAVING COUNT(*) > 1",
        "SHOW TABLES",
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()",
        "INSERT INTO t (a) VALUES (5)",
        "UPDATE t SET b = CONCAT(b, '!') WHERE id = 1",
        "DELETE FROM numbered",
        "SELECT nothing FROM t",
    ] {
        assert_eq!(kept(&fixture, &[sql]).await, (true, true), "{sql}");
    }
    // Once the catalog has confirmed them, reads need no reset at all.
    let driver = Mysql::new(&fixture.url, Settings::default()).unwrap();
    let mut connection = driver.connect().await.unwrap();
    for due in [true, false] {
        assert_eq!(one(&mut *connection, "SELECT COUNT(*) FROM t WHERE id < 0", vec![]).await, Value::Signed(0));
        assert_eq!(connection.needs_reset(), due);
        if due {
            connection.reset().await.unwrap();
        }
    }
}

#[tokio::test]
async fn every_residue_costs_the_session() {
    let fixture = with_schema().await;
    for sql in [
        "SELECT @a := 5",
        "SET @a = 5",
        "SET SESSION sql_mode = ''",
        "SET time_zone = '+05:00'",
        "SET NAMES latin1",
        "SET SESSION max_statement_time = 0",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SELECT GET_LOCK('wharf_r', 0)",
        "DO GET_LOCK('wharf_r', 0)",
        "CALL locks()",
        "LOCK TABLES t READ",
        "CREATE TEMPORARY TABLE t (a INT)",
        "PREPARE x FROM 'SELECT 1'",
        "HANDLER t OPEN",
        "USE information_schema",
        "SELECT leaves()",
        "SELECT * FROM looks",
        "INSERT INTO watched VALUES (1)",
        "INSERT INTO sequenced VALUES ()",
        "SELECT NEXT VALUE FOR s",
        "SELECT NEXTVAL(s)",
        "SELECT 1 INTO @x",
        "SELECT /*!GET_LOCK('wharf_r', 0),*/ 1",
        "BEGIN NOT ATOMIC SET @a = 1; END",
        "SET STATEMENT max_statement_time = 1 FOR SET @a = 1",
        "KILL QUERY 1",
        "CREATE TABLE fresh (a INT)",
    ] {
        // Refused ones leave nothing and may stay.
        let mut connection = connected(&fixture).await;
        let result = query(&mut *connection, sql, vec![]).await;
        if matches!(&result, Err(failure) if failure.code.is_none() && !failure.lost) {
            assert!(!connection.needs_reset(), "{sql}: {result:?}");
            continue;
        }
        assert!(connection.needs_reset() && connection.reset().await.is_err(), "{sql}: {result:?}");
        connection.close().await.unwrap();
    }
}

#[tokio::test]
async fn the_next_borrower_finds_no_key_and_no_warning() {
    let fixture = with_schema().await;
    let mut connection = connected(&fixture).await;
    all(&mut *connection, &["INSERT INTO t (a) VALUES (5)"]).await;
    assert_eq!(one(&mut *connection, "SELECT LAST_INSERT_ID()", vec![]).await, Value::Unsigned(1));
    failure(&mut *connection, "INSERT INTO t (id) VALUES (1)", vec![]).await;
    connection.reset().await.unwrap();
    assert_eq!(query(&mut *connection, "SHOW WARNINGS", vec![]).await.unwrap().batch.row_count, 0);
    assert_eq!(one(&mut *connection, "SELECT LAST_INSERT_ID()", vec![]).await, Value::Unsigned(0));
}

#[tokio::test]
async fn the_next_borrower_finds_no_warning_and_no_count_of_a_harmless_statement() {
    let fixture = with_schema().await;
    fixture.run("INSERT INTO numbered VALUES (1), (2), (3)").await;
    let mut connection = connected(&fixture).await;
    let leave = "SELECT CAST('a secret' AS INT) FROM numbered";
    all(&mut *connection, &[leave]).await;
    connection.reset().await.unwrap();
    let looks = [
        ("SHOW WARNINGS", None),
        ("SHOW COUNT(*) WARNINGS", Some(Value::Unsigned(3))),
        ("SELECT @@warning_count", Some(Value::Unsigned(3))),
        ("SELECT FOUND_ROWS()", Some(Value::Signed(3))),
    ];
    for (look, own) in looks {
        let mut connection = connected(&fixture).await;
        for _ in 0..2 {
            all(&mut *connection, &[leave]).await;
            if connection.needs_reset() {
                connection.reset().await.unwrap();
            }
        }
        // To its own borrower it is told.
        all(&mut *connection, &[leave]).await;
        let rows = query(&mut *connection, look, vec![]).await.unwrap();
        match &own {
            Some(own) => assert_eq!(cell(&rows.batch, 0, 0), *own, "{look}"),
            None => assert_eq!(rows.batch.row_count, 3, "{look}"),
        }
        all(&mut *connection, &[leave]).await;
        connection.lent();
        let rows = query(&mut *connection, look, vec![]).await.unwrap();
        match &own {
            Some(own) => assert_ne!(cell(&rows.batch, 0, 0), *own, "{look}"),
            None => assert_eq!(rows.batch.row_count, 0, "{look}"),
        }
    }
}

#[tokio::test]
async fn a_statement_without_a_table_before_the_look_shows_no_warning_either() {
    let fixture = with_schema().await;
    fixture.run("INSERT INTO numbered VALUES (1), (2), (3)").await;
    let leave = "SELECT CAST('a secret' AS INT) FROM numbered";
    for first in [
        "SELECT 1",
        "VALUES (1)",
        "SELECT 1 FROM dual",
        "SELECT TRIM('a' FROM 'b')",
        "SELECT EXTRACT(YEAR FROM NOW())",
        "(SELECT 1)",
        "SELECT a FROM numbered",
        "SELECT x.id FROM (SELECT 1 AS id) x",
        "WITH w AS (SELECT 1 AS id) SELECT id FROM w",
        "INSERT INTO numbered SELECT 4",
    ] {
        let mut connection = connected(&fixture).await;
        all(&mut *connection, &[leave]).await;
        connection.lent();
        all(&mut *connection, &[first]).await;
        let rows = query(&mut *connection, "SHOW WARNINGS", vec![]).await.unwrap();
        assert_eq!(rows.batch.row_count, 0, "{first}");
        // Its own are told.
        all(&mut *connection, &[leave]).await;
        assert_ne!(query(&mut *connection, "SHOW WARNINGS", vec![]).await.unwrap().batch.row_count, 0, "{first}");
    }
}

#[tokio::test]
async fn a_statement_that_never_reaches_the_server_shows_no_warning_either() {
    let fixture = with_schema().await;
    fixture.run("INSERT INTO numbered VALUES (1), (2), (3)").await;
    let mut connection = connected(&fixture).await;
    let (leave, cached) = ("SELECT CAST('a secret' AS INT) FROM numbered", "SELECT a FROM numbered WHERE a = ?");
    query(&mut *connection, cached, vec![Value::Signed(1)]).await.unwrap();
    for through_cursor in [false, true] {
        all(&mut *connection, &[leave]).await;
        connection.lent();
        if through_cursor {
            begin(&mut *connection).await;
            connection.run(Operation::OpenCursor(1, statement(cached, vec![Value::Signed(1)]).into())).await.unwrap();
            connection.run(Operation::CloseCursor(1)).await.unwrap();
        } else {
            query(&mut *connection, cached, vec![]).await.unwrap_err();
        }
        let rows = query(&mut *connection, "SHOW WARNINGS", vec![]).await.unwrap();
        assert_eq!(rows.batch.row_count, 0, "through a cursor: {through_cursor}");
    }
}

#[tokio::test]
async fn an_open_transaction_is_rolled_back() {
    let fixture = with_schema().await;
    let mut connection = connected(&fixture).await;
    begin(&mut *connection).await;
    all(&mut *connection, &["INSERT INTO t (a) VALUES (5)"]).await;
    assert!(connection.needs_reset());
    connection.reset().await.unwrap();
    assert_eq!(one(&mut *connection, "SELECT COUNT(*) FROM t", vec![]).await, Value::Signed(0));
}

#[tokio::test]
async fn who_cannot_see_triggers_cannot_be_sure_of_a_write() {
    let fixture = with_schema().await;
    let url = fixture.user("plain", "GRANT SELECT, INSERT ON {database}.* TO {user}").await;
    let mut connection = Mysql::new(&url, Settings::default()).unwrap().connect().await.unwrap();
    all(&mut *connection, &["SELECT COUNT(*) FROM t"]).await;
    connection.reset().await.unwrap();
    all(&mut *connection, &["INSERT INTO numbered VALUES (1)"]).await;
    assert!(connection.reset().await.is_err());
}

#[tokio::test]
async fn who_would_see_triggers_elsewhere_or_in_a_role_not_taken_up_sees_none() {
    let fixture = with_schema().await;
    let name = &fixture.name;
    fixture
        .admin(&format!(
            "DROP DATABASE IF EXISTS {name}_other; CREATE DATABASE {name}_other; CREATE TABLE {name}_other.watched (a INT); \
             CREATE TRIGGER {name}_other.watch BEFORE INSERT ON {name}_other.watched FOR EACH ROW SET @seen = NEW.a; \
             GRANT SELECT, INSERT ON {name}_other.* TO {name}; DROP ROLE IF EXISTS {name}_role; CREATE ROLE {name}_role; \
             GRANT TRIGGER ON {name}.* TO {name}_role"
        ))
        .await;
    let grants = "GRANT SELECT, INSERT ON {database}.* TO {user}; GRANT {database}_role TO {user}";
    let granted = fixture.user("granted", grants).await;
    let elsewhere = format!("INSERT INTO {name}_other.watched VALUES (1)");
    for (url, sql) in [(&fixture.url, &*elsewhere), (&granted, "INSERT INTO watched VALUES (1)")] {
        let mut connection = Mysql::new(url, Settings::default()).unwrap().connect().await.unwrap();
        all(&mut *connection, &[sql]).await;
        assert_eq!(one(&mut *connection, "SELECT @seen", vec![]).await, Value::Signed(1), "{sql}");
        let mut connection = Mysql::new(url, Settings::default()).unwrap().connect().await.unwrap();
        all(&mut *connection, &[sql]).await;
        assert!(connection.reset().await.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn a_view_is_no_table_though_it_has_the_name_of_one() {
    let fixture = with_schema().await;
    let driver = Mysql::new(&fixture.url, Settings::default()).unwrap();
    let mut connection = driver.connect().await.unwrap();
    all(&mut *connection, &["SELECT * FROM looks"]).await;
    assert!(connection.reset().await.is_err());
    // What was found out holds for the next session as well.
    let mut connection = driver.connect().await.unwrap();
    all(&mut *connection, &["SELECT * FROM looks"]).await;
    assert!(connection.needs_reset() && connection.reset().await.is_err());
}

#[tokio::test]
async fn the_catalog_is_asked_for_the_tables_of_a_statement_and_no_others() {
    let fixture = with_schema().await;
    let mut link = MySqlConnection::connect(&fixture.url).await.unwrap();
    let asked = catalog::runs(&[(host::literal(&fixture.name), host::literal("t"))], true);
    for sql in asked.split("; ") {
        let plan = host::run(&mut link, format!("EXPLAIN {sql}")).await.unwrap();
        assert!(format!("{plan:?}").contains("Scanned 0 databases"), "{sql}: {plan:?}");
    }
}
