//! Opening sessions: identity, backstops, who is refused; ending statements and sessions from outside.

use std::time::Duration;

use super::{
    super::{connect, host},
    *,
};
use crate::driver::settings::Access;

#[tokio::test]
async fn a_session_knows_itself_and_has_its_backstops() {
    let fixture = Fixture::new().await;
    let settings = Settings {
        statement_timeout: Duration::from_millis(1500),
        idle_in_transaction_timeout: Duration::from_millis(7200),
        ..Settings::default()
    };
    let mut connection = Mysql::new(&fixture.url, settings).unwrap().connect().await.unwrap();
    let id = connection.session().id;
    assert_eq!(one(&mut *connection, "SELECT CAST(CONNECTION_ID() AS SIGNED)", vec![]).await, Value::Signed(id));
    assert!(connection.session().started.contains(':'), "{}", connection.session().started);
    let rows = query(
        &mut *connection,
        "SELECT CAST(@@max_statement_time AS CHAR), CAST(@@idle_transaction_timeout AS CHAR), @@time_zone, \
         @@sql_mode LIKE '%STRICT_ALL_TABLES%', CAST(@@lock_wait_timeout AS CHAR), @@character_set_results",
        vec![],
    );
    let batch = rows.await.unwrap().batch;
    let cells: Vec<Value> = (0..6).map(|column| cell(&batch, column, 0)).collect();
    assert_eq!(cells, [text("1.500000"), text("8"), text("+00:00"), Value::Signed(1), text("2"), text("utf8mb4")]);
    let failure = failure(&mut *connection, "SELECT COUNT(*) FROM seq_1_to_1000000 a, seq_1_to_1000000 b", vec![]).await;
    assert_eq!((failure.kind, failure.lost), (FailureKind::Cancelled, false), "{failure:?}");
}

#[tokio::test]
async fn statements_and_sessions_are_ended_from_outside() {
    let fixture = Fixture::new().await;
    let driver = Mysql::new(&fixture.url, Settings::default()).unwrap();
    let mut control = driver.control().await.unwrap();
    let mut connection = driver.connect().await.unwrap();
    let session = connection.session().clone();
    assert!(control.is_listed(&session).await.unwrap());

    let running = tokio::spawn(async move {
        let result = execute(&mut *connection, "SELECT COUNT(*) FROM (SELECT SLEEP(30)) s", vec![]).await;
        (connection, result)
    });
    let sleeping =
        format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {} AND STATE = 'User sleep'", session.id);
    fixture.until(&sleeping, 1).await;
    control.cancel(&session).await.unwrap();
    let (mut connection, result) = running.await.unwrap();
    let failure = result.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_deref(), failure.lost), (FailureKind::Cancelled, Some("70100"), false));

    // A number alone is not enough: another session may have it one day.
    let stranger = crate::driver::Session { id: session.id, started: "10.9.8.7:1".into() };
    control.terminate(&stranger).await.unwrap();
    assert!(!control.is_listed(&stranger).await.unwrap() && control.is_listed(&session).await.unwrap());

    control.terminate(&session).await.unwrap();
    let mut gone = false;
    for _ in 0..1000 {
        gone = !control.is_listed(&session).await.unwrap();
        if gone {
            break;
        }
    }
    assert!(gone);
    let failure = self::failure(&mut *connection, "SELECT 1", vec![]).await;
    assert_eq!((failure.kind, failure.lost), (FailureKind::Disconnected, true));
    // Twice is no error.
    control.terminate(&session).await.unwrap();
    control.cancel(&session).await.unwrap();
    control.ping().await.unwrap();
    control.close().await;
}

#[tokio::test]
async fn who_is_there_is_told_without_the_disk_of_the_server() {
    let fixture = Fixture::new().await;
    let driver = Mysql::new(&fixture.url, Settings::default()).unwrap();
    let (mut link, session) = connect::open_control(&driver.shared).await.unwrap();
    assert!(connect::lists(&mut link, &session).await.unwrap());
    let tables = "SHOW SESSION STATUS LIKE 'Created_tmp_disk_tables'";
    assert_eq!(host::cell(&host::run(&mut link, tables).await.unwrap(), 0, 1), Some("0"));
    // As it would be otherwise.
    host::run(&mut link, "SELECT HOST FROM information_schema.PROCESSLIST").await.unwrap();
    assert_eq!(host::cell(&host::run(&mut link, tables).await.unwrap(), 0, 1), Some("1"));
}

#[tokio::test]
async fn another_control_user_must_see_the_sessions() {
    let fixture = Fixture::new().await;
    let blind = fixture.user("blind", "GRANT USAGE ON *.* TO {user}").await;
    let seeing = fixture.user("seeing", "GRANT PROCESS, CONNECTION ADMIN ON *.* TO {user}").await;
    // Neither may use the database of the sessions, and need not.
    let driver = |url: &str| Mysql::new(&fixture.url, Settings::default()).unwrap().control_with(url).unwrap();
    let failure = driver(&blind).control().await.err().unwrap();
    assert!(failure.kind == FailureKind::Denied && failure.message.contains("PROCESS"), "{failure:?}");
    let driver = driver(&seeing);
    let connection = driver.connect().await.unwrap();
    let mut control = driver.control().await.unwrap();
    control.terminate(connection.session()).await.unwrap();
    fixture
        .until(&format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {}", connection.session().id), 0)
        .await;
}

#[tokio::test]
async fn who_may_do_too_much_is_refused() {
    let fixture = Fixture::new().await;
    let refused = async |url: &str, settings: Settings| Mysql::new(url, settings).unwrap().connect().await.err();
    let reader = || Settings { access: Access::ReadOnly, ..Settings::default() };
    let admin = &fixture.admin_url;
    let failure = refused(admin, Settings::default()).await.unwrap();
    assert!(failure.kind == FailureKind::Denied && failure.message.contains("ALL PRIVILEGES on *.*"), "{failure:?}");
    assert_eq!(refused(admin, Settings { allow_superuser: true, ..Settings::default() }).await, None);

    let failure = refused(&fixture.url, reader()).await.unwrap();
    assert!(failure.kind == FailureKind::Denied && failure.message.contains("ALL PRIVILEGES"), "{failure:?}");
    // Through a role that is not even active.
    fixture.admin(&format!("CREATE OR REPLACE ROLE {0}_w; GRANT INSERT ON {0}.* TO {0}_w", fixture.name)).await;
    let url = fixture.user("viarole", "GRANT SELECT ON {database}.* TO {user}").await;
    assert_eq!(refused(&url, reader()).await, None);
    fixture.admin(&format!("GRANT {0}_w TO {0}_viarole", fixture.name)).await;
    let failure = refused(&url, reader()).await.unwrap();
    assert!(failure.kind == FailureKind::Denied && failure.message.contains("INSERT"), "{failure:?}");

    let url = fixture.user("reader", "GRANT SELECT ON {database}.* TO {user}").await;
    let mut connection = Mysql::new(&url, reader()).unwrap().connect().await.unwrap();
    fixture.run("CREATE TABLE t (a INT)").await;
    let failure = self::failure(&mut *connection, "INSERT INTO t VALUES (1)", vec![]).await;
    assert_eq!(failure.kind, FailureKind::Denied);
    assert!(!failure.message.contains("127.0.0.1") && !failure.message.contains("localhost"), "{failure:?}");
    let failure = self::failure(&mut *connection, "SET SESSION TRANSACTION READ WRITE", vec![]).await;
    assert_eq!(failure.kind, FailureKind::Denied);
}

#[tokio::test]
async fn failures_to_connect_name_neither_address_nor_credential() {
    let fixture = Fixture::new().await;
    let (scheme, rest) = fixture.url.split_once("://").unwrap();
    let (_, host) = rest.rsplit_once('@').unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (url, kind) in [
        (format!("{scheme}://{}:wrongsecret@{host}", fixture.name), FailureKind::Denied),
        (format!("{scheme}://nobodyknown:wrongsecret@{host}"), FailureKind::Denied),
        (format!("{}/elsewhere_db", fixture.url.rsplit_once('/').unwrap().0), FailureKind::Denied),
        (format!("mysql://u:wrongsecret@127.0.0.1:{free}/d"), FailureKind::Disconnected),
        ("mysql://u:wrongsecret@no-such-host.invalid/d".to_owned(), FailureKind::Disconnected),
        (format!("{}?ssl-mode=REQUIRED", fixture.url), FailureKind::Disconnected),
    ] {
        let failure = Mysql::new(&url, Settings::default()).unwrap().connect().await.err().unwrap();
        assert_eq!((failure.kind, failure.lost), (kind, true), "{url}: {failure:?}");
        let told = format!("{failure:?}");
        for secret in ["wrongsecret", "hidden", "127.0.0.1", "localhost", "nobodyknown", "elsewhere", "invalid/"] {
            assert!(!told.contains(secret), "{told}");
        }
    }
    let failure = Mysql::new("mysql://u:wrongsecret@h/d?nonsense=1", Settings::default()).err().unwrap();
    assert!(failure.kind == FailureKind::Invalid && !format!("{failure:?}").contains("wrongsecret"));
}
