//! Components of a configuration: inspected, or loaded with their limits and grants.

use std::{collections::HashMap, fs, sync::Arc};

use super::StartError;
use crate::{
    config::{self, Config, Diagnostics},
    engine::{EngineError, EngineSettings, Engines},
    lease::Grants,
    plugin::{self, LoadError, Plugin},
};

/// What a configuration asks of the engines.
pub(super) fn engine_settings(config: &Config) -> EngineSettings {
    EngineSettings {
        max_instances: config.server.max_concurrency,
        max_waiting: config.server.max_queue as usize,
        cache_folder: Some(config.engine.cache.clone()),
        ..EngineSettings::default()
    }
}

/// Loads every component; what was compiled before comes from the cache.
///
/// Blocks: reads files, and compiles what is new.
///
/// # Errors
/// The first component that cannot be loaded, by name.
pub(super) fn load(
    config: &Config,
    engines: &Engines,
    grants: &HashMap<String, Arc<Grants>>,
) -> Result<Vec<Arc<Plugin>>, StartError> {
    config
        .plugins
        .iter()
        .map(|described| {
            let fail = |reason: String| StartError::Plugin {
                name: described.name.clone(),
                component: described.component.display().to_string(),
                reason,
            };
            let bytes = fs::read(&described.component).map_err(|error| fail(format!("cannot be read: {error}")))?;
            let grants = grants.get(&described.name).cloned().unwrap_or_default();
            let loaded = plugin::load(engines, &described.name, &bytes, limits(config, described), grants);
            loaded.map(Arc::new).map_err(|error| fail(error.to_string()))
        })
        .collect()
}

fn limits(config: &Config, described: &config::Plugin) -> plugin::Limits {
    let limits = &described.limits;
    plugin::Limits {
        fuel: limits.fuel,
        deadline: limits.deadline,
        memory: limits.memory,
        max_concurrency: limits.max_concurrency as usize,
        max_waiting: config.server.max_queue as usize,
        reuse: described.instances.reuse,
        body_stall_timeout: config.server.body_stall_timeout,
        log_line_bytes: limits.log_line_bytes,
        log_lines_per_second: limits.log_lines_per_second,
        log: described.log,
    }
}

/// Looks at every component that is there, without running any, and reports what is wrong with it at its place in the configuration.
///
/// Blocks: reads files, and compiles what is new.
///
/// # Errors
/// When the engine itself cannot be made.
pub fn inspect(config: &Config, diagnostics: &mut Diagnostics) -> Result<(), EngineError> {
    config::check_components(config, diagnostics);
    let engines = Engines::new(&EngineSettings { cache_folder: None, max_instances: 1, ..engine_settings(config) })?;
    for described in config.plugins.iter().filter(|described| described.component.is_file()) {
        let faults = match fs::read(&described.component) {
            Ok(bytes) => match plugin::inspect(&engines, &bytes) {
                Ok(report) => {
                    let used = report.imports.iter().find(|import| is_of_databases(import));
                    if let (Some(import), true) = (used, described.databases.is_empty()) {
                        let message = format!("plugin `{}` imports {import}, and no database is granted to it", described.name);
                        let hint = "add `databases.NAME = { access = \"read-only\" }`, or \"read-write\"";
                        diagnostics.error(described.location, message, hint);
                    }
                    report.faults
                }
                Err(fault) => vec![fault],
            },
            Err(error) => {
                diagnostics.error(
                    described.component_location,
                    format!("cannot read the component: {error}"),
                    "check its permissions",
                );
                continue;
            }
        };
        for fault in faults {
            let message = format!("component `{}` of plugin `{}`: {fault}", described.component.display(), described.name);
            diagnostics.error(described.component_location, message, hint(&fault));
        }
    }
    Ok(())
}

/// Whether an import opens databases, of either kind.
fn is_of_databases(import: &str) -> bool {
    ["wharf:sql", "wharf:documents"].iter().any(|package| import.starts_with(package)) && import.contains("/database@0.1.")
}

fn hint(fault: &LoadError) -> &'static str {
    match fault {
        LoadError::NotWasm => "give the path of a component; `wharf build` makes one from a `source`",
        LoadError::CoreModule => "in Rust: `cargo build --target wasm32-wasip2`",
        LoadError::Invalid { .. } => "build it anew, with tools for the component model",
        LoadError::NoHandler { .. } => "target the world `handler` or `handler-async` of wit/worlds",
        LoadError::NotOffered { .. } => "leave these imports out; the README says what a handler may import",
        LoadError::TooLarge { .. } => "build it with fewer parts",
        LoadError::Mismatch { .. } => "build it against the WIT of this host",
    }
}
