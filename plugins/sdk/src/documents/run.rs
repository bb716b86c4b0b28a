//! Running what was put together, in WASI 0.2.

use std::borrow::Borrow;

use bson::{Bson, Document};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::sync::wharf::documents::database as raw;
use crate::documents::Collection;
use crate::documents::cursor::Cursor;
use crate::documents::decode::{Documents, decode};
use crate::documents::encode::{self, encode};
use crate::documents::find::{Aggregate, Find, Values};
use crate::documents::index::Index;
use crate::documents::modify::FindAndModify;
use crate::documents::outcome::Outcome;
use crate::documents::write::{Bulk, Delete, On, Replace, Update};
use crate::error::Result;

impl<T> Collection<T> {
    /// Inserts a document and gives its `_id`, which is made here if it has none.
    ///
    /// # Errors
    /// `duplicate-key` if a unique index has its key already: see [`Error::is_duplicate_key`](crate::Error::is_duplicate_key).
    pub fn insert_one(&self, document: &T) -> Result<Bson>
    where
        T: Serialize,
    {
        let (document, id) = encode::with_id(encode(document)?)?;
        self.raw.insert(&document, &self.insert_options())?;
        Ok(id)
    }

    /// Inserts documents in their order and gives their `_id`s. Stops at the first that fails; a [`bulk`](Self::bulk) may try all.
    ///
    /// # Errors
    /// As [`insert_one`](Self::insert_one); which one failed, and how many are written, is told by
    /// [`DocumentsError`](crate::documents::DocumentsError).
    pub fn insert_many(&self, documents: impl IntoIterator<Item = impl Borrow<T>>) -> Result<Vec<Bson>>
    where
        T: Serialize,
    {
        let (documents, ids) = encode::with_ids::<T>(documents)?;
        if !ids.is_empty() {
            self.raw.insert(&documents, &self.insert_options())?;
        }
        Ok(ids)
    }

    /// How many documents there are, from the collection's metadata: cheap, and not exact after a crash. Not in a transaction.
    ///
    /// # Errors
    /// When the database or the host refuses.
    pub fn estimated_count(&self) -> Result<u64> {
        Ok(self.raw.estimated_count()?)
    }

    /// Makes indexes that are not there yet and gives their names.
    ///
    /// # Errors
    /// `denied` without a grant to write, `duplicate-key` when a unique one does not fit what is there.
    pub fn create_indexes(&self, indexes: impl IntoIterator<Item = Index>) -> Result<Vec<String>> {
        Ok(self.raw.create_indexes(&Index::all(indexes)?)?)
    }

    /// Drops an index.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn drop_index(&self, name: &str) -> Result<()> {
        Ok(self.raw.drop_index(name)?)
    }

    /// The indexes as the server describes them: `name`, `key`, and the options that are set.
    ///
    /// # Errors
    /// When the database or the host refuses.
    pub fn list_indexes(&self) -> Result<Vec<Document>> {
        Documents::new(self.raw.list_indexes()?).decode()
    }
}

/// # Errors
/// When the database or the host refuses, or a document is of another shape.
impl<T> Find<'_, T, raw::Collection> {
    /// The first that matches.
    pub fn one(self) -> Result<Option<T>>
    where
        T: DeserializeOwned,
    {
        let found = self.raw.find_one(&self.filter()?, &self.find_options()?)?;
        found.map(|document| decode(&document)).transpose()
    }

    /// All that match; for more of them than should be in memory there is [`cursor`](Self::cursor).
    pub fn all(self) -> Result<Vec<T>>
    where
        T: DeserializeOwned,
    {
        self.documents()?.decode()
    }

    /// All that match, as they came.
    pub fn documents(self) -> Result<Documents> {
        Ok(Documents::new(self.raw.find(&self.filter()?, &self.find_options()?)?.documents))
    }

    /// Opens a cursor over what matches, on a connection of its own unless this is of a transaction.
    pub fn cursor(self) -> Result<Cursor<T>> {
        Ok(Cursor::new(self.raw.cursor(&self.filter()?, &self.find_options()?)?))
    }

    /// How many match; `sort`, `projection` and `variables` are of no account.
    pub fn count(self) -> Result<u64> {
        Ok(self.raw.count(&self.filter()?, &self.count_options()?)?)
    }

    /// The different values of a field in what matches; but for `collation`, what is set is of no account.
    pub fn distinct<V: DeserializeOwned>(self, field: &str) -> Result<Vec<V>> {
        let answer = self.raw.distinct(field, &self.filter()?, &self.distinct_options()?)?;
        decode::<Values<V>>(&answer).map(|answer| answer.values)
    }
}

/// # Errors
/// When the database or the host refuses, or a document is of another shape.
impl Aggregate<'_, raw::Collection> {
    /// All of the result.
    pub fn all<U: DeserializeOwned>(self) -> Result<Vec<U>> {
        self.documents()?.decode()
    }

    /// All of the result, as it came.
    pub fn documents(self) -> Result<Documents> {
        Ok(Documents::new(self.raw.aggregate(&self.pipeline()?, &self.options()?)?.documents))
    }

    /// Opens a cursor over the result, on a connection of its own unless this is of a transaction.
    pub fn cursor<U>(self) -> Result<Cursor<U>> {
        Ok(Cursor::new(self.raw.aggregate_cursor(&self.pipeline()?, &self.options()?)?))
    }
}

impl Update<On<'_, raw::Collection>> {
    /// Runs it.
    ///
    /// # Errors
    /// `duplicate-key` if a unique index has the new key already.
    pub fn run(self) -> Result<Outcome> {
        let (filter, change, options) = self.to_wire()?;
        Outcome::read(self.on.raw.update(&filter, &change, &options)?)
    }
}

impl Replace<On<'_, raw::Collection>> {
    /// Runs it.
    ///
    /// # Errors
    /// `duplicate-key` if a unique index has the new key already.
    pub fn run(self) -> Result<Outcome> {
        let raw = self.on.raw;
        let (filter, replacement, options) = self.into_wire()?;
        Outcome::read(raw.replace(&filter, &replacement, &options)?)
    }
}

impl Delete<On<'_, raw::Collection>> {
    /// Runs it.
    ///
    /// # Errors
    /// When the database or the host refuses.
    pub fn run(self) -> Result<Outcome> {
        let (filter, options) = self.to_wire()?;
        Outcome::read(self.on.raw.delete(&filter, &options)?)
    }
}

impl<T: DeserializeOwned> FindAndModify<'_, T, raw::Collection> {
    /// Runs it. None when no document matched, or when an upsert had nothing to give back.
    ///
    /// # Errors
    /// `duplicate-key` if a unique index has the new key already.
    pub fn run(self) -> Result<Option<T>> {
        let raw = self.on.raw;
        let (filter, modification, options) = self.into_wire()?;
        let found = raw.find_and_modify(&filter, &modification, &options)?;
        found.map(|document| decode(&document)).transpose()
    }
}

impl Bulk<'_, raw::Collection> {
    /// Runs it.
    ///
    /// # Errors
    /// Which writes failed, and what is written, is told by [`DocumentsError`](crate::documents::DocumentsError).
    pub fn run(self) -> Result<Outcome> {
        let raw = self.on.raw;
        let (writes, options) = self.into_wire()?;
        Outcome::read(raw.bulk_write(&writes, &options)?)
    }
}
