//! `wharf up`: compiles what has a source, then serves until it is told to stop.

use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

use anyhow::{Context, anyhow};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use super::{Failure, Output, build};
use crate::{
    assembly::{Host, Progress, Stopped},
    config::{self, Config, Diagnostics},
};

/// How long what is left in the runtime may take to let go, after everything with an owner has ended.
const SETTLE: Duration = Duration::from_secs(1);

/// Reads the configuration, builds, and serves.
///
/// # Errors
/// [`Failure::Input`] before anything was started, [`Failure::Running`] afterwards.
pub(super) fn run(path: &Path, output: &Output) -> Result<(), Failure> {
    let config = config::load(path, &config::process_environment)?;
    build::build_plugins(&config, output)?;
    let mut diagnostics = Diagnostics::new(config.source.clone());
    config::check_components(&config, &mut diagnostics);
    if diagnostics.errors() > 0 {
        return Err(diagnostics.into());
    }
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let served = runtime.block_on(serve(&config));
    // A compilation that a signal overtook is not waited for.
    runtime.shutdown_timeout(SETTLE);
    served.map_err(Failure::Running)
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("cannot listen to signals")?;
    let host = tokio::select! {
        started = Host::start(config, &Lines) => started?,
        name = signals.next() => {
            say(&format!("{name}: stopped before anything was served"));
            return Ok(());
        }
    };
    print(&format!("{}\nlistening on http://{}\n", host.summary(config), host.address()))?;
    let shutdown = CancellationToken::new();
    let mut running = std::pin::pin!(host.run(shutdown.clone()));
    let stopped = tokio::select! {
        stopped = &mut running => stopped,
        name = signals.next() => {
            say(&format!("{name}: finishing what runs, for {} at most", humantime::format_duration(config.server.drain_timeout)));
            shutdown.cancel();
            running.await
        }
    };
    report(&stopped)
}

/// Says how it went; an error when something is left.
fn report(stopped: &Stopped) -> anyhow::Result<()> {
    let drained = &stopped.drained;
    say(&format!("calls: {} finished, {} cut off", drained.finished, drained.cut));
    for (name, sessions) in &stopped.left {
        say(&format!("database {name}: {sessions} connections left"));
    }
    if stopped.is_clean() {
        return Ok(());
    }
    Err(anyhow!("not everything could be closed in time"))
}

/// What ends the process in an orderly way.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupted",
            _ = self.terminate.recv() => "terminated",
        }
    }
}

/// Says what takes long, a line each.
struct Lines;

impl Progress for Lines {
    fn say(&self, line: &str) {
        say(line);
    }
}

fn say(line: &str) {
    // Whoever closed stderr does not want it.
    drop(writeln!(io::stderr(), "{line}"));
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot write")
}
