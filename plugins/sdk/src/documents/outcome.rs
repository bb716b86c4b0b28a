//! What writes have done.

use bson::Bson;
use serde::Deserialize;

use crate::documents::decode::Documents;
use crate::documents::wire;
use crate::error::Result;

/// What writes have done.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// Documents that were inserted, but not by upserts.
    pub inserted: u64,
    /// Documents that the filters of updates and replacements matched; an upsert that inserts matches none.
    pub matched: u64,
    /// Documents that are different now.
    pub modified: u64,
    /// Documents that were deleted.
    pub deleted: u64,
    /// One for each upsert that inserted.
    pub upserted: Vec<Upserted>,
}

/// An upsert that inserted.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Upserted {
    /// The place of the write among those sent, from 0.
    pub index: u32,
    /// The `_id` that the document got.
    #[serde(rename = "_id")]
    pub id: Bson,
}

impl Outcome {
    pub(crate) fn read(outcome: wire::WriteOutcome) -> Result<Self> {
        let wire::WriteOutcome { inserted, matched, modified, deleted, upserted } = outcome;
        let upserted = Documents::new(upserted).decode()?;
        Ok(Self { inserted, matched, modified, deleted, upserted })
    }

    /// The `_id` of the document that a single upsert inserted.
    #[must_use]
    pub fn upserted_id(&self) -> Option<&Bson> {
        self.upserted.first().map(|upserted| &upserted.id)
    }
}
