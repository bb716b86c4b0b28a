//! Databases of a configuration: migrated, opened, and cut into grants.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::future::join_all;
use tokio::time::{Instant, timeout};

use super::{
    Closed, Progress, StartError, Stop,
    pools::{self, Kind, url_of},
};
use crate::{
    config::{self, Config, Connect, Secret},
    driver::{
        ResultLimit,
        migrations::{self, MigrationError},
    },
    lease::{Grant, Grants},
    plugin::Plugin,
    pool::{Database, HostCapacity, Quota},
    shards::Shards,
};

/// Migrations and seed of one database end within this.
const MIGRATION_LIMIT: Duration = Duration::from_secs(15 * 60);

/// A database that is open.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) database: Database,
    /// Its pools that are in use, by their numbers.
    pub(super) pools: Vec<(Kind, usize)>,
    /// What it was migrated with last.
    pub(super) schema: Schema,
}

/// What is to be applied to a database, as far as files tell it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Schema {
    url: Option<Secret>,
    files: Vec<(PathBuf, u64, Option<SystemTime>)>,
}

impl Schema {
    /// What there is now.
    pub(super) fn of(described: &config::Database) -> Self {
        let mut files = Vec::new();
        for folder in [described.migrations_folder(), described.seed_folder()].iter().flatten() {
            // What cannot be read is told when it is applied.
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let about = entry.metadata();
                let length = about.as_ref().map_or(0, fs::Metadata::len);
                files.push((entry.path(), length, about.and_then(|about| about.modified()).ok()));
            }
        }
        files.sort();
        let url = (!files.is_empty()).then(|| migrations_url(described));
        Self { url, files }
    }

    /// Whether there is nothing to apply.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// Migrates and opens all databases.
///
/// # Errors
/// The first database that cannot be had, by name. Those that were open are closed by then.
pub(super) async fn open(
    config: &Config,
    capacity: &Arc<HostCapacity>,
    shards: &Shards,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<Vec<Opened>, StartError> {
    let mut databases = Vec::new();
    let open_all = async {
        for described in &config.databases {
            let schema = migrate(described, progress).await?;
            open_one(config, described, schema, capacity, shards, &mut databases).await?;
        }
        Ok(())
    };
    let opened = tokio::select! {
        biased;
        opened = open_all => opened,
        () = stop.requested() => Err(StartError::Stopped(Vec::new())),
    };
    match opened {
        Ok(()) => Ok(databases),
        Err(error) => Err(undo(&databases, config, stop, error).await),
    }
}

/// Closes what was opened for a start that failed or was stopped.
pub(super) async fn undo(databases: &[Opened], config: &Config, stop: &Stop, error: StartError) -> StartError {
    let databases: Vec<Database> = databases.iter().map(|opened| opened.database.clone()).collect();
    let left = close(&databases, Instant::now() + config.server.reclaim_timeout, stop).await;
    match error {
        StartError::Stopped(_) => StartError::Stopped(left),
        error => error,
    }
}

/// Closes all databases at once, faster once somebody is in a hurry.
pub(super) async fn close(databases: &[Database], deadline: Instant, stop: &Stop) -> Vec<Closed> {
    let closing = databases.iter().map(|database| async move {
        Closed { database: Arc::clone(database.name()), engine: database.engine(), left: database.close(deadline).await }
    });
    let mut closing = pin!(join_all(closing));
    tokio::select! {
        closed = &mut closing => return closed,
        () = stop.hurried() => {}
    }
    databases.iter().for_each(Database::hurry);
    closing.await
}

/// Opens a database that was migrated with `schema`, and adds it to `databases` before anything is awaited: whoever gives up closes it.
///
/// # Errors
/// Why it cannot be had.
pub(super) async fn open_one(
    config: &Config,
    described: &config::Database,
    schema: Schema,
    capacity: &Arc<HostCapacity>,
    shards: &Shards,
    databases: &mut Vec<Opened>,
) -> Result<(), StartError> {
    let fail = |reason: String| StartError::Database { name: described.name.clone(), reason };
    if let Some(file) = described.file.as_ref().filter(|file| !file.exists()) {
        let reason = format!("the file `{}` does not exist; create it, or give the database `migrations`", file.display());
        return Err(fail(reason));
    }
    let (name, settings) = (described.name.as_str(), described.settings.clone());
    let mut pools: Vec<(Kind, usize)> = Vec::new();
    let mut specs = Vec::new();
    // They are numbered in this order.
    for (number, kind) in pools::of(config, described).into_iter().enumerate() {
        specs.push(kind.spec(settings.max_connections, &pools).map_err(|failure| fail(failure.to_string()))?);
        pools.push((kind, number));
    }
    let (database, _) = Database::in_shards(name, settings, specs, Vec::new(), Arc::clone(capacity), shards.clone());
    databases.push(Opened { database: database.clone(), pools, schema });
    database.start(described.connect == Connect::Eager).await.map_err(|failure| fail(failure.to_string()))
}

/// Applies migrations and seed, if there are any; what there was when that began. What has come meanwhile may not have been applied.
///
/// # Errors
/// Why they cannot be applied.
pub(super) async fn migrate(described: &config::Database, progress: &dyn Progress) -> Result<Schema, StartError> {
    let schema = Schema::of(described);
    let folders = [described.migrations_folder(), described.seed_folder()];
    let folders: Vec<&Path> = folders.iter().flatten().map(PathBuf::as_path).collect();
    if folders.is_empty() {
        return Ok(schema);
    }
    let url = migrations_url(described);
    let applying = migrations::apply(described.engine, url.expose(), &folders);
    let late = |_| Err(MigrationError::Apply(format!("not done within {}", humantime::format_duration(MIGRATION_LIMIT))));
    let applied = timeout(MIGRATION_LIMIT, applying).await.unwrap_or_else(late);
    let fail = |error: MigrationError| {
        let (name, reason) = (described.name.clone(), error.to_string());
        match error {
            MigrationError::Connect(_) => StartError::Database { name, reason },
            MigrationError::Source { .. } | MigrationError::Apply(_) => StartError::Migration { name, reason },
        }
    };
    let applied = applied.map_err(fail)?;
    if applied > 0 {
        let s = if applied == 1 { "" } else { "s" };
        progress.say(&format!("database {}: applied {applied} migration{s}", described.name));
    }
    Ok(schema)
}

fn migrations_url(described: &config::Database) -> Secret {
    url_of(described, described.migrations_url.as_ref().unwrap_or(&described.url))
}

/// Cuts the databases of a configuration into what each plugin may have of them, by the plugin's name. What the plugins `before` have counts
/// together with what those of the same name get.
pub(super) fn grants(config: &Config, databases: &[Opened], before: &[Arc<Plugin>]) -> HashMap<String, Arc<Grants>> {
    let mut grants: HashMap<String, BTreeMap<Arc<str>, Grant>> = HashMap::new();
    for (described, Opened { database, pools, .. }) in config.databases.iter().zip(databases) {
        for plugin in &config.plugins {
            for grant in plugin.databases.iter().filter(|grant| grant.database == described.name) {
                let kind = Kind::of(described, grant);
                let Some((_, pool)) = pools.iter().find(|(other, _)| *other == kind) else {
                    unreachable!("a database has a pool for each of its grants")
                };
                let quota = Quota {
                    pool: *pool,
                    max_connections: grant.max_connections,
                    reserved_connections: grant.reserved_connections,
                    max_transaction_time: grant.max_transaction_time,
                };
                let same =
                    before.iter().filter(|before| **before.name() == *plugin.name).flat_map(|before| before.grants().iter());
                let heir_of = same.map(|(_, grant)| grant).find(|grant| grant.database.is(database));
                let granted = Grant {
                    database: database.clone(),
                    granted: database.grant(quota, heir_of.map(|grant| &*grant.granted)),
                    access: grant.access,
                    max_connections: grant.max_connections,
                    max_result: ResultLimit { rows: grant.max_rows, bytes: grant.max_result_bytes },
                    max_statements: grant.max_statements,
                };
                grants.entry(plugin.name.clone()).or_default().insert(grant.database.as_str().into(), granted);
            }
        }
    }
    grants.into_iter().map(|(plugin, grants)| (plugin, Arc::new(Grants::new(grants)))).collect()
}

/// Whether a database is a file that is not there, and that its migrations make.
pub(super) fn is_to_be_made(described: &config::Database) -> bool {
    described.file.as_ref().is_some_and(|file| !file.exists()) && !Schema::of(described).is_empty()
}
