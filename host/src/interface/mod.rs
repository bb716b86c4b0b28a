//! The WIT interfaces of the host, on top of leases.
//!
//! `plain` serves `wharf:sql` and `concurrent` serves `wharf:sql-async`; both are thin: a handle of the guest stands for an object of
//! [`crate::lease`], values cross in the generated types that the drivers build, and `error` is the one table from host errors to the
//! guest's.

mod bindings;
mod concurrent;
mod error;
mod plain;

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use crate::{
    driver::{Engine, Statement, Value, types},
    lease::{self, Scope},
};

/// What a `database` handle stands for.
pub type Database = lease::Database;
/// What a `connection` handle stands for; shared with the operations that run on it.
pub type Connection = Arc<lease::Connection>;
/// What a `transaction` handle stands for; shared with the operations that run on it.
pub type Transaction = Arc<lease::Transaction>;
/// What a `cursor` handle stands for; shared with the operations that run on it.
pub type Cursor = Arc<lease::Cursor>;

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

/// Tells the linker where in a Store's state the interface finds its parts.
struct Sql;

impl HasData for Sql {
    type Data<'a> = SqlView<'a>;
}

/// Offers `wharf:sql@0.1` (plain functions, async on the host).
///
/// # Errors
/// When the linker has these names already.
pub fn add_to_linker<T: HasSql + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    types::add_to_linker::<T, Sql>(linker, T::sql)?;
    bindings::plain::wharf::sql::database::add_to_linker::<T, Sql>(linker, T::sql)
}

/// Offers `wharf:sql-async@0.1`, on top of [`add_to_linker`]; needs an engine with component-model concurrency.
///
/// # Errors
/// When the linker has these names already.
pub fn add_async_to_linker<T: HasSql + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    bindings::concurrent::wharf::sql_async::database::add_to_linker::<T, Sql>(linker, T::sql)
}

impl types::Host for SqlView<'_> {}

/// An answer as the guest gets it: the outer error traps, the inner one is the guest's.
type Answer<T> = wasmtime::Result<Result<T, types::Error>>;

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

impl SqlView<'_> {
    fn open(&mut self, name: &str) -> Answer<Resource<Database>> {
        match self.scope.open(name) {
            Ok(database) if database.engine() == Engine::Mongodb => {
                Ok(Err(lease::Error::Invalid("this is a document database, which `wharf:sql` does not reach").into()))
            }
            Ok(database) => Ok(Ok(self.table.push(database)?)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    /// Puts what an operation opened into the table, or translates its error.
    fn push<T: Send + Sync + 'static>(&mut self, opened: Result<T, lease::Error>) -> Answer<Resource<Arc<T>>> {
        match opened {
            Ok(opened) => Ok(Ok(self.table.push(Arc::new(opened))?)),
            Err(error) => Ok(Err(error.into())),
        }
    }
}

/// Translates the error of an operation.
fn answer<T>(result: Result<T, lease::Error>) -> Answer<T> {
    Ok(result.map_err(types::Error::from))
}
