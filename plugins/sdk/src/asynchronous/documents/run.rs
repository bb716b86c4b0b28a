//! Running what was put together, in WASI 0.3.

use std::borrow::Borrow;

use bson::{Bson, Document};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::asynchronous::documents::{Collection, Cursor};
use crate::bindings::asynchronous::wharf::documents_async::database as raw;
use crate::documents::decode::decode;
use crate::documents::encode::{self, encode};
use crate::documents::{Aggregate, Bulk, Delete, Documents, Find, FindAndModify, Index, On, Outcome, Replace, Update, Values};
use crate::error::Result;

impl<T> Collection<T> {
    /// Inserts a document and gives its `_id`, which is made here if it has none.
    ///
    /// # Errors
    /// `duplicate-key` if a unique index has its key already: see [`Error::is_duplicate_key`](crate::Error::is_duplicate_key).
    pub async fn insert_one(&self, document: &T) -> Result<Bson>
    where
        T: Serialize,
    {
        let (document, id) = encode::with_id(encode(document)?)?;
        self.raw.insert(document, self.insert_options()).await?;
        Ok(id)
    }

    /// Inserts documents in their order and gives their `_id`s. Stops at the first that fails; a [`bulk`](Self::bulk) may try all.
    ///
    /// # Errors
    /// As [`insert_one`](Self::insert_one); which one failed, and how many are written, is told by
    /// [`DocumentsError`](crate::documents::DocumentsError).
    pub async fn insert_many(&self, documents: impl IntoIterator<Item = impl Borrow<T>>) -> Result<Vec<Bson>>
    where
        T: Serialize,
    {
        let (documents, ids) = encode::with_ids::<T>(documents)?;
        if !ids.is_empty() {
            self.raw.insert(documents, self.insert_options()).await?;
        }
        Ok(ids)
    }

    /// How many documents there are, from the collection's metadata: cheap, and not exact after a crash. Not in a transaction.
    ///
    /// # Errors
    /// When the database or the host refuses.
    pub async fn estimated_count(&self) -> Result<u64> {
        Ok(self.raw.estimated_count().await?)
    }

    /// Makes indexes that are not there yet and gives their names.
    ///
    /// # Errors
    /// `denied` without a grant to write, `duplicate-key` when a unique one does not fit what is there.
    pub async fn create_indexes(&self, indexes: impl IntoIterator<Item = Index>) -> Result<Vec<String>> {
        Ok(self.raw.create_indexes(Index::all(indexes)?).await?)
    }

    /// Drops an index.
    ///
    /// # Errors
    /// When there is none of this name.
    pub async fn drop_index(&self, name: &str) -> Result<()> {
        Ok(self.raw.drop_index(name.to_owned()).await?)
    }

    /// The indexes as the server describes them: `name`, `key`, and the options that are set.
    ///
    /// # Errors
    /// When the database or the host refuses.
    pub async fn list_indexes(&self) -> Result<Vec<Document>> {
        Documents::new(self.raw.list_indexes().await?).decode()
    }
}

/// # Errors
/// When the database or the host refuses, or a document is of another shape.
impl<T> Find<'_, T, raw::Collection> {
    /// The first that matches.
    pub async fn one(self) -> Result<Option<T>>
    where
        T: DeserializeOwned,
    {
        let found = self.raw.find_one(self.filter()?, self.find_options()?).await?;
        found.map(|document| decode(&document)).transpose()
    }

    /// All that match; for more of them than should be in memory there is [`cursor`](Self::cursor).
    pub async fn all(self) -> Result<Vec<T>>
    where
        T: DeserializeOwned,
    {
        self.documents().await?.decode()
    }

    /// All that match, as they came.
    pub async fn documents(self) -> Result<Documents> {
        Ok(Documents::new(self.raw.find(self.filter()?, self.find_options()?).await?.documents))
    }

    /// Opens a cursor over what matches, on a connection of its own unless this is of a transaction.
    pub async fn cursor(self) -> Result<Cursor<T>> {
        Ok(Cursor::new(self.raw.cursor(self.filter()?, self.find_options()?).await?))
    }

    /// How many match; `sort`, `projection` and `variables` are of no account.
    pub async fn count(self) -> Result<u64> {
        Ok(self.raw.count(self.filter()?, self.count_options()?).await?)
    }

    /// The different values of a field in what matches; but for `collation`, what is set is of no account.
    pub async fn distinct<V: DeserializeOwned>(self, field: &str) -> Result<Vec<V>> {
        let answer = self.raw.distinct(field.to_owned(), self.filter()?, self.distinct_options()?).await?;
        decode::<Values<V>>(&answer).map(|answer| answer.values)
    }
}

/// # Errors
/// When the database or the host refuses, or a document is of another shape.
impl Aggregate<'_, raw::Collection> {
    /// All of the result.
    pub async fn all<U: DeserializeOwned>(self) -> Result<Vec<U>> {
        self.documents().await?.decode()
    }

    /// All of the result, as it came.
    pub async fn documents(self) -> Result<Documents> {
        Ok(Documents::new(self.raw.aggregate(self.pipeline()?, self.options()?).await?.documents))
    }

    /// Opens a cursor over the result, on a connection of its own unless this is of a transaction.
    pub async fn cursor<U>(self) -> Result<Cursor<U>> {
        Ok(Cursor::new(self.raw.aggregate_cursor(self.pipeline()?, self.options()?).await?))
    }
}

impl Update<On<'_, raw::Collection>> {
    /// Runs it.
    ///
    /// # Errors
    /// `duplicate-key` if a unique index has the new key already.
    pub async fn run(self) -> Result<Outcome> {
        let (filter, change, options) = self.to_wire()?;
        Outcome::read(self.on.raw.update(filter, change, options).await?)
    }
}

impl Replace<On<'_, raw::Collection>> {
    /// Runs it.
    ///
    /// # Errors
    /// `duplicate-key` if a unique index has the new key already.
    pub async fn run(self) -> Result<Outcome> {
        let raw = self.on.raw;
        let (filter, replacement, options) = self.into_wire()?;
        Outcome::read(raw.replace(filter, replacement, options).await?)
    }
}

impl Delete<On<'_, raw::Collection>> {
    /// Runs it.
    ///
    /// # Errors
    /// When the database or the host refuses.
    pub async fn run(self) -> Result<Outcome> {
        let (filter, options) = self.to_wire()?;
        Outcome::read(self.on.raw.delete(filter, options).await?)
    }
}

impl<T: DeserializeOwned> FindAndModify<'_, T, raw::Collection> {
    /// Runs it. None when no document matched, or when an upsert had nothing to give back.
    ///
    /// # Errors
    /// `duplicate-key` if a unique index has the new key already.
    pub async fn run(self) -> Result<Option<T>> {
        let raw = self.on.raw;
        let (filter, modification, options) = self.into_wire()?;
        let found = raw.find_and_modify(filter, modification, options).await?;
        found.map(|document| decode(&document)).transpose()
    }
}

impl Bulk<'_, raw::Collection> {
    /// Runs it.
    ///
    /// # Errors
    /// Which writes failed, and what is written, is told by [`DocumentsError`](crate::documents::DocumentsError).
    pub async fn run(self) -> Result<Outcome> {
        let raw = self.on.raw;
        let (writes, options) = self.into_wire()?;
        Outcome::read(raw.bulk_write(writes, options).await?)
    }
}
