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
    audit::Auditor,
    databases,
    dispatch::Dispatcher,
    generation::{self, Generation},
    plugins,
    reload::Asked,
    running::{Parts, Running},
    summary,
};
use crate::{
    admin::{Admin, Phase, Subjects},
    call::{Admission, Caller, Roster},
    config::Config,
    engine::Engines,
    pool::{Database, HostCapacity},
    server::{self, Drained, Listener, Proxies, Server, Tls},
    shards::Shards,
    telemetry::{
        metrics,
        requests::Requests,
        trace::{Exporter, Tracer},
    },
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
    /// Sends the spans of calls, if they are traced.
    exporter: Option<Exporter>,
}

/// How a host stopped.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// How the drain of requests went.
    pub drained: Drained,
    /// How each database was closed.
    pub closed: Vec<Closed>,
    /// Whether the audit log has every line, if one is kept.
    pub is_audited: bool,
}

impl Stopped {
    /// Whether nothing was cut off and nothing is left.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.is_audited && self.drained.stuck == 0 && self.closed.iter().all(|closed| closed.left.sessions == 0)
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
        metrics::switch(config.metrics.enabled);
        let capacity = Arc::new(HostCapacity::new(config.max_connections));
        let desk = Desk::open(config, &capacity, shards, progress).await?;
        let auditor = Auditor::open(config).await?;
        match Self::assemble(config, shards, progress, stop, capacity, desk, auditor.clone()).await {
            Ok(host) => Ok(host),
            Err(error) => {
                if let Some(auditor) = auditor {
                    auditor.close().await;
                }
                Err(error)
            }
        }
    }

    async fn assemble(
        config: &Config,
        shards: &Shards,
        progress: &dyn Progress,
        stop: &Stop,
        capacity: Arc<HostCapacity>,
        desk: Desk,
        auditor: Option<Auditor>,
    ) -> Result<Self, StartError> {
        let scheme = if config.server.tls.is_some() { "https" } else { "http" };
        let requests = Arc::new(Requests::new(scheme, config.metrics.max_series));
        let audit = auditor.as_ref().map(|auditor| Arc::clone(auditor.audit()));
        desk.admin().show(Subjects { audit: audit.clone(), ..Subjects::default() });
        let settings = plugins::engine_settings(config);
        let engines = Arc::new(spawn_blocking(move || Engines::new(&settings)).await.unwrap_or_else(panicked)?);
        let open = databases::open(config, &capacity, shards, progress, stop).await?;
        desk.admin().show(Subjects { databases: generation::watched(config, &open), audit, ..Subjects::default() });
        let rest = async {
            let (config, engines) = (Arc::new(config.clone()), Arc::clone(&engines));
            let compiling = {
                let config = Arc::clone(&config);
                spawn_blocking(move || plugins::compile(&config, &engines, &[]))
            };
            let codes = compiling.await.unwrap_or_else(panicked).map_err(|mut failed| failed.swap_remove(0))?;
            let grants = databases::grants(&config, &open, &[]);
            let (listener, address) = Listener::tcp(config.server.listen).await?;
            let mut server = Server::new(listener, server_settings(&config))?.counted_in(Arc::clone(&requests));
            let mut tls = None;
            if let Some(described) = config.server.tls.clone() {
                let check_interval = described.check_interval;
                let loading = spawn_blocking(move || Tls::load(&described.certificate, &described.key));
                let loaded = Arc::new(loading.await.unwrap_or_else(panicked)?);
                server = server.over_tls(Arc::clone(&loaded), check_interval);
                tls = Some(loaded);
            }
            let first = Generation::new(1, config, open.clone(), codes, &grants, &[], &requests)?;
            Ok((first, server, address, tls))
        };
        let rest = tokio::select! {
            biased;
            rest = rest => rest,
            () = stop.requested() => Err(StartError::Stopped(Vec::new())),
        };
        let (first, server, address, tls) = match rest {
            Ok(rest) => rest,
            Err(error) => return Err(databases::undo(&open, config, stop, error).await),
        };
        let cut = CancellationToken::new();
        let admission = Admission::new(Arc::clone(engines.gate()), config.server.queue_timeout);
        let caller = Caller::new(admission, cut.clone());
        let exporter = config.traces.as_ref().map(|traces| {
            let tracer = Tracer::new(traces.sample, traces.max_spans_per_second);
            Exporter::start(tracer, traces.endpoint.clone(), traces.headers.clone(), traces.timeout)
        });
        let live = Running::new(Parts {
            first,
            caller,
            capacity,
            shards: shards.clone(),
            engines,
            admin: Arc::clone(desk.admin()),
            tuning: server.tuning(),
            tls,
            requests,
            auditor,
            tracer: exporter.as_ref().map(|exporter| Arc::clone(exporter.tracer())),
        });
        let (reloader, asked) = Reloader::new();
        desk.admin().attend(Arc::new(reloader.clone()));
        // The socket is open: who is told that it is finds the host ready.
        desk.admin().set_phase(Phase::Serving);
        Ok(Self { server, address, live, cut, reloader, asked, desk, exporter })
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

    /// What tells how it is, for who asks in the same process.
    #[must_use]
    pub fn admin(&self) -> &Arc<Admin> {
        self.desk.admin()
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

    /// What tells the configuration in force, whenever it is asked.
    pub fn configuration(&self) -> impl Fn() -> Arc<Config> + Send + use<> {
        let live = Arc::clone(&self.live);
        move || Arc::clone(&live.current.load().config)
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
    /// After the request: `drain_timeout` and two seconds (ten at least, and the question, where a reload was going on), `reclaim_timeout`,
    /// for the question `bounds.kill` and `bounds.confirm`, two seconds for the audit log, and three for who asks how the host is, while the
    /// last spans are sent. In a hurry: two seconds, half a second, the question, and those five seconds.
    pub async fn run(self, stop: &Stop) -> Stopped {
        let Self { server, live, cut, asked, desk, exporter, .. } = self;
        let reloads = tokio::spawn(Arc::clone(&live).reloads(asked, stop.clone()));
        let dispatcher = Arc::new(Dispatcher(Arc::clone(&live)));
        let mut draining = pin!(server.serve(dispatcher, &live.shards, stop.token(), cut.clone()));
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
        let (drained, ()) = tokio::join!(drain, tell);
        cut.cancel();
        // What a reload has opened and does not keep it closes; a panic of it has been told.
        drop(reloads.await);
        // A streamed answer that was cut lets go of its leases in its own task.
        let deadline = Instant::now() + live.current.load().config.server.reclaim_timeout;
        live.ending.close();
        let _ = timeout_at(deadline, async { tokio::join!(live.caller.drained(), live.ending.wait()) }).await;
        let closed = databases::close(&live.databases(), deadline, stop).await;
        // Last of all: until here lines are asked for of what is taken back.
        let is_audited = match &live.auditor {
            Some(auditor) => auditor.close().await,
            None => true,
        };
        // What was reclaimed at the end is told as well.
        let finish = async {
            if let Some(exporter) = exporter {
                exporter.finish().await;
            }
        };
        tokio::join!(desk.close(), finish);
        Stopped { drained, closed, is_audited }
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
        request_timeout: server.request_timeout,
        drain_timeout: server.drain_timeout,
        proxies: Proxies { trusted: server.trusted_proxies.clone(), header: server.forwarded_header },
        server_timing: server.server_timing,
        ..server::Settings::default()
    }
}
