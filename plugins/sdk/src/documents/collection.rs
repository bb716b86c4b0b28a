//! A collection: where every read and write begins.

use std::marker::PhantomData;

use bson::Document;
use serde::Serialize;

use crate::documents::concern::WriteConcern;
use crate::documents::find::{Aggregate, Find};
use crate::documents::modify::FindAndModify;
use crate::documents::wire::{self, ReadConcern};
use crate::documents::write::{Bulk, Change, Delete, On, Replace, Update};

/// A collection whose documents are a `T`, of a database or as a transaction sees it. Holds nothing: each operation leases a connection
/// for itself, unless it is of a transaction.
///
/// `R` is the host's side of it; see [`documents::Collection`](crate::documents::Collection) and
/// [`asynchronous::documents::Collection`](crate::asynchronous::documents::Collection).
#[derive(Debug)]
pub struct CollectionOf<T, R> {
    pub(crate) raw: R,
    read_concern: Option<ReadConcern>,
    write_concern: Option<WriteConcern>,
    documents: PhantomData<fn() -> T>,
}

impl<T, R> CollectionOf<T, R> {
    pub(crate) fn new(raw: R) -> Self {
        Self { raw, read_concern: None, write_concern: None, documents: PhantomData }
    }

    /// How much of the replica set must have what is read here. In a transaction it has one of its own, and another is refused.
    #[must_use]
    pub fn read_concern(mut self, concern: ReadConcern) -> Self {
        self.read_concern = Some(concern);
        self
    }

    /// When what is written here counts as done. In a transaction it has one of its own, and another is refused.
    #[must_use]
    pub fn write_concern(mut self, concern: WriteConcern) -> Self {
        self.write_concern = Some(concern);
        self
    }

    /// Looks for documents; `doc! {}` for all.
    pub fn find(&self, filter: Document) -> Find<'_, T, R> {
        Find::new(&self.raw, filter, self.read_concern)
    }

    /// Computes something of the collection. `$out` and `$merge`, as the last stage, need a grant to write.
    pub fn aggregate(&self, pipeline: impl Into<Vec<Document>>) -> Aggregate<'_, R> {
        Aggregate::new(&self.raw, pipeline.into(), self.read_concern, self.write_concern.clone())
    }

    /// Changes the first that matches.
    pub fn update_one(&self, filter: Document, change: impl Into<Change>) -> Update<On<'_, R>> {
        Update::new(self.on(), filter, change.into(), false)
    }

    /// Changes all that match.
    pub fn update_many(&self, filter: Document, change: impl Into<Change>) -> Update<On<'_, R>> {
        Update::new(self.on(), filter, change.into(), true)
    }

    /// Replaces the first that matches, all but its `_id`.
    pub fn replace_one(&self, filter: Document, replacement: &T) -> Replace<On<'_, R>>
    where
        T: Serialize,
    {
        Replace::new(self.on(), filter, replacement)
    }

    /// Deletes the first that matches.
    pub fn delete_one(&self, filter: Document) -> Delete<On<'_, R>> {
        Delete::new(self.on(), filter, false)
    }

    /// Deletes all that match.
    pub fn delete_many(&self, filter: Document) -> Delete<On<'_, R>> {
        Delete::new(self.on(), filter, true)
    }

    /// Changes the first that matches and gives it back, in one step.
    pub fn find_and_update(&self, filter: Document, change: impl Into<Change>) -> FindAndModify<'_, T, R> {
        FindAndModify::update(self.on(), filter, &change.into())
    }

    /// Replaces the first that matches and gives it back, in one step.
    pub fn find_and_replace(&self, filter: Document, replacement: &T) -> FindAndModify<'_, T, R>
    where
        T: Serialize,
    {
        FindAndModify::replace(self.on(), filter, replacement)
    }

    /// Deletes the first that matches and gives it back, in one step: nobody else gets it.
    pub fn find_and_delete(&self, filter: Document) -> FindAndModify<'_, T, R> {
        FindAndModify::delete(self.on(), filter)
    }

    /// Several writes in one go.
    pub fn bulk(&self) -> Bulk<'_, R> {
        Bulk::new(self.on())
    }

    fn on(&self) -> On<'_, R> {
        On { raw: &self.raw, write_concern: self.write_concern.clone() }
    }

    pub(crate) fn insert_options(&self) -> wire::InsertOptions {
        wire::InsertOptions { ordered: true, write_concern: WriteConcern::to_wire(self.write_concern.as_ref()) }
    }
}
