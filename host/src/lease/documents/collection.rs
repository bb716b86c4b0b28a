//! A collection, of a database or as a transaction sees it.

use std::sync::Arc;

use super::{cursor::Cursor, refused};
use crate::{
    driver::{
        Answer, Begin, Failure, Operation, Source,
        documents::{
            Aggregate, Batch, Collection as Name, Count, Distinct, Find, FindAndModify, Index, Insert, Query, Reply, Request,
            WriteOutcome, Writes, types,
        },
        settings::Access,
    },
    lease::{
        Error,
        grant::Grant,
        handles,
        held::{Lease, unexpected},
    },
    pool::Via,
};

/// Where the operations of a collection run.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Each on a connection that is leased for it.
    Database(handles::Database),
    /// All on that of the transaction. When the transaction has ended they fail, since this is no handle of it.
    Transaction {
        /// The transaction's.
        lease: Arc<Lease>,
        /// Its number.
        transaction: u32,
    },
}

impl Place {
    fn grant(&self) -> &Grant {
        match self {
            Self::Database(database) => database.grant(),
            Self::Transaction { lease, .. } => lease.grant(),
        }
    }

    async fn refuse(&self, collection: &str, error: Error) -> Error {
        match self {
            Self::Database(database) => database.refuse(collection, error).await,
            Self::Transaction { lease, .. } => lease.refuse(collection, error).await,
        }
    }
}

/// A collection; holds nothing.
///
/// What a guest sends is looked at first: an error of [`crate::driver::FailureKind::Invalid`], `LimitExceeded` or `Denied` about it has cost
/// no connection, and leaves a transaction as it is. Any other failed operation dooms the transaction that it belongs to. Dropping the future of an
/// operation gives up the wait for a connection, or ends the operation on the server and with it the transaction; a write may have been done.
#[derive(Clone, Debug)]
pub struct Collection {
    place: Place,
    name: Name,
}

impl Collection {
    pub(super) fn new(place: Place, name: &str) -> Result<Self, Error> {
        Ok(Self { place, name: Name::new(name).map_err(refused)? })
    }

    fn access(&self) -> Access {
        self.place.grant().access
    }

    /// Makes a request of the guest's and runs it.
    async fn ask<T>(&self, asked: Result<T, Failure>, request: impl FnOnce(Name, T) -> Request) -> Result<Reply, Error> {
        let request = request(self.name.clone(), self.sound(asked).await?);
        let operation = Operation::Documents(Box::new(request), self.place.grant().max_result);
        let answer = match &self.place {
            Place::Database(database) => database.once(operation).await?,
            Place::Transaction { lease, transaction } => lease.run(Via::Transaction(*transaction), operation).await?,
        };
        if let Answer::Documents(reply) = answer { Ok(reply) } else { Err(unexpected()) }
    }

    /// What a guest sent, unless it is refused.
    async fn sound<T>(&self, asked: Result<T, Failure>) -> Result<T, Error> {
        match asked {
            Ok(asked) => Ok(asked),
            Err(failure) => Err(self.place.refuse(self.name.name(), refused(failure)).await),
        }
    }

    /// Opens a cursor: in the transaction, or in a frame on a connection of its own.
    async fn open(&self, query: Query) -> Result<Cursor, Error> {
        let source = Source::Documents(Box::new(query));
        Cursor::new(match &self.place {
            Place::Database(database) => database.read_alone(Begin::Frame, source).await?,
            Place::Transaction { lease, transaction } => lease.read(*transaction, source).await?,
        })
    }

    /// All documents that match.
    ///
    /// # Errors
    /// See [`Error`] and [`Collection`]; `LimitExceeded` for more than the grant allows.
    pub async fn find(&self, filter: Vec<u8>, options: types::FindOptions) -> Result<Batch, Error> {
        batch(self.ask(Find::new(filter, options, self.access()), Request::Find).await?)
    }

    /// The first document that matches, whatever the options say of a limit.
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub async fn find_one(&self, filter: Vec<u8>, options: types::FindOptions) -> Result<Option<Vec<u8>>, Error> {
        let options = types::FindOptions { limit: None, ..options };
        document(self.ask(Find::new(filter, options, self.access()), Request::FindOne).await?)
    }

    /// Opens a cursor over the documents that match.
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub async fn cursor(&self, filter: Vec<u8>, options: types::FindOptions) -> Result<Cursor, Error> {
        let find = self.sound(Find::new(filter, options, self.access())).await?;
        self.open(Query::Find(self.name.clone(), find)).await
    }

    /// All that a pipeline makes of the collection.
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub async fn aggregate(&self, pipeline: &[u8], options: types::AggregateOptions) -> Result<Batch, Error> {
        batch(self.ask(Aggregate::new(pipeline, options, self.access()), Request::Aggregate).await?)
    }

    /// Opens a cursor over what a pipeline makes.
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub async fn aggregate_cursor(&self, pipeline: &[u8], options: types::AggregateOptions) -> Result<Cursor, Error> {
        let aggregate = self.sound(Aggregate::new(pipeline, options, self.access())).await?;
        self.open(Query::Aggregate(self.name.clone(), aggregate)).await
    }

    /// How many documents match.
    ///
    /// # Errors
    /// See [`Error`] and [`Collection`].
    pub async fn count(&self, filter: Vec<u8>, options: types::CountOptions) -> Result<u64, Error> {
        count(self.ask(Count::new(filter, options, self.access()), Request::Count).await?)
    }

    /// How many documents there are, from the collection's metadata.
    ///
    /// # Errors
    /// See [`Error`]; `Invalid` in a transaction.
    pub async fn estimated_count(&self) -> Result<u64, Error> {
        count(self.ask(Ok(()), |name, ()| Request::EstimatedCount(name)).await?)
    }

    /// The values of a field, as the array `values` of a document.
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub async fn distinct(&self, field: String, filter: Vec<u8>, options: types::DistinctOptions) -> Result<Vec<u8>, Error> {
        let asked = Distinct::new(field, filter, options, self.access());
        document(self.ask(asked, Request::Distinct).await?)?.ok_or_else(unexpected)
    }

    /// Inserts documents that lie end to end.
    ///
    /// # Errors
    /// See [`Error`] and [`Collection`].
    pub async fn insert(&self, documents: &[u8], options: types::InsertOptions) -> Result<WriteOutcome, Error> {
        written(self.ask(Insert::new(documents, options), Request::Insert).await?)
    }

    /// Changes one document, or all that match.
    ///
    /// # Errors
    /// See [`Error`] and [`Collection`].
    pub async fn update(
        &self,
        filter: Vec<u8>,
        update: types::Update,
        options: types::UpdateOptions,
    ) -> Result<WriteOutcome, Error> {
        written(self.ask(Writes::update(filter, update, options, self.access()), Request::Update).await?)
    }

    /// Replaces the first document that matches.
    ///
    /// # Errors
    /// See [`Error`] and [`Collection`].
    pub async fn replace(
        &self,
        filter: Vec<u8>,
        replacement: Vec<u8>,
        options: types::ReplaceOptions,
    ) -> Result<WriteOutcome, Error> {
        written(self.ask(Writes::replace(filter, replacement, options, self.access()), Request::Replace).await?)
    }

    /// Deletes one document, or all that match.
    ///
    /// # Errors
    /// See [`Error`] and [`Collection`].
    pub async fn delete(&self, filter: Vec<u8>, options: types::DeleteOptions) -> Result<WriteOutcome, Error> {
        written(self.ask(Writes::delete(filter, options, self.access()), Request::Delete).await?)
    }

    /// Changes or deletes one document and returns it.
    ///
    /// # Errors
    /// See [`Error`] and [`Collection`].
    pub async fn find_and_modify(
        &self,
        filter: Vec<u8>,
        modification: types::Modification,
        options: types::FindAndModifyOptions,
    ) -> Result<Option<Vec<u8>>, Error> {
        let asked = FindAndModify::new(filter, modification, options, self.access()).map(Box::new);
        document(self.ask(asked, Request::FindAndModify).await?)
    }

    /// Several writes, in order.
    ///
    /// # Errors
    /// See [`Error`] and [`Collection`].
    pub async fn bulk_write(&self, writes: Vec<types::Write>, options: types::BulkOptions) -> Result<WriteOutcome, Error> {
        written(self.ask(Writes::bulk(writes, options, self.access()), Request::BulkWrite).await?)
    }

    /// Makes indexes that are not there yet, and returns their names.
    ///
    /// # Errors
    /// See [`Error`] and [`Collection`]; `Invalid` for none at all.
    pub async fn create_indexes(&self, indexes: Vec<types::Index>) -> Result<Vec<String>, Error> {
        if indexes.is_empty() {
            return Err(Error::Invalid("there is no index to make"));
        }
        let access = self.access();
        let asked: Result<Vec<_>, _> = indexes.into_iter().map(|index| Index::new(index, access)).collect();
        match self.ask(asked, Request::CreateIndexes).await? {
            Reply::Names(names) => Ok(names),
            _ => Err(unexpected()),
        }
    }

    /// Drops one index.
    ///
    /// # Errors
    /// See [`Error`]; `Invalid` for a name that is no index's, or means all.
    pub async fn drop_index(&self, name: String) -> Result<(), Error> {
        // Looked at first, as everything is.
        let asked = Request::drop_index(self.name.clone(), name);
        match self.ask(asked, |_, request| request).await? {
            Reply::Done => Ok(()),
            _ => Err(unexpected()),
        }
    }

    /// The indexes as the server describes them, end to end.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_indexes(&self) -> Result<Vec<u8>, Error> {
        Ok(batch(self.ask(Ok(()), |name, ()| Request::ListIndexes(name)).await?)?.documents)
    }
}

fn batch(reply: Reply) -> Result<Batch, Error> {
    if let Reply::Batch(batch) = reply { Ok(batch) } else { Err(unexpected()) }
}

fn document(reply: Reply) -> Result<Option<Vec<u8>>, Error> {
    if let Reply::Document(document) = reply { Ok(document) } else { Err(unexpected()) }
}

fn count(reply: Reply) -> Result<u64, Error> {
    if let Reply::Count(count) = reply { Ok(count) } else { Err(unexpected()) }
}

fn written(reply: Reply) -> Result<WriteOutcome, Error> {
    if let Reply::Written(outcome) = reply { Ok(outcome) } else { Err(unexpected()) }
}
