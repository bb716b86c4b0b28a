//! What is measured: servers as child processes, which end with whoever started them.

pub(crate) mod native;
pub(crate) mod stand_in;
pub(crate) mod wasmtime;
pub(crate) mod wharf;

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use support::client::Client;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader, Lines},
    process::{Child, Command},
    time::timeout,
};

/// How long a server may take until it listens: the first host compiles its components.
const START: Duration = Duration::from_secs(120);

/// How long it may take to stop.
const STOP: Duration = Duration::from_secs(30);

/// Bytes of a log that a failure shows.
const SHOWN: usize = 4096;

/// A program that the kernel kills when the benchmarks die, and that an interrupt of the terminal does not reach.
pub(crate) fn tethered(program: &OsStr) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program).process_group(0).kill_on_drop(true);
    command
}

/// A server that listens. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    /// Where its stderr goes: a file, as an operator's would, and not through a pipe that would take time to read.
    log: Log,
    /// Held open, for who writes to a closed pipe fails.
    _stdout: Option<Lines<BufReader<tokio::process::ChildStdout>>>,
    /// Its configuration.
    _folder: TempDir,
}

/// A file that a process writes its log to.
#[derive(Debug)]
struct Log {
    file: File,
    path: PathBuf,
}

/// Where a server says that it listens, and after which words.
#[derive(Clone, Copy, Debug)]
enum Announced {
    Stdout(&'static str),
    Stderr(&'static str),
}

impl Server {
    /// Runs a command until it says where it listens.
    async fn start(name: &'static str, mut command: Command, announced: Announced, folder: TempDir) -> Result<Self> {
        let log = Log::create(folder.path())?;
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(match announced {
            Announced::Stdout(_) => Stdio::from(log.file.try_clone()?),
            Announced::Stderr(_) => Stdio::piped(),
        });
        let mut child = command.spawn().with_context(|| format!("{name} cannot be run: {command:?}"))?;
        let mut stdout = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        let address = match (announced, &mut stdout, child.stderr.take()) {
            (Announced::Stdout(words), Some(stdout), _) => timeout(START, listens(stdout, words)).await,
            (Announced::Stderr(words), _, Some(stderr)) => {
                let mut stderr = BufReader::new(stderr).lines();
                let address = timeout(START, listens(&mut stderr, words)).await;
                tokio::spawn(log.follow(stderr)?);
                address
            }
            _ => bail!("{name} has no output"),
        };
        let address = match address.unwrap_or_else(|_| Err(anyhow!("nothing is said within {START:?}"))) {
            Ok(address) => address,
            Err(error) => bail!("{name} does not listen: {error:#}\n{}", log.end()),
        };
        Ok(Self { name, child, address, log, _stdout: stdout, _folder: folder })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client for it.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Its process id.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.id().with_context(|| format!("{} has ended; its log:\n{}", self.name, self.log.end()))
    }

    /// The end of its log.
    pub(crate) fn log(&self) -> String {
        self.log.end()
    }

    /// Empties its log: an access log of many thousand lines a second would fill a disk.
    ///
    /// # Errors
    /// When it cannot be emptied.
    pub(crate) fn empty_log(&self) -> Result<()> {
        Ok(self.log.file.set_len(0)?)
    }

    /// Fails with the end of its log when it has ended.
    ///
    /// # Errors
    /// Then.
    pub(crate) fn assert_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}); its log:\n{}", self.name, self.log.end()),
        }
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// When it does not, or does not succeed.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = self.pid()?.to_string();
        // `kill` is built into every shell, and needs no unsafe code here.
        Command::new("sh").args(["-c", "kill -s TERM -- \"$0\"", &pid]).status().await?;
        let status = timeout(STOP, self.child.wait()).await.map_err(|_| anyhow!("{} does not stop", self.name))??;
        ensure!(status.success(), "{} stopped with {status}; its log:\n{}", self.name, self.log.end());
        Ok(())
    }
}

impl Log {
    fn create(folder: &Path) -> Result<Self> {
        let path = folder.join("log");
        // Appended to, so that whoever writes goes on at the beginning once it is emptied.
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        Ok(Self { file, path })
    }

    /// Writes what is still to come.
    fn follow<T: AsyncRead + Unpin>(&self, mut lines: Lines<BufReader<T>>) -> Result<impl Future<Output = ()> + use<T>> {
        let mut file = self.file.try_clone()?;
        Ok(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                // A log that cannot be written is no reason to stop reading: the server would wait.
                let _ = std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes());
            }
        })
    }

    fn end(&self) -> String {
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(bytes.len().saturating_sub(SHOWN)..).unwrap_or_default()).into_owned()
    }
}

/// Reads lines until one has `words` and an address directly behind them.
async fn listens(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>, words: &str) -> Result<SocketAddr> {
    let mut said = String::new();
    while let Some(line) = lines.next_line().await? {
        if let Some((_, address)) = line.split_once(words) {
            let address = address.split(|at: char| at.is_whitespace() || at == '/').next().unwrap_or_default();
            return address.parse().with_context(|| line.clone());
        }
        said = said + &line + "\n";
    }
    bail!("it ended{}{said}", if said.is_empty() { "" } else { " and said:\n" })
}
