//! One PostgreSQL server a test process, in a temporary folder, which goes away with the process however that ends.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Mutex, OnceLock},
};

use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};

/// Where the tests find their server.
#[derive(Debug)]
pub struct Server {
    options: PgConnectOptions,
    // Its stdin, when closed, tells it to stop the server. A static is never dropped: the kernel closes it with the process.
    supervisor: Option<Child>,
    /// What the supervisor says.
    said: Option<Mutex<Lines<BufReader<ChildStdout>>>>,
    folder: Option<PathBuf>,
    /// The superuser's, of a server that was started here.
    password: String,
}

/// The server of this process, started when first asked for; `WHARF_TEST_POSTGRES_URL` (a superuser's) is used instead when set.
///
/// # Panics
/// When there is no server and none can be started; the message says what to install.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| match std::env::var("WHARF_TEST_POSTGRES_URL") {
        Ok(url) => {
            let options = url.parse().expect("WHARF_TEST_POSTGRES_URL is a PostgreSQL URL");
            Server { options, supervisor: None, said: None, folder: None, password: String::new() }
        }
        Err(_) => start(),
    })
}

impl Server {
    /// How to connect as a superuser to the database of the given name.
    #[must_use]
    pub fn superuser(&self, database: &str) -> PgConnectOptions {
        self.options.clone().database(database).application_name("wharf tests")
    }

    /// A superuser's connection.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn connect(&self, database: &str) -> PgConnection {
        self.superuser(database).connect().await.expect("the server of the tests takes a connection")
    }

    /// Where a server that was started here has its files.
    pub(super) fn folder(&self) -> &Path {
        self.folder.as_deref().expect("a server that was started here")
    }

    /// The superuser's URL for a database of a server that was started here.
    #[must_use]
    pub fn superuser_url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@{}/{database}", self.password, self.address())
    }

    /// Stops the server as a crash would; it comes back with [`Server::resume`]. Blocks until it is gone. Only for a server that was
    /// started here.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn halt(&self) {
        self.order("stop", "stopped");
    }

    /// Starts a halted server again, with its data and at its old port. Blocks until it takes connections.
    ///
    /// # Panics
    /// When it does not start.
    pub fn resume(&self) {
        self.order("start", "started");
    }

    fn order(&self, order: &str, answer: &str) {
        let mut stdin = self.supervisor.as_ref().and_then(|child| child.stdin.as_ref()).expect("a server that was started here");
        writeln!(stdin, "{order}").expect("the supervisor listens");
        let mut said = self.said.as_ref().expect("a server that was started here").lock().expect("one order at a time");
        assert_eq!(said.next().expect("an answer").expect("an answer"), answer);
    }

    /// `127.0.0.1:5432`, or what takes its place.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.options.get_host(), self.options.get_port())
    }
}

/// A server of the caller's own, which it may halt and resume. It ends when it is dropped.
///
/// # Panics
/// When none can be started; the message says what to install.
#[must_use]
pub fn start() -> Server {
    start_with(&[])
}

/// As [`start`], with settings of its own, such as `shared_buffers=256MB`.
///
/// # Panics
/// As [`start`].
#[must_use]
pub fn start_with(settings: &[&str]) -> Server {
    let programs = programs();
    // A port that was free a moment ago may be taken by now.
    let mut failures = Vec::new();
    for _ in 0..5 {
        match try_start(&programs, settings) {
            Ok(server) => return server,
            Err(output) => failures.push(output),
        }
    }
    panic!("PostgreSQL did not start; it said, five times over:\n{}", failures.join("\n"));
}

fn try_start(programs: &Path, settings: &[&str]) -> Result<Server, String> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
    // PostgreSQL refuses to run as root.
    let root = std::fs::metadata("/proc/self").is_ok_and(|us| std::os::unix::fs::MetadataExt::uid(&us) == 0);
    let mut command = if root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    let mut supervisor = command
        .args(["-c", include_str!("supervisor.sh"), "supervisor"])
        .arg(programs)
        .arg(port.to_string())
        .args(settings)
        .current_dir("/")
        // The interrupt of a terminal is for the tests alone.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("no shell to start PostgreSQL with (as root, setpriv of util-linux is needed): {error}"));
    let mut said = String::new();
    let mut lines = BufReader::new(supervisor.stdout.take().expect("piped")).lines();
    for line in lines.by_ref() {
        let line = line.expect("the supervisor speaks UTF-8");
        if let Some(("ready", rest)) = line.split_once(' ') {
            let (folder, password) = rest.split_once(' ').expect("a folder and a password");
            let options =
                PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username("postgres").password(password);
            let password = password.to_owned();
            return Ok(Server {
                options,
                password,
                supervisor: Some(supervisor),
                said: Some(Mutex::new(lines)),
                folder: Some(folder.into()),
            });
        }
        said.push_str(&line);
        said.push('\n');
    }
    // Collects it; it ended when its output did.
    let _ = supervisor.wait();
    Err(said)
}

impl Drop for Server {
    /// Stops the server and waits until its folder is gone.
    fn drop(&mut self) {
        if let Some(mut supervisor) = self.supervisor.take() {
            drop(supervisor.stdin.take());
            let _ = supervisor.wait();
        }
        if let Some(folder) = &self.folder {
            assert!(!folder.exists(), "{} was left behind", folder.display());
        }
    }
}

/// The folder of `initdb` and `pg_ctl`: Debian keeps them off the path.
fn programs() -> PathBuf {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let mut known: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    known.sort();
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let folders = told.into_iter().chain(known.into_iter().rev()).chain(on_path);
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file()).unwrap_or_else(|| {
        panic!(
            "these tests need a PostgreSQL server (14 or later): install it (Debian: apt-get install postgresql), \
             or set WHARF_TEST_POSTGRES_URL to the URL of a superuser on one"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_folder_go_away_with_the_pipe() {
        let server = try_start(&programs(), &[]).expect("started");
        let folder = server.folder.clone().expect("a folder of its own");
        let pid = std::fs::read_to_string(folder.join("data/postmaster.pid")).expect("a running server");
        let process = Path::new("/proc").join(pid.lines().next().expect("a pid"));
        assert!(process.exists());
        drop(server);
        assert!(!process.exists() && !folder.exists());
    }
}
