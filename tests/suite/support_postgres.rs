//! The databases that the tests make are guarded as an operator's should be: what these roles may not do is what grants rest on.

use std::time::Duration;

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use support::postgres::{PostgresDatabase, Role};

async fn login(database: &PostgresDatabase, role: &Role) -> PgConnection {
    database.url(role).parse::<PgConnectOptions>().unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn reader_reads_and_writes_nothing() {
    let database = PostgresDatabase::create().await;
    database.execute("CREATE TABLE notes (id bigserial PRIMARY KEY, note text); INSERT INTO notes (note) VALUES ('one')").await;
    let mut reader = login(&database, &database.reader).await;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&mut reader).await.unwrap();
    assert_eq!(count, 1);
    for sql in [
        "INSERT INTO notes (note) VALUES ('two')",
        "DELETE FROM notes",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'x')",
        "CREATE TABLE t (i int)",
        "CREATE TEMPORARY TABLE t (i int)",
        "SELECT nextval('notes_id_seq')",
    ] {
        let error = sqlx::raw_sql(sql).execute(&mut reader).await.expect_err(sql);
        assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("42501"), "{sql}: {error}");
    }
    reader.close().await.unwrap();
}

#[tokio::test]
async fn roles_of_one_database_are_strangers_in_another() {
    let (one, two) = (PostgresDatabase::create().await, PostgresDatabase::create().await);
    for role in [&one.owner, &one.reader, &one.control] {
        let options: PgConnectOptions = two.url(role).parse().unwrap();
        assert!(options.connect().await.is_err(), "{}", role.name);
    }
}

#[tokio::test]
async fn sessions_are_seen_until_they_end_and_transactions_while_they_last() {
    let database = PostgresDatabase::create().await;
    database.until_quiet(0, Duration::from_secs(5)).await;
    let mut owner = login(&database, &database.owner).await;
    sqlx::raw_sql("BEGIN").execute(&mut owner).await.unwrap();
    let open = database.in_transaction().await;
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].usename.as_str(), open[0].query.as_str()), (database.owner.name.as_str(), "BEGIN"));
    sqlx::raw_sql("ROLLBACK").execute(&mut owner).await.unwrap();
    database.until_quiet(1, Duration::from_secs(5)).await;
    assert_eq!(database.in_transaction().await, []);
    database.terminate_all().await;
    database.until_quiet(0, Duration::from_secs(5)).await;
}

#[tokio::test]
async fn control_role_sees_and_ends_sessions_of_others() {
    let database = PostgresDatabase::create().await;
    let mut owner = login(&database, &database.owner).await;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut owner).await.unwrap();
    let mut control = login(&database, &database.control).await;
    let ended: bool = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = {pid} AND backend_start IS NOT NULL"
    )))
    .fetch_one(&mut control)
    .await
    .unwrap();
    assert!(ended);
    database.until_quiet(1, Duration::from_secs(5)).await;
    control.close().await.unwrap();
}

#[tokio::test]
async fn dropped_databases_leave_no_roles() {
    let watcher = PostgresDatabase::create().await;
    let database = PostgresDatabase::create().await;
    let names = format!("'{}', '{}', '{}'", database.owner.name, database.reader.name, database.control.name);
    drop(database);
    let left = watcher.text(&format!("SELECT count(*)::text FROM pg_roles WHERE rolname IN ({names})")).await;
    assert_eq!(left, "0");
}
