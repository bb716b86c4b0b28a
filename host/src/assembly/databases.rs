//! Databases of a configuration: migrated, opened, and cut into grants.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use tokio::time::{Instant, timeout};

use super::{Closed, Progress, StartError, Stop};
use crate::{
    config::{self, Config, Connect, Secret},
    driver::{
        Driver, Engine, Failure, ResultLimit,
        migrations::{self, MigrationError},
        mongodb::Mongodb,
        mysql::Mysql,
        postgres::Postgres,
        settings::{Access, Settings},
        sqlite::Sqlite,
    },
    lease::{Grant, Grants},
    pool::{Database, Granted, HostCapacity, PoolSpec, Quota},
    shards::Shards,
};

/// Migrations and seed of one database end within this.
const MIGRATION_LIMIT: Duration = Duration::from_secs(15 * 60);

/// The open databases, and what each plugin may use of them.
#[derive(Debug)]
pub(super) struct Databases {
    pub(super) open: Vec<Database>,
    /// By the plugin's name.
    pub(super) grants: HashMap<String, Arc<Grants>>,
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
) -> Result<Databases, StartError> {
    let mut databases = Databases { open: Vec::new(), grants: HashMap::new() };
    let opened = tokio::select! {
        biased;
        opened = open_all(config, capacity, shards, progress, &mut databases) => opened,
        () = stop.requested() => Err(StartError::Stopped(Vec::new())),
    };
    match opened {
        Ok(()) => Ok(databases),
        Err(error) => Err(undo(&databases.open, config, stop, error).await),
    }
}

/// Closes what was opened for a start that failed or was stopped.
pub(super) async fn undo(databases: &[Database], config: &Config, stop: &Stop, error: StartError) -> StartError {
    let left = close(databases, Instant::now() + config.server.reclaim_timeout, stop).await;
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

async fn open_all(
    config: &Config,
    capacity: &Arc<HostCapacity>,
    shards: &Shards,
    progress: &dyn Progress,
    databases: &mut Databases,
) -> Result<(), StartError> {
    let mut grants: HashMap<String, BTreeMap<Arc<str>, Grant>> = HashMap::new();
    for described in &config.databases {
        let name = &described.name;
        let fail = |reason: String| StartError::Database { name: name.clone(), reason };
        migrate(described, progress).await.map_err(fail)?;
        if let Some(file) = described.file.as_ref().filter(|file| !file.exists()) {
            let reason = format!("the file `{}` does not exist; create it, or give the database `migrations`", file.display());
            return Err(fail(reason));
        }
        let (database, cut) = assemble(config, described, capacity, shards).map_err(|failure| fail(failure.to_string()))?;
        databases.open.push(database.clone());
        database.start(described.connect == Connect::Eager).await.map_err(|failure| fail(failure.to_string()))?;
        for (plugin, described, granted) in cut {
            let grant = Grant {
                database: database.clone(),
                granted,
                access: described.access,
                max_connections: described.max_connections,
                max_result: ResultLimit { rows: described.max_rows, bytes: described.max_result_bytes },
                max_statements: described.max_statements,
            };
            grants.entry(plugin.to_owned()).or_default().insert(described.database.as_str().into(), grant);
        }
    }
    databases.grants = grants.into_iter().map(|(plugin, grants)| (plugin, Arc::new(Grants::new(grants)))).collect();
    Ok(())
}

async fn migrate(database: &config::Database, progress: &dyn Progress) -> Result<(), String> {
    let folders = [database.migrations_folder(), database.seed_folder()];
    let folders: Vec<&Path> = folders.iter().flatten().map(std::path::PathBuf::as_path).collect();
    if folders.is_empty() {
        return Ok(());
    }
    let url = url_of(database, database.migrations_url.as_ref().unwrap_or(&database.url));
    let applying = migrations::apply(database.engine, &url, &folders);
    let applied = timeout(MIGRATION_LIMIT, applying)
        .await
        .unwrap_or_else(|_| {
            Err(MigrationError::Apply(format!("not done within {}", humantime::format_duration(MIGRATION_LIMIT))))
        })
        .map_err(|error| error.to_string())?;
    if applied > 0 {
        progress.say(&format!("database {}: applied {applied} migration{}", database.name, if applied == 1 { "" } else { "s" }));
    }
    Ok(())
}

/// The URL to open; for SQLite that of the file, which the configuration has made relative to its own folder.
fn url_of(database: &config::Database, url: &Secret) -> String {
    match &database.file {
        Some(file) => format!("sqlite://{}", file.display()),
        None => url.expose().to_owned(),
    }
}

type Cut<'a> = Vec<(&'a str, &'a config::Grant, Arc<Granted>)>;

/// One database with a pool for each credential and access that its grants name.
fn assemble<'a>(
    config: &'a Config,
    described: &config::Database,
    capacity: &Arc<HostCapacity>,
    shards: &Shards,
) -> Result<(Database, Cut<'a>), Failure> {
    let mut keys: Vec<(&str, Access)> = Vec::new();
    let mut pools = Vec::new();
    let mut quotas = Vec::new();
    let mut shares = Vec::new();
    for plugin in &config.plugins {
        for grant in plugin.databases.iter().filter(|grant| grant.database == described.name) {
            let url = grant.url.as_ref().unwrap_or(&described.url);
            let key = (url.expose(), grant.access);
            let pool = match keys.iter().position(|other| *other == key) {
                Some(pool) => pool,
                None => {
                    let shared = described.engine != Engine::Sqlite && described.control_url.is_some() && !pools.is_empty();
                    let shares_control_of = shared.then_some(0);
                    pools.push(PoolSpec { driver: driver(described, url, grant.access)?, shares_control_of });
                    keys.push(key);
                    keys.len() - 1
                }
            };
            quotas.push(Quota {
                pool,
                max_connections: grant.max_connections,
                reserved_connections: grant.reserved_connections,
                max_transaction_time: grant.max_transaction_time,
            });
            shares.push((plugin.name.as_str(), grant));
        }
    }
    if pools.is_empty() {
        // Granted to nobody: `check` warns of it, and it is opened all the same.
        let driver = driver(described, &described.url, described.driver.access)?;
        pools.push(PoolSpec { driver, shares_control_of: None });
    }
    let (name, settings) = (described.name.as_str(), described.settings.clone());
    let (database, grants) = Database::in_shards(name, settings, pools, quotas, Arc::clone(capacity), shards.clone());
    let cut = shares.into_iter().zip(grants).map(|((plugin, described), granted)| (plugin, described, granted)).collect();
    Ok((database, cut))
}

fn driver(described: &config::Database, url: &Secret, access: Access) -> Result<Arc<dyn Driver>, Failure> {
    let settings = Settings { access, ..described.driver.clone() };
    let url = url_of(described, url);
    Ok(match described.engine {
        Engine::Postgres => {
            let driver = Postgres::new(&url, settings)?;
            Arc::new(match &described.control_url {
                Some(control) => driver.control_with(control.expose())?,
                None => driver,
            })
        }
        Engine::Mysql => {
            let driver = Mysql::new(&url, settings)?;
            Arc::new(match &described.control_url {
                Some(control) => driver.control_with(control.expose())?,
                None => driver,
            })
        }
        Engine::Mongodb => {
            let driver = Mongodb::new(&url, settings)?;
            Arc::new(match &described.control_url {
                Some(control) => driver.control_with(control.expose())?,
                None => driver,
            })
        }
        Engine::Sqlite => Arc::new(Sqlite::new(&url, settings)?),
    })
}
