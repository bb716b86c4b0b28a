//! One MariaDB server a test process, in a temporary folder, which goes away with the process however that ends.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Mutex, OnceLock},
};

use sqlx::{ConnectOptions, MySqlConnection, mysql::MySqlConnectOptions};

/// Where the tests find their server.
#[derive(Debug)]
pub struct Server {
    options: MySqlConnectOptions,
    // Its stdin, when closed, tells it to stop the server. A static is never dropped: the kernel closes it with the process.
    supervisor: Option<Child>,
    /// What the supervisor says.
    said: Option<Mutex<Lines<BufReader<ChildStdout>>>>,
    folder: Option<PathBuf>,
    /// The administrator's, of a server that was started here.
    password: String,
}

/// The server of this process, started when first asked for; `WHARF_TEST_MYSQL_URL` (an administrator's) is used instead when set.
///
/// # Panics
/// When there is no server and none can be started; the message says what to install.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| match std::env::var("WHARF_TEST_MYSQL_URL") {
        Ok(url) => {
            let options = url.parse().expect("WHARF_TEST_MYSQL_URL is a MySQL URL");
            Server { options, supervisor: None, said: None, folder: None, password: String::new() }
        }
        Err(_) => start(&[]),
    })
}

impl Server {
    /// How to connect as an administrator to the database of the given name.
    #[must_use]
    pub fn administrator(&self, database: &str) -> MySqlConnectOptions {
        self.options.clone().database(database)
    }

    /// An administrator's connection.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn connect(&self, database: &str) -> MySqlConnection {
        self.administrator(database).connect().await.expect("the server of the tests takes a connection")
    }

    /// The administrator's URL for a database of a server that was started here.
    #[must_use]
    pub fn administrator_url(&self, database: &str) -> String {
        format!("mysql://admin:{}@{}/{database}", self.password, self.address())
    }

    /// Stops the server as a crash would; it comes back with [`Server::resume`]. Blocks until it is gone. Only for a server that was
    /// started here.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn halt(&self) {
        self.order("stop", "stopped");
    }

    /// Has the server shut down as an operator would, which tells its sessions; it comes back with [`Server::resume`]. Blocks until it is
    /// gone. Only for a server that was started here.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn shut_down(&self) {
        self.order("end", "ended");
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

    /// `127.0.0.1:3306`, or what takes its place.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.options.get_host(), self.options.get_port())
    }
}

/// A server of its own, with further options of `mariadbd`. It ends when it is dropped.
///
/// # Panics
/// When there are no programs to start, or the server refuses.
pub fn start(options: &[&str]) -> Server {
    assert!(
        is_installed(),
        "these tests need a MariaDB server: install it (Debian: apt-get install mariadb-server), \
         or set WHARF_TEST_MYSQL_URL to the URL of an administrator on one"
    );
    // Between finding a free port and binding it, somebody else may take it.
    let mut failures = Vec::new();
    for _ in 0..5 {
        match try_start(options) {
            Ok(server) => return server,
            Err(output) => failures.push(output),
        }
    }
    panic!("MariaDB did not start; it said, five times over:\n{}", failures.join("\n"));
}

fn is_installed() -> bool {
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let folders: Vec<PathBuf> = on_path.into_iter().chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]).collect();
    let has = |program: &str| folders.iter().any(|folder| folder.join(program).is_file());
    has("mariadbd") && has("mariadb-install-db")
}

fn try_start(options: &[&str]) -> Result<Server, String> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
    // MariaDB refuses to run as root.
    let root = std::fs::metadata("/proc/self").is_ok_and(|us| std::os::unix::fs::MetadataExt::uid(&us) == 0);
    let mut command = if root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=mysql", "--regid=mysql", "--init-groups", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    let mut supervisor = command
        .args(["-c", include_str!("supervisor.sh"), "supervisor"])
        .arg(port.to_string())
        .args(options)
        .current_dir("/")
        // The interrupt of a terminal is for the tests alone.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("no shell to start MariaDB with (as root, setpriv of util-linux is needed): {error}"));
    let mut said = String::new();
    let mut lines = BufReader::new(supervisor.stdout.take().expect("piped")).lines();
    for line in lines.by_ref() {
        let line = line.expect("the supervisor speaks UTF-8");
        if let Some(("ready", rest)) = line.split_once(' ') {
            let (folder, password) = rest.split_once(' ').expect("a folder and a password");
            let options = MySqlConnectOptions::new().host("127.0.0.1").port(port).username("admin").password(password);
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
            assert!(!Path::new(folder).exists(), "{} was left behind", folder.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_folder_go_away_with_the_pipe() {
        let server = try_start(&[]).expect("started");
        let folder = server.folder.clone().expect("a folder of its own");
        let pid = std::fs::read_to_string(folder.join("pid")).expect("a running server");
        let process = Path::new("/proc").join(pid.trim());
        assert!(process.exists());
        drop(server);
        assert!(!process.exists() && !folder.exists());
    }
}
