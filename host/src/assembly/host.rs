//! A host that is ready to serve, and how it stops.

use std::{net::SocketAddr, pin::pin, sync::Arc};

use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    Closed, Progress, Reloader, StartError, Stop,
    admin::Desk,
    databases,
    dispatch::Dispatcher,
    generation::{self, Generation},
    plugins,
    reload::Asked,
    running::{Parts, Running},
    summary,
};
use crate::{
    admin::{Phase, Subjects},
    call::{Admission, Caller, Roster},
    config::Config,
    engine::Engines,
    pool::{Database, HostCapacity},
    server::{self, Drained, Listener, Server},
    shards::Shards,
};

/// Databases open, plugins loaded, address taken.
pub struct Host {
    server: Server,
    address: SocketAddr,
    live: Arc<Running>,
    /// Ends the calls that are left after the drain.
    cut: CancellationToken,
    reloader: Reloader,
    asked: mpsc::Receiver<Asked>,
    desk: Desk,
}

/// How a host stopped.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// How the drain of requests went.
    pub drained: Drained,
    /// How each database was closed.
    pub closed: Vec<Closed>,
}

impl Stopped {
    /// Whether nothing was cut off and nothing is left.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.drained.stuck == 0 && self.closed.iter().all(|closed| closed.left.sessions == 0)
    }
}

impl Host {
    /// Opens the databases, loads the plugins and takes the address; before all that it listens to who asks how it is. Connections of
    /// clients and sessions of databases will live in `shards`, everything else on the runtime of the caller, which has to steal work.
    ///
    /// # Bounds
    /// `connect_timeout` a pool, a quarter of an hour a database for migrations; compiling has none.
    /// # Errors
    /// [`StartError`]; what was opened before is closed by then. [`StartError::Stopped`] once `stop` asks for it.
    pub async fn start(config: &Config, shards: &Shards, progress: &dyn Progress, stop: &Stop) -> Result<Self, StartError> {
        let capacity = Arc::new(HostCapacity::new(config.max_connections));
        let desk = Desk::open(config, &capacity, shards, progress).await?;
        let settings = plugins::engine_settings(config);
        let engines = Arc::new(spawn_blocking(move || Engines::new(&settings)).await.unwrap_or_else(panicked)?);
        let open = databases::open(config, &capacity, shards, progress, stop).await?;
        desk.admin().show(Subjects { databases: generation::watched(config, &open), ..Subjects::default() });
        let rest = async {
            let (config, engines) = (Arc::new(config.clone()), Arc::clone(&engines));
            let compiling = {
                let config = Arc::clone(&config);
                spawn_blocking(move || plugins::compile(&config, &engines, &[]))
            };
            let codes = compiling.await.unwrap_or_else(panicked).map_err(|mut failed| failed.swap_remove(0))?;
            let grants = databases::grants(&config, &open, &[]);
            let (listener, address) = Listener::tcp(config.server.listen).await?;
            let server = Server::new(listener, server_settings(&config))?;
            let first = Generation::new(1, config, open.clone(), codes, &grants, &[])?;
            Ok((first, server, address))
        };
        let rest = tokio::select! {
            biased;
            rest = rest => rest,
            () = stop.requested() => Err(StartError::Stopped(Vec::new())),
        };
        let (first, server, address) = match rest {
            Ok(rest) => rest,
            Err(error) => return Err(databases::undo(&open, config, stop, error).await),
        };
        let cut = CancellationToken::new();
        let admission = Admission::new(Arc::clone(engines.gate()), config.server.queue_timeout);
        let caller = Caller::new(admission, cut.clone());
        let (admin, tuning, shards) = (Arc::clone(desk.admin()), server.tuning(), shards.clone());
        let live = Running::new(Parts { first, caller, capacity, shards, engines, admin, tuning });
        let (reloader, asked) = Reloader::new();
        desk.admin().attend(Arc::new(reloader.clone()));
        Ok(Self { server, address, live, cut, reloader, asked, desk })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is asked how it is, if not only through its socket.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.desk.address()
    }

    /// The databases, in the order of the configuration.
    #[must_use]
    pub fn databases(&self) -> Vec<Database> {
        self.live.databases()
    }

    /// What has it read its configuration again, once it runs.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// The calls that run, of which any can be ended.
    #[must_use]
    pub fn calls(&self) -> &Arc<Roster> {
        self.live.caller.roster()
    }

    /// What came of the start, as a table.
    #[must_use]
    pub fn summary(&self, config: &Config) -> String {
        summary::table(config, &self.databases(), &self.live.current.load().plugins, &self.live.engines)
    }

    /// Serves until `stop` asks for the end, then stops: lets calls finish up to `drain_timeout`, ends what is left, takes back and closes
    /// every connection, and asks every database what is left. Until then it can be asked how it is.
    ///
    /// # Bounds
    /// After the request: `drain_timeout`, two seconds, `reclaim_timeout` (and ten seconds where a reload was going on), for the question
    /// `bounds.kill` and `bounds.confirm`, and three seconds for who asks how the host is. In a hurry: two seconds, half a second, the
    /// question, and the three seconds.
    pub async fn run(self, stop: &Stop) -> Stopped {
        let Self { server, live, cut, asked, desk, .. } = self;
        let reloads = tokio::spawn(Arc::clone(&live).reloads(asked, stop.clone()));
        let dispatcher = Arc::new(Dispatcher(Arc::clone(&live)));
        let mut draining = pin!(server.serve(dispatcher, &live.shards, stop.token()));
        let drain = async {
            tokio::select! {
                drained = &mut draining => drained,
                () = stop.hurried() => {
                    // Every call ends now, and with the last of them the drain.
                    cut.cancel();
                    draining.await
                }
            }
        };
        let tell = async {
            stop.requested().await;
            desk.admin().set_phase(Phase::Draining);
        };
        desk.admin().set_phase(Phase::Serving);
        let (drained, ()) = tokio::join!(drain, tell);
        cut.cancel();
        // What a reload has opened and does not keep it closes; a panic of it has been told.
        drop(reloads.await);
        // A streamed answer that was cut lets go of its leases in its own task.
        let deadline = Instant::now() + live.current.load().config.server.reclaim_timeout;
        live.ending.close();
        let _ = timeout_at(deadline, async { tokio::join!(live.caller.drained(), live.ending.wait()) }).await;
        let closed = databases::close(&live.databases(), deadline, stop).await;
        desk.close().await;
        Stopped { drained, closed }
    }
}

/// A panic in a blocking task is one here.
fn panicked<T>(error: tokio::task::JoinError) -> T {
    std::panic::resume_unwind(error.into_panic())
}

/// What a configuration asks of the server.
pub(super) fn server_settings(config: &Config) -> server::Settings {
    let server = &config.server;
    server::Settings {
        max_connections: server.max_connections as usize,
        max_header_bytes: server.max_header_bytes,
        max_headers: server.max_headers,
        max_body: server.max_body as u64,
        header_timeout: server.header_timeout,
        idle_timeout: server.idle_timeout,
        body_stall_timeout: server.body_stall_timeout,
        drain_timeout: server.drain_timeout,
        ..server::Settings::default()
    }
}
