//! One server that speaks MongoDB's protocol a test process, in a temporary folder, which goes away with the process however that ends.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Mutex, OnceLock},
    time::Duration,
};

use mongodb::{
    Client,
    options::{ClientOptions, ServerMonitoringMode},
};

use crate::guests::target_folder;

/// What the tests' own connections call themselves.
const OURSELVES: &str = "wharf tests";

/// How long they look for a server that may be down.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the tests find their server.
#[derive(Debug)]
pub struct Server {
    url: Url,
    // Its stdin, when closed, tells it to stop the server. A static is never dropped: the kernel closes it with the process.
    supervisor: Option<Child>,
    /// What the supervisor says.
    said: Option<Mutex<Lines<BufReader<ChildStdout>>>>,
    folder: Option<PathBuf>,
}

/// The administrator's URL in parts.
#[derive(Debug)]
struct Url {
    /// `NAME:PASSWORD`, escaped as in a URL.
    credential: String,
    /// `127.0.0.1:27017`, or several with commas between them.
    hosts: String,
    /// The database that knows the administrator.
    source: String,
    /// Options for everybody, each behind an `&`.
    options: String,
}

/// The server of this process, started when first asked for; `WHARF_TEST_MONGODB_URL` (an administrator's) is used instead when set.
///
/// # Panics
/// When there is no server and none can be started; the message says what to install.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| match std::env::var("WHARF_TEST_MONGODB_URL") {
        Ok(url) => {
            let url = Url::parse(&url).expect("WHARF_TEST_MONGODB_URL is mongodb://NAME:PASSWORD@HOST:PORT/…");
            Server { url, supervisor: None, said: None, folder: None }
        }
        Err(_) => start(&[]),
    })
}

impl Url {
    fn parse(url: &str) -> Option<Self> {
        let (place, options) = url.split_once('?').unwrap_or((url, ""));
        let (credential, place) = place.strip_prefix("mongodb://")?.rsplit_once('@')?;
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        let mut parsed = Self {
            credential: credential.to_owned(),
            hosts: hosts.to_owned(),
            source: database.to_owned(),
            options: String::new(),
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=')?;
            match name.to_ascii_lowercase().as_str() {
                "authsource" => parsed.source = value.to_owned(),
                // Others than the administrator come by what is the default.
                "authmechanism" | "appname" => {}
                _ => parsed.options = parsed.options + "&" + option,
            }
        }
        if parsed.source.is_empty() {
            parsed.source = "admin".to_owned();
        }
        credential.contains(':').then_some(parsed)
    }
}

impl Server {
    /// The URL of a user that its own database knows.
    pub(super) fn url(&self, name: &str, password: &str, database: &str) -> String {
        let Url { hosts, options, .. } = &self.url;
        format!("mongodb://{name}:{password}@{hosts}/{database}?authSource={database}{options}")
    }

    /// The administrator's URL for a database.
    #[must_use]
    pub fn administrator_url(&self, database: &str) -> String {
        let Url { credential, hosts, source, options } = &self.url;
        format!("mongodb://{credential}@{hosts}/{database}?authSource={source}{options}")
    }

    /// An administrator's client, whose sockets end with the runtime.
    ///
    /// # Panics
    /// When the URL is none.
    pub async fn administrator(&self) -> Client {
        client(&self.administrator_url("admin")).await
    }

    /// The same server, which takes TLS only: everybody comes to this host, and with these options of the URL, such as `tls=true`.
    #[must_use]
    pub fn by_tls(mut self, host: &str, options: &str) -> Self {
        let port = self.url.hosts.rsplit(':').next().unwrap_or_default();
        self.url.hosts = format!("{host}:{port}");
        self.url.options = format!("{}&{options}", self.url.options);
        self
    }

    /// Stops the server as a crash would; it comes back with [`Server::resume`]. Blocks until it is gone. Only for a server that was
    /// started here.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn halt(&self) {
        self.order("stop", "stopped");
    }

    /// Has the server shut down as an operator would; it comes back with [`Server::resume`]. Blocks until it is gone, which takes two
    /// seconds. Only for a server that was started here.
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

    /// `127.0.0.1:27017`, or what takes its place; the first of several.
    #[must_use]
    pub fn address(&self) -> String {
        self.url.hosts.split(',').next().unwrap_or_default().to_owned()
    }
}

/// The URL of a user that its own database knows, through something that listens elsewhere and passes on what it hears, unencrypted.
pub(super) fn url_at(name: &str, password: &str, database: &str, address: SocketAddr) -> String {
    // The server would name itself, past whatever is between.
    format!("mongodb://{name}:{password}@{address}/{database}?authSource={database}&directConnection=true")
}

/// A client of the tests' own: one socket to work with, one to watch the server.
pub(super) async fn client(url: &str) -> Client {
    let mut options = ClientOptions::parse(url).await.expect("a URL");
    options.app_name = Some(OURSELVES.to_owned());
    options.max_pool_size = Some(1);
    options.server_monitoring_mode = Some(ServerMonitoringMode::Poll);
    options.server_selection_timeout = Some(PATIENCE);
    Client::with_options(options).expect("a client")
}

/// A server of its own, with further options of SecantusDB. It ends when it is dropped.
///
/// # Panics
/// When there is nothing to start, or the server refuses.
#[must_use]
pub fn start(options: &[&str]) -> Server {
    let python = target_folder().join("wire-server/bin/python");
    assert!(
        python.is_file(),
        "these tests need a server that speaks MongoDB's protocol: run tests/run, which installs one, \
         or set WHARF_TEST_MONGODB_URL to the URL of an administrator of MongoDB"
    );
    // Between finding a free port and binding it, somebody else may take it.
    let mut failures = Vec::new();
    for _ in 0..5 {
        match try_start(&python, options) {
            Ok(server) => return server,
            Err(output) => failures.push(output),
        }
    }
    panic!("the server of MongoDB's protocol did not start; it said, five times over:\n{}", failures.join("\n"));
}

fn try_start(python: &Path, options: &[&str]) -> Result<Server, String> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
    let mut supervisor = Command::new("sh")
        .args(["-c", include_str!("supervisor.sh"), "supervisor"])
        .arg(python)
        .arg(port.to_string())
        .args(options)
        .current_dir("/")
        // The interrupt of a terminal is for the tests alone.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("no shell to start the server with: {error}"));
    let mut said = String::new();
    let mut lines = BufReader::new(supervisor.stdout.take().expect("piped")).lines();
    for line in lines.by_ref() {
        let line = line.expect("the supervisor speaks UTF-8");
        if let Some(("ready", rest)) = line.split_once(' ') {
            let (folder, password) = rest.split_once(' ').expect("a folder and a password");
            let url = Url {
                credential: format!("admin:{password}"),
                hosts: format!("127.0.0.1:{port}"),
                source: "admin".to_owned(),
                options: "&directConnection=true".to_owned(),
            };
            return Ok(Server { url, supervisor: Some(supervisor), said: Some(Mutex::new(lines)), folder: Some(folder.into()) });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_folder_go_away_with_the_pipe() {
        let server = start(&[]);
        let folder = server.folder.clone().expect("a folder of its own");
        let pid = std::fs::read_to_string(folder.join("pid")).expect("a running server");
        let process = Path::new("/proc").join(pid.trim());
        assert!(process.exists());
        drop(server);
        assert!(!process.exists() && !folder.exists());
    }

    #[test]
    fn what_is_the_administrators_own_goes_to_nobody_else() {
        let url = |url: &str| {
            let url = Url::parse(url)?;
            let server = Server { url, supervisor: None, said: None, folder: None };
            Some((server.administrator_url("app"), server.url("me", "secret", "app"), server.address()))
        };
        let plain = ("mongodb://a:b@h:1/app?authSource=admin", "mongodb://me:secret@h:1/app?authSource=app", "h:1");
        let full = (
            "mongodb://a:b@h:1,i:2/app?authSource=users&tls=true&replicaSet=r",
            "mongodb://me:secret@h:1,i:2/app?authSource=app&tls=true&replicaSet=r",
            "h:1",
        );
        for (given, (administrators, users, address)) in [
            ("mongodb://a:b@h:1", plain),
            ("mongodb://a:b@h:1/admin?appName=x", plain),
            ("mongodb://a:b@h:1,i:2/users?tls=true&replicaSet=r", full),
            ("mongodb://a:b@h:1,i:2/?authMechanism=SCRAM-SHA-1&tls=true&authSource=users&replicaSet=r", full),
        ] {
            assert_eq!(url(given), Some((administrators.to_owned(), users.to_owned(), address.to_owned())), "{given}");
        }
        for none in ["mongodb+srv://a:b@h", "mongodb://h:1/admin", "mongodb://a@h:1", "postgres://a:b@h"] {
            assert_eq!(url(none), None, "{none}");
        }
    }
}
