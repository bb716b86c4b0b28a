//! The WIT interfaces of the host, on top of leases.

use std::sync::Arc;

use wasmtime::component::{Linker, ResourceTable};

use crate::lease::Scope;

/// What the interface needs of a Store's state.
pub struct SqlView<'a> {
    /// The call that the Store serves.
    pub scope: &'a Arc<Scope>,
    /// Where the handles live.
    pub table: &'a mut ResourceTable,
}

/// A Store's state that handlers of SQL may run in.
pub trait HasSql: Send {
    /// The parts that the interface needs.
    fn sql(&mut self) -> SqlView<'_>;
}

/// Offers `wharf:sql@0.1` (plain functions, async on the host).
///
/// # Errors
/// When the linker has these names already.
pub fn add_to_linker<T: HasSql + 'static>(_linker: &mut Linker<T>) -> wasmtime::Result<()> {
    Ok(())
}

/// Offers `wharf:sql-async@0.1`; needs an engine with component-model concurrency.
///
/// # Errors
/// When the linker has these names already.
pub fn add_async_to_linker<T: HasSql + 'static>(_linker: &mut Linker<T>) -> wasmtime::Result<()> {
    Ok(())
}
