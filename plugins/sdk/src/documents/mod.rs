//! Document databases: MongoDB through `wharf:documents`.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use wharf_sdk::documents::prelude::*;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Account {
//!     #[serde(rename = "_id", skip_serializing_if = "Option::is_none")]
//!     id: Option<ObjectId>,
//!     email: String,
//!     visits: i64,
//! }
//!
//! fn accounts() -> Result<Collection<Account>> {
//!     Database::open("accounts")?.collection("accounts")
//! }
//!
//! fn create(request: &Request) -> Result<Response> {
//!     let new = Account { id: None, email: request.json()?, visits: 0 };
//!     accounts()?.insert_one(&new).map_err(|error| match error.key_pattern() {
//!         // The index that is in the way is told by its keys, not by the text of the error.
//!         Some(keys) if keys.contains_key("email") => Error::conflict("there is an account with this e-mail already"),
//!         _ => error,
//!     })?;
//!     Ok(Response::status(201))
//! }
//!
//! fn show(request: &Request) -> Result<Response> {
//!     let email: String = request.path("email")?;
//!     let visited = accounts()?.find_and_update(doc! { "email": email }, doc! { "$inc": { "visits": 1 } }).return_new().run()?;
//!     Response::json(&visited.ok_or_else(|| Error::not_found("no such account"))?.visits)
//! }
//!
//! fn often_here(_: &Request) -> Result<Response> {
//!     // One batch is in memory at a time.
//!     let accounts = accounts()?.find(doc! { "visits": { "$gte": 10 } }).sort(doc! { "email": 1 }).cursor()?;
//!     Ok(Response::chunks("text/plain", accounts.map(|account| Ok(account?.email + "\n"))))
//! }
//!
//! fn merge(request: &Request) -> Result<Response> {
//!     let (from, into): (String, String) = (request.path("from")?, request.path("into")?);
//!     // Dropped without `commit`, by `?` or by a trap, a transaction is aborted.
//!     let transaction = Database::open("accounts")?.begin()?;
//!     let accounts = transaction.collection::<Account>("accounts")?;
//!     let gone = accounts.find_and_delete(doc! { "email": from }).run()?;
//!     let gone = gone.ok_or_else(|| Error::not_found("no such account"))?;
//!     accounts.update_one(doc! { "email": into }, doc! { "$inc": { "visits": gone.visits } }).run()?;
//!     transaction.commit()?;
//!     Ok(Response::no_content())
//! }
//!
//! wharf_sdk::handler!(
//!     Router::new()
//!         .post("/accounts", create)
//!         .get("/accounts/{email}", show)
//!         .get("/often-here", often_here)
//!         .post("/accounts/{from}/into/{into}", merge)
//! );
//! # fn main() {}
//! ```
//!
//! Reads are put together and end in what is wanted of them: `one`, `all`, `cursor`, `count`, `distinct`. Writes end in `run`; only
//! inserts, which have nothing to set, are done at once. No operation waits longer than the call has time.
//!
//! The feature `documents`, which is on unless told otherwise, only decides whether `bson` is compiled: a handler that uses nothing of
//! this module imports nothing of it.
//!
//! # Types
//! Documents become Rust types through serde. `T` may be [`Document`], which has any fields. A [`DateTime`] is a date to MongoDB and
//! becomes a [`TimestampTz`](crate::TimestampTz) for an answer; the other types of [`crate::types`] are stored as text.

mod collection;
mod concern;
mod cursor;
mod database;
pub(crate) mod decode;
pub(crate) mod encode;
mod error;
mod find;
mod index;
mod modify;
mod options;
mod outcome;
mod run;
mod time;
mod write;

pub use bson::oid::ObjectId;
pub use bson::{self, Bson, DateTime, Document, RawDocument, doc};

pub use self::collection::CollectionOf;
pub use self::concern::{TransactionOptions, WriteConcern};
pub use self::cursor::Cursor;
pub use self::database::{Database, Transaction};
pub use self::decode::Documents;
pub use self::error::DocumentsError;
pub use self::find::{Aggregate, Find};
pub use self::index::Index;
pub use self::modify::FindAndModify;
pub use self::options::Hint;
pub use self::outcome::{Outcome, Upserted};
pub use self::wire::{ErrorKind, ReadConcern, WriteError};
pub use self::write::{Bulk, Change, Delete, On, Replace, Update, Write};

pub(crate) use self::cursor::DEFAULT_BATCH_SIZE;
#[cfg(test)]
pub(crate) use self::error::tests;
pub(crate) use self::find::Values;
pub(crate) use crate::bindings::sync::wharf::documents::types as wire;

/// A collection of a WASI 0.2 handler.
pub type Collection<T = Document> = CollectionOf<T, crate::bindings::sync::wharf::documents::database::Collection>;

/// Everything that most handlers of document databases need.
pub mod prelude {
    pub use super::{
        Bson, Collection, Cursor, Database, DateTime, Document, Index, ObjectId, Transaction, TransactionOptions, doc,
    };
    pub use crate::{Error, Json, Method, Problem, Request, Response, Result, Router, TimestampTz};
}
