//! Compiles a component on the engine it needs, and links it.

use std::fmt;

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime_wasi_http::{p2, p3};

use super::LoadError;
use super::inspect::HandlerVersion;
use crate::engine::{CallState, Engines};

/// SHA-256 of a component's bytes; shown as hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// That of a component.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A component that is linked, by the handler it exports. A component that exports both is called through 0.3.
#[derive(Clone)]
pub enum Handler {
    /// `wasi:http/incoming-handler@0.2`, on the engine without concurrency unless it imports something asynchronous.
    V02(p2::bindings::ProxyPre<CallState>),
    /// `wasi:http/handler@0.3`, on the engine with concurrency.
    V03(p3::bindings::ServicePre<CallState>),
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V02(_) => "V02",
            Self::V03(_) => "V03",
        })
    }
}

/// A component that is compiled for one of the engines.
pub(super) struct Compiled {
    pub(super) component: Component,
    pub(super) digest: Digest,
    pub(super) size: usize,
    /// Whether it needs the engine with concurrency.
    pub(super) is_concurrent: bool,
}

/// Compiles for the engine without concurrency if that one accepts the component, otherwise for the other.
///
/// The first refuses at validation, before it compiles anything, whatever is asynchronous in a component's types.
pub(super) fn compile(engines: &Engines, bytes: &[u8]) -> Result<Compiled, LoadError> {
    check_header(bytes)?;
    let component = Component::from_binary(engines.plain().engine(), bytes)
        .or_else(|_| Component::from_binary(engines.concurrent().engine(), bytes))
        .map_err(|error| LoadError::Invalid { detail: format!("{error:#}") })?;
    let is_concurrent = !Engine::same(component.engine(), engines.plain().engine());
    Ok(Compiled { component, digest: Digest::of(bytes), size: bytes.len(), is_concurrent })
}

fn check_header(bytes: &[u8]) -> Result<(), LoadError> {
    // The magic number, then two bytes of version and two of layer: 0 is a core module, 1 a component.
    match bytes {
        [b'\0', b'a', b's', b'm', _, _, 0, 0, ..] => Err(LoadError::CoreModule),
        [b'\0', b'a', b's', b'm', ..] => Ok(()),
        _ => Err(LoadError::NotWasm),
    }
}

/// Links against everything the engine offers.
pub(super) fn link(engines: &Engines, compiled: &Compiled) -> Result<Handler, LoadError> {
    let component = &compiled.component;
    let mismatch = |error: wasmtime::Error| LoadError::Mismatch { detail: format!("{error:#}") };
    let linker = if compiled.is_concurrent { engines.concurrent() } else { engines.plain() };
    let instance = linker.instantiate_pre(component).map_err(mismatch)?;
    match HandlerVersion::of(component) {
        Some(HandlerVersion::V03) => p3::bindings::ServicePre::new(instance).map(Handler::V03).map_err(mismatch),
        Some(HandlerVersion::V02) => p2::bindings::ProxyPre::new(instance).map(Handler::V02).map_err(mismatch),
        None => Err(LoadError::NoHandler { exports: super::inspect::exports(component) }),
    }
}
