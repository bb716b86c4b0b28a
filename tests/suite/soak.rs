//! The soak in small: that it passes, and that what it is there to find would be found. `tests/soak` is the long run.

use std::{process::Output, time::Duration};

use tokio::{process::Command, time::timeout};

/// Enough for two servers to start and a host to compile its handlers.
const BOUND: Duration = Duration::from_secs(400);

async fn soak(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_soak"));
    command.args(arguments).kill_on_drop(true);
    timeout(BOUND, command.output()).await.expect("it ends").unwrap()
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn a_thousand_calls_of_every_kind_leave_nothing_behind() {
    let output = soak(&["1000", "--at-once", "16", "--seed", "1"]).await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("leaks      0\n") && text.contains("\npassed\n"), "{text}");
}

#[tokio::test]
async fn a_session_left_in_a_transaction_is_reported_as_a_leak_on_every_engine() {
    let output = soak(&["50", "--at-once", "4", "--mix", "good", "--plant-leak"]).await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for engine in ["PostgreSQL", "MariaDB", "SQLite"] {
        assert!(text.lines().any(|line| line.contains(&format!("not at rest: {engine}: "))), "nothing about {engine}: {text}");
    }
    for engine in ["PostgreSQL", "MariaDB"] {
        assert!(text.lines().any(|line| line.contains(&format!("still listed: {engine}: "))), "nothing about {engine}: {text}");
    }
    // Each once at rest and, where there is a server, once more after the end of the host.
    assert!(text.contains("FAILED\n") && text.contains("\n  5 leaks\n"), "{text}");
}
