//! What a document database can be asked, and what it answers.

use std::sync::Arc;

use super::{
    bson::Bson,
    index::{self, Index},
    read::{Aggregate, Count, Distinct, Find},
    types::{Batch, WriteOutcome},
    write::{FindAndModify, Insert, Writes},
};
use crate::driver::{Failure, FailureKind};

/// Bytes that a collection's name may have; with its database's the server allows 255.
const MAX_NAME: usize = 190;

/// The name of a collection that a guest may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection(Arc<str>);

impl Collection {
    /// Takes a guest's name for it.
    ///
    /// # Errors
    /// `Invalid` for one that is empty or too long, begins with `system.`, or has a `$` or a zero byte in it.
    pub fn new(name: &str) -> Result<Self, Failure> {
        if name.is_empty() || name.len() > MAX_NAME || name.starts_with("system.") || name.contains(['$', '\0']) {
            let message =
                format!("a collection's name has 1 to {MAX_NAME} bytes, does not begin with `system.`, and has no `$` in it");
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The name, to be shared.
    #[must_use]
    pub fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

/// One request; each is a function of the WIT.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Answered by [`Reply::Batch`]; those that match, where a filter is given.
    ListCollections(Option<Bson>),
    /// Answered by [`Reply::Batch`].
    Find(Collection, Find),
    /// Answered by [`Reply::Document`]; what it says of a limit is of no account.
    FindOne(Collection, Find),
    /// Answered by [`Reply::Batch`].
    Aggregate(Collection, Aggregate),
    /// Answered by [`Reply::Count`].
    Count(Collection, Count),
    /// Answered by [`Reply::Count`]; not in a transaction.
    EstimatedCount(Collection),
    /// Answered by [`Reply::Document`].
    Distinct(Collection, Distinct),
    /// Answered by [`Reply::Written`].
    Insert(Collection, Insert),
    /// Answered by [`Reply::Written`].
    Update(Collection, Writes),
    /// Answered by [`Reply::Written`].
    Replace(Collection, Writes),
    /// Answered by [`Reply::Written`].
    Delete(Collection, Writes),
    /// Answered by [`Reply::Document`].
    FindAndModify(Collection, Box<FindAndModify>),
    /// Answered by [`Reply::Written`].
    BulkWrite(Collection, Writes),
    /// Answered by [`Reply::Names`].
    CreateIndexes(Collection, Vec<Index>),
    /// Answered by [`Reply::Done`].
    DropIndex(Collection, String),
    /// Answered by [`Reply::Batch`].
    ListIndexes(Collection),
}

impl Request {
    /// A request to drop an index.
    ///
    /// # Errors
    /// `Invalid` for a name that is no index's, or means all.
    pub fn drop_index(collection: Collection, name: String) -> Result<Self, Failure> {
        Ok(Self::DropIndex(collection, index::checked(name)?))
    }

    /// What it does, in a word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ListCollections(_) => "list-collections",
            Self::Find(..) => "find",
            Self::FindOne(..) => "find-one",
            Self::Aggregate(..) => "aggregate",
            Self::Count(..) => "count",
            Self::EstimatedCount(_) => "estimated-count",
            Self::Distinct(..) => "distinct",
            Self::Insert(..) => "insert",
            Self::Update(..) => "update",
            Self::Replace(..) => "replace",
            Self::Delete(..) => "delete",
            Self::FindAndModify(..) => "find-and-modify",
            Self::BulkWrite(..) => "bulk-write",
            Self::CreateIndexes(..) => "create-indexes",
            Self::DropIndex(..) => "drop-index",
            Self::ListIndexes(_) => "list-indexes",
        }
    }

    /// The collection that it is about.
    #[must_use]
    pub fn collection(&self) -> Option<&Collection> {
        match self {
            Self::ListCollections(_) => None,
            Self::Find(collection, _)
            | Self::FindOne(collection, _)
            | Self::Aggregate(collection, _)
            | Self::Count(collection, _)
            | Self::EstimatedCount(collection)
            | Self::Distinct(collection, _)
            | Self::Insert(collection, _)
            | Self::Update(collection, _)
            | Self::Replace(collection, _)
            | Self::Delete(collection, _)
            | Self::FindAndModify(collection, _)
            | Self::BulkWrite(collection, _)
            | Self::CreateIndexes(collection, _)
            | Self::DropIndex(collection, _)
            | Self::ListIndexes(collection) => Some(collection),
        }
    }

    /// Bytes that it takes here.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::ListCollections(filter) => filter.as_ref().map_or(0, Bson::bytes),
            Self::Find(_, find) | Self::FindOne(_, find) => find.bytes(),
            Self::Aggregate(_, aggregate) => aggregate.bytes(),
            Self::Count(_, count) => count.bytes(),
            Self::Distinct(_, distinct) => distinct.bytes(),
            Self::Insert(_, insert) => insert.bytes(),
            Self::Update(_, writes) | Self::Replace(_, writes) | Self::Delete(_, writes) | Self::BulkWrite(_, writes) => {
                writes.bytes()
            }
            Self::FindAndModify(_, modify) => modify.bytes(),
            Self::CreateIndexes(_, indexes) => indexes.iter().map(Index::bytes).sum(),
            Self::DropIndex(_, name) => name.len(),
            Self::EstimatedCount(_) | Self::ListIndexes(_) => 0,
        }
    }
}

/// What a cursor reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// The documents that match.
    Find(Collection, Find),
    /// What a pipeline makes.
    Aggregate(Collection, Aggregate),
}

impl Query {
    /// What it does, in a word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Find(..) => "find",
            Self::Aggregate(..) => "aggregate",
        }
    }

    /// The collection that it is about.
    #[must_use]
    pub fn collection(&self) -> &Collection {
        match self {
            Self::Find(collection, _) | Self::Aggregate(collection, _) => collection,
        }
    }

    /// Bytes that it takes here.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Find(_, find) => find.bytes(),
            Self::Aggregate(_, aggregate) => aggregate.bytes(),
        }
    }
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// All documents of a result.
    Batch(Batch),
    /// The next documents of a cursor, none after the last.
    Next(Option<Batch>),
    /// One document, if there was one.
    Document(Option<Vec<u8>>),
    /// How many there are.
    Count(u64),
    /// What writes have done.
    Written(WriteOutcome),
    /// The names of indexes.
    Names(Vec<String>),
    /// Nothing to tell.
    Done,
}
