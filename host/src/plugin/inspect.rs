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
    let Compiled { component, digest, size, .. } = compiled;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineSettings;
    use crate::engine::offers::Offer;

    fn fault(component: &str) -> LoadError {
        let engines = Engines::new(&EngineSettings::default()).unwrap();
        let component = wat::parse_str(component).unwrap();
        inspect(&engines, &component).and_then(Report::verdict).unwrap_err()
    }

    #[test]
    fn what_is_no_component_is_told_apart() {
        let engines = Engines::new(&EngineSettings::default()).unwrap();
        assert_eq!(inspect(&engines, b"").unwrap_err(), LoadError::NotWasm);
        assert_eq!(inspect(&engines, b"#!/bin/sh").unwrap_err(), LoadError::NotWasm);
        assert_eq!(inspect(&engines, &wat::parse_str("(module)").unwrap()).unwrap_err(), LoadError::CoreModule);
        let cut = &wat::parse_str("(component (core module))").unwrap()[..12];
        assert!(matches!(inspect(&engines, cut).unwrap_err(), LoadError::Invalid { .. }));
    }

    #[test]
    fn a_component_without_handler_says_what_it_exports() {
        let component = r#"(component (instance $i) (export "wasi:cli/run@0.2.0" (instance $i)))"#;
        assert_eq!(fault(component), LoadError::NoHandler { exports: vec!["wasi:cli/run@0.2.0".to_owned()] });
    }

    #[test]
    fn all_imports_that_are_not_offered_are_named() {
        let component = r#"(component
            (import "wasi:sockets/tcp@0.2.3" (instance)) (import "wharf:sql/database@0.2.0" (instance)) (import "wasi:io/poll@0.2.9" (instance))
            (instance $i) (export "wasi:http/incoming-handler@0.2.0" (instance $i)))"#;
        let error = fault(component);
        assert_eq!(
            error.to_string(),
            "imports wasi:sockets/tcp@0.2.3, which this host does not offer; imports wharf:sql/database@0.2.0: this host serves 0.1"
        );
        let LoadError::NotOffered { imports } = error else { panic!("{error}") };
        assert_eq!(imports[0].offer, Offer::No);
    }

    #[test]
    fn a_handler_of_another_shape_is_a_mismatch() {
        let component = r#"(component (instance $i) (export "wasi:http/incoming-handler@0.2.0" (instance $i)))"#;
        assert!(matches!(fault(component), LoadError::Mismatch { .. }));
    }

    #[test]
    fn an_interface_used_with_other_types_is_a_mismatch() {
        let component = r#"(component
            (import "wasi:random/random@0.2.0" (instance (export "get-random-u64" (func (result string)))))
            (instance $i) (export "wasi:http/incoming-handler@0.2.0" (instance $i)))"#;
        assert!(matches!(fault(component), LoadError::Mismatch { .. }));
    }
}
