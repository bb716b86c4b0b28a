//! The way of a reload: the configuration is read again, what is new is made and tried, and then all of it is put in force, or nothing.

use std::{collections::HashMap, fmt, path::Path, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinError, spawn_blocking},
    time::Instant,
};

use super::{
    Progress, StartError, Stop,
    databases::{self, Opened, Schema},
    difference,
    generation::Generation,
    plugins, pools,
    running::{MOST, Running},
};
use crate::{
    admin::{self, Steward},
    config::{self, Config, Connect, Diagnostics},
    lease::Grants,
    plugin::{Code, Plugin},
    pool::Database,
};

/// Reloads that wait for their turn.
const MOST_WAITING: usize = 64;
/// How long closing what a reload has opened and does not keep may take.
pub(super) const UNDO: Duration = Duration::from_secs(10);

/// What a reload came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Reloaded {
    /// The generation that is in force.
    pub generation: u64,
    /// What is different from what was in force before, a line each. When there is nothing, nothing was done.
    pub changes: Vec<String>,
}

/// Why nothing has changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct Refused {
    /// All that is wrong, a line each; one at least. Free of addresses of databases and of credentials.
    pub reasons: Vec<String>,
    /// Whether the same configuration may be put in force later: a database cannot be had, or calls of too many generations run.
    pub may_pass: bool,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reasons.join("\n"))
    }
}

impl Refused {
    fn because(reason: impl ToString) -> Self {
        Self { reasons: vec![reason.to_string()], may_pass: false }
    }
}

/// Has a host read its configuration again. A clone asks the same host.
#[derive(Clone, Debug)]
pub struct Reloader(mpsc::Sender<Asked>);

/// One who asked.
#[derive(Debug)]
pub(super) struct Asked {
    check: bool,
    again: bool,
    answer: oneshot::Sender<Result<Reloaded, Refused>>,
}

impl Reloader {
    pub(super) fn new() -> (Self, mpsc::Receiver<Asked>) {
        let (sender, asked) = mpsc::channel(MOST_WAITING);
        (Self(sender), asked)
    }

    /// Reads the configuration again and puts it in force, or with `check` only finds out whether that could be done. One reload goes on at a
    /// time; those who ask meanwhile share the next one.
    ///
    /// # Bounds
    /// Compiling has none; a quarter of an hour a database for migrations, twice `connect_timeout` a credential.
    /// # Errors
    /// [`Refused`]; everything is as it was, but for migrations that were applied.
    /// # Cancellation
    /// The reload goes on.
    pub async fn reload(&self, check: bool) -> Result<Reloaded, Refused> {
        self.ask(check, false).await
    }

    /// The same after one that was refused: if this one is as well, that is neither logged nor counted.
    ///
    /// # Bounds
    /// As [`Reloader::reload`].
    /// # Errors
    /// As [`Reloader::reload`].
    /// # Cancellation
    /// As [`Reloader::reload`].
    pub async fn again(&self) -> Result<Reloaded, Refused> {
        self.ask(false, true).await
    }

    async fn ask(&self, check: bool, again: bool) -> Result<Reloaded, Refused> {
        let stopping = || Refused::because("the host is stopping");
        let (answer, answered) = oneshot::channel();
        self.0.send(Asked { check, again, answer }).await.map_err(|_| stopping())?;
        answered.await.unwrap_or_else(|_| Err(stopping()))
    }
}

impl Steward for Reloader {
    fn reload(&self, check: bool) -> BoxFuture<'static, Result<admin::Reloaded, Vec<String>>> {
        let reloader = self.clone();
        async move {
            let done = Self::reload(&reloader, check).await;
            done.map(|Reloaded { generation, changes }| admin::Reloaded { generation, changes })
                .map_err(|refused| refused.reasons)
        }
        .boxed()
    }
}

impl Running {
    /// Does what is asked, one after the other, until the host stops.
    pub(super) async fn reloads(self: Arc<Self>, mut asked: mpsc::Receiver<Asked>, stop: Stop) {
        loop {
            let first = tokio::select! {
                biased;
                () = stop.requested() => return,
                first = asked.recv() => first,
            };
            let Some(first) = first else { return };
            let mut all = vec![first];
            while let Ok(other) = asked.try_recv() {
                all.push(other);
            }
            let (checks, reloads): (Vec<Asked>, Vec<Asked>) = all.into_iter().partition(|asked| asked.check);
            for (check, asked) in [(true, checks), (false, reloads)] {
                if asked.is_empty() {
                    continue;
                }
                let done = self.reload(check, &stop).await;
                if done.is_ok() || asked.iter().any(|asked| !asked.again) {
                    tell(check, &done);
                    if !check {
                        self.admin.count_reload(done.is_ok());
                    }
                }
                for Asked { answer, .. } in asked {
                    // Who went away meanwhile does not hear it.
                    drop(answer.send(done.clone()));
                }
            }
        }
    }

    async fn reload(self: &Arc<Self>, check: bool, stop: &Stop) -> Result<Reloaded, Refused> {
        let old = self.current.load_full();
        let path = old.config.path.clone();
        let config = spawn_blocking(move || read(&path)).await.map_err(panicked)??;
        let mut next = Next::of(config);
        let prepared = tokio::select! {
            biased;
            prepared = self.prepare(&old, &mut next, check) => prepared,
            () = stop.requested() => Err(Refused::because("the host is stopping")),
        };
        let mut changes = match prepared {
            Ok(changes) if !check && !changes.is_empty() => changes,
            prepared => {
                // Whoever stops the host closes everything, and tells what is left.
                let gone = if stop.token().is_cancelled() { Vec::new() } else { self.forgo() };
                next.undo(gone.clone(), stop).await;
                self.closed(&gone);
                let mut changes = prepared?;
                if !check {
                    changes.extend(self.renew().await);
                }
                return Ok(Reloaded { generation: old.number, changes });
            }
        };
        let Next { config, codes, databases, grants, .. } = next;
        let generation = Generation::new(old.number + 1, config, databases, codes, &grants, &self.plugins(), &self.requests)
            .map_err(Refused::because)?;
        let number = generation.number;
        self.replace(generation, stop);
        changes.extend(self.renew().await);
        Ok(Reloaded { generation: number, changes })
    }

    /// Shows the certificate that its files hold by now; tells so if it is another one.
    async fn renew(&self) -> Option<String> {
        let tls = Arc::clone(self.tls.as_ref()?);
        match spawn_blocking(move || tls.refresh()).await {
            Ok(Ok(is_another)) => is_another.then(|| "server.tls: another certificate".to_owned()),
            // It was fine when the configuration was read, and what looks after it tries again.
            Ok(Err(error)) => {
                tracing::error!(%error, "the certificate is not renewed; the one before is still shown");
                None
            }
            // It has said so.
            Err(_panic) => None,
        }
    }

    /// Makes and tries all that the next generation has besides the old one. What it has made is in `next`, whenever it is given up.
    async fn prepare(&self, old: &Generation, next: &mut Next, check: bool) -> Result<Vec<String>, Refused> {
        let config = Arc::clone(&next.config);
        let difference = difference::between(&old.config, &config, self.most_instances);
        let mut changes = difference.changes;
        refuse(difference.refused)?;
        let (engines, before) = (Arc::clone(&self.engines), old.plugins.clone());
        let compiling = {
            let config = Arc::clone(&config);
            spawn_blocking(move || plugins::compile(&config, &engines, &before))
        };
        next.codes = compiling.await.map_err(panicked)?.map_err(|failed| reasons(&failed))?;
        changes.extend(changed_components(old, &config, &next.codes));
        changes.extend(schemas(old, &config));
        if changes.is_empty() {
            return Ok(changes);
        }
        if !check && self.generations() >= MOST {
            let because = Refused::because(format!("calls of {MOST} generations run still; `wharf ps` shows them"));
            return Err(Refused { may_pass: true, ..because });
        }
        self.probe(old, &config, &next.codes).await?;
        self.open(old, next, check).await?;
        if !check {
            next.grants = databases::grants(&config, &next.databases, &self.plugins());
            // Until they are in force nobody goes short of what they reserve.
            next.grants.values().for_each(|grants| grants.keep_back(false));
            self.ask(next, &changes).await?;
        }
        Ok(changes)
    }

    /// Makes an instance of all code that does not run yet.
    async fn probe(&self, old: &Generation, config: &Config, codes: &[Arc<Code>]) -> Result<(), Refused> {
        let mut failed = Vec::new();
        for (described, code) in config.plugins.iter().zip(codes) {
            let limits_of =
                |config: &Config| config.plugins.iter().find(|it| it.name == described.name).map(|it| it.limits.clone());
            let runs = old.plugins.iter().any(|plugin| Arc::ptr_eq(plugin.code(), code) && **plugin.name() == *described.name);
            if runs && limits_of(&old.config) == limits_of(config) {
                continue;
            }
            let plugin = plugins::on_trial(config, described, Arc::clone(code), Arc::default());
            if let Err(error) = self.caller.probe(&plugin).await {
                tracing::warn!(plugin = %described.name, "an instance cannot be made: {error}");
                // A trace has many lines, and stands in the log.
                let first = error.to_string().lines().next().unwrap_or_default().to_owned();
                failed.push(plugins::failure(described, format!("an instance of it cannot be made: {first}")));
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(reasons(&failed)) }
    }

    /// Asks plugins for their `probe`, with all that they will have, where something of them has changed.
    async fn ask(&self, next: &Next, changes: &[String]) -> Result<(), Refused> {
        let mut failed = Vec::new();
        for (described, code) in next.config.plugins.iter().zip(&next.codes) {
            let Some(path) = described.probe.as_ref().filter(|_| difference::concern(changes, described)) else { continue };
            let grants = next.grants.get(&described.name).cloned().unwrap_or_default();
            let plugin = plugins::on_trial(&next.config, described, Arc::clone(code), grants);
            let trail = self.auditor.as_ref().map(|auditor| auditor.trail_of_probe(&plugin));
            let reason = match self.caller.ask(&plugin, path, trail).await {
                Ok(status) if status.as_u16() < 500 => continue,
                Ok(status) => format!("its probe `{path}` answers {}", status.as_u16()),
                Err(outcome) => format!("its probe `{path}` is not answered: {}", outcome.as_str()),
            };
            failed.push(plugins::failure(described, reason));
        }
        if failed.is_empty() { Ok(()) } else { Err(reasons(&failed)) }
    }

    /// Opens databases and pools that are new, then migrates.
    async fn open(&self, old: &Generation, next: &mut Next, check: bool) -> Result<(), Refused> {
        let config = Arc::clone(&next.config);
        let mut failed = Vec::new();
        for described in &config.databases {
            let known = known(old, &described.name).cloned();
            let done = match known.or_else(|| self.take_back(&described.name)) {
                Some(opened) => self.extend(&opened, described, next, check).await,
                None => self.add(described, next, check).await,
            };
            failed.extend(done.err());
        }
        if !failed.is_empty() {
            return Err(reasons(&failed));
        }
        if check {
            return Ok(());
        }
        // In the end, since they cannot be undone. Those that are new have had theirs.
        for (described, opened) in config.databases.iter().zip(&mut next.databases) {
            if opened.schema != Schema::of(described) {
                opened.schema = databases::migrate(described, &Log).await.map_err(|failed| reasons(&[failed]))?;
            }
        }
        Ok(())
    }

    /// Adds the pools that a database has not yet.
    async fn extend(
        &self,
        opened: &Opened,
        described: &config::Database,
        next: &mut Next,
        check: bool,
    ) -> Result<(), StartError> {
        let fail = |reason: String| StartError::Database { name: described.name.clone(), reason };
        if opened.database.engine() != described.engine {
            // Of one that is in force the comparison has told.
            return Err(fail("calls that run still use one of this name that is of another engine".to_owned()));
        }
        let is_open = |kind: &pools::Kind| opened.pools.iter().any(|(other, _)| other == kind);
        let is_missing = described.file.as_ref().is_some_and(|file| !file.exists());
        if is_missing && pools::of(&next.config, described).iter().any(is_open) {
            // The next session would have another, and what is written would be in either.
            return Err(fail("its file is gone, and connections that are open have it still".to_owned()));
        }
        if databases::is_to_be_made(described) {
            // Another file than before, which nobody uses yet.
            if check {
                return Ok(());
            }
            databases::migrate(described, &Log).await?;
        }
        let Opened { database, pools: mut all, schema } = opened.clone();
        let mut wanted = Vec::new();
        // As many as there may be until what is in force has ended.
        let most = described.settings.max_connections.max(database.settings().max_connections);
        for kind in pools::of(&next.config, described) {
            let known = all.iter().find(|(other, _)| *other == kind).map(|(_, number)| *number);
            let number = match known {
                Some(number) => number,
                None => {
                    let spec = kind.spec(most, &all).map_err(|failure| fail(failure.to_string()))?;
                    let number = match described.connect {
                        Connect::Eager => database.add_pool(spec).await.map_err(|failure| fail(failure.to_string()))?,
                        Connect::Lazy => database.add_pool_lazily(spec).await,
                    };
                    next.pools.push((database.clone(), number));
                    all.push((kind.clone(), number));
                    number
                }
            };
            wanted.push((kind, number));
        }
        next.databases.push(Opened { database, pools: wanted, schema });
        Ok(())
    }

    /// Opens a database that is new.
    async fn add(&self, described: &config::Database, next: &mut Next, check: bool) -> Result<(), StartError> {
        if check && databases::is_to_be_made(described) {
            return Ok(());
        }
        let schema = if check { Schema::of(described) } else { databases::migrate(described, &Log).await? };
        let config = Arc::clone(&next.config);
        databases::open_one(&config, described, schema, &self.capacity, &self.shards, &mut next.opened).await?;
        next.databases.extend(next.opened.last().cloned());
        Ok(())
    }
}

/// What is made for the next generation, and undone unless that comes to be.
struct Next {
    config: Arc<Config>,
    codes: Vec<Arc<Code>>,
    /// In the order of the configuration.
    databases: Vec<Opened>,
    /// Pools that databases have been given.
    pools: Vec<(Database, usize)>,
    /// Databases that were not there before.
    opened: Vec<Opened>,
    /// By plugin.
    grants: HashMap<String, Arc<Grants>>,
}

impl Next {
    /// Nothing is made yet.
    fn of(config: Config) -> Self {
        Self {
            config: Arc::new(config),
            codes: Vec::new(),
            databases: Vec::new(),
            pools: Vec::new(),
            opened: Vec::new(),
            grants: HashMap::new(),
        }
    }

    /// Takes out of use what was made, and closes it and what is gone meanwhile.
    async fn undo(self, gone: Vec<Database>, stop: &Stop) {
        drop(self.grants);
        for (database, pool) in &self.pools {
            database.retire_pool(*pool);
        }
        let opened: Vec<Database> = self.opened.into_iter().map(|opened| opened.database).chain(gone).collect();
        for closed in databases::close(&opened, Instant::now() + UNDO, stop).await {
            if closed.left.sessions > 0 {
                tracing::error!("{closed}");
            }
        }
    }
}

/// What is told while a reload goes on.
struct Log;

impl Progress for Log {
    fn say(&self, line: &str) {
        tracing::info!("{line}");
    }
}

fn read(path: &Path) -> Result<Config, Refused> {
    let config = config::load(path, &config::process_environment)
        .map_err(|wrong| Refused { reasons: wrong.error_lines(), may_pass: false })?;
    let mut diagnostics = Diagnostics::new(Arc::clone(&config.source));
    config::check_components(&config, &mut diagnostics);
    refuse(diagnostics.error_lines())?;
    Ok(config)
}

fn panicked(_panic: JoinError) -> Refused {
    Refused::because("the host panicked while it looked at the configuration")
}

fn refuse(reasons: Vec<String>) -> Result<(), Refused> {
    if reasons.is_empty() { Ok(()) } else { Err(Refused { reasons, may_pass: false }) }
}

fn reasons(failed: &[StartError]) -> Refused {
    let may_pass = failed.iter().all(|failed| matches!(failed, StartError::Database { .. }));
    Refused { reasons: failed.iter().map(ToString::to_string).collect(), may_pass }
}

fn known<'a>(generation: &'a Generation, name: &str) -> Option<&'a Opened> {
    let mut all = generation.config.databases.iter().zip(&generation.databases);
    all.find(|(described, _)| described.name == name).map(|(_, opened)| opened)
}

/// Plugins that stay and run other code, a line each.
fn changed_components(old: &Generation, config: &Config, codes: &[Arc<Code>]) -> Vec<String> {
    let changed = |(described, code): (&config::Plugin, &Arc<Code>)| {
        let before = old.plugins.iter().find(|plugin: &&Arc<Plugin>| **plugin.name() == *described.name)?;
        let (from, to) = (before.digest().to_string(), code.digest().to_string());
        (from != to).then(|| format!("plugins.{}: code {} → {}", described.name, &from[..12], &to[..12]))
    };
    config.plugins.iter().zip(codes).filter_map(changed).collect()
}

/// Databases that stay and are migrated, a line each.
fn schemas(old: &Generation, config: &Config) -> Vec<String> {
    let migrated = |described: &&config::Database| {
        let schema = Schema::of(described);
        !schema.is_empty() && known(old, &described.name).is_some_and(|opened| opened.schema != schema)
    };
    config.databases.iter().filter(migrated).map(|described| format!("databases.{}: migrations", described.name)).collect()
}

/// Tells the operator's log.
fn tell(check: bool, done: &Result<Reloaded, Refused>) {
    match done {
        Ok(_) if check => {}
        Ok(Reloaded { generation, changes }) if changes.is_empty() => {
            tracing::info!(generation, "reloaded: the configuration says what is in force");
        }
        Ok(Reloaded { generation, changes }) => {
            for change in changes {
                tracing::info!("{change}");
            }
            tracing::info!(generation, "reloaded");
        }
        Err(Refused { reasons, .. }) => {
            for reason in reasons {
                tracing::warn!("{reason}");
            }
            tracing::warn!(check, "the configuration is refused, and what was in force stays");
        }
    }
}
