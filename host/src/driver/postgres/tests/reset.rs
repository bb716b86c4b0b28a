//! Taking sessions back.

use sqlx::{Connection as _, PgConnection};

use super::*;
use crate::driver::settings::StatementCache;

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY, name text DEFAULT lower('X'), at timestamptz DEFAULT now()); \
    CREATE TABLE numbered (id bigserial PRIMARY KEY, kind text CHECK (kind IN ('a', 'b'))); \
    CREATE TABLE child (parent int REFERENCES t ON DELETE CASCADE); \
    CREATE TABLE guarded (id int); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; \
    CREATE FUNCTION hook() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
    CREATE TABLE hooked (id int); CREATE TRIGGER hook BEFORE INSERT ON hooked FOR EACH ROW EXECUTE FUNCTION hook(); \
    CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT $1'; \
    CREATE TABLE computed (id int DEFAULT f(1)); \
    CREATE TABLE sneaky (id int, seen text DEFAULT set_config('my.seen', 'yes', false)); \
    CREATE VIEW v AS SELECT * FROM t; \
    CREATE FUNCTION evil(t) RETURNS int LANGUAGE sql AS 'SELECT 1'";

/// Runs a statement in a fresh session, takes the session back, runs it again; whether that then needs a reset.
async fn still_needs_reset(connection: &mut dyn Connection, sql: &str) -> bool {
    for _ in 0..2 {
        let rows = query(connection, sql, vec![]).await;
        rows.unwrap_or_else(|failure| panic!("{sql}: {failure:?}"));
        if !connection.needs_reset() {
            return false;
        }
        connection.reset().await.unwrap_or_else(|failure| panic!("{sql}: {failure:?}"));
        assert!(!connection.needs_reset());
    }
    true
}

#[tokio::test]
async fn only_what_is_provably_harmless_needs_no_reset() {
    let fixture = Fixture::new().await;
    fixture.run(SCHEMA).await;
    let mut connection = connected(&fixture).await;
    for sql in [
        "SELECT 1",
        "SELECT id, lower(name), at AT TIME ZONE 'UTC' FROM public.t WHERE id = 1 AND name LIKE 'a%' ORDER BY at LIMIT 5",
        "SELECT count(*) FROM t x JOIN child c ON c.parent = x.id GROUP BY x.name",
        "WITH v2 AS (SELECT * FROM t) SELECT id::text, coalesce(name, '-') FROM v2",
        "SELECT * FROM t FOR UPDATE",
        "SELECT n FROM generate_series(1, 3) AS s(n)",
        "INSERT INTO t (id) SELECT coalesce(max(id), 0) + 1 FROM t",
        "INSERT INTO t (id, name) VALUES (1000, 'a') ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING id",
        "UPDATE child SET parent = NULL WHERE parent = 1",
        "UPDATE t SET name = 'b' WHERE id = 1",
        "DELETE FROM child",
        "SHOW search_path",
    ] {
        assert!(!still_needs_reset(&mut *connection, sql).await, "{sql}");
    }
    for sql in [
        "SELECT * FROM v",
        "SELECT f(1)",
        "SELECT x.evil FROM t x",
        "SELECT (x).evil FROM t x",
        "SELECT * FROM guarded",
        "TABLE v",
        "SELECT set_config('my.x', 'y', false)",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_notify('c', 'x')",
        "DELETE FROM t WHERE id = 1000000",
        "INSERT INTO hooked VALUES (1)",
        "INSERT INTO computed DEFAULT VALUES",
        "INSERT INTO sneaky (id) VALUES (1)",
        "SELECT * FROM pg_stat_activity WHERE pid = 0",
        "SET my.x = 'y'",
        "DO $$ BEGIN END $$",
    ] {
        assert!(still_needs_reset(&mut *connection, sql).await, "{sql}");
    }
    // What a sequence gave is forgotten, with a reset that is only one round trip.
    assert!(still_needs_reset(&mut *connection, "INSERT INTO numbered (kind) VALUES ('a')").await);
    let failure = query(&mut *connection, "SELECT lastval()", vec![]).await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("55000"));
}

#[tokio::test]
async fn what_a_borrower_left_is_gone() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    let mut admin = PgConnection::connect(&fixture.admin_url).await.unwrap();
    let pid = i32::try_from(connection.session().id).unwrap();
    for sql in [
        "SET statement_timeout = 0",
        "SET application_name = 'somebody else'",
        "SET search_path = pg_temp",
        "SET my.secret = 'x'",
        "CREATE TEMP TABLE left_over (id int)",
        "CREATE TEMP SEQUENCE left_over_too",
        "LISTEN something",
        "SELECT pg_advisory_lock(42)",
        "DECLARE held CURSOR WITH HOLD FOR SELECT 1",
        "SELECT set_config('role', 'none', false)",
    ] {
        execute(&mut *connection, sql, vec![]).await.unwrap_or_else(|failure| panic!("{sql}: {failure:?}"));
    }
    assert!(connection.needs_reset());
    connection.reset().await.unwrap();
    assert!(!connection.needs_reset());
    for (sql, expected) in [
        ("SELECT current_setting('statement_timeout')", text("10s")),
        ("SELECT current_setting('application_name')", text("wharf")),
        ("SELECT current_setting('my.secret', true)", text("")),
        ("SELECT count(*) FROM pg_class WHERE relname LIKE 'left_over%'", Value::Signed(0)),
        ("SELECT count(*) FROM pg_listening_channels()", Value::Signed(0)),
        ("SELECT count(*) FROM pg_cursors WHERE name = 'held'", Value::Signed(0)),
    ] {
        assert_eq!(one(&mut *connection, sql, vec![]).await, expected, "{sql}");
    }
    let locks: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_locks WHERE pid = $1 AND locktype = 'advisory'")
        .bind(pid)
        .fetch_one(&mut admin)
        .await
        .unwrap();
    assert_eq!(locks, 0);
}

#[tokio::test]
async fn an_open_or_aborted_transaction_is_rolled_back() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    let mut connection = connected(&fixture).await;
    for fails in [false, true] {
        begin(&mut *connection).await;
        execute(&mut *connection, "INSERT INTO t VALUES (1)", vec![]).await.unwrap();
        if fails {
            execute(&mut *connection, "INSERT INTO t VALUES (1)", vec![]).await.unwrap_err();
        }
        assert!(connection.needs_reset());
        connection.reset().await.unwrap();
        assert_eq!(one(&mut *connection, "SELECT count(*) FROM t", vec![]).await, Value::Signed(0));
        connection.reset().await.unwrap();
        assert!(!connection.needs_reset());
    }
}

#[tokio::test]
async fn a_hijacked_statement_name_is_found_before_anybody_uses_it() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE TABLE t (id int); INSERT INTO t VALUES (1)").await;
    let select = "SELECT id FROM t WHERE id = $1";
    for hijack in [
        "DO $$ BEGIN EXECUTE 'DEALLOCATE sqlx_s_1'; EXECUTE 'PREPARE sqlx_s_1(int) AS DELETE FROM t WHERE id = $1'; END $$",
        "PREPARE sqlx_s_99(int) AS DELETE FROM t WHERE id = $1",
        "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$",
        "DEALLOCATE sqlx_s_1",
    ] {
        let mut connection = connected(&fixture).await;
        assert_eq!(one(&mut *connection, select, vec![Value::Signed(1)]).await, Value::Signed(1));
        execute(&mut *connection, hijack, vec![]).await.unwrap();
        assert!(connection.needs_reset());
        assert!(connection.reset().await.is_err(), "{hijack}");
        assert!(query(&mut *connection, select, vec![Value::Signed(1)]).await.unwrap_err().lost);
    }
    let mut connection = connected(&fixture).await;
    assert_eq!(one(&mut *connection, "SELECT count(*) FROM t", vec![]).await, Value::Signed(1));
}

#[tokio::test]
async fn a_hijacker_who_answers_with_fewer_columns_ends_only_its_own_session() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    query(&mut *connection, "SELECT 1, 2", vec![]).await.unwrap();
    let hijack = "DO $$ BEGIN EXECUTE 'DEALLOCATE sqlx_s_1'; EXECUTE 'PREPARE sqlx_s_1 AS SELECT 1'; END $$";
    execute(&mut *connection, hijack, vec![]).await.unwrap();
    let failure = query(&mut *connection, "SELECT 1, 2", vec![]).await.unwrap_err();
    assert_eq!((failure.kind, failure.lost), (FailureKind::Disconnected, true));
}

#[tokio::test]
async fn long_and_old_statements_are_forgotten() {
    let fixture = Fixture::new().await;
    let cached = "SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql";
    let long = format!("SELECT {}1", " ".repeat(2000));
    let mut connection = connected(&fixture).await;
    assert!(still_needs_reset(&mut *connection, &long).await);
    assert_eq!(one(&mut *connection, cached, vec![]).await, Value::Signed(1));

    let statement_cache = StatementCache { count: 0, text_bytes: 1024, max_age: std::time::Duration::from_secs(300) };
    let driver = Postgres::new(&fixture.url, Settings { statement_cache, ..Settings::default() }).unwrap();
    let mut connection = driver.connect().await.unwrap();
    for n in 0..5 {
        query(&mut *connection, &format!("SELECT {n}"), vec![]).await.unwrap();
    }
    assert!(connection.needs_reset());
    connection.reset().await.unwrap();
    assert_eq!(one(&mut *connection, cached, vec![]).await, Value::Signed(1));

    let statement_cache = StatementCache { max_age: std::time::Duration::ZERO, count: 100, text_bytes: 1024 };
    let driver = Postgres::new(&fixture.url, Settings { statement_cache, ..Settings::default() }).unwrap();
    let mut connection = driver.connect().await.unwrap();
    assert!(!connection.needs_reset());
    query(&mut *connection, "SELECT 1", vec![]).await.unwrap();
    assert!(connection.needs_reset());
    connection.reset().await.unwrap();
    assert!(!connection.needs_reset());
}

#[tokio::test]
async fn a_text_that_was_read_under_other_settings_is_read_anew() {
    let fixture = Fixture::new().await;
    fixture
        .run("CREATE SCHEMA a; CREATE TABLE a.t (id int); CREATE TABLE public.t (id text); INSERT INTO public.t VALUES ('x')")
        .await;
    let select = "SELECT id FROM t WHERE id = $1";
    for change in ["SET search_path = a", "SELECT set_config('search_path', 'a', false)"] {
        let mut connection = connected(&fixture).await;
        execute(&mut *connection, change, vec![]).await.unwrap();
        query(&mut *connection, select, vec![Value::Signed(1)]).await.unwrap();
        connection.reset().await.unwrap();
        assert_eq!(one(&mut *connection, select, vec![text("x")]).await, text("x"), "{change}");
    }
}

#[tokio::test]
async fn code_of_the_schema_costs_a_reset_but_not_the_cached_statements() {
    let fixture = Fixture::new().await;
    fixture.run(SCHEMA).await;
    let mut connection = connected(&fixture).await;
    for _ in 0..3 {
        for sql in ["SELECT * FROM v", "SELECT f(1)", "SELECT 1"] {
            query(&mut *connection, sql, vec![]).await.unwrap();
        }
        assert!(connection.needs_reset());
        connection.reset().await.unwrap();
    }
    let cached = "SELECT count(*) FROM pg_prepared_statements";
    assert_eq!(one(&mut *connection, cached, vec![]).await, Value::Signed(4));
}
