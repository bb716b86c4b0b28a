//! Says what a component is, and everything that keeps it from being loaded.

use wasmtime::component::Component;

use super::component::{self, Compiled, Digest};
use super::{LoadError, RefusedImport};
use crate::engine::offers::{self, Offer};
use crate::engine::{Engines, MAX_MEMORIES, MAX_TABLES};

/// Which handler a component exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandlerVersion {
    /// `wasi:http/incoming-handler@0.2`.
    V02,
    /// `wasi:http/handler@0.3`, alone or beside the other.
    V03,
}

/// What a component is.
#[derive(Clone, Debug)]
pub struct Report {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size_bytes: usize,
    /// What the host would call, if anything.
    pub handler: Option<HandlerVersion>,
    /// All imports, by name.
    pub imports: Vec<String>,
    /// All exports, by name.
    pub exports: Vec<String>,
    /// Everything that keeps it from being loaded.
    pub faults: Vec<LoadError>,
}

impl Report {
    /// `Ok` when there is no fault, otherwise the first.
    ///
    /// # Errors
    /// The first of `faults`.
    pub fn verdict(self) -> Result<(), LoadError> {
        self.faults.into_iter().next().map_or(Ok(()), Err)
    }
}

/// Compiles a component (or finds it in the cache) and reports on it, without loading it.
///
/// # Errors
/// Only when there is nothing to report on: not WebAssembly, a core module, or invalid.
pub fn inspect(engines: &Engines, bytes: &[u8]) -> Result<Report, LoadError> {
    let compiled = component::compile(engines, bytes)?;
    let mut report = report(&compiled);
    // A refused import would be reported again by the linker, with less to go by.
    if report.faults.is_empty()
        && let Err(fault) = component::link(engines, &compiled)
    {
        report.faults.push(fault);
    }
    Ok(report)
}

pub(super) fn report(compiled: &Compiled) -> Report {
    let Compiled { component, digest, size } = compiled;
    let imports = imports(component);
    let exports = exports(component);
    let handler = HandlerVersion::of(component);
    let mut faults = Vec::new();
    if handler.is_none() {
        faults.push(LoadError::NoHandler { exports: exports.clone() });
    }
    let refused: Vec<_> = imports
        .iter()
        .filter_map(|name| match offers::judge(name) {
            Offer::Yes => None,
            offer => Some(RefusedImport { name: name.clone(), offer }),
        })
        .collect();
    if !refused.is_empty() {
        faults.push(LoadError::NotOffered { imports: refused });
    }
    faults.extend(too_large(component));
    Report { digest: *digest, size_bytes: *size, handler, imports, exports, faults }
}

fn too_large(component: &Component) -> impl Iterator<Item = LoadError> {
    // Unknown only when the component instantiates components it imports, and those are not offered.
    let parts = component.resources_required();
    let parts = parts.map(|parts| [("memories", parts.num_memories, MAX_MEMORIES), ("tables", parts.num_tables, MAX_TABLES)]);
    parts
        .into_iter()
        .flatten()
        .filter(|(_, needed, allowed)| needed > allowed)
        .map(|(what, needed, allowed)| LoadError::TooLarge { what, needed: needed.into(), allowed: allowed.into() })
}

fn imports(component: &Component) -> Vec<String> {
    component.component_type().imports(component.engine()).map(|(name, _)| name.to_owned()).collect()
}

pub(super) fn exports(component: &Component) -> Vec<String> {
    component.component_type().exports(component.engine()).map(|(name, _)| name.to_owned()).collect()
}

impl HandlerVersion {
    pub(super) fn of(component: &Component) -> Option<Self> {
        let exports = exports(component);
        let has = |prefix: &str| exports.iter().any(|name| name.starts_with(prefix));
        if has("wasi:http/handler@0.3.") {
            Some(Self::V03)
        } else if has("wasi:http/incoming-handler@0.2.") {
            Some(Self::V02)
        } else {
            None
        }
    }
}
