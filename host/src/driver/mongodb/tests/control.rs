//! The control path: what it needs, what it sees, and what it ends.

use super::*;
use crate::driver::Session;

async fn controlled(fixture: &Fixture) -> Mongodb {
    Mongodb::new(&fixture.url, Settings::default()).unwrap().control_with(&fixture.control().await).unwrap()
}

#[tokio::test]
async fn a_user_who_sees_no_sessions_is_refused() {
    let fixture = Fixture::new().await;
    let failed = Mongodb::new(&fixture.url, Settings::default()).unwrap().control().await.err().unwrap();
    assert_eq!((failed.kind, failed.lost), (FailureKind::Denied, true), "{failed:?}");
    assert!(failed.message.contains("control_url"), "{failed:?}");
}

#[tokio::test]
async fn sessions_are_listed_until_they_are_closed_or_dropped() {
    let fixture = Fixture::new().await;
    let driver = controlled(&fixture).await;
    let mut control = driver.control().await.unwrap();
    let own = control.session().unwrap().clone();
    assert!(control.is_listed(&own).await.unwrap());
    let (one, two) = (driver.connect().await.unwrap(), driver.connect().await.unwrap());
    let sessions = [one.session().clone(), two.session().clone()];
    for session in &sessions {
        assert!(control.is_listed(session).await.unwrap());
    }
    one.close().await.unwrap();
    drop(two);
    driver.close().await;
    for session in &sessions {
        gone(&mut *control, session).await;
    }
    control.close().await;
    let mut other = driver.control().await.unwrap();
    gone(&mut *other, &own).await;
}

/// The server's threads take a moment to go away after their clients have.
async fn gone(control: &mut dyn crate::driver::Control, session: &Session) {
    for _ in 0..1000 {
        if !control.is_listed(session).await.unwrap() {
            return;
        }
    }
    panic!("{session:?} never went away");
}

#[tokio::test]
async fn a_session_that_is_terminated_is_gone() {
    let fixture = Fixture::new().await;
    let driver = controlled(&fixture).await;
    let mut control = driver.control().await.unwrap();
    let mut connection = driver.connect().await.unwrap();
    write(&mut *connection, insert(&[doc! { "_id": 1 }])).await.unwrap();
    let session = connection.session().clone();
    drop(connection);
    control.terminate(&session).await.unwrap();
    gone(&mut *control, &session).await;
    control.terminate(&session).await.unwrap();
    control.cancel(&session).await.unwrap();
}

#[tokio::test]
async fn cancelling_may_be_switched_off() {
    let fixture = Fixture::new().await;
    let settings = Settings { server_cancel: false, ..Settings::default() };
    let driver = Mongodb::new(&fixture.url, settings).unwrap().control_with(&fixture.control().await).unwrap();
    let mut control = driver.control().await.unwrap();
    let connection = driver.connect().await.unwrap();
    assert_eq!(failure(control.cancel(connection.session()).await).kind, FailureKind::Denied);
    control.ping().await.unwrap();
    let nonsense = Session { id: 1, started: "nonsense".into() };
    assert_eq!(failure(control.is_listed(&nonsense).await).kind, FailureKind::Invalid);
}
