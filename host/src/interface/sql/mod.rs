//! `wharf:sql`: handles, and what its two packages share.

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
    driver::{Batch, Engine, Statement, Value, types},
    lease,
};

/// What a `database` handle stands for.
pub type Database = lease::Database;
/// What a `connection` handle stands for; shared with the operations that run on it.
pub type Connection = Arc<lease::Connection>;
/// What a `transaction` handle stands for; shared with the operations that run on it.
pub type Transaction = Arc<lease::Transaction>;
/// What a `cursor` handle stands for; shared with the operations that run on it.
pub type Cursor = Arc<lease::Cursor>;

/// Offers `wharf:sql@0.1`.
pub(super) fn add_to_linker<T: HasView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    types::add_to_linker::<T, Handles>(linker, T::view)?;
    bindings::plain::wharf::sql::database::add_to_linker::<T, Handles>(linker, T::view)
}

/// Offers `wharf:sql-async@0.1`, on top of [`add_to_linker`].
pub(super) fn add_async_to_linker<T: HasView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    bindings::concurrent::wharf::sql_async::database::add_to_linker::<T, Handles>(linker, T::view)
}

impl types::Host for View<'_> {}

/// An answer as the guest gets it.
type Answer<T> = super::Answer<T, types::Error>;

fn statement(sql: String, params: Vec<Value>) -> Statement {
    Statement { sql: sql.into(), params }
}

/// The dialect as `wharf:sql` names it; traps for a database that has none, which nobody can have opened.
fn dialect(database: &Database) -> wasmtime::Result<types::Engine> {
    match database.engine() {
        Engine::Postgres => Ok(types::Engine::Postgres),
        Engine::Mysql => Ok(types::Engine::Mysql),
        Engine::Sqlite => Ok(types::Engine::Sqlite),
        Engine::Mongodb => Err(wasmtime::Error::msg("a document database has no dialect of SQL")),
    }
}

/// Opens a database that speaks SQL.
fn open(view: &mut View<'_>, name: &str) -> Answer<Resource<Database>> {
    match view.scope.open(name) {
        Ok(database) if database.engine() == Engine::Mongodb => {
            Ok(Err(lease::Error::Invalid("this is a document database, which `wharf:sql` does not reach").into()))
        }
        Ok(database) => Ok(Ok(view.table.push(database)?)),
        Err(error) => Ok(Err(error.into())),
    }
}

impl Batched for lease::Cursor {
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
