//! Components of a configuration: inspected, or loaded with their limits and grants.

use std::{collections::HashMap, fs, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{StartError, reach};
use crate::{
    config::{self, Config, Diagnostics},
    engine::{EngineError, EngineSettings, Engines, Gate},
    lease::Grants,
    plugin::{self, Code, Digest, LoadError, Plugin},
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

/// The code of every plugin, in the order of the configuration. What the plugins `before` run is not compiled again, and what was
/// compiled by an earlier host comes from the cache.
///
/// Blocks: reads files, and compiles what is new.
///
/// # Errors
/// Every component that cannot be loaded, by name; there is one at least.
pub(super) fn compile(config: &Config, engines: &Engines, before: &[Arc<Plugin>]) -> Result<Vec<Arc<Code>>, Vec<StartError>> {
    let mut known: Vec<Arc<Code>> = before.iter().map(|plugin| Arc::clone(plugin.code())).collect();
    let (mut codes, mut failed) = (Vec::new(), Vec::new());
    for described in &config.plugins {
        match compile_one(engines, described, &known) {
            Ok(code) => {
                known.push(Arc::clone(&code));
                codes.push(code);
            }
            Err(reason) => failed.push(failure(described, reason)),
        }
    }
    if failed.is_empty() { Ok(codes) } else { Err(failed) }
}

fn compile_one(engines: &Engines, described: &config::Plugin, known: &[Arc<Code>]) -> Result<Arc<Code>, String> {
    let bytes = fs::read(&described.component).map_err(|error| format!("cannot be read: {error}"))?;
    let digest = Digest::of(&bytes);
    match known.iter().find(|code| code.digest() == digest) {
        Some(code) => Ok(Arc::clone(code)),
        None => plugin::compile(engines, &bytes).map(Arc::new).map_err(|error| error.to_string()),
    }
}

/// A component that cannot be had.
pub(super) fn failure(described: &config::Plugin, reason: String) -> StartError {
    StartError::Plugin { name: described.name.clone(), component: described.component.display().to_string(), reason }
}

/// The plugins of a configuration, in its order, of their code and what they are granted, by name. Whoever has the name of one `before` is
/// behind the same gate, whose size is another's business, and counts with it. What one imports in vain is logged. The end of all of them can be
/// waited for.
pub(super) fn assemble(
    config: &Config,
    codes: Vec<Arc<Code>>,
    grants: &HashMap<String, Arc<Grants>>,
    before: &[Arc<Plugin>],
    end: &CancellationToken,
) -> Vec<Arc<Plugin>> {
    let guard = Arc::new(end.clone().drop_guard());
    let one = |(described, code): (&config::Plugin, Arc<Code>)| {
        let limits = limits(config, described);
        let same = before.iter().find(|before| **before.name() == *described.name);
        let gate = || Arc::new(Gate::new(limits.max_concurrency, limits.max_waiting));
        let gate = same.map_or_else(gate, |before| Arc::clone(before.gate()));
        let stats = same.map(|before| Arc::clone(before.stats())).unwrap_or_default();
        let grants = grants.get(&described.name).cloned().unwrap_or_default();
        let plugin =
            Plugin::new(&*described.name, code, limits, grants, gate).counted_in(stats).of_generation(Arc::clone(&guard));
        for unreached in reach::unreached(config, described, plugin.imports()) {
            unreached.log(config, described);
        }
        Arc::new(plugin)
    };
    config.plugins.iter().zip(codes).map(one).collect()
}

/// A plugin that nobody calls, to be tried. None of its instances is kept.
pub(super) fn on_trial(config: &Config, described: &config::Plugin, code: Arc<Code>, grants: Arc<Grants>) -> Arc<Plugin> {
    let limits = plugin::Limits { reuse: 1, ..limits(config, described) };
    let gate = Arc::new(Gate::new(1, 0));
    Arc::new(Plugin::new(&*described.name, code, limits, grants, gate))
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
                    for unreached in reach::unreached(config, described, &report.imports) {
                        unreached.tell(described, diagnostics);
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
