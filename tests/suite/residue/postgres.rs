//! Residue on PostgreSQL.

use futures::{StreamExt, stream};
use sqlx::AssertSqlSafe;
use support::postgres::{PostgresDatabase, server};
use wharf::driver::{postgres::Postgres, settings::Settings as DriverSettings};

use super::{Bed, Fate, LIMIT, SITUATIONS, Settings, Situation, TRANSACTION, begin, query, run, seen, statement};

/// Something that a statement leaves in its session.
struct Residue {
    name: &'static str,
    sql: &'static str,
    /// Shows it, and something else in a fresh session.
    probe: &'static str,
    fate: Fate,
}

const fn kept(name: &'static str, sql: &'static str, probe: &'static str) -> Residue {
    Residue { name, sql, probe, fate: Fate::Kept }
}

const ADVISORY: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()";

const RESIDUES: &[Residue] = &[
    kept("search_path", "SET search_path = elsewhere", "SELECT current_setting('search_path')"),
    kept("role", "SET ROLE member", "SELECT current_user::text"),
    kept("time_zone", "SET TIME ZONE 'Pacific/Auckland'", "SELECT current_setting('TimeZone')"),
    kept(
        "isolation",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SELECT current_setting('default_transaction_isolation')",
    ),
    kept(
        "isolation_setting",
        "SELECT set_config('default_transaction_isolation', 'repeatable read', false)",
        "SELECT current_setting('default_transaction_isolation')",
    ),
    kept("read_only", "SET default_transaction_read_only = on", "SELECT current_setting('default_transaction_read_only')"),
    kept("statement_timeout", "SET statement_timeout = 0", "SELECT current_setting('statement_timeout')"),
    kept(
        "idle_timeout",
        "SET idle_in_transaction_session_timeout = 0",
        "SELECT current_setting('idle_in_transaction_session_timeout')",
    ),
    kept("session_timeout", "SET idle_session_timeout = '1h'", "SELECT current_setting('idle_session_timeout')"),
    kept("lock_timeout", "SET lock_timeout = 1", "SELECT current_setting('lock_timeout')"),
    kept("application_name", "SET application_name = 'somebody'", "SELECT current_setting('application_name')"),
    // What was never set reads as null, and as '' once it was: PostgreSQL never forgets the name.
    kept("custom_setting", "SET my.secret = 'x'", "SELECT coalesce(current_setting('my.secret', true), '')"),
    kept("encoding", "SET client_encoding = 'SQL_ASCII'", "SELECT current_setting('client_encoding')"),
    kept("strings", "SET standard_conforming_strings = off", "SELECT current_setting('standard_conforming_strings')"),
    kept("date_style", "SET datestyle = 'German'", "SELECT current_setting('datestyle')"),
    kept("temporary_table", "CREATE TEMP TABLE left_over (id int)", "SELECT to_regclass('pg_temp.left_over')::text"),
    kept("temporary_sequence", "CREATE TEMP SEQUENCE left_over", "SELECT to_regclass('pg_temp.left_over')::text"),
    kept("temporary_view", "CREATE TEMP VIEW left_over AS SELECT 1 AS one", "SELECT to_regclass('pg_temp.left_over')::text"),
    kept(
        "temporary_function",
        "CREATE FUNCTION pg_temp.left_over() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT to_regproc('pg_temp.left_over')::text",
    ),
    kept("temporary_type", "CREATE DOMAIN pg_temp.left_over AS int", "SELECT to_regtype('pg_temp.left_over')::text"),
    kept("listen", "LISTEN something", "SELECT count(*) FROM pg_listening_channels()"),
    kept("advisory_lock", "SELECT pg_advisory_lock(42)::text", ADVISORY),
    kept("shared_advisory_lock", "SELECT pg_advisory_lock_shared(1, 2)::text", ADVISORY),
    kept("tried_advisory_lock", "SELECT pg_try_advisory_lock(43)", ADVISORY),
    kept("currval", "SELECT nextval('counting')", "SELECT currval('counting')"),
    kept("lastval", "SELECT nextval('counting')", "SELECT lastval()"),
    kept("setval", "SELECT setval('counting', 1000000)", "SELECT currval('counting')"),
    // As if it were a column of a row.
    kept("attribute_lock", "SELECT (44::bigint).pg_advisory_lock::text", ADVISORY),
    kept("attribute_sequence", "SELECT ('counting'::regclass).nextval", "SELECT currval('counting')"),
    kept("held_cursor", "DECLARE held CURSOR WITH HOLD FOR SELECT 1", "SELECT count(*) FROM pg_cursors WHERE is_holdable"),
    // Its name could be that of a statement that the next borrower will use.
    Residue {
        name: "prepared_statement",
        sql: "PREPARE left_over AS SELECT 1",
        probe: "SELECT count(*) FROM pg_prepared_statements WHERE from_sql",
        fate: Fate::Replaced,
    },
];

/// What runs the residue's statement. The second text calls it, the first makes it.
const VEHICLES: &[(&str, &str, &str)] = &[
    ("function", "", "SELECT leave_NAME()"),
    ("procedure", "CREATE PROCEDURE call_NAME() LANGUAGE plpgsql AS $$ BEGIN PERFORM leave_NAME(); END $$", "CALL call_NAME()"),
    (
        "trigger",
        "CREATE TABLE hooked_NAME (id int); \
         CREATE FUNCTION hook_NAME() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM leave_NAME(); RETURN NEW; END $$; \
         CREATE TRIGGER hook AFTER INSERT ON hooked_NAME FOR EACH STATEMENT EXECUTE FUNCTION hook_NAME()",
        "INSERT INTO hooked_NAME VALUES (1)",
    ),
    ("view", "CREATE VIEW view_NAME AS SELECT leave_NAME() AS leaves", "SELECT * FROM view_NAME"),
    (
        "default",
        "CREATE TABLE default_NAME (id int, leaves int DEFAULT leave_NAME())",
        "INSERT INTO default_NAME (id) VALUES (1)",
    ),
    ("domain", "CREATE DOMAIN domain_NAME AS int CHECK (leave_NAME() = 1)", "SELECT 1::domain_NAME::int"),
    (
        "operator",
        "CREATE TYPE enum_NAME AS ENUM ('a'); \
         CREATE FUNCTION op_NAME(enum_NAME, enum_NAME) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN leave_NAME(); END $$; \
         CREATE OPERATOR @@@ (leftarg = enum_NAME, rightarg = enum_NAME, function = op_NAME)",
        "SELECT 'a'::enum_NAME @@@ 'a'::enum_NAME",
    ),
    (
        "operator_of_rows",
        "CREATE TABLE row_NAME (id int); INSERT INTO row_NAME VALUES (1); \
         CREATE FUNCTION op_NAME(row_NAME, row_NAME) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN leave_NAME(); END $$; \
         CREATE OPERATOR ### (leftarg = row_NAME, rightarg = row_NAME, function = op_NAME)",
        "SELECT x ### x FROM row_NAME x",
    ),
    (
        "cast",
        "CREATE TYPE cast_NAME AS ENUM ('a'); \
         CREATE FUNCTION hidden_NAME(cast_NAME) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN leave_NAME(); END $$; \
         CREATE CAST (cast_NAME AS int) WITH FUNCTION hidden_NAME(cast_NAME)",
        "SELECT 'a'::cast_NAME::int",
    ),
    (
        "domain_in_a_row_type",
        "CREATE DOMAIN inner_NAME AS int CHECK (leave_NAME() = 1); CREATE TYPE outer_NAME AS (x inner_NAME)",
        "SELECT '(1)'::outer_NAME::text",
    ),
    (
        "policy",
        "CREATE TABLE policed_NAME (id int); INSERT INTO policed_NAME VALUES (1); \
         ALTER TABLE policed_NAME ENABLE ROW LEVEL SECURITY; ALTER TABLE policed_NAME FORCE ROW LEVEL SECURITY; \
         CREATE POLICY p ON policed_NAME USING (leave_NAME() = 1)",
        "SELECT id FROM policed_NAME",
    ),
    (
        "rule",
        "CREATE TABLE ruled_NAME (id int); CREATE RULE r AS ON INSERT TO ruled_NAME DO INSTEAD SELECT leave_NAME()",
        "INSERT INTO ruled_NAME VALUES (1)",
    ),
];

async fn prepared() -> PostgresDatabase {
    let database = PostgresDatabase::create().await;
    let member = format!("{}_member", database.name);
    let mut admin = server().connect(&database.name).await;
    // Granted to nobody but the owner; it goes away with the database's roles, whose names it begins with.
    let sql = format!("CREATE ROLE {member}; GRANT {member} TO {}", database.owner.name);
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    database.execute("CREATE SCHEMA elsewhere; CREATE SEQUENCE counting").await;
    for residue in RESIDUES {
        let sql = residue.sql.replace("member", &member);
        let name = residue.name;
        database
            .execute(&format!(
                "CREATE FUNCTION leave_{name}() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN EXECUTE $x${sql}$x$; RETURN 1; END $f$"
            ))
            .await;
        for (_, make, _) in VEHICLES {
            database.execute(&make.replace("NAME", name)).await;
        }
    }
    database
}

async fn drop_member(database: &PostgresDatabase) {
    let mut admin = server().connect("postgres").await;
    let sql = format!("DROP ROLE {}_member", database.name);
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
}

fn driver(database: &PostgresDatabase) -> Postgres {
    Postgres::new(&database.url(&database.owner), DriverSettings::default()).unwrap()
}

/// All vehicles and situations of one residue; once more where the text is known by then.
async fn all_of(database: &PostgresDatabase, residue: &Residue) -> (usize, Vec<String>) {
    let bed = Bed::new(driver(database), Settings::default()).await;
    let fresh = bed.seen(residue.probe).await;
    let plain = residue.sql.replace("member", &format!("{}_member", database.name));
    let called = VEHICLES.iter().map(|(vehicle, _, call)| (*vehicle, call.replace("NAME", residue.name)));
    let vehicles: Vec<(&str, String)> = [("plain", plain)].into_iter().chain(called).collect();
    let (mut rows, mut failed) = (0, Vec::new());
    for (vehicle, sql) in &vehicles {
        for situation in SITUATIONS {
            let times = if situation == Situation::Alone { ["first", "second"].as_slice() } else { &["first"] };
            for time in times {
                rows += 1;
                let left = bed.leave(sql, situation, residue.probe).await;
                if let Err(why) = left.and_then(|left| left.check(&fresh, residue.fate)) {
                    failed.push(format!("{} by {vehicle}, {situation:?}, {time} time: {why}", residue.name));
                }
            }
        }
    }
    bed.close().await;
    (rows, failed)
}

#[tokio::test]
async fn nothing_of_a_borrower_reaches_the_next() {
    let database = prepared().await;
    let results: Vec<(usize, Vec<String>)> =
        stream::iter(RESIDUES).map(|residue| all_of(&database, residue)).buffer_unordered(4).collect().await;
    let rows: usize = results.iter().map(|(rows, _)| rows).sum();
    let failed: Vec<&String> = results.iter().flat_map(|(_, failed)| failed).collect();
    drop_member(&database).await;
    assert_eq!(rows, RESIDUES.len() * (VEHICLES.len() + 1) * (SITUATIONS.len() + 1));
    assert!(failed.is_empty(), "{} of {rows} rows:\n{failed:#?}", failed.len());
}

#[tokio::test]
async fn another_session_authorization_is_undone() {
    let database = PostgresDatabase::create().await;
    let superuser = server().superuser(&database.name);
    let url = sqlx::ConnectOptions::to_url_lossy(&superuser);
    let url = url.as_str().split('?').next().unwrap();
    let driver = Postgres::new(url, DriverSettings { allow_superuser: true, ..DriverSettings::default() }).unwrap();
    let bed = Bed::new(driver, Settings::default()).await;
    let change = format!("SET SESSION AUTHORIZATION {}", database.owner.name);
    database
        .execute(&format!("CREATE FUNCTION leave() RETURNS int LANGUAGE plpgsql AS $$ BEGIN {change}; RETURN 1; END $$"))
        .await;
    let probe = "SELECT session_user::text || current_user";
    let fresh = bed.seen(probe).await;
    for sql in [change.as_str(), "SELECT leave()"] {
        for situation in SITUATIONS {
            let left = bed.leave(sql, situation, probe).await.unwrap();
            left.check(&fresh, Fate::Kept).unwrap_or_else(|why| panic!("{sql}, {situation:?}: {why}"));
        }
    }
    bed.close().await;
}

#[tokio::test]
async fn a_transaction_that_was_left_open_is_gone_with_its_work_and_its_locks() {
    let database = PostgresDatabase::create().await;
    database.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)").await;
    let bed = Bed::new(driver(&database), Settings::default()).await;
    let probe = "SELECT (SELECT count(*) FROM t), pg_current_xact_id_if_assigned()::text, \
                (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock'), \
                (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')";
    let fresh = bed.seen(probe).await;
    for sql in [
        "INSERT INTO t VALUES (2)",
        "LOCK TABLE t IN ACCESS EXCLUSIVE MODE",
        "SELECT id FROM t FOR UPDATE",
        "DELETE FROM t",
        "SELECT pg_advisory_xact_lock(1)::text",
    ] {
        for fails in [false, true] {
            let hold = bed.borrow_it().await;
            let opened = bed.opened();
            run(&hold, TRANSACTION, begin()).await.unwrap();
            query(&hold, TRANSACTION, sql).await.unwrap();
            assert_ne!(seen(&hold, TRANSACTION, probe).await, fresh, "{sql}");
            if fails {
                query(&hold, TRANSACTION, "SELECT 1/0").await.unwrap_err();
            }
            drop(hold);
            assert_eq!((bed.seen(probe).await, bed.opened()), (fresh.clone(), opened), "{sql}, {fails}");
        }
    }
    bed.close().await;
}

#[tokio::test]
async fn a_seed_does_not_tell_the_next_borrower_s_random_numbers() {
    let database = PostgresDatabase::create().await;
    database.execute("CREATE FUNCTION leave() RETURNS void LANGUAGE sql AS 'SELECT setseed(0.25)'").await;
    let bed = Bed::new(driver(&database), Settings::default()).await;
    for sql in ["SELECT setseed(0.25)::text", "SELECT leave()::text"] {
        let hold = bed.borrow_it().await;
        query(&hold, super::Via::Connection, sql).await.unwrap();
        let told = seen(&hold, super::Via::Connection, "SELECT random() FROM generate_series(1, 5)").await;
        query(&hold, super::Via::Connection, sql).await.unwrap();
        drop(hold);
        assert_ne!(bed.seen("SELECT random() FROM generate_series(1, 5)").await, told, "{sql}");
    }
    bed.close().await;
}

#[tokio::test]
async fn what_the_borrower_put_in_order_again_costs_no_connection() {
    let database = PostgresDatabase::create().await;
    let bed = Bed::new(driver(&database), Settings::default()).await;
    let hold = bed.borrow_it().await;
    let opened = bed.opened();
    for sql in ["PREPARE mine AS SELECT 1", "EXECUTE mine", "DEALLOCATE mine", "SELECT 'like any other'"] {
        run(&hold, super::Via::Connection, super::Operation::Query(statement(sql), LIMIT)).await.unwrap();
    }
    // A statement that fails has left nothing either.
    query(&hold, super::Via::Connection, "SELECT 1/0").await.unwrap_err();
    query(&hold, super::Via::Connection, "SELECT no_such_column").await.unwrap_err();
    drop(hold);
    bed.seen("SELECT 1").await;
    assert_eq!(bed.opened(), opened);
    bed.close().await;
}
