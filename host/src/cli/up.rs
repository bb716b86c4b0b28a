//! `wharf up`: compiles what has a source, then serves until it is told to stop.

use std::{fmt::Display, io, sync::Arc, thread, time::Duration};

use anyhow::Context;
use futures::future::OptionFuture;
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};
use tokio_util::task::AbortOnDropHandle;

use super::{Failure, Output, args, build, print, service::Service, start_logs, voice::Voice, watch::Watch};
use crate::{
    assembly::{self, Host, Progress, Refused, Reloaded, Reloader, StartError, Stop, Stopped},
    config::{self, Config, Diagnostics},
    shards::Shards,
    telemetry::logs,
};

/// How long what is left in the runtime may take to let go, after everything with an owner has ended.
const SETTLE: Duration = Duration::from_secs(1);

/// How long a process that serves may go on once it was told to stop, at the longest: whoever would kill it waits this long.
#[must_use]
pub fn longest_stop(config: &Config) -> Duration {
    assembly::longest_stop(config) + 2 * SETTLE + 2 * logs::LAST_LINES
}

/// Reads the configuration, builds, and serves.
///
/// # Errors
/// [`Failure::Input`] before anything was started, [`Failure::Running`] afterwards.
pub(super) fn run(args::Up { target, watch }: &args::Up, output: &Output, voice: &Voice) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    // One that comes before anything is served, as during a build, is a wish to reload as well.
    let hangups = {
        let _entered = runtime.enter();
        signal(SignalKind::hangup()).context("cannot listen to signals")?
    };
    let config = config::load(&target.path, &config::process_environment)?;
    let _logs = start_logs(output, &config.log)?;
    let service = Service::start()?;
    let mut watch = watch.then(|| Watch::new(&config, output.color_on(&io::stderr())));
    let built = build::build_plugins(&config, output)?;
    if let Some(watch) = &mut watch {
        watch.built(&built);
    }
    let mut diagnostics = Diagnostics::new(config.source.clone());
    config::check_components(&config, &mut diagnostics);
    if diagnostics.errors() > 0 {
        return Err(diagnostics.into());
    }
    let (shards, threads) =
        thread::available_parallelism().and_then(|cores| Shards::start(cores.get())).context("cannot start threads")?;
    let served = runtime.block_on(serve(&config, &shards, voice, &service, watch, hangups));
    threads.stop(SETTLE);
    // A compilation that a signal overtook is not waited for.
    runtime.shutdown_timeout(SETTLE);
    served.map_err(Failure::Running)
}

async fn serve(
    config: &Config,
    shards: &Shards,
    voice: &Voice,
    service: &Service,
    watch: Option<Watch>,
    hangups: Signal,
) -> anyhow::Result<()> {
    let signals = Signals::new().context("cannot listen to signals")?;
    let stop = Stop::new();
    let first = Arc::new(config.clone());
    let (serves, served) = oneshot::channel();
    tokio::spawn(listen(signals, stop.clone(), Arc::clone(&first), served, voice.clone()));
    let starting = AbortOnDropHandle::new(tokio::spawn(tell_stop(stop.clone(), service.clone(), move || Arc::clone(&first))));
    let (stuck, closed, is_audited) = match Host::start(config, shards, voice, &stop).await {
        Ok(host) => {
            let scheme = if config.server.tls.is_some() { "https" } else { "http" };
            print(&format!("{}\nlistening on {scheme}://{}\n", host.summary(config), host.address()))?;
            service.serves(host.admin());
            drop(starting);
            // Refused when a signal has come meanwhile.
            drop(serves.send(Box::new(host.configuration())));
            let _telling = AbortOnDropHandle::new(tokio::spawn(tell_stop(stop.clone(), service.clone(), host.configuration())));
            // Those that came while it started are one now.
            let reloading = reload(hangups, host.reloader(), service.clone(), voice.clone());
            let _reloading = AbortOnDropHandle::new(tokio::spawn(reloading));
            let watching = watch.map(|watch| watch.run(host.reloader(), stop.clone(), voice.clone()));
            let (Stopped { drained, closed, is_audited }, _) = tokio::join!(host.run(&stop), OptionFuture::from(watching));
            voice.say(&format!("calls: {} finished, {} cut off", drained.finished, drained.cut));
            (drained.stuck, closed, is_audited)
        }
        Err(StartError::Stopped(closed)) => {
            voice.say("stopped before anything was served");
            (0, closed, true)
        }
        Err(error) => return Err(error.into()),
    };
    for closed in &closed {
        voice.say(&closed.to_string());
    }
    let left: u32 = closed.iter().map(|closed| closed.left.sessions).sum();
    anyhow::ensure!(is_audited, "the last lines of the audit log could not be written");
    anyhow::ensure!(left == 0 && stuck == 0, "not everything could be closed in time: {left} connections, {stuck} of clients");
    Ok(())
}

/// Tells the configuration in force.
type InForce = Box<dyn Fn() -> Arc<Config> + Send>;

/// Turns the first signal into a request to stop, and a further one into haste. `first` is in force until `served` tells another.
async fn listen(mut signals: Signals, stop: Stop, first: Arc<Config>, mut served: oneshot::Receiver<InForce>, voice: Voice) {
    let name = signals.next().await;
    let drain_timeout = served.try_recv().map_or(first, |in_force| in_force()).server.drain_timeout;
    // What came later would keep the host.
    drop(served);
    voice.say(&format!(
        "{name}: finishing what runs, for {} at most; once more cuts it off",
        humantime::format_duration(drain_timeout)
    ));
    stop.request();
    let name = signals.next().await;
    voice.say(&format!("{name} again: cutting off what runs"));
    stop.hurry();
}

/// Tells the service manager when the host is to stop, and how long that may take: by the configuration that is in force then.
async fn tell_stop(stop: Stop, service: Service, in_force: impl Fn() -> Arc<Config> + Send) {
    stop.requested().await;
    service.stops(longest_stop(&in_force()));
}

/// Turns each hang-up into a reload.
async fn reload(mut hangups: Signal, reloader: Reloader, service: Service, voice: Voice) {
    while hangups.recv().await.is_some() {
        service.reloads();
        let done = reloader.reload(false).await;
        service.reloaded();
        voice.say(&reloaded("hung up", done));
    }
}

/// What a reload has come to, and what it came of.
pub(super) fn reloaded(cause: &str, done: Result<Reloaded, Refused>) -> String {
    match done {
        Ok(Reloaded { generation, changes }) if changes.is_empty() => {
            format!("{cause}: nothing has changed, generation {generation} is in force")
        }
        Ok(Reloaded { generation, changes }) => {
            format!("{cause}: generation {generation} is in force, {} changed", changes.len())
        }
        Err(why) => refused(cause, &why),
    }
}

/// Why nothing has come of one.
pub(super) fn refused(cause: &str, why: &impl Display) -> String {
    format!("{cause}: the configuration is refused, and what was in force stays:\n{why}")
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
