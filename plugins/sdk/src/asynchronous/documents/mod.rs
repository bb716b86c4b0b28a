//! Document databases for handlers of WASI 0.3: the names of [`crate::documents`], where what waits is `async`.
//!
//! ```
//! use wharf_sdk::asynchronous::documents::prelude::*;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Account {
//!     email: String,
//!     visits: i64,
//! }
//!
//! async fn emails(_: &Request) -> Result<Response> {
//!     let accounts: Collection<Account> = Database::open("accounts")?.collection("accounts")?;
//!     let mut batches = accounts.find(doc! { "visits": { "$gt": 0 } }).sort(doc! { "email": 1 }).cursor().await?.batches()?;
//!     Ok(Response::stream("text/plain", async move |body: &mut BodyWriter| {
//!         while let Some(batch) = batches.next().await {
//!             for account in batch?.decode::<Account>()? {
//!                 body.send(account.email + "\n").await?;
//!             }
//!         }
//!         Ok(())
//!     }))
//! }
//!
//! async fn merge(request: &Request) -> Result<Response> {
//!     let (from, into): (String, String) = (request.path("from")?, request.path("into")?);
//!     let work = async |transaction: &Transaction| {
//!         let accounts = transaction.collection::<Account>("accounts")?;
//!         let gone = accounts.find_and_delete(doc! { "email": &from }).run().await?;
//!         let gone = gone.ok_or_else(|| Error::not_found("no such account"))?;
//!         accounts.update_one(doc! { "email": &into }, doc! { "$inc": { "visits": gone.visits } }).run().await
//!     };
//!     Database::open("accounts")?.transaction(work).await?;
//!     Ok(Response::no_content())
//! }
//!
//! wharf_sdk::async_handler!(Router::new().get("/emails", emails).post("/accounts/{from}/into/{into}", merge));
//! # fn main() {}
//! ```
//!
//! Dropping the future of an operation ends it on the server and dooms its transaction; a write may have been done.

mod cursor;
mod database;
mod run;

pub use self::cursor::{Batches, Cursor};
pub use self::database::{Database, Transaction};

use crate::bindings::asynchronous::wharf::documents_async::database as raw;
use crate::documents::{CollectionOf, Document};

/// A collection of a WASI 0.3 handler.
pub type Collection<T = Document> = CollectionOf<T, raw::Collection>;

/// Everything that most handlers of document databases need.
pub mod prelude {
    pub use super::{Collection, Cursor, Database, Transaction};
    pub use crate::asynchronous::{BodyWriter, Request, Response, Router};
    pub use crate::documents::{Bson, DateTime, Document, Index, ObjectId, TransactionOptions, doc};
    pub use crate::{Error, Json, Method, Problem, Result, TimestampTz};
}
