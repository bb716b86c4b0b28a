//! Plugins: components that were loaded, with their limits and grants.
//!
//! In the order data flows: [`inspect`] says what a component is and everything that is wrong with it; [`compile`] compiles and links it
//! once, as [`Code`]; with limits and grants that is a [`Plugin`], which calls share. Which plugin answers which request is the router's
//! business. When limits or grants change there is another plugin of the same code, behind the same gate.

mod component;
mod error;
mod inspect;
mod limits;
mod log_budget;
mod stats;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::sync::DropGuard;

pub use component::{Digest, Handler};
pub use error::{LoadError, RefusedImport};
pub use inspect::{HandlerVersion, Report, inspect};
pub use limits::{Limits, LogLevel};
pub use log_budget::{LogBudget, LogLine};
pub use stats::Stats;

use crate::engine::{Engines, Gate};
use crate::lease::Grants;

/// A component that is compiled and linked.
#[derive(Debug)]
pub struct Code {
    digest: Digest,
    compile_time: Duration,
    handler: Handler,
    imports: Vec<String>,
    is_concurrent: bool,
}

impl Code {
    /// SHA-256 of the component's bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// Code with what it may use: ready to be called any number of times.
pub struct Plugin {
    name: Arc<str>,
    code: Arc<Code>,
    limits: Limits,
    grants: Arc<Grants>,
    gate: Arc<Gate>,
    log_budget: LogBudget,
    stats: Arc<Stats>,
    /// Another one has taken its place.
    retired: AtomicBool,
    /// Fires when it is dropped, and with it all that came with it.
    _generation: Option<Arc<DropGuard>>,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("name", &self.name).field("digest", &self.digest()).finish_non_exhaustive()
    }
}

/// Compiles `bytes` (or finds it in the cache) and links it.
///
/// Computes for as long as compiling takes: call it where blocking is allowed.
///
/// # Errors
/// Everything [`inspect`] reports as a fault, the first kind of it; see [`LoadError`].
pub fn compile(engines: &Engines, bytes: &[u8]) -> Result<Code, LoadError> {
    let started = Instant::now();
    let compiled = component::compile(engines, bytes)?;
    let mut report = inspect::report(&compiled);
    let imports = std::mem::take(&mut report.imports);
    report.verdict()?;
    let handler = component::link(engines, &compiled)?;
    let component::Compiled { digest, is_concurrent, .. } = compiled;
    Ok(Code { digest, compile_time: started.elapsed(), handler, imports, is_concurrent })
}

/// [`compile`], as a plugin that shares nothing with another.
///
/// # Errors
/// As [`compile`].
pub fn load(engines: &Engines, name: &str, bytes: &[u8], limits: Limits, grants: Arc<Grants>) -> Result<Plugin, LoadError> {
    let gate = Arc::new(Gate::new(limits.max_concurrency, limits.max_waiting));
    Ok(Plugin::new(name, Arc::new(compile(engines, bytes)?), limits, grants, gate))
}

impl Plugin {
    /// Code with what it may use. Its calls pass `gate`, whatever its limits say of it.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, code: Arc<Code>, limits: Limits, grants: Arc<Grants>, gate: Arc<Gate>) -> Self {
        let log_budget = LogBudget::new(limits.log_lines_per_second);
        let (name, retired) = (name.into(), AtomicBool::new(false));
        Self { name, code, limits, grants, gate, log_budget, stats: Arc::default(), retired, _generation: None }
    }

    /// The same, whose calls count with those of another one.
    #[must_use]
    pub fn counted_in(self, stats: Arc<Stats>) -> Self {
        Self { stats, ..self }
    }

    /// The same as one of several: the guard fires once all of them are gone, with whatever calls them.
    #[must_use]
    pub fn of_generation(self, guard: Arc<DropGuard>) -> Self {
        Self { _generation: Some(guard), ..self }
    }

    /// What it runs.
    #[must_use]
    pub fn code(&self) -> &Arc<Code> {
        &self.code
    }

    /// Has it called no more by those who come, so that none of its instances is kept for them. Calls that were let in go on.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// Whether it is called no more by those who come.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// The name in the configuration.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// SHA-256 of the component's bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.code.digest
    }

    /// How long it took to compile and link it, or to find that it had been compiled before.
    #[must_use]
    pub fn compile_time(&self) -> Duration {
        self.code.compile_time
    }

    /// What a call instantiates.
    #[must_use]
    pub fn handler(&self) -> &Handler {
        &self.code.handler
    }

    /// What it imports, by name.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.code.imports
    }

    /// Whether it runs on the engine with component-model concurrency, as a handler of 0.2 may, too.
    #[must_use]
    pub fn is_concurrent(&self) -> bool {
        self.code.is_concurrent
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

    /// One place a running call of this plugin, or of another that has its name.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// How much the plugin may still print in this second.
    #[must_use]
    pub fn log_budget(&self) -> &LogBudget {
        &self.log_budget
    }

    /// What its calls came to, and those of others that count with them.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }
}
