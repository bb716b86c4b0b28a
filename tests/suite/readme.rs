//! The commands of the READMEs, run as they are written; what those of the examples show as answers is what comes.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use support::{guests, postgres::PostgresDatabase};
use tempfile::TempDir;
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
    // As in a shell: what cargo tells a test of its package is looked at by a build script, and half of the host would be compiled anew.
    for (name, _) in std::env::vars_os() {
        let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if name.to_str().is_some_and(|name| name == "CARGO" || prefixes.iter().any(|prefix| name.starts_with(prefix))) {
            command_line.env_remove(name);
        }
    }
    command_line.env(format!("{name}_LISTEN"), "127.0.0.1:0").env(format!("{name}_URL"), url);
    // Several hosts of one example run at once.
    command_line.env(format!("{name}_ADMIN"), "127.0.0.1:0").env(format!("{name}_SOCKET"), "off");
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

/// Runs a command for as long as somebody holds the other end of stdin, then has it shut down and removes its temporary files. The output is that
/// of the command alone, and ends with it.
const SUPERVISOR: &str = r#""$@" 2>&1 </dev/null &
server=$!
exec >/dev/null
cat
kill -TERM "$server" 2>/dev/null
wait "$server"
rm -rf "$TMPDIR""#;

/// The server of the README, which ends with this, however this ends.
struct WireServer {
    supervisor: Child,
    url: String,
    /// Its temporary files. Outlives it.
    _folder: TempDir,
}

impl WireServer {
    /// Starts it on a free port, out of what the tests have installed.
    async fn start() -> Self {
        let target = guests::target_folder();
        let python = target.join("wire-server/bin/python");
        assert!(python.is_file(), "{} is missing: run tests/run, which installs it", python.display());
        // Between finding a free port and binding it, somebody else may take it.
        for _ in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut command = Command::new("sh");
            command.args([
                "-c",
                SUPERVISOR,
                "supervisor",
                "examples/accounts/wire-server",
                &port.to_string(),
                "--log-level",
                "INFO",
            ]);
            command.current_dir(root()).env("CARGO_TARGET_DIR", &target).env("TMPDIR", folder.path());
            // The interrupt of a terminal is for the tests alone.
            command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut supervisor = command.spawn().unwrap();
            let mut lines = BufReader::new(supervisor.stdout.take().unwrap()).lines();
            while let Some(line) = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap() {
                if line.contains("secantus listening on") {
                    // What it says later must not fill the pipe.
                    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                    return Self { supervisor, url: format!("mongodb://127.0.0.1:{port}/accounts"), _folder: folder };
                }
            }
        }
        panic!("the server does not start");
    }

    /// Waits until it has shut down.
    async fn stop(mut self) {
        drop(self.supervisor.stdin.take());
        timeout(PATIENCE, self.supervisor.wait()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_tour_of_accounts_works_as_written() {
    let readme = "examples/accounts/README.md";
    let text = std::fs::read_to_string(root().join(readme)).unwrap();
    for command in ["    examples/accounts/wire-server", "    cargo run --release -- up examples/accounts"] {
        assert!(text.lines().any(|line| line == command), "{readme} does not show {command:?}");
    }
    let server = WireServer::start().await;
    let command = [support::host::binary(), "up".into(), "examples/accounts".into()];
    let command: Vec<&str> = command.iter().map(|part| part.to_str().unwrap()).collect();
    let (child, address) = start(&command, "ACCOUNTS", &server.url).await;
    tour(readme, address).await;
    stop(child).await;
    server.stop().await;
}
