//! The WIT interfaces of the host, on top of leases.
//!
//! `sql` serves `wharf:sql`, `documents` serves `wharf:documents`; in each, `plain` serves the package itself and `concurrent` its twin for
//! WASI 0.3. All are thin: a handle of the guest stands for an object of [`crate::lease`], values cross in the generated types that the drivers
//! build, and `error` is the one table from host errors to the guest's in that vocabulary. `stream` feeds a guest's stream from a cursor.

pub mod documents;
pub mod sql;
mod stream;

use std::sync::Arc;

use wasmtime::component::{Accessor, HasData, Linker, Resource, ResourceTable};

use crate::lease::{self, Scope};

/// What the interfaces need of a Store's state.
pub struct View<'a> {
    /// The call that the Store serves.
    pub scope: &'a Arc<Scope>,
    /// Where the handles live.
    pub table: &'a mut ResourceTable,
}

/// A Store's state that handlers which use databases may run in.
pub trait HasView: Send {
    /// The parts that the interfaces need.
    fn view(&mut self) -> View<'_>;
}

/// Tells the linker where in a Store's state the interfaces find their parts.
struct Handles;

impl HasData for Handles {
    type Data<'a> = View<'a>;
}

/// Offers `wharf:sql@0.1` and `wharf:documents@0.1` (plain functions, async on the host).
///
/// # Errors
/// When the linker has these names already.
pub fn add_to_linker<T: HasView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    sql::add_to_linker(linker)?;
    documents::add_to_linker(linker)
}

/// Offers `wharf:sql-async@0.1` and `wharf:documents-async@0.1`, on top of [`add_to_linker`]; needs an engine with component-model
/// concurrency.
///
/// # Errors
/// When the linker has these names already.
pub fn add_async_to_linker<T: HasView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    sql::add_async_to_linker(linker)?;
    documents::add_async_to_linker(linker)
}

/// An answer as the guest gets it: the outer error traps, the inner one is the guest's.
type Answer<T, E> = wasmtime::Result<Result<T, E>>;

impl View<'_> {
    /// Puts what an operation opened into the table, or translates its error.
    fn push<T, E>(&mut self, opened: Result<T, lease::Error>) -> Answer<Resource<Arc<T>>, E>
    where
        T: Send + Sync + 'static,
        E: From<lease::Error>,
    {
        match opened {
            Ok(opened) => Ok(Ok(self.table.push(Arc::new(opened))?)),
            Err(error) => Ok(Err(error.into())),
        }
    }
}

/// Translates the error of an operation.
fn answer<T, E: From<lease::Error>>(result: Result<T, lease::Error>) -> Answer<T, E> {
    Ok(result.map_err(E::from))
}

/// What a handle stands for, to be used without the Store.
fn get<T: 'static, H: Clone + Send + 'static>(accessor: &Accessor<T, Handles>, this: &Resource<H>) -> wasmtime::Result<H> {
    accessor.with(|mut access| Ok(access.get().table.get(this)?.clone()))
}

/// Puts what an operation opened into the table.
fn push<T, H, E>(accessor: &Accessor<T, Handles>, opened: Result<H, lease::Error>) -> Answer<Resource<Arc<H>>, E>
where
    T: 'static,
    H: Send + Sync + 'static,
    E: From<lease::Error>,
{
    accessor.with(|mut access| access.get().push(opened))
}
