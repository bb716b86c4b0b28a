//! Which pools a database has: one for each credential and access that its grants name.

use std::sync::Arc;

use crate::{
    config::{self, Config, Secret},
    driver::{
        Driver, Engine, Failure,
        mongodb::Mongodb,
        mysql::Mysql,
        postgres::Postgres,
        settings::{Access, Settings},
        sqlite::Sqlite,
    },
    pool::PoolSpec,
};

/// What the sessions of a pool have in common. Of two pools it is different.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kind {
    engine: Engine,
    url: Secret,
    control_url: Option<Secret>,
    settings: Settings,
}

/// The pools that a database needs, the first of them first.
pub(super) fn of(config: &Config, described: &config::Database) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    let granted = config.plugins.iter().flat_map(|plugin| &plugin.databases).filter(|grant| grant.database == described.name);
    for kind in granted.map(|grant| Kind::of(described, grant)) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if kinds.is_empty() {
        // Granted to nobody: `check` warns of it, and it is opened all the same.
        kinds.push(Kind::new(described, &described.url, described.driver.access));
    }
    kinds
}

impl Kind {
    /// The pool of a grant.
    pub(super) fn of(described: &config::Database, grant: &config::Grant) -> Self {
        Self::new(described, grant.url.as_ref().unwrap_or(&described.url), grant.access)
    }

    fn new(described: &config::Database, url: &Secret, access: Access) -> Self {
        // How many there may be is told to a pool that is there.
        let settings = Settings { access, max_connections: 0, ..described.driver.clone() };
        Self { engine: described.engine, url: url_of(described, url), control_url: described.control_url.clone(), settings }
    }

    /// Whether pools of both may have one control path.
    fn shares_control(&self, other: &Self) -> bool {
        self.engine != Engine::Sqlite && self.control_url.is_some() && self.control_url == other.control_url
    }

    /// A pool of it, of at most so many connections, beside those that are there by their numbers.
    pub(super) fn spec(&self, max_connections: u32, there: &[(Self, usize)]) -> Result<PoolSpec, Failure> {
        let shared = there.iter().find(|(other, _)| self.shares_control(other));
        Ok(PoolSpec { driver: self.driver(max_connections)?, shares_control_of: shared.map(|(_, number)| *number) })
    }

    fn driver(&self, max_connections: u32) -> Result<Arc<dyn Driver>, Failure> {
        let (url, settings) = (self.url.expose(), Settings { max_connections, ..self.settings.clone() });
        let control_url = self.control_url.as_ref().map(Secret::expose);
        Ok(match self.engine {
            Engine::Postgres => {
                let driver = Postgres::new(url, settings)?;
                Arc::new(match control_url {
                    Some(control) => driver.control_with(control)?,
                    None => driver,
                })
            }
            Engine::Mysql => {
                let driver = Mysql::new(url, settings)?;
                Arc::new(match control_url {
                    Some(control) => driver.control_with(control)?,
                    None => driver,
                })
            }
            Engine::Mongodb => {
                let driver = Mongodb::new(url, settings)?;
                Arc::new(match control_url {
                    Some(control) => driver.control_with(control)?,
                    None => driver,
                })
            }
            Engine::Sqlite => Arc::new(Sqlite::new(url, settings)?),
        })
    }
}

/// The URL to open; for SQLite that of the file, which the configuration has made relative to its own folder.
pub(super) fn url_of(database: &config::Database, url: &Secret) -> Secret {
    match &database.file {
        Some(file) => Secret::new(format!("sqlite://{}", file.display())),
        None => url.clone(),
    }
}
