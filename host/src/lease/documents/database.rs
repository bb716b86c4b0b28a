//! A document database, and a transaction in it.

use std::sync::Arc;

use super::{
    collection::{Collection, Place},
    refused,
};
use crate::{
    driver::{
        Answer, Begin, Operation,
        documents::{Bson, Concerns, Reply, Request, Rules, types::TransactionOptions},
    },
    lease::{
        Error, handles,
        held::{Span, unexpected},
    },
};

/// A granted document database; holds nothing.
#[derive(Clone, Debug)]
pub struct Database(handles::Database);

impl Database {
    /// Of a database that is known to have documents.
    pub(in crate::lease) fn new(database: handles::Database) -> Self {
        Self(database)
    }

    /// A collection, which need not exist; holds nothing.
    ///
    /// # Errors
    /// `Invalid` for a name that no collection of a guest's may have.
    pub fn collection(&self, name: &str) -> Result<Collection, Error> {
        Collection::new(Place::Database(self.0.clone()), name)
    }

    /// The collections that match, as the server describes them, end to end.
    ///
    /// # Errors
    /// See [`Error`]; for bytes that are refused no connection was leased, otherwise it is given back.
    /// # Cancellation
    /// Dropping the future gives up the wait, or ends the operation on the server.
    pub async fn list_collections(&self, filter: Option<Vec<u8>>) -> Result<Vec<u8>, Error> {
        let rules = Rules::Expression(self.0.grant().access);
        let filter = match filter.map(|bytes| Bson::new(bytes, rules)).transpose() {
            Ok(filter) => filter,
            Err(failure) => return Err(self.0.refuse("", refused(failure)).await),
        };
        let request = Box::new(Request::ListCollections(filter));
        match self.0.once(Operation::Documents(request, self.0.grant().max_result)).await? {
            Answer::Documents(Reply::Batch(batch)) => Ok(batch.documents),
            _ => Err(unexpected()),
        }
    }

    /// Starts a transaction on a connection of its own. The server hears of it with the first operation.
    ///
    /// # Errors
    /// See [`Error`]; `Invalid` for a read concern that there is outside of transactions only.
    /// # Cancellation
    /// Dropping the future gives up the wait, or the connection.
    pub async fn begin(&self, options: TransactionOptions) -> Result<Transaction, Error> {
        let concerns = Concerns::new(options).map_err(refused)?;
        Ok(Transaction(self.0.begin_alone(Begin::Documents(concerns)).await?))
    }
}

/// An open transaction; dropping it aborts it unless it has ended, whatever handles to its collections and cursors exist still.
#[derive(Debug)]
pub struct Transaction(Span);

impl Transaction {
    /// A collection as the transaction sees it.
    ///
    /// # Errors
    /// As [`Database::collection`].
    pub fn collection(&self, name: &str) -> Result<Collection, Error> {
        Collection::new(Place::Transaction { lease: Arc::clone(&self.0.lease), transaction: self.0.number }, name)
    }

    /// Commits.
    ///
    /// # Errors
    /// `Aborted` when only aborting is left; `CommitUnknown` when the connection was lost before the answer came.
    /// # Cancellation
    /// As of any operation; whether it has committed is not known then.
    pub async fn commit(&self) -> Result<(), Error> {
        self.0.end(Operation::Commit).await
    }

    /// Aborts.
    ///
    /// # Errors
    /// See [`Error`]; the transaction has ended either way.
    /// # Cancellation
    /// The transaction has ended all the same.
    pub async fn abort(&self) -> Result<(), Error> {
        self.0.end(Operation::Rollback).await
    }
}
