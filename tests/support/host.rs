//! The host as an operator runs it: the binary `wharf` as a child process with a `wharf.toml` of the test's. All that it writes is searched
//! for [`secrets`].

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fmt::Write as _,
    io::{self, BufRead, BufReader, PipeReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    sync::watch,
    time::timeout,
};

use crate::{client::Client, guests, secrets};

/// How long a host may take to start: the first one compiles its components.
const START: Duration = Duration::from_secs(120);

/// How long it may take until nothing comes any more from one that was killed.
const END: Duration = Duration::from_secs(30);

/// Lines that a failed test shows.
const SHOWN: usize = 60;

/// What a host is started with.
#[derive(Debug)]
pub struct Setup {
    folder: TempDir,
    toml: String,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    through: Vec<String>,
    unread: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// A folder of its own, free ports, and a cache of compiled components that all tests share.
    ///
    /// # Panics
    /// When there is no room for a folder.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("wharf-test-").tempdir().expect("a temporary folder");
        let setup = Self {
            folder,
            toml: String::new(),
            environment: Vec::new(),
            arguments: Vec::new(),
            through: Vec::new(),
            unread: false,
        };
        setup.toml(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndrain_timeout = \"2s\"\n\n[engine]\ncache = {:?}\n",
            guests::target_folder().join("wharf-tests-cache")
        ))
    }

    /// An empty `wharf.toml`, for tests that write the whole of it.
    ///
    /// # Panics
    /// When there is no room for a folder.
    #[must_use]
    pub fn empty() -> Self {
        Self { toml: String::new(), ..Self::new() }
    }

    /// Adds to the end of `wharf.toml`.
    #[must_use]
    pub fn toml(mut self, text: &str) -> Self {
        self.toml.push_str(text);
        if !text.ends_with('\n') {
            self.toml.push('\n');
        }
        self
    }

    /// Adds settings to the table `[server]`, which [`Setup::new`] has begun.
    #[must_use]
    pub fn server(mut self, settings: &str) -> Self {
        for default in ["admin = \"127.0.0.1:0\"\n", "drain_timeout = \"2s\"\n"] {
            let key = default.split(' ').next().unwrap_or_default();
            if settings.lines().any(|line| line.split(' ').next() == Some(key)) {
                self.toml = self.toml.replacen(default, "", 1);
            }
        }
        self.toml = self.toml.replacen("[server]\n", &format!("[server]\n{settings}\n"), 1);
        self
    }

    /// Adds a database with settings of its own, such as `max_connections = 3`.
    #[must_use]
    pub fn database(self, name: &str, url: &str, settings: &str) -> Self {
        self.toml(&format!("\n[databases.{name}]\nurl = {url:?}\n{settings}"))
    }

    /// Adds a guest as the plugin of its name, on `/NAME` and all below it, with what it is granted, such as
    /// `databases.main = { access = "read-write" }`.
    #[must_use]
    pub fn guest(self, name: &str, settings: &str) -> Self {
        self.plugin(name, name, settings)
    }

    /// Adds a guest as a plugin of another name.
    #[must_use]
    pub fn plugin(mut self, plugin: &str, guest: &str, settings: &str) -> Self {
        let component = guests::component(guest);
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.toml,
            "\n[plugins.{plugin}]\ncomponent = {component:?}\nroutes = [\"/{plugin}\", \"/{plugin}/{{*rest}}\"]\n{settings}"
        );
        self
    }

    /// Sets a variable of the host's environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an argument to the command line.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts the host through another command, which becomes it.
    #[must_use]
    pub fn through(mut self, command: &[&str]) -> Self {
        self.through = command.iter().copied().map(str::to_owned).collect();
        self
    }

    /// Reads nothing of what the host writes to stderr until it has ended.
    #[must_use]
    pub fn unread(mut self) -> Self {
        self.unread = true;
        self
    }

    /// The folder that `wharf.toml` will be in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder, with `wharf.toml` written.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn write(self) -> TempDir {
        std::fs::write(self.folder.path().join("wharf.toml"), &self.toml).expect("wharf.toml written");
        self.folder
    }

    /// `wharf up`, until it listens.
    ///
    /// # Panics
    /// When it does not, with all that it said.
    pub async fn start(self) -> Host {
        let mut host = self.spawn();
        let listening = host.stdout.line("listening on http", START);
        tokio::select! {
            line = listening => match line {
                Some(line) => host.address = address(&line),
                None => panic!("the host does not listen:\n{}", host.said()),
            },
            status = host.child.wait() => panic!("the host ended ({status:?}) before it listened:\n{}", host.said()),
        }
        host
    }

    /// `wharf up`, and nothing is waited for.
    #[must_use]
    pub fn begin(self) -> Host {
        self.spawn()
    }

    /// `wharf up`, until it has given up.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn fail(self) -> Ended {
        self.spawn().ended(START).await
    }

    fn spawn(self) -> Host {
        let (environment, arguments, unread) = (self.environment.clone(), self.arguments.clone(), self.unread);
        let mut command = guarded(&self.through, binary());
        let folder = self.write();
        command.arg("up").arg(folder.path()).args(arguments).envs(environment);
        let (stdout, to_stdout) = io::pipe().expect("a pipe");
        let (stderr, to_stderr) = io::pipe().expect("a pipe");
        command.stdin(Stdio::null()).stdout(to_stdout).stderr(to_stderr);
        let given = secrets::files(folder.path());
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        // The pipes end with the host, once nobody here can write into them.
        drop(command);
        let (stderr, unread) = if unread { (Lines::collect(io::empty()), Some(stderr)) } else { (Lines::collect(stderr), None) };
        Host {
            stdout: Lines::collect(stdout),
            stderr,
            unread,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            child,
            given,
            folder,
        }
    }
}

fn address(line: &str) -> SocketAddr {
    let (_, rest) = line.split_once("://").expect("an address");
    let address = rest.split(|at: char| at.is_whitespace() || at == '/').next().unwrap_or_default();
    address.parse().unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// The host's binary: `WHARF_BIN`, or the one in the same target folder as the tests.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn binary() -> PathBuf {
    let path = std::env::var_os("WHARF_BIN").map_or_else(|| guests::target_folder().join("release/wharf"), PathBuf::from);
    assert!(path.is_file(), "{} is missing: run tests/run, which builds the host first", path.display());
    path
}

/// The command `wharf` without arguments, in a process group of its own, which the kernel ends when the tests die.
#[must_use]
pub fn command() -> Command {
    guarded(&[], binary())
}

/// Runs a command to its end, and searches what it says.
///
/// # Panics
/// When it does not end within `bound`, or tells a secret.
pub async fn end(mut command: Command, bound: Duration) -> Ended {
    for name in ["WHARF_ADMIN", "WHARF_LOG"] {
        command.env_remove(name);
    }
    let output = timeout(bound, command.stdin(Stdio::null()).output()).await;
    let output = output.unwrap_or_else(|_| panic!("{command:?} still runs after {bound:?}")).expect("it can be run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let ended = Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    [&ended.stdout, &ended.stderr].into_iter().for_each(|text| secrets::assert_kept("the command", text));
    ended
}

/// A program likewise, started through these words, of which each becomes the next.
pub(crate) fn guarded(through: &[String], program: impl AsRef<OsStr>) -> Command {
    let setpriv: &[&str] =
        if Path::new("/usr/bin/setpriv").is_file() { &["/usr/bin/setpriv", "--pdeathsig", "KILL"] } else { &[] };
    let before = setpriv.iter().copied().chain(through.iter().map(String::as_str)).map(OsStr::new);
    let mut words = before.chain([program.as_ref()]);
    let mut command = Command::new(words.next().expect("the program at least"));
    command.args(words).process_group(0).kill_on_drop(true);
    command
}

/// A host that listens. Dropping it kills it, and fails the test when it has told a secret.
#[derive(Debug)]
pub struct Host {
    address: SocketAddr,
    child: Child,
    stdout: Lines,
    stderr: Lines,
    unread: Option<PipeReader>,
    /// The files that were in its folder before.
    given: BTreeSet<PathBuf>,
    folder: TempDir,
}

/// What is left of a host, or of another command.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All that it wrote to stdout.
    pub stdout: String,
    /// All that it wrote to stderr.
    pub stderr: String,
}

/// A signal that an operator sends.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// As Ctrl-C.
    Interrupt,
    /// As a service manager.
    Terminate,
    /// For another look at the configuration.
    Hangup,
}

impl Host {
    /// A client for it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Where its admin listener is, as soon as there is one.
    ///
    /// # Panics
    /// When there is none.
    pub async fn admin_address(&self) -> SocketAddr {
        address(&self.logged("admin on http://", START).await)
    }

    /// A client for its admin listener, as soon as there is one. Its answers are searched.
    ///
    /// # Panics
    /// When there is none.
    pub async fn admin(&self) -> Client {
        Client::new(self.admin_address().await).searched()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process id.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("the host has ended:\n{}", self.said()))
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All that it wrote to stderr so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.stderr.text()
    }

    /// Waits for a line of stderr that contains `part`.
    ///
    /// # Panics
    /// When none comes within `bound`.
    pub async fn logged(&self, part: &str, bound: Duration) -> String {
        match self.stderr.line(part, bound).await {
            Some(line) => line,
            None => panic!("nothing about {part:?} in the log within {bound:?}:\n{}", self.said()),
        }
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the host has ended already.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Interrupt => "INT",
            Signal::Terminate => "TERM",
            Signal::Hangup => "HUP",
        };
        assert!(send(name, &self.pid().to_string()), "the host takes no signal:\n{}", self.said());
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// When it has not within `bound`.
    pub async fn ended(mut self, bound: Duration) -> Ended {
        let status: ExitStatus = match timeout(bound, self.child.wait()).await {
            Ok(status) => status.expect("a status"),
            Err(_) => panic!("the host still runs after {bound:?}:\n{}", self.said()),
        };
        // The last words may still be in the pipes.
        let closed = timeout(bound, async { futures::join!(self.stdout.closed(), self.stderr.closed()) });
        assert!(closed.await.is_ok(), "something the host started holds its output open:\n{}", self.said());
        let stderr = self.stderr.text() + &self.read();
        Ended { code: status.code(), stdout: self.stdout.text(), stderr }
    }

    /// Interrupts it and waits until it has ended.
    ///
    /// # Panics
    /// When it does not end within 30 s.
    pub async fn stop(self) -> Ended {
        self.signal(Signal::Interrupt);
        self.ended(Duration::from_secs(30)).await
    }

    /// As [`Host::stop`]; its folder stays.
    ///
    /// # Panics
    /// As [`Host::stop`].
    pub async fn stop_and_keep(mut self) -> (Ended, TempDir) {
        let kept = tempfile::tempdir().expect("a temporary folder");
        let folder = std::mem::replace(&mut self.folder, kept);
        let given = std::mem::take(&mut self.given);
        let ended = self.stop().await;
        secrets::assert_kept_in_files(folder.path(), &given);
        (ended, folder)
    }

    /// Fails with all that was said when the host has ended.
    ///
    /// # Panics
    /// Then.
    pub fn assert_alive(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!("the host ended ({status:?}):\n{}", self.said());
        }
    }

    /// What was unread, of a host that has ended, so that the pipe ends too.
    fn read(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut unread) = self.unread.take() {
            unread.read_to_string(&mut text).expect("text");
        }
        secrets::assert_kept("the host", &text);
        text
    }

    fn said(&self) -> String {
        let last = |text: String| -> String {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(SHOWN)..].iter().fold(String::new(), |text, line| text + line + "\n")
        };
        format!("--- stdout\n{}--- stderr, its last {SHOWN} lines\n{}", last(self.stdout.text()), last(self.stderr.text()))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The whole group, in case it started something; `kill_on_drop` collects the child itself.
        if let Some(pid) = self.child.id() {
            send("KILL", &format!("-{pid}"));
        }
        if std::thread::panicking() {
            eprintln!("{}", self.said());
            return;
        }
        for output in [&self.stdout, &self.stderr] {
            output.wait();
            secrets::assert_kept("the host", &output.text());
        }
        self.read();
        secrets::assert_kept_in_files(self.folder.path(), &self.given);
    }
}

/// Whether there was somebody to send it to. `kill` is built into every shell, and needs no unsafe code here.
pub(crate) fn send(signal: &str, to: &str) -> bool {
    let sent =
        std::process::Command::new("sh").args(["-c", "kill -s \"$0\" -- \"$1\"", signal, to]).stderr(Stdio::null()).status();
    sent.is_ok_and(|status| status.success())
}

/// The lines of an output, as they come, whatever the test does meanwhile: they are read by a thread.
#[derive(Debug)]
struct Lines {
    output: watch::Receiver<Output>,
    /// Is cut off when the thread has come to the end.
    reading: Mutex<mpsc::Receiver<()>>,
}

#[derive(Debug, Default)]
struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    closed: bool,
}

/// More than any test reads; what comes after is dropped, so that a host that talks without end fails by its own limits, not by ours. Secrets
/// are kept in any case.
const MOST_LINES: usize = 200_000;

impl Lines {
    fn collect(output: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = watch::channel(Output::default());
        let (reading, read) = mpsc::channel();
        thread::spawn(move || {
            let lines = Arc::clone(&sender.borrow().lines);
            let mut reader = BufReader::new(output);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                line.clear();
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                if lines.len() < MOST_LINES || secrets::is_told(&text) {
                    lines.push(text);
                }
                drop(lines);
                sender.send_modify(|_| ());
            }
            sender.send_modify(|output| output.closed = true);
            drop(reading);
        });
        Self { output: receiver, reading: Mutex::new(read) }
    }

    fn text(&self) -> String {
        let output = self.output.borrow();
        let lines = output.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    /// The first line that contains `part`, had or still to come.
    async fn line(&self, part: &str, bound: Duration) -> Option<String> {
        let mut receiver = self.output.clone();
        let found = |output: &Output| {
            let lines = output.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.iter().find(|line| line.contains(part)).cloned()
        };
        let there = timeout(bound, receiver.wait_for(|output| output.closed || found(output).is_some())).await;
        there.ok()?.ok().and_then(|output| found(&output))
    }

    async fn closed(&self) {
        let mut receiver = self.output.clone();
        // An error means that the thread is gone, and nothing comes any more either.
        let _ = receiver.wait_for(|output| output.closed).await;
    }

    /// The same for who cannot await it.
    fn wait(&self) {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let ended: Result<(), _> = reading.recv_timeout(END);
        assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected), "something the host started holds its output open");
    }
}
