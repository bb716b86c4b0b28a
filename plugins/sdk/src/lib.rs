//! Write handlers for Wharf: typed rows and documents, transactions, cursors, HTTP with routing and JSON.
//!
//! A handler is a WebAssembly component for the target `wasm32-wasip2` (crate type `cdylib`). It answers HTTP requests and reaches the
//! databases that the host grants it by name.
//!
//! ```
//! use wharf_sdk::prelude::*;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Patient {
//!     id: i64,
//!     name: String,
//!     born: Date,
//! }
//!
//! fn show(request: &Request) -> Result<Response> {
//!     let id: i64 = request.path("id")?;
//!     let clinic = Database::open("clinic")?;
//!     let row = clinic.query("SELECT id, name, born FROM patients WHERE id = $1", params![id])?.one()?;
//!     let row = row.ok_or_else(|| Error::not_found("no such patient"))?;
//!     // By name and position …
//!     let name: &str = row.get("name")?;
//!     eprintln!("{name} was looked at");
//!     // … or all at once.
//!     Response::json(&row.decode::<Patient>()?)
//! }
//!
//! fn move_visits(request: &Request) -> Result<Response> {
//!     let (from, to): (i64, i64) = (request.path("from")?, request.path("to")?);
//!     // Dropped without `commit`, by `?` or by a trap, a transaction is rolled back.
//!     let transaction = Database::open("clinic")?.begin()?;
//!     transaction.execute("UPDATE visits SET patient_id = $1 WHERE patient_id = $2", params![to, from])?;
//!     transaction.execute("DELETE FROM patients WHERE id = $1", params![from])?;
//!     transaction.commit()?;
//!     Ok(Response::no_content())
//! }
//!
//! fn export(_: &Request) -> Result<Response> {
//!     let patients = Database::open("clinic")?.cursor("SELECT id, name FROM patients ORDER BY id", params![])?;
//!     // One batch is in memory at a time; each row is written as a line of JSON.
//!     Ok(Response::chunks("application/x-ndjson", patients.map(|row| Ok(serde_json::to_string(&row?)? + "\n"))))
//! }
//!
//! wharf_sdk::handler!(
//!     Router::new().get("/patients/{id}", show).post("/patients/{from}/into/{to}", move_visits).get("/patients.ndjson", export)
//! );
//! # fn main() {}
//! ```
//!
//! # Errors
//! A handler returns [`Result<Response>`]. `?` turns any [`Error`] into a problem document that tells nothing of the inside (the log gets
//! it); [`Error::not_found`] and its like, or a [`Problem`], say what the client should know. Constraint violations are told by
//! [`SqlError::is_unique_violation`] and its like, from the database's code and not its text.
//!
//! # Document databases
//! [`documents`] has collections of Rust types, with the same names where the same is meant.
//!
//! # WASI 0.3
//! [`asynchronous`] has the same names for handlers that export `wasi:http/handler@0.3`.

pub mod asynchronous;
mod bindings;
#[cfg(feature = "documents")]
pub mod documents;
mod error;
pub mod http;
mod problem;
pub mod sql;
pub mod types;

pub use crate::error::{Error, ErrorKind, Result, RowError, SqlError};
pub use crate::http::{BodyWriter, Method, Request, Router};
pub use crate::problem::Problem;
pub use crate::sql::{
    Cell, Connection, Cursor, Database, Executor, FromCell, IntoValue, OwnedRow, Row, Rows, Transaction, TransactionOptions,
};
pub use crate::types::{Date, Decimal, Interval, Json, Time, Timestamp, TimestampTz, Uuid};
pub use crate::wire::{ColumnInfo, Engine, Execution, IsolationLevel, Value};

/// An answer of a WASI 0.2 handler.
pub type Response = http::Response<http::BodyStream>;

/// The generated bindings of world `handler-async` (WASI 0.3).
pub use crate::bindings::asynchronous as raw_asynchronous;
/// The generated bindings of world `handler` (WASI 0.2), for what this crate does not cover.
pub use crate::bindings::sync as raw;

pub(crate) use crate::bindings::sync::wharf::sql::types as wire;

/// Everything that most handlers need.
pub mod prelude {
    pub use crate::{
        Cursor, Database, Date, Decimal, Error, Executor, Json, Method, Problem, Request, Response, Result, Router, Time,
        Timestamp, TimestampTz, Transaction, TransactionOptions, Uuid, params,
    };
}

/// Makes the crate a handler of WASI 0.2: takes an expression that gives a [`Router`], evaluated anew for each call.
///
/// Outside of wasm nothing is exported, so a handler's own tests run natively.
#[macro_export]
macro_rules! handler {
    ($router:expr $(,)?) => {
        const _: () = {
            fn router() -> $crate::Router {
                $router
            }
            // Native builds export nothing; this keeps what only the routes use from looking unused.
            const _: fn() -> $crate::Router = router;

            #[cfg(target_family = "wasm")]
            const _: () = {
                use $crate::raw::exports::wasi::http0_2_12::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};

                struct Handler;

                impl Guest for Handler {
                    fn handle(request: IncomingRequest, out: ResponseOutparam) {
                        $crate::http::serve(&router(), request, out);
                    }
                }

                use $crate::raw;
        raw::export_handler!(Handler with_types_in raw);
            };
        };
    };
}
