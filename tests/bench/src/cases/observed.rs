//! What it costs to be observed: Wharf with metrics, traces or an audit log beside the same host without.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use support::guests::target_folder;
use tempfile::TempDir;
use tokio::process::Command;

use super::sides::{Engine, Setup};
use crate::{
    bed::Bed,
    case::{Case, Figure, Measured},
    contest::{self, Question},
    line::milliseconds,
    memory::mib,
    servers::wharf::{self, Logging},
    sink::Sink,
    statistics::median,
};

/// The key of the logs, which is no secret.
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// How often is tried what it takes to have something on the disk.
const SYNCS: usize = 50;

const ITSELF: &str = "both are the same: what a pair differs by of itself";
const METRICS: &str = "the reference is the same host with `metrics.enabled = false`; nobody asks for metrics meanwhile";
const TRACES: &str = "the reference is the same host without traces; a tenth of the calls, as by default, goes to a receiver that \
                      only counts spans, in the process of the benchmarks";
const ALL_TRACES: &str = "as 32-traces, but every call is traced";
const AUDIT: &str = "the reference is the same host without an audit log, which is on the disk where target/ is";

/// What the host does and the reference does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Observed {
    /// Nothing.
    Nothing,
    Metrics,
    /// With these settings.
    Traces(&'static str),
    /// With this durability.
    Audit(&'static str),
}

/// What that needs, for as long as it is measured.
#[derive(Debug)]
enum Means {
    Nothing,
    Sink(Sink),
    /// For the log, and how many milliseconds it takes there to have something on the disk.
    Folder(TempDir, f64),
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let all = "sample = \"1\"\nmax_spans_per_second = 100_000\n";
    vec![
        case("row-postgres/32-itself", Observed::Nothing).note(ITSELF),
        case("row-postgres/32-metrics", Observed::Metrics).note(METRICS),
        case("row-postgres/32-traces", Observed::Traces("")).note(TRACES),
        case("row-postgres/32-traces-all", Observed::Traces(all)).note(ALL_TRACES),
        case("row-postgres/32-audit-queued", Observed::Audit("queued")).note(AUDIT),
        case("row-postgres/32-audit-written", Observed::Audit("written")).note(AUDIT),
        case("row-postgres/32-audit-synced", Observed::Audit("synced")).note(AUDIT),
    ]
}

fn case(name: &'static str, observed: Observed) -> Case {
    let figures =
        vec![Figure::main("requests/s", None), Figure::named("p99", "ms", None), Figure::named("processor", "µs", None)];
    Case::new(name, figures, move |bed| measure(bed, observed).boxed())
}

async fn measure(bed: &Bed, observed: Observed) -> Result<Vec<Measured>> {
    let setup = Setup::of(Engine::Postgres);
    let toml = setup.toml(&setup.url(bed).await?);
    let means = observed.means().await?;
    let mut with = wharf::start("", &(observed.with(&means) + &toml), Logging::Default).await?;
    let mut without = wharf::start("", &(observed.without().to_owned() + &toml), Logging::Default).await?;
    let contest = contest::hold(bed, Question::new("/row/4711", 32), &mut with, &mut without).await?;
    // Until then spans and lines are under way.
    with.stop().await?;
    without.stop().await?;
    Ok(vec![contest.requests().note(means.seen().await?), contest.tail(), contest.processor()])
}

impl Observed {
    async fn means(self) -> Result<Means> {
        Ok(match self {
            Self::Nothing | Self::Metrics => Means::Nothing,
            Self::Traces(_) => Means::Sink(Sink::start().await?),
            Self::Audit(_) => {
                let parent = target_folder().join("bench");
                fs::create_dir_all(&parent)?;
                let folder = tempfile::Builder::new().prefix("audit-").tempdir_in(parent)?;
                let sync = sync_ms(folder.path())?;
                Means::Folder(folder, sync)
            }
        })
    }

    /// What the host is told besides.
    fn with(self, means: &Means) -> String {
        match (self, means) {
            (Self::Traces(settings), Means::Sink(sink)) => {
                format!("[traces]\nendpoint = \"http://{}\"\n{settings}\n", sink.address())
            }
            (Self::Audit(durability), Means::Folder(folder, _)) => {
                let file = folder.path().join("audit.log");
                format!("[audit]\nfile = {file:?}\nkey = \"{KEY}\"\ndurability = \"{durability}\"\n\n")
            }
            _ => String::new(),
        }
    }

    /// What the reference is told besides.
    fn without(self) -> &'static str {
        if self == Self::Metrics { "[metrics]\nenabled = false\n\n" } else { "" }
    }
}

impl Means {
    /// What came of it, once the host has stopped.
    ///
    /// # Errors
    /// When nothing did, or the log is not whole: then nothing was measured.
    async fn seen(&self) -> Result<String> {
        match self {
            Self::Nothing => Ok(String::new()),
            Self::Sink(sink) => {
                let spans = sink.spans();
                ensure!(spans > 0, "no span has come");
                Ok(format!("{spans} spans"))
            }
            Self::Folder(folder, sync) => {
                let files = logs(folder.path())?;
                let bytes = files.iter().map(|file| fs::metadata(file).map(|file| file.len())).sum::<io::Result<u64>>()?;
                // The lines of a start and a stop alone are less.
                ensure!(bytes > 64 << 10, "there are {bytes} bytes in the log");
                let mut verify = Command::new(wharf::binary());
                let verified = verify.args(["audit", "verify"]).args(&files).env("WHARF_AUDIT_KEY", KEY).output().await?;
                ensure!(verified.status.success(), "the log is not whole: {}", String::from_utf8_lossy(&verified.stdout));
                let mib = mib(bytes >> 10);
                Ok(format!("a log of {mib:.0} MiB, which verifies; there, 512 bytes are on the disk after {sync:.2} ms"))
            }
        }
    }
}

/// The log and what was ended of it.
fn logs(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(files.into_iter().filter(|path| path.extension() != Some(OsStr::new("lock"))).collect())
}

/// What it takes to have some bytes on the disk: the median, in milliseconds.
fn sync_ms(folder: &Path) -> Result<f64> {
    let path = folder.join("tried");
    let mut file = File::create(&path)?;
    let mut took = Vec::new();
    for _ in 0..SYNCS {
        file.write_all(&[b'.'; 512])?;
        let started = Instant::now();
        file.sync_data()?;
        took.push(milliseconds(started.elapsed()));
    }
    fs::remove_file(path)?;
    median(&took).context("it was tried")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_side_has_what_the_other_lacks() {
        let (metrics, nothing) = (Observed::Metrics, Means::Nothing);
        assert_eq!((metrics.with(&nothing).as_str(), metrics.without()), ("", "[metrics]\nenabled = false\n\n"));
        let traces = Observed::Traces("sample = \"1\"");
        let means = traces.means().await.unwrap();
        assert!(traces.with(&means).ends_with("\"\nsample = \"1\"\n") && traces.without().is_empty());
        let audit = Observed::Audit("synced");
        let means = audit.means().await.unwrap();
        assert!(audit.with(&means).contains("durability = \"synced\"") && audit.without().is_empty());
        let Means::Folder(folder, _) = &means else { panic!("{means:?}") };
        assert_eq!(logs(folder.path()).unwrap(), Vec::<PathBuf>::new());
        assert!(means.seen().await.is_err(), "nothing was written");
    }
}
