//! The vocabulary of document databases, in the order in which a request uses it.
//!
//! What a guest sends is looked at byte by byte (`scan`) before any of it is a [`Bson`]; of those a [`Request`] is made (`read`, `write`,
//! `index`, `concern`), or a [`Query`] that a cursor reads; what may be shown of it is its `shape`. A driver answers with a [`Reply`], or fails with [`Details`]. Options and outcomes are
//! those of the WIT (`types`).

mod bson;
mod concern;
mod details;
mod index;
mod read;
mod request;
mod scan;
pub(super) mod shape;
#[cfg(test)]
mod tests;
pub mod types;
mod write;

pub use self::{
    bson::{Bson, BsonList},
    concern::{Concerns, WriteConcern},
    details::{Details, WriteError},
    index::Index,
    read::{Aggregate, Count, Distinct, Find, Hint},
    request::{Collection, Query, Reply, Request},
    scan::{MAX_BYTES, MAX_DEPTH, Rules},
    types::{Acknowledgment, Batch, ReadConcern, WriteOutcome},
    write::{Change, Delete, FindAndModify, Insert, Modification, Update, Write, Writes},
};
