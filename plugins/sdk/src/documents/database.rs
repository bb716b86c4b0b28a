//! Granted document databases and their transactions.

use bson::Document;

use crate::bindings::sync::wharf::documents::database as raw;
use crate::documents::concern::TransactionOptions;
use crate::documents::decode::Documents;
use crate::documents::{Collection, encode};
use crate::error::Result;

/// A document database that the plugin was granted. Holds nothing: each operation leases a connection for itself.
#[derive(Debug)]
pub struct Database(raw::Database);

impl Database {
    /// Opens a granted database by its name in `wharf.toml`. Costs nothing.
    ///
    /// # Errors
    /// `invalid` if there is no such grant, or one of an SQL database.
    pub fn open(name: &str) -> Result<Self> {
        Ok(Self(raw::Database::open(name)?))
    }

    /// A collection, which need not exist, whose documents are read and written as a `T`. Costs nothing.
    ///
    /// # Errors
    /// `invalid` for a name that MongoDB does not allow, or that begins with `system.`.
    pub fn collection<T>(&self, name: &str) -> Result<Collection<T>> {
        Ok(Collection::new(self.0.collection(name)?))
    }

    /// The collections that match, as the server describes them: `name`, `type`, `options`, `info`.
    ///
    /// # Errors
    /// When the database or the host refuses.
    pub fn list_collections(&self, filter: Option<Document>) -> Result<Vec<Document>> {
        let filter = encode::optional(filter.as_ref())?;
        Documents::new(self.0.list_collections(filter.as_deref())?).decode()
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
        Ok(Transaction(self.0.begin(&options.into_wire())?))
    }

    /// Runs `work` in a transaction: commits when it succeeds, aborts when it fails. It is tried once; whether another try may help,
    /// [`Error::is_transient`](crate::Error::is_transient) tells.
    ///
    /// # Errors
    /// Those of `begin`, `work` and `commit`.
    pub fn transaction<T>(&self, work: impl FnOnce(&Transaction) -> Result<T>) -> Result<T> {
        let transaction = self.begin()?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }
}

/// An open transaction. Dropping it without [`Transaction::commit`] aborts it.
///
/// After a failed operation only aborting is left.
#[must_use = "a transaction that is dropped is aborted"]
#[derive(Debug)]
pub struct Transaction(raw::Transaction);

impl Transaction {
    /// A collection as the transaction sees it. Of no further use once the transaction has ended.
    ///
    /// # Errors
    /// As [`Database::collection`].
    pub fn collection<T>(&self, name: &str) -> Result<Collection<T>> {
        Ok(Collection::new(self.0.collection(name)?))
    }

    /// Makes the work lasting, and ends open cursors.
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
    pub fn abort(self) -> Result<()> {
        Ok(self.0.abort()?)
    }
}
