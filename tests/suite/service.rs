//! What a service manager hears of a host: as systemd would, on a socket that the host is told of.

use std::{fs, time::Duration};

use support::host::{Setup, Signal};
use tokio::{net::UnixDatagram, time::timeout};

const PATIENCE: Duration = Duration::from_secs(120);

async fn next(manager: &UnixDatagram) -> String {
    let mut message = [0; 1024];
    let length = timeout(PATIENCE, manager.recv(&mut message)).await.expect("a message").unwrap();
    String::from_utf8(message[..length].to_vec()).unwrap()
}

/// Hears messages until one has this in it.
async fn until(manager: &UnixDatagram, part: &str) -> (String, Vec<String>) {
    let mut before = Vec::new();
    loop {
        let message = next(manager).await;
        if message.contains(part) {
            return (message, before);
        }
        before.push(message);
    }
}

#[tokio::test]
async fn a_service_manager_hears_when_a_host_serves_goes_on_and_stops() {
    let setup = Setup::new().plugin("probe", "probe", "");
    let path = setup.folder().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let host = setup
        .environment("NOTIFY_SOCKET", path.to_str().unwrap())
        // As short as makes a test quick.
        .environment("WATCHDOG_USEC", "300000")
        .start()
        .await;
    let (_, before) = until(&manager, "READY=1").await;
    assert_eq!(before, ["STATUS=starting"]);
    let (state, _) = until(&manager, "STATUS=active: 0/50").await;
    assert_eq!(state, "WATCHDOG=1\nSTATUS=active: 0/50");
    for _ in 0..3 {
        assert_eq!(next(&manager).await, "WATCHDOG=1");
    }
    host.signal(Signal::Terminate);
    let (stopping, _) = until(&manager, "STOPPING=1").await;
    // Two seconds of drain and ten of reclaim, and what no setting bounds.
    let within = stopping.strip_prefix("STOPPING=1\nEXTEND_TIMEOUT_USEC=").unwrap().parse().unwrap();
    assert!((Duration::from_secs(12)..Duration::from_secs(30)).contains(&Duration::from_micros(within)), "{stopping}");
    let ended = host.ended(PATIENCE).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn a_stop_takes_as_long_as_the_configuration_in_force_says() {
    let setup = Setup::new().plugin("probe", "probe", "");
    let path = setup.folder().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let host = setup.environment("NOTIFY_SOCKET", path.to_str().unwrap()).start().await;
    until(&manager, "READY=1").await;
    let file = host.folder().join("wharf.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("drain_timeout = \"2s\"", "drain_timeout = \"5m\"")).unwrap();
    host.signal(Signal::Hangup);
    until(&manager, "RELOADING=1").await;
    until(&manager, "READY=1").await;
    host.signal(Signal::Terminate);
    let (stopping, _) = until(&manager, "STOPPING=1").await;
    let within = stopping.strip_prefix("STOPPING=1\nEXTEND_TIMEOUT_USEC=").unwrap().parse().unwrap();
    assert!(Duration::from_micros(within) > Duration::from_secs(310), "{stopping}");
    let ended = host.ended(PATIENCE).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("terminated: finishing what runs, for 5m at most"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_manager_that_cannot_be_reached_is_told_of_and_changes_nothing() {
    let host = Setup::new().plugin("probe", "probe", "").environment("NOTIFY_SOCKET", "/nowhere/notify").start().await;
    host.logged("the service manager cannot be told", PATIENCE).await;
    assert_eq!(host.client().get("/probe/hello").await.text(), "hello");
    assert_eq!(host.stop().await.code, Some(0));
    let ended = Setup::new().plugin("probe", "probe", "").environment("NOTIFY_SOCKET", "nowhere").fail().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("NOTIFY_SOCKET is neither a path nor an abstract name"), "{}", ended.stderr);
}
