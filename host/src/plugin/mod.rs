//! Plugins: components that were loaded, with their limits and grants.
//!
//! In the order data flows: [`inspect`] says what a component is and everything that is wrong with it; [`load`] compiles and links it
//! once, as a [`Plugin`]; calls then share it. Which plugin answers which request is the router's business.

mod component;
mod error;
mod inspect;
mod limits;
mod log_budget;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub use component::{Digest, Handler};
pub use error::{LoadError, RefusedImport};
pub use inspect::{HandlerVersion, Report, inspect};
pub use limits::{Limits, LogLevel};
pub use log_budget::{LogBudget, LogLine};

use crate::engine::{Engines, Gate};
use crate::lease::Grants;

/// A loaded component: compiled, linked, ready to be called any number of times.
pub struct Plugin {
    name: Arc<str>,
    digest: Digest,
    compile_time: Duration,
    handler: Handler,
    is_concurrent: bool,
    limits: Limits,
    grants: Arc<Grants>,
    gate: Gate,
    log_budget: LogBudget,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("name", &self.name).field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// Compiles `bytes` (or finds it in the cache) and links it.
///
/// Computes for as long as compiling takes: call it where blocking is allowed.
///
/// # Errors
/// Everything [`inspect`] reports as a fault, the first kind of it; see [`LoadError`].
pub fn load(engines: &Engines, name: &str, bytes: &[u8], limits: Limits, grants: Arc<Grants>) -> Result<Plugin, LoadError> {
    let started = Instant::now();
    let compiled = component::compile(engines, bytes)?;
    inspect::report(&compiled).verdict()?;
    let handler = component::link(engines, &compiled)?;
    let compile_time = started.elapsed();
    let gate = Gate::new(limits.max_concurrency, limits.max_waiting);
    let log_budget = LogBudget::new(limits.log_lines_per_second);
    let component::Compiled { digest, is_concurrent, .. } = compiled;
    Ok(Plugin { name: name.into(), digest, compile_time, handler, is_concurrent, limits, grants, gate, log_budget })
}

impl Plugin {
    /// The name in the configuration.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// SHA-256 of the component's bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How long it took to compile and link it, or to find that it had been compiled before.
    #[must_use]
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }

    /// What a call instantiates.
    #[must_use]
    pub fn handler(&self) -> &Handler {
        &self.handler
    }

    /// Whether it runs on the engine with component-model concurrency, as a handler of 0.2 may, too.
    #[must_use]
    pub fn is_concurrent(&self) -> bool {
        self.is_concurrent
    }

    /// What one call may use.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What the plugin may do with which database.
    #[must_use]
    pub fn grants(&self) -> &Arc<Grants> {
        &self.grants
    }

    /// One place a running call of this plugin.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// How much the plugin may still print in this second.
    #[must_use]
    pub fn log_budget(&self) -> &LogBudget {
        &self.log_budget
    }
}
