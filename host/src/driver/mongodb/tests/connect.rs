//! Opening a session: identity, privileges, and what is told when there is none.

use super::*;

async fn refused(url: &str, settings: Settings) -> Option<Failure> {
    Mongodb::new(url, settings).unwrap().connect().await.err()
}

#[tokio::test]
async fn a_session_knows_who_it_is_and_answers() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    let session = connection.session().clone();
    let (name, lsid) = session.started.split_once('|').unwrap();
    assert!(session.id > 0 && name.starts_with(&format!("wharf {} ", fixture.name)), "{session:?}");
    assert!(name.len() < 128 && bson::Uuid::parse_str(lsid).is_ok(), "{session:?}");
    connection.ping().await.unwrap();
    assert!(!connection.needs_reset());
    assert_ne!(connected(&fixture).await.session().started, session.started);
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_reader_may_read_and_whoever_may_write_is_refused() {
    let fixture = Fixture::new().await;
    let reader = || Settings { access: Access::ReadOnly, ..Settings::default() };
    let failure = refused(&fixture.url, reader()).await.unwrap();
    assert!(failure.kind == FailureKind::Denied && failure.message.contains("readWrite"), "{failure:?}");
    let url = fixture.user("reader", vec!["read".into()]).await;
    let mut connection = Mongodb::new(&url, reader()).unwrap().connect().await.unwrap();
    assert_eq!(all(&mut *connection).await.unwrap(), []);
    let refused = failure_of(&mut *connection, insert(&[doc! { "_id": 1 }])).await;
    assert_eq!((refused.kind, refused.lost), (FailureKind::Denied, false), "{refused:?}");
    let refused = failure_of(&mut *connection, Request::Aggregate(people(), aggregate(&[doc! { "$out": "x" }]))).await;
    assert_eq!(refused.kind, FailureKind::Denied, "{refused:?}");
}

async fn failure_of(connection: &mut dyn Connection, request: Request) -> Failure {
    failure(ask(connection, request).await)
}

#[tokio::test]
async fn a_superuser_is_refused_unless_one_is_allowed() {
    let fixture = Fixture::new().await;
    let failure = refused(&fixture.admin_url, Settings::default()).await.unwrap();
    assert!(failure.kind == FailureKind::Denied && failure.message.contains("root"), "{failure:?}");
    assert_eq!(refused(&fixture.admin_url, Settings { allow_superuser: true, ..Settings::default() }).await, None);
}

#[tokio::test]
async fn failures_to_connect_name_neither_address_nor_credential() {
    let fixture = Fixture::new().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (url, kind) in [
        (fixture.url.replacen("hidden", "wrongsecret", 1), FailureKind::Denied),
        (fixture.url.replacen("_owner:", "_nobodyknown:", 1), FailureKind::Denied),
        (format!("mongodb://u:wrongsecret@127.0.0.1:{free}/d"), FailureKind::Disconnected),
        (format!("mongodb://127.0.0.1:{free},localhost:{free}/d"), FailureKind::Disconnected),
        ("mongodb://u:wrongsecret@no-such-host.invalid/d".to_owned(), FailureKind::Disconnected),
        (format!("{}&tls=true", fixture.url), FailureKind::Disconnected),
    ] {
        let failure = refused(&url, Settings::default()).await.unwrap();
        assert_eq!((failure.kind, failure.lost), (kind, true), "{url}: {failure:?}");
        let told = format!("{failure:?}");
        for secret in ["wrongsecret", "hidden", "127.0.0.1", "localhost", "nobodyknown", &fixture.name, "no-such-host"] {
            assert!(!told.contains(secret), "{told}");
        }
    }
    let failure = Mongodb::new("mongodb://u:wrongsecret@h/d?nonsense=1", Settings::default()).err().unwrap();
    assert!(failure.kind == FailureKind::Invalid && !format!("{failure:?}").contains("wrongsecret"));
}
