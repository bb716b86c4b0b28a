//! The commands of the READMEs, run as they are written; what those of the examples show as answers is what comes.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use support::{guests, postgres::PostgresDatabase};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// The port that the READMEs show.
const PORT: u16 = 3000;

/// Until a server says something.
const PATIENCE: Duration = Duration::from_secs(60);

/// Compiling the handler is part of it.
const START: Duration = Duration::from_secs(900);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder of the workspace").to_owned()
}

/// A command of a README and the answer that it shows, if any.
#[derive(Debug, PartialEq)]
struct Shown {
    command: String,
    answer: String,
}

/// The commands that use curl, from blocks of code.
fn commands(readme: &str) -> Vec<Shown> {
    let text = std::fs::read_to_string(root().join(readme)).unwrap();
    let mut shown: Vec<Shown> = Vec::new();
    let mut answers = false;
    for line in text.lines() {
        let indented = line.strip_prefix("    ");
        if let Some(command) = indented.and_then(|line| line.strip_prefix("$ ")).filter(|command| command.starts_with("curl")) {
            shown.push(Shown { command: command.to_owned(), answer: String::new() });
            answers = true;
        } else if line.starts_with("curl ") {
            shown.push(Shown { command: line.to_owned(), answer: String::new() });
            answers = false;
        } else if let (true, Some(answer), Some(last)) = (answers, indented, shown.last_mut()) {
            last.answer.push_str(answer);
            last.answer.push('\n');
        } else {
            answers = false;
        }
    }
    shown
}

/// Starts an example with this command line on a database, by the variables that begin with `name`, and waits until it listens.
async fn start(command: &[&str], name: &str, url: &str) -> (Child, SocketAddr) {
    let mut command_line = Command::new(command[0]);
    command_line.args(&command[1..]).current_dir(root());
    command_line.env(format!("{name}_LISTEN"), "127.0.0.1:0").env(format!("{name}_URL"), url);
    let mut child = command_line.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let listening = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(address) = line.strip_prefix("listening on http://") {
                return address.parse().unwrap();
            }
        }
        panic!("{command:?} ended before it listened");
    };
    let address = timeout(START, listening).await.unwrap();
    (child, address)
}

/// Runs the commands one after the other, and compares the answers that are shown.
async fn tour(readme: &str, address: SocketAddr) {
    let shown = commands(readme);
    assert!(shown.len() >= 5, "{readme} has only {} commands", shown.len());
    // Where commands may leave files for later ones.
    let folder = tempfile::tempdir().unwrap();
    for Shown { command, answer } in shown {
        let address = address.to_string();
        let shown = |host: &str| format!("{host}:{PORT}");
        let command = command.replace(&shown("127.0.0.1"), &address).replace(&shown("localhost"), &address);
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("set -o pipefail; {command}")]).current_dir(folder.path());
        let output = shell.output().await.unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        let came = String::from_utf8(output.stdout).unwrap();
        assert!(!came.is_empty(), "{command}");
        let mut rest = came.as_str();
        // What is left out is shown as dots.
        for part in answer.split('…').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((_, after)) = rest.split_once(part) else { panic!("{command}\nshown: {part}\ncame: {came}") };
            rest = after;
        }
    }
}

/// Interrupts it, as Ctrl-C does. `cargo run` has become the program by then.
async fn stop(mut child: Child) {
    let pid = child.id().unwrap();
    let killed = Command::new("bash").args(["-c", &format!("kill -INT {pid}")]).status().await.unwrap();
    assert!(killed.success(), "nothing to interrupt");
    let status = timeout(Duration::from_secs(30), child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn the_first_command_and_the_tours_work_as_written() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let command = "cargo run --release -- up examples/clinic";
    assert!(text.lines().any(|line| line == command), "the README's first command is not {command:?}");
    for readme in ["README.md", "examples/clinic/README.md"] {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("clinic.db").display());
        let (child, address) = start(&command.split(' ').collect::<Vec<_>>(), "CLINIC", &url).await;
        tour(readme, address).await;
        stop(child).await;
    }
}

#[tokio::test]
async fn the_tours_work_on_postgres_with_the_same_component() {
    let binary = support::host::binary();
    for readme in ["README.md", "examples/clinic/README.md"] {
        let database = PostgresDatabase::create().await;
        let command = [binary.to_str().unwrap(), "up", "examples/clinic"];
        let (child, address) = start(&command, "CLINIC", &database.url(&database.owner)).await;
        tour(readme, address).await;
        stop(child).await;
        database.nothing_left().await;
    }
}

/// Starts the server that `examples/accounts/wire-server` starts, out of what the tests have installed, on a port of its own.
async fn wire_server() -> (Child, String) {
    let python = guests::target_folder().join("wire-server/bin/python");
    assert!(python.is_file(), "{} is missing: run tests/run, which installs it", python.display());
    let folder = tempfile::tempdir().unwrap();
    // Between finding a free port and binding it, somebody else may take it.
    for _ in 0..5 {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Command::new("sh");
        server.args(["-c", "exec \"$0\" \"$@\" 2>&1"]).arg(&python).args(["-u", "-I", "-m", "secantus", "--host", "127.0.0.1"]);
        server
            .args(["--port", &port.to_string(), "--storage-path", ":memory:", "--log-level", "INFO"])
            .current_dir(folder.path());
        let mut child = server.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while let Some(line) = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap() {
            if line.contains("secantus listening on") {
                // What it says later must not fill the pipe.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return (child, format!("mongodb://127.0.0.1:{port}/accounts"));
            }
        }
    }
    panic!("the server does not start");
}

#[tokio::test]
async fn the_tour_of_accounts_works_as_written() {
    let readme = "examples/accounts/README.md";
    let text = std::fs::read_to_string(root().join(readme)).unwrap();
    for command in ["    examples/accounts/wire-server", "    cargo run --release -- up examples/accounts"] {
        assert!(text.lines().any(|line| line == command), "{readme} does not show {command:?}");
    }
    let (mut server, url) = wire_server().await;
    let command = [support::host::binary(), "up".into(), "examples/accounts".into()];
    let command: Vec<&str> = command.iter().map(|part| part.to_str().unwrap()).collect();
    let (child, address) = start(&command, "ACCOUNTS", &url).await;
    tour(readme, address).await;
    stop(child).await;
    server.kill().await.unwrap();
}

#[test]
fn what_the_example_starts_is_what_the_tests_try() {
    let script = std::fs::read_to_string(root().join("examples/accounts/wire-server")).unwrap();
    let installed = std::fs::read_to_string(root().join("tests/support/mongodb/requirements.txt")).unwrap();
    let pinned = |text: &str| -> BTreeSet<String> {
        let words = text.split(|end: char| end.is_whitespace() || ['(', ')', '"'].contains(&end));
        words.filter(|word| word.contains("==")).map(|word| word.trim_start_matches("server=").to_lowercase()).collect()
    };
    let (script, installed) = (pinned(&script), pinned(&installed));
    assert!(!script.is_empty() && script.is_subset(&installed), "{script:?} {installed:?}");
}
