//! `wharf:documents`: handles, and what its two packages share.

mod bindings;
mod concurrent;
mod error;
mod plain;

use std::sync::Arc;

use futures::FutureExt;
use wasmtime::component::{Linker, Resource};

use super::{
    Handles, HasView, View,
    stream::{Batched, Fetching},
};
use crate::{
    driver::documents::{Batch, types},
    lease::{self, documents},
};

/// What a `database` handle stands for.
pub type Database = documents::Database;
/// What a `collection` handle stands for.
pub type Collection = documents::Collection;
/// What a `transaction` handle stands for; shared with the operations that run on it.
pub type Transaction = Arc<documents::Transaction>;
/// What a `cursor` handle stands for; shared with the operations that run on it.
pub type Cursor = Arc<documents::Cursor>;

/// Offers `wharf:documents@0.1`.
pub(super) fn add_to_linker<T: HasView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    types::add_to_linker::<T, Handles>(linker, T::view)?;
    bindings::plain::wharf::documents::database::add_to_linker::<T, Handles>(linker, T::view)
}

/// Offers `wharf:documents-async@0.1`, on top of [`add_to_linker`].
pub(super) fn add_async_to_linker<T: HasView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    bindings::concurrent::wharf::documents_async::database::add_to_linker::<T, Handles>(linker, T::view)
}

impl types::Host for View<'_> {}

/// An answer as the guest gets it.
type Answer<T> = super::Answer<T, types::Error>;

/// Opens a database that has documents.
fn open(view: &mut View<'_>, name: &str) -> Answer<Resource<Database>> {
    let opened = view.scope.open(name).and_then(lease::Database::documents);
    keep(view, opened)
}

/// Puts what holds nothing into the table, or translates its error.
fn keep<T: Send + 'static>(view: &mut View<'_>, opened: Result<T, lease::Error>) -> Answer<Resource<T>> {
    match opened {
        Ok(opened) => Ok(Ok(view.table.push(opened)?)),
        Err(error) => Ok(Err(error.into())),
    }
}

impl Batched for documents::Cursor {
    type Batch = Batch;

    fn claim(&self) -> Result<(), lease::Error> {
        self.take_stream()
    }

    fn fetch(cursor: Arc<Self>, max: u32) -> Fetching<Batch> {
        async move { cursor.next(max).await }.boxed()
    }

    fn stop(&self) {
        self.abandon();
    }
}
