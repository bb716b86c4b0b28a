//! A host that is ready to serve, and how it stops.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Closed, Progress, StartError, Stop,
    admin::Desk,
    audit::Auditor,
    databases,
    databases::Databases,
    dispatch::{Dispatcher, Target},
    plugins, summary,
};
use crate::{
    admin::{Admin, Phase, Served, Subjects, Watched},
    call::{Admission, Caller, Roster},
    config::Config,
    engine::Engines,
    plugin::Plugin,
    pool::{Database, HostCapacity},
    router::{Route, Router},
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
    dispatcher: Arc<Dispatcher>,
    databases: Vec<Database>,
    plugins: Vec<Arc<Plugin>>,
    /// Ends the calls that are left after the drain.
    cut: CancellationToken,
    reclaim_timeout: Duration,
    shards: Shards,
    /// Keeps the epoch ticker.
    engines: Arc<Engines>,
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
        match Self::assemble(config, shards, progress, stop, &capacity, desk, auditor.clone()).await {
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
        capacity: &Arc<HostCapacity>,
        desk: Desk,
        auditor: Option<Auditor>,
    ) -> Result<Self, StartError> {
        let scheme = if config.server.tls.is_some() { "https" } else { "http" };
        let requests = Arc::new(Requests::new(scheme, config.metrics.max_series));
        let audit = auditor.as_ref().map(|auditor| Arc::clone(auditor.audit()));
        desk.admin().show(Subjects { audit: audit.clone(), ..Subjects::default() });
        let settings = plugins::engine_settings(config);
        let engines = Arc::new(spawn_blocking(move || Engines::new(&settings)).await.unwrap_or_else(panicked)?);
        let Databases { open, grants } = databases::open(config, capacity, shards, progress, stop).await?;
        let shown = watched(config, &open);
        desk.admin().show(Subjects { databases: shown.clone(), audit: audit.clone(), ..Subjects::default() });
        let rest = async {
            let (config_of, engines_of) = (config.clone(), Arc::clone(&engines));
            let loading = spawn_blocking(move || plugins::load(&config_of, &engines_of, &grants));
            let plugins = loading.await.unwrap_or_else(panicked)?;
            let router = router(config, &plugins, &requests)?;
            let (listener, address) = Listener::tcp(config.server.listen).await?;
            let mut server = Server::new(listener, server_settings(config))?.counted_in(Arc::clone(&requests));
            let mut certificate_expires = None;
            if let Some(described) = config.server.tls.clone() {
                let check_interval = described.check_interval;
                let loading = spawn_blocking(move || Tls::load(&described.certificate, &described.key));
                let tls = Arc::new(loading.await.unwrap_or_else(panicked)?);
                certificate_expires = Some(tls.expiry());
                server = server.over_tls(tls, check_interval);
            }
            Ok((plugins, router, server, address, certificate_expires))
        };
        let rest = tokio::select! {
            biased;
            rest = rest => rest,
            () = stop.requested() => Err(StartError::Stopped(Vec::new())),
        };
        let (plugins, router, server, address, certificate_expires) = match rest {
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
        let tracer = exporter.as_ref().map(|exporter| Arc::clone(exporter.tracer()));
        desk.admin().show(Subjects {
            databases: shown,
            plugins: served(config, &plugins),
            calls: Some(Arc::clone(caller.roster())),
            audit,
            requests: Some(requests),
            tracer: tracer.clone(),
            certificate_expires,
        });
        let dispatcher = Arc::new(Dispatcher { router, caller, auditor, tracer });
        let reclaim_timeout = config.server.reclaim_timeout;
        let shards = shards.clone();
        Ok(Self { server, address, dispatcher, databases: open, plugins, cut, reclaim_timeout, shards, engines, desk, exporter })
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
    pub fn databases(&self) -> &[Database] {
        &self.databases
    }

    /// The calls that run, of which any can be ended.
    #[must_use]
    pub fn calls(&self) -> &Arc<Roster> {
        self.dispatcher.caller.roster()
    }

    /// What came of the start, as a table.
    #[must_use]
    pub fn summary(&self, config: &Config) -> String {
        summary::table(config, &self.databases, &self.plugins, &self.engines)
    }

    /// Serves until `stop` asks for the end, then stops: lets calls finish up to `drain_timeout`, ends what is left, takes back and closes
    /// every connection, and asks every database what is left. Until then it can be asked how it is.
    ///
    /// # Bounds
    /// After the request: `drain_timeout`, two seconds, `reclaim_timeout`, for the question `bounds.kill` and `bounds.confirm`, two seconds for
    /// the audit log, and three for who asks how the host is, while the last spans are sent. In a hurry: two seconds, half a second, the question, and those five seconds.
    pub async fn run(self, stop: &Stop) -> Stopped {
        let Self { server, dispatcher, databases: opened, cut, reclaim_timeout, shards, engines, desk, exporter, .. } = self;
        let (caller, auditor) = (dispatcher.caller.clone(), dispatcher.auditor.clone());
        let mut draining = pin!(server.serve(dispatcher, &shards, stop.token()));
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
        // A streamed answer that was cut lets go of its leases in its own task.
        let deadline = Instant::now() + reclaim_timeout;
        let _ = tokio::time::timeout_at(deadline, caller.drained()).await;
        let closed = databases::close(&opened, deadline, stop).await;
        // Last of all: until here lines are asked for of what is taken back.
        let is_audited = match auditor {
            Some(auditor) => auditor.close().await,
            None => true,
        };
        drop(engines);
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

fn watched(config: &Config, databases: &[Database]) -> Vec<Watched> {
    let described = config.databases.iter().zip(databases);
    described.map(|(described, database)| Watched { database: database.clone(), required: described.required }).collect()
}

fn served(config: &Config, plugins: &[Arc<Plugin>]) -> Vec<Served> {
    let described = config.plugins.iter().zip(plugins);
    let served = described.map(|(described, plugin)| Served {
        plugin: Arc::clone(plugin),
        routes: described.routes.iter().map(ToString::to_string).collect(),
    });
    served.collect()
}

/// A panic in a blocking task is one here.
fn panicked<T>(error: tokio::task::JoinError) -> T {
    std::panic::resume_unwind(error.into_panic())
}

fn router(config: &Config, plugins: &[Arc<Plugin>], requests: &Requests) -> Result<Router<Target>, StartError> {
    let routes = config.plugins.iter().zip(plugins).flat_map(|(described, plugin)| {
        described.routes.iter().map(|route| Route {
            method: route.method.clone(),
            pattern: route.path.clone(),
            target: Target { plugin: Arc::clone(plugin), route: requests.route(plugin.name(), &route.path) },
        })
    });
    Router::build(routes).map_err(|errors| {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        StartError::Route(errors.join("; "))
    })
}

fn server_settings(config: &Config) -> server::Settings {
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
