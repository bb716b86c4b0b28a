//! Running statements without waiting in line: on a database, on a leased connection, in a transaction.

use crate::asynchronous::Cursor;
use crate::bindings::asynchronous::wharf::sql_async::database as raw;
use crate::error::Result;
use crate::sql::{Rows, TransactionOptions};
use crate::wire::{Engine, Execution, Value};

/// What runs statements: [`Database`], [`Connection`] and [`Transaction`]. As [`crate::Executor`].
///
/// # Errors
/// Each method gives [`Error::Sql`](crate::Error::Sql) when the database or the host refuses. None waits longer than the call has time.
/// # Cancellation
/// Dropping a future cancels its statement on the server and dooms the transaction it belongs to.
pub trait Executor {
    /// Runs a statement and returns all its rows; for more of them than should be in memory there is [`Cursor`].
    fn query(&self, sql: &str, params: impl Into<Vec<Value>>) -> impl Future<Output = Result<Rows>>;

    /// Runs a statement whose rows, if any, are of no interest.
    fn execute(&self, sql: &str, params: impl Into<Vec<Value>>) -> impl Future<Output = Result<Execution>>;

    /// Runs one statement with each list of parameters in turn, all or nothing. Gives the sum of the rows affected.
    fn execute_many(
        &self,
        sql: &str,
        params: impl IntoIterator<Item = impl Into<Vec<Value>>>,
    ) -> impl Future<Output = Result<Execution>>;
}

macro_rules! executor {
    ($($type:ty),*) => {$(
        impl Executor for $type {
            async fn query(&self, sql: &str, params: impl Into<Vec<Value>>) -> Result<Rows> {
                Ok(self.0.query(sql.to_owned(), params.into()).await?.into())
            }

            async fn execute(&self, sql: &str, params: impl Into<Vec<Value>>) -> Result<Execution> {
                Ok(self.0.execute(sql.to_owned(), params.into()).await?)
            }

            async fn execute_many(&self, sql: &str, params: impl IntoIterator<Item = impl Into<Vec<Value>>>) -> Result<Execution> {
                let params = params.into_iter().map(Into::into).collect();
                Ok(self.0.execute_many(sql.to_owned(), params).await?)
            }
        }
    )*};
}

executor!(Database, Connection, Transaction);

/// A database that the plugin was granted; see [`crate::Database`].
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
    pub async fn begin(&self) -> Result<Transaction> {
        self.begin_with(TransactionOptions::new()).await
    }

    /// Starts a transaction of a certain kind.
    ///
    /// # Errors
    /// As [`Database::begin`].
    pub async fn begin_with(&self, options: TransactionOptions) -> Result<Transaction> {
        Ok(Transaction(self.0.begin(options.to_wire()).await?))
    }

    /// Runs `work` in a transaction: commits when it succeeds, rolls back when it fails.
    ///
    /// # Errors
    /// Those of `begin`, `work` and `commit`.
    pub async fn transaction<T>(&self, work: impl AsyncFnOnce(&Transaction) -> Result<T>) -> Result<T> {
        let transaction = self.begin().await?;
        let value = work(&transaction).await?;
        transaction.commit().await?;
        Ok(value)
    }

    /// Leases a connection until the handle is dropped, for state that lives in the session. Most handlers need none.
    ///
    /// # Errors
    /// `pool-exhausted` when no connection comes free in time.
    pub async fn connect(&self) -> Result<Connection> {
        Ok(Connection(self.0.connect().await?))
    }

    /// Opens a cursor over a query, on a connection of its own.
    ///
    /// # Errors
    /// As [`Executor::query`].
    pub async fn cursor(&self, sql: &str, params: impl Into<Vec<Value>>) -> Result<Cursor> {
        Ok(Cursor::new(self.0.cursor(sql.to_owned(), params.into()).await?))
    }
}

/// A leased connection; see [`crate::Connection`].
#[derive(Debug)]
pub struct Connection(raw::Connection);

impl Connection {
    /// Starts a transaction. Until it ends the connection itself answers `busy`.
    ///
    /// # Errors
    /// `busy` when one is open already.
    pub async fn begin(&self) -> Result<Transaction> {
        self.begin_with(TransactionOptions::new()).await
    }

    /// Starts a transaction of a certain kind.
    ///
    /// # Errors
    /// As [`Connection::begin`].
    pub async fn begin_with(&self, options: TransactionOptions) -> Result<Transaction> {
        Ok(Transaction(self.0.begin(options.to_wire()).await?))
    }

    /// Gives the connection back now; dropping does the same without telling how it went.
    ///
    /// # Errors
    /// When the connection was lost meanwhile.
    pub async fn close(self) -> Result<()> {
        Ok(self.0.close().await?)
    }
}

/// An open transaction. Dropping it without [`Transaction::commit`] rolls it back; see [`crate::Transaction`].
#[must_use = "a transaction that is dropped is rolled back"]
#[derive(Debug)]
pub struct Transaction(raw::Transaction);

impl Transaction {
    /// Makes the work lasting.
    ///
    /// # Errors
    /// `commit-unknown` if the connection was lost before the answer came: the work is wholly there or wholly absent.
    pub async fn commit(self) -> Result<()> {
        Ok(self.0.commit().await?)
    }

    /// Undoes the work now; dropping does the same without telling how it went.
    ///
    /// # Errors
    /// When the connection was lost, in which case the database undoes the work itself.
    pub async fn rollback(self) -> Result<()> {
        Ok(self.0.rollback().await?)
    }

    /// Opens a cursor inside the transaction. On SQLite and MySQL other statements answer `busy` until it is dropped.
    ///
    /// # Errors
    /// As [`Executor::query`].
    pub async fn cursor(&self, sql: &str, params: impl Into<Vec<Value>>) -> Result<Cursor> {
        Ok(Cursor::new(self.0.cursor(sql.to_owned(), params.into()).await?))
    }

    /// Sets a savepoint; a name is 1 to 63 letters, digits or underscores.
    ///
    /// # Errors
    /// `invalid` for another name.
    pub async fn savepoint(&self, name: &str) -> Result<()> {
        Ok(self.0.savepoint(name.to_owned()).await?)
    }

    /// Undoes what was done since the savepoint, which stays.
    ///
    /// # Errors
    /// When there is no such savepoint.
    pub async fn rollback_to(&self, name: &str) -> Result<()> {
        Ok(self.0.rollback_to(name.to_owned()).await?)
    }

    /// Forgets the savepoint and keeps what was done since.
    ///
    /// # Errors
    /// When there is no such savepoint.
    pub async fn release(&self, name: &str) -> Result<()> {
        Ok(self.0.release(name.to_owned()).await?)
    }
}
