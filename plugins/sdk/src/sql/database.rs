//! Running statements: on a database, on a leased connection, in a transaction.

use crate::bindings::sync::wharf::sql::database as raw;
use crate::error::Result;
use crate::sql::cursor::Cursor;
use crate::sql::rows::Rows;
use crate::wire::{Engine, Execution, IsolationLevel, Value};

/// What runs statements: [`Database`], [`Connection`] and [`Transaction`].
///
/// Placeholders are the engine's: `$1` on PostgreSQL, `$1` or `?` on SQLite, `?` on MySQL. One statement a call; transaction control
/// sent as SQL is refused.
///
/// # Errors
/// Each method gives [`Error::Sql`](crate::Error::Sql) when the database or the host refuses. None waits longer than the call has time.
pub trait Executor {
    /// Runs a statement and returns all its rows; for more of them than should be in memory there is [`Cursor`].
    fn query(&self, sql: &str, params: impl AsRef<[Value]>) -> Result<Rows>;

    /// Runs a statement whose rows, if any, are of no interest.
    fn execute(&self, sql: &str, params: impl AsRef<[Value]>) -> Result<Execution>;

    /// Runs one statement with each list of parameters in turn, all or nothing. Gives the sum of the rows affected.
    fn execute_many(&self, sql: &str, params: impl IntoIterator<Item = impl Into<Vec<Value>>>) -> Result<Execution>;
}

macro_rules! executor {
    ($($type:ty),*) => {$(
        impl Executor for $type {
            fn query(&self, sql: &str, params: impl AsRef<[Value]>) -> Result<Rows> {
                Ok(self.0.query(sql, params.as_ref())?.into())
            }

            fn execute(&self, sql: &str, params: impl AsRef<[Value]>) -> Result<Execution> {
                Ok(self.0.execute(sql, params.as_ref())?)
            }

            fn execute_many(&self, sql: &str, params: impl IntoIterator<Item = impl Into<Vec<Value>>>) -> Result<Execution> {
                let params: Vec<Vec<Value>> = params.into_iter().map(Into::into).collect();
                Ok(self.0.execute_many(sql, &params)?)
            }
        }
    )*};
}

executor!(Database, Connection, Transaction);

/// How a transaction behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionOptions {
    isolation: Option<IsolationLevel>,
    read_only: bool,
}

impl TransactionOptions {
    /// The database's default isolation, for reading and writing.
    #[must_use]
    pub const fn new() -> Self {
        Self { isolation: None, read_only: false }
    }

    /// Asks for an isolation level. SQLite is always serializable.
    #[must_use]
    pub const fn isolation(mut self, level: IsolationLevel) -> Self {
        self.isolation = Some(level);
        self
    }

    /// Refuses writes: a guard against mistakes.
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    pub(crate) fn to_wire(self) -> crate::wire::TransactionOptions {
        crate::wire::TransactionOptions { isolation: self.isolation, read_only: self.read_only }
    }
}

/// A database that the plugin was granted. Holds nothing: each statement leases a connection for itself.
#[derive(Debug)]
pub struct Database(raw::Database);

impl Database {
    /// Opens a granted database by its name in `wharf.toml`. Costs nothing.
    ///
    /// # Errors
    /// `invalid` if there is no such grant.
    pub fn open(name: &str) -> Result<Self> {
        Ok(Self(raw::Database::open(name)?))
    }

    /// The dialect.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.0.engine()
    }

    /// Starts a transaction on a connection of its own.
    ///
    /// # Errors
    /// `pool-exhausted` when no connection comes free in time.
    pub fn begin(&self) -> Result<Transaction> {
        self.begin_with(TransactionOptions::new())
    }

    /// Starts a transaction of a certain kind.
    ///
    /// # Errors
    /// As [`Database::begin`].
    pub fn begin_with(&self, options: TransactionOptions) -> Result<Transaction> {
        Ok(Transaction(self.0.begin(options.to_wire())?))
    }

    /// Runs `work` in a transaction: commits when it succeeds, rolls back when it fails.
    ///
    /// # Errors
    /// Those of `begin`, `work` and `commit`.
    pub fn transaction<T>(&self, work: impl FnOnce(&Transaction) -> Result<T>) -> Result<T> {
        let transaction = self.begin()?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Leases a connection until the handle is dropped, for state that lives in the session. Most handlers need none.
    ///
    /// # Errors
    /// `pool-exhausted` when no connection comes free in time.
    pub fn connect(&self) -> Result<Connection> {
        Ok(Connection(self.0.connect()?))
    }

    /// Opens a cursor over a query, on a connection of its own.
    ///
    /// # Errors
    /// As [`Executor::query`].
    pub fn cursor(&self, sql: &str, params: impl AsRef<[Value]>) -> Result<Cursor> {
        Ok(Cursor::new(self.0.cursor(sql, params.as_ref())?))
    }
}

/// A leased connection. Dropping it gives the connection back and rolls back what was not committed.
#[derive(Debug)]
pub struct Connection(raw::Connection);

impl Connection {
    /// Starts a transaction. Until it ends the connection itself answers `busy`.
    ///
    /// # Errors
    /// `busy` when one is open already.
    pub fn begin(&self) -> Result<Transaction> {
        self.begin_with(TransactionOptions::new())
    }

    /// Starts a transaction of a certain kind.
    ///
    /// # Errors
    /// As [`Connection::begin`].
    pub fn begin_with(&self, options: TransactionOptions) -> Result<Transaction> {
        Ok(Transaction(self.0.begin(options.to_wire())?))
    }

    /// Gives the connection back now; dropping does the same without telling how it went.
    ///
    /// # Errors
    /// When the connection was lost meanwhile.
    pub fn close(self) -> Result<()> {
        Ok(self.0.close()?)
    }
}

/// An open transaction. Dropping it without [`Transaction::commit`] rolls it back.
///
/// After a failed statement only rolling back is left, wholly or to a savepoint made before it.
#[must_use = "a transaction that is dropped is rolled back"]
#[derive(Debug)]
pub struct Transaction(raw::Transaction);

impl Transaction {
    /// Makes the work lasting.
    ///
    /// # Errors
    /// `commit-unknown` if the connection was lost before the answer came: the work is wholly there or wholly absent.
    pub fn commit(self) -> Result<()> {
        Ok(self.0.commit()?)
    }

    /// Undoes the work now; dropping does the same without telling how it went.
    ///
    /// # Errors
    /// When the connection was lost, in which case the database undoes the work itself.
    pub fn rollback(self) -> Result<()> {
        Ok(self.0.rollback()?)
    }

    /// Opens a cursor inside the transaction. On SQLite and MySQL other statements answer `busy` until it is dropped.
    ///
    /// # Errors
    /// As [`Executor::query`].
    pub fn cursor(&self, sql: &str, params: impl AsRef<[Value]>) -> Result<Cursor> {
        Ok(Cursor::new(self.0.cursor(sql, params.as_ref())?))
    }

    /// Sets a savepoint; a name is 1 to 63 letters, digits or underscores.
    ///
    /// # Errors
    /// `invalid` for another name.
    pub fn savepoint(&self, name: &str) -> Result<()> {
        Ok(self.0.savepoint(name)?)
    }

    /// Undoes what was done since the savepoint, which stays.
    ///
    /// # Errors
    /// When there is no such savepoint.
    pub fn rollback_to(&self, name: &str) -> Result<()> {
        Ok(self.0.rollback_to(name)?)
    }

    /// Forgets the savepoint and keeps what was done since.
    ///
    /// # Errors
    /// When there is no such savepoint.
    pub fn release(&self, name: &str) -> Result<()> {
        Ok(self.0.release(name)?)
    }
}
