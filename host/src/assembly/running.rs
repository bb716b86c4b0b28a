//! What a host has while it runs: the generation in force, those that end, and the limits that hold for all of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Stop, admin,
    audit::Auditor,
    databases::{self, Opened},
    generation::Generation,
    host,
};
use crate::{
    admin::{Admin, Subjects, Watched},
    call::Caller,
    config::Config,
    engine::Engines,
    plugin::{Code, Plugin},
    pool::{Database, HostCapacity, Settings},
    server::{Tls, Tuning},
    shards::Shards,
    sync::Live,
    telemetry::{metrics, requests::Requests, trace::Tracer},
};

/// Generations at most, the one in force included.
pub(super) const MOST: usize = 32;

/// A host that runs.
pub(super) struct Running {
    pub(super) current: Live<Generation>,
    pub(super) caller: Caller,
    pub(super) capacity: Arc<HostCapacity>,
    pub(super) shards: Shards,
    /// Keeps the epoch ticker.
    pub(super) engines: Arc<Engines>,
    pub(super) admin: Arc<Admin>,
    pub(super) tuning: Tuning,
    /// If the server has TLS.
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) requests: Arc<Requests>,
    /// If an audit log is kept.
    pub(super) auditor: Option<Auditor>,
    /// If calls are traced.
    pub(super) tracer: Option<Arc<Tracer>>,
    /// Instances that the allocator has room for.
    pub(super) most_instances: u32,
    /// All generations that have calls or may get some, by number. Locked while another one comes, or the limits that follow from them are
    /// put in force.
    living: Mutex<BTreeMap<u64, Living>>,
    /// Databases that the configuration in force has no more, and that calls may use that came before. Locked after `living`, if both are.
    leaving: Mutex<Vec<Leaving>>,
    /// The tasks that wait for the end of a generation.
    pub(super) ending: TaskTracker,
}

/// What a generation has that others go by.
struct Living {
    config: Arc<Config>,
    databases: Vec<Database>,
    /// With the last of them it ends.
    plugins: Vec<Weak<Plugin>>,
}

impl Living {
    fn of(generation: &Generation) -> Self {
        let databases = generation.databases.iter().map(|opened| opened.database.clone()).collect();
        let plugins = generation.plugins.iter().map(Arc::downgrade).collect();
        Self { config: Arc::clone(&generation.config), databases, plugins }
    }

    fn has(&self, database: &Database) -> bool {
        self.databases.iter().any(|it| it.is(database))
    }
}

/// A database that no configuration in force has.
struct Leaving {
    /// As it was in the last one that had it.
    opened: Opened,
    /// The number of that generation.
    last: u64,
    /// A reload is about to take it back: it is not closed meanwhile.
    is_wanted: bool,
    /// Somebody closes it. It is told about until that is done.
    is_closing: bool,
}

/// Those that nobody has or wants, for who closes them.
fn gone(living: &BTreeMap<u64, Living>, leaving: &mut [Leaving]) -> Vec<Database> {
    let has = |database: &Database| living.values().any(|living| living.has(database));
    let gone = leaving.iter_mut().filter(|it| !it.is_wanted && !it.is_closing && !has(&it.opened.database));
    gone.map(|it| {
        it.is_closing = true;
        it.opened.database.clone()
    })
    .collect()
}

/// What a running host is made of.
pub(super) struct Parts {
    pub(super) first: Generation,
    pub(super) caller: Caller,
    pub(super) capacity: Arc<HostCapacity>,
    pub(super) shards: Shards,
    pub(super) engines: Arc<Engines>,
    pub(super) admin: Arc<Admin>,
    pub(super) tuning: Tuning,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) requests: Arc<Requests>,
    pub(super) auditor: Option<Auditor>,
    pub(super) tracer: Option<Arc<Tracer>>,
}

impl Running {
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        let Parts { first, caller, capacity, shards, engines, admin, tuning, tls, requests, auditor, tracer } = parts;
        let most_instances = first.config.server.max_concurrency;
        let living = Mutex::new(BTreeMap::from([(first.number, Living::of(&first))]));
        let running = Arc::new(Self {
            current: Live::from_pointee(first),
            caller,
            capacity,
            shards,
            engines,
            admin,
            tuning,
            tls,
            requests,
            auditor,
            tracer,
            most_instances,
            living,
            leaving: Mutex::default(),
            ending: TaskTracker::new(),
        });
        running.show();
        running
    }

    /// How many generations there are.
    pub(super) fn generations(&self) -> usize {
        self.living().len()
    }

    /// All databases that are open, and that nobody closes yet.
    pub(super) fn databases(&self) -> Vec<Database> {
        let current = self.current.load_full();
        let leaving = self.leaving();
        let leaving = leaving.iter().filter(|it| !it.is_closing).map(|it| &it.opened);
        current.databases.iter().chain(leaving).map(|opened| opened.database.clone()).collect()
    }

    /// The plugins of all generations, those of newer ones first.
    pub(super) fn plugins(&self) -> Vec<Arc<Plugin>> {
        let living = self.living();
        living.values().rev().flat_map(|living| &living.plugins).filter_map(Weak::upgrade).collect()
    }

    /// The database of this name that the configuration in force has no more, and that calls still use. It stays until [`Self::replace`] puts
    /// it in force, or [`Self::forgo`] tells that nobody does.
    pub(super) fn take_back(&self, name: &str) -> Option<Opened> {
        let mut leaving = self.leaving();
        let it = leaving.iter_mut().find(|it| !it.is_closing && **it.opened.database.name() == *name)?;
        it.is_wanted = true;
        Some(it.opened.clone())
    }

    /// No database is taken back. Gives those that nobody has any more, for who closes them and says so ([`Self::closed`]).
    pub(super) fn forgo(&self) -> Vec<Database> {
        let living = self.living();
        let mut leaving = self.leaving();
        leaving.iter_mut().for_each(|it| it.is_wanted = false);
        gone(&living, &mut leaving)
    }

    /// Tells no more about databases that were leaving.
    pub(super) fn closed(&self, gone: &[Database]) {
        self.leaving().retain(|it| !gone.iter().any(|closed| closed.is(&it.opened.database)));
        self.show();
    }

    /// Puts a generation in force. Requests that come from here on are its own; those that found a plugin before end where they are.
    pub(super) fn replace(self: &Arc<Self>, next: Generation, stop: &Stop) {
        let next = Arc::new(next);
        let old = self.current.load_full();
        let has = |opened: &Opened| next.databases.iter().any(|kept| kept.database.is(&opened.database));
        let back: Vec<Leaving>;
        {
            let mut living = self.living();
            let mut leaving = self.leaving();
            back = leaving.extract_if(.., |it| has(&it.opened)).collect();
            let gone = old.databases.iter().filter(|opened| !has(opened));
            let gone =
                gone.map(|opened| Leaving { opened: opened.clone(), last: old.number, is_wanted: false, is_closing: false });
            leaving.extend(gone);
            drop(leaving);
            living.insert(next.number, Living::of(&next));
            // What grows has grown before anybody needs it, and what shrinks does so when nobody does any more.
            self.weigh(&living, &next);
            self.current.store(Arc::clone(&next));
        }
        // Others must not go short of what a generation reserves that nobody calls any more.
        old.plugins.iter().for_each(|plugin| plugin.grants().keep_back(false));
        next.plugins.iter().for_each(|plugin| plugin.grants().keep_back(true));
        for kept in &next.databases {
            let before = old.databases.iter().chain(back.iter().map(|it| &it.opened));
            let before = before.filter(|before| before.database.is(&kept.database)).flat_map(|before| &before.pools);
            for (_, pool) in before.filter(|(_, pool)| !kept.pools.iter().any(|(_, kept)| kept == pool)) {
                kept.database.retire_pool(*pool);
            }
        }
        self.settle(&next.config);
        self.show();
        let ended = Ended::of(&old);
        // With the last of its plugins it ends, wherever that is dropped.
        for plugin in &old.plugins {
            self.caller.retire(plugin);
        }
        drop(old);
        let (running, stop) = (Arc::clone(self), stop.clone());
        self.ending.spawn(async move { running.end(ended, &stop).await });
    }

    /// Waits for the end of a generation, and lets go of what only it needed.
    ///
    /// # Bounds
    /// Its longest deadline and `reclaim_timeout`; what lasts longer is told as a fault, and waited for all the same until the host stops.
    async fn end(&self, ended: Ended, stop: &Stop) {
        let Ended { number, config, end, codes } = ended;
        let deadline = config.plugins.iter().map(|plugin| plugin.limits.deadline).max().unwrap_or_default();
        let over = async {
            if timeout(deadline + config.server.reclaim_timeout, end.cancelled()).await.is_err() {
                tracing::error!(generation = number, "calls of a generation that was replaced have not ended in time");
                end.cancelled().await;
            }
        };
        tokio::select! {
            () = over => {}
            // Whoever stops the host closes everything.
            () = stop.requested() => return,
        }
        let gone: Vec<Database> = {
            let mut living = self.living();
            living.remove(&number);
            self.weigh(&living, &self.current.load());
            // What an older generation has, too, is closed with the last of them.
            gone(&living, &mut self.leaving())
        };
        for closed in databases::close(&gone, Instant::now() + config.server.reclaim_timeout, stop).await {
            match closed.left.sessions {
                0 => tracing::info!("{closed}"),
                _ => tracing::error!("{closed}"),
            }
        }
        // To unmap code may take a while, and nothing else is done here meanwhile.
        let _unmapped = spawn_blocking(move || drop(codes)).await;
        self.closed(&gone);
        tracing::info!(generation = number, "a generation that was replaced has ended");
    }

    /// Puts limits in force of which the most that any living generation allows holds: an old call may have three connections of which a
    /// new one may have two.
    fn weigh(&self, living: &BTreeMap<u64, Living>, current: &Generation) {
        let most = |of: &dyn Fn(&Config) -> Option<u32>| {
            living.values().filter_map(|living| of(&living.config)).max().unwrap_or_default()
        };
        self.capacity.set_max(most(&|config| Some(config.max_connections)));
        let max_queue = most(&|config| Some(config.server.max_queue)) as usize;
        self.engines.gate().resize(most(&|config| Some(config.server.max_concurrency)) as usize, max_queue);
        for (described, opened) in current.config.databases.iter().zip(&current.databases) {
            let of = |config: &Config| {
                let same = config.databases.iter().find(|other| other.name == described.name);
                same.map(|other| other.settings.max_connections)
            };
            let settings = Settings { max_connections: most(&of), ..described.settings.clone() };
            if *opened.database.settings() != settings {
                opened.database.reconfigure(settings);
            }
        }
        for (described, plugin) in current.config.plugins.iter().zip(&current.plugins) {
            let of = |config: &Config| {
                let same = config.plugins.iter().find(|other| other.name == described.name);
                same.map(|other| other.limits.max_concurrency)
            };
            plugin.gate().resize(most(&of) as usize, max_queue);
        }
    }

    /// Puts in force what concerns no call that runs.
    fn settle(&self, config: &Config) {
        metrics::switch(config.metrics.enabled);
        self.caller.set_queue_timeout(config.server.queue_timeout);
        if let Err(error) = self.tuning.set(host::server_settings(config)) {
            // The configuration has narrower bounds.
            tracing::error!(%error, "the server keeps its settings");
        }
        self.admin.reconfigure(admin::settings(config), config.admin.unready_after);
    }

    /// Has who asks about the host told about what there is now.
    fn show(&self) {
        // Held until it is shown, so that no older view comes last: it would keep its plugins for ever.
        let living = self.living();
        let current = self.current.load_full();
        let mut databases = current.watched();
        databases.extend(self.leaving().iter().map(|it| Watched {
            database: it.opened.database.clone(),
            required: false,
            last_generation: Some(it.last),
        }));
        self.admin.show(Subjects {
            databases,
            plugins: current.served(),
            calls: Some(Arc::clone(self.caller.roster())),
            gate: Some(Arc::clone(self.engines.gate())),
            audit: self.auditor.as_ref().map(|auditor| Arc::clone(auditor.audit())),
            requests: Some(Arc::clone(&self.requests)),
            tracer: self.tracer.clone(),
            certificate_expires: self.tls.as_ref().map(|tls| tls.expiry()),
            generation: current.number,
            ending: living.keys().copied().filter(|number| *number != current.number).collect(),
        });
    }

    fn living(&self) -> MutexGuard<'_, BTreeMap<u64, Living>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leaving(&self) -> MutexGuard<'_, Vec<Leaving>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left of a generation that was replaced, for who waits for its end.
struct Ended {
    number: u64,
    config: Arc<Config>,
    end: CancellationToken,
    /// So that code is not unmapped in a shard, where others wait.
    codes: Vec<Arc<Code>>,
}

impl Ended {
    fn of(old: &Generation) -> Self {
        let codes = old.plugins.iter().map(|plugin| Arc::clone(plugin.code())).collect();
        Self { number: old.number, config: Arc::clone(&old.config), end: old.end.clone(), codes }
    }
}
