//! A configuration with all that was made of it: what requests are routed to, until another takes its place.

use std::{collections::HashMap, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{StartError, databases::Opened, plugins};
use crate::{
    admin::{Served, Watched},
    config::Config,
    lease::Grants,
    plugin::{Code, Plugin},
    router::{Route, Router},
    telemetry::requests::{self, Requests},
};

/// Where a route leads.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) plugin: Arc<Plugin>,
    /// What is counted of its requests.
    pub(super) route: Arc<requests::Route>,
}

/// A generation. Requests that found their plugin in it end there, whatever follows.
#[derive(Debug)]
pub(super) struct Generation {
    /// From 1, with each that follows one more.
    pub(super) number: u64,
    pub(super) config: Arc<Config>,
    pub(super) router: Router<Target>,
    /// In the order of the configuration.
    pub(super) databases: Vec<Opened>,
    /// In the order of the configuration.
    pub(super) plugins: Vec<Arc<Plugin>>,
    /// Fires when the last of its plugins is dropped, with its last call.
    pub(super) end: CancellationToken,
}

impl Generation {
    /// Puts it together.
    ///
    /// # Errors
    /// When routes overlap, which the configuration should have told.
    pub(super) fn new(
        number: u64,
        config: Arc<Config>,
        databases: Vec<Opened>,
        codes: Vec<Arc<Code>>,
        grants: &HashMap<String, Arc<Grants>>,
        before: &[Arc<Plugin>],
        requests: &Requests,
    ) -> Result<Self, StartError> {
        let end = CancellationToken::new();
        let plugins = plugins::assemble(&config, codes, grants, before, &end);
        let router = router(&config, &plugins, requests)?;
        Ok(Self { number, config, router, databases, plugins, end })
    }

    /// Its databases, for who looks after them.
    pub(super) fn watched(&self) -> Vec<Watched> {
        watched(&self.config, &self.databases)
    }

    /// Its plugins, for who asks about them.
    pub(super) fn served(&self) -> Vec<Served> {
        let described = self.config.plugins.iter().zip(&self.plugins);
        let served = described.map(|(described, plugin)| Served {
            plugin: Arc::clone(plugin),
            routes: described.routes.iter().map(ToString::to_string).collect(),
        });
        served.collect()
    }
}

/// Databases of a configuration, for who looks after them.
pub(super) fn watched(config: &Config, databases: &[Opened]) -> Vec<Watched> {
    let described = config.databases.iter().zip(databases);
    let watched = described.map(|(described, opened)| Watched {
        database: opened.database.clone(),
        required: described.required,
        last_generation: None,
    });
    watched.collect()
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
