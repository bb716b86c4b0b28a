//! Opening sessions, and ending them from outside.

use sqlx::{Connection as _, PgConnection, Row};

use super::*;
use crate::driver::{Engine, settings::Access};

#[tokio::test]
async fn a_session_has_its_backstops_and_its_identity() {
    let fixture = Fixture::new().await;
    let driver = Postgres::new(&fixture.url, Settings::default()).unwrap();
    assert_eq!(driver.engine(), Engine::Postgres);
    let mut connection = driver.connect().await.unwrap();
    for (name, value) in [
        ("statement_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("client_connection_check_interval", "1s"),
        ("application_name", "wharf"),
    ] {
        let sql = format!("SELECT current_setting('{name}')");
        assert_eq!(one(&mut *connection, &sql, vec![]).await, text(value));
    }
    let session = connection.session().clone();
    let mut admin = PgConnection::connect(&fixture.admin_url).await.unwrap();
    let row =
        sqlx::query("SELECT (extract(epoch FROM backend_start) * 1000000)::bigint::text FROM pg_stat_activity WHERE pid = $1")
            .bind(i32::try_from(session.id).unwrap())
            .fetch_one(&mut admin)
            .await
            .unwrap();
    assert_eq!(row.get::<String, _>(0), &*session.started);
    connection.ping().await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn superusers_are_refused_unless_allowed() {
    let fixture = Fixture::new().await;
    let refused = Postgres::new(&fixture.admin_url, Settings::default()).unwrap().connect().await.err().unwrap();
    assert_eq!(refused.kind, FailureKind::Denied);
    assert!(refused.message.contains("postgres") && refused.message.contains("allow_superuser"), "{refused}");
    let settings = Settings { allow_superuser: true, ..Settings::default() };
    Postgres::new(&fixture.admin_url, settings).unwrap().connect().await.unwrap();
    // A role that can make itself one is no better.
    fixture.admin(&format!("GRANT postgres TO {}", fixture.role)).await;
    assert!(Postgres::new(&fixture.url, Settings::default()).unwrap().connect().await.is_err());
}

#[tokio::test]
async fn a_read_only_session_needs_a_role_that_cannot_write() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE TABLE t (id int, secret text); CREATE SEQUENCE s; CREATE VIEW v AS SELECT * FROM t").await;
    let reader = format!("{}_reader", fixture.role);
    let owner = &fixture.role;
    fixture
        .admin(&format!("CREATE ROLE {reader} LOGIN PASSWORD 'hidden'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}"))
        .await;
    let url = fixture.url.replacen(owner.as_str(), &reader, 1);
    let settings = Settings { access: Access::ReadOnly, ..Settings::default() };
    let connect = async || Postgres::new(&url, settings.clone()).unwrap().connect().await;

    // Everybody may make large objects, until somebody says otherwise; the message has the SQL that does.
    let failure = connect().await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Denied);
    let remedy = failure.message.split_once("try: ").unwrap().1;
    assert!(remedy.starts_with("REVOKE EXECUTE ON FUNCTION "), "{failure}");
    fixture.admin(remedy).await;
    connect().await.unwrap();

    for (grant, revoke) in [
        (format!("GRANT INSERT ON t TO {reader}"), format!("REVOKE INSERT ON t FROM {reader}")),
        (format!("GRANT UPDATE (secret) ON t TO {reader}"), format!("REVOKE UPDATE (secret) ON t FROM {reader}")),
        ("GRANT DELETE ON v TO PUBLIC".to_owned(), "REVOKE DELETE ON v FROM PUBLIC".to_owned()),
        (format!("GRANT USAGE ON SEQUENCE s TO {reader}"), format!("REVOKE USAGE ON SEQUENCE s FROM {reader}")),
        (format!("GRANT CREATE ON SCHEMA public TO {reader}"), format!("REVOKE CREATE ON SCHEMA public FROM {reader}")),
        (format!("GRANT pg_write_all_data TO {reader}"), format!("REVOKE pg_write_all_data FROM {reader}")),
        (format!("ALTER ROLE {reader} CREATEDB"), format!("ALTER ROLE {reader} NOCREATEDB")),
        // Not inherited, but one SET ROLE away.
        (format!("ALTER ROLE {reader} NOINHERIT; GRANT {owner} TO {reader}"), format!("REVOKE {owner} FROM {reader}")),
    ] {
        fixture.admin(&grant).await;
        let failure = connect().await.err().unwrap_or_else(|| panic!("{grant}"));
        assert_eq!(failure.kind, FailureKind::Denied, "{grant}");
        fixture.admin(&revoke).await;
    }
    let mut connection = connect().await.unwrap();
    let failure = execute(&mut *connection, "INSERT INTO t VALUES (1)", vec![]).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Denied);
    begin(&mut *connection).await;
    assert_eq!(one(&mut *connection, "SELECT current_setting('transaction_read_only')", vec![]).await, text("on"));
    drop(connection);
    fixture.admin(&format!("REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM {reader}; DROP ROLE {reader}")).await;
}

#[tokio::test]
async fn connect_errors_tell_neither_address_nor_credential() {
    let fixture = Fixture::new().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let wrong = fixture.url.replacen("hidden", "wrong-password", 1);
    let (server, query) = fixture.url.rsplit_once(&format!("/{}", fixture.role)).unwrap();
    let nowhere = format!("{server}/no_such_database{query}");
    for (url, kind) in [
        (format!("postgres://someone:hush@127.0.0.1:{closed}/x?sslmode=disable"), FailureKind::Disconnected),
        ("postgres://someone:hush@does-not-exist.invalid/x".to_owned(), FailureKind::Disconnected),
        ("postgres://someone:hush@localhost/x?host=/nowhere".to_owned(), FailureKind::Disconnected),
        (wrong, FailureKind::Denied),
        (nowhere, FailureKind::Invalid),
    ] {
        let driver = Postgres::new(&url, Settings::default()).unwrap();
        for failure in [driver.connect().await.err().unwrap(), driver.control().await.err().unwrap()] {
            assert_eq!(failure.kind, kind, "{failure:?}");
            let told = format!("{failure:?} {driver:?}");
            for secret in ["someone", "hush", "127.0.0.1", "invalid/", "nowhere", "wrong-password", "hidden", &fixture.role] {
                assert!(!told.contains(secret), "{secret} in {told}");
            }
        }
    }
    let failure = Postgres::new("postgres://user:hush@host:port/db", Settings::default()).err().unwrap();
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(!format!("{failure:?}").contains("hush"));
}

#[tokio::test]
async fn control_cancels_terminates_and_lists_only_the_session_it_was_told() {
    let fixture = Fixture::new().await;
    let driver = Postgres::new(&fixture.url, Settings::default()).unwrap();
    let mut control = driver.control().await.unwrap();
    let mut connection = driver.connect().await.unwrap();
    let session = connection.session().clone();
    assert!(control.is_listed(&session).await.unwrap());

    let other = crate::driver::Session { started: "1".into(), ..session.clone() };
    assert!(!control.is_listed(&other).await.unwrap());
    control.terminate(&other).await.unwrap();
    connection.ping().await.unwrap();

    let sleep = connection.run(Operation::Execute(statement("SELECT pg_sleep(60)", vec![])));
    let cancel = async {
        let mut admin = PgConnection::connect(&fixture.admin_url).await.unwrap();
        let running = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep')";
        let pid = i32::try_from(session.id).unwrap();
        while !sqlx::query_scalar::<_, bool>(running).bind(pid).fetch_one(&mut admin).await.unwrap() {}
        control.cancel(&session).await.unwrap();
    };
    let (slept, ()) = futures::future::join(sleep, cancel).await;
    let failure = slept.unwrap_err();
    assert_eq!((failure.kind, failure.lost), (FailureKind::Cancelled, false));

    control.terminate(&session).await.unwrap();
    while control.is_listed(&session).await.unwrap() {}
    let failure = execute(&mut *connection, "SELECT 1", vec![]).await.unwrap_err();
    assert_eq!((failure.kind, failure.lost), (FailureKind::Disconnected, true));
    assert!(connection.needs_reset() && connection.reset().await.is_err());
    control.ping().await.unwrap();
    control.close().await;
}

#[tokio::test]
async fn control_may_have_a_credential_of_its_own_and_may_be_forbidden_to_cancel() {
    let fixture = Fixture::new().await;
    let settings = Settings { server_cancel: false, ..Settings::default() };
    let driver = Postgres::new(&fixture.url, settings).unwrap().control_with(&fixture.admin_url).unwrap();
    let connection = driver.connect().await.unwrap();
    let mut control = driver.control().await.unwrap();
    assert!(control.cancel(connection.session()).await.is_err());
    control.terminate(connection.session()).await.unwrap();

    // One that may not see the session says so instead of believing it gone.
    let stranger = Fixture::new().await;
    let driver = Postgres::new(&fixture.url, Settings::default()).unwrap().control_with(&stranger.url).unwrap();
    let connection = driver.connect().await.unwrap();
    let mut control = driver.control().await.unwrap();
    assert!(control.is_listed(connection.session()).await.unwrap());
    assert_eq!(control.cancel(connection.session()).await.unwrap_err().kind, FailureKind::Denied);
}
