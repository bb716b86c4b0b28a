//! The same names for handlers of WASI 0.3: what waits is `async`, and independent calls run at the same time.
//!
//! ```
//! use wharf_sdk::asynchronous::prelude::*;
//!
//! async fn names(_: &Request) -> Result<Response> {
//!     let clinic = Database::open("clinic")?;
//!     let mut patients = clinic.cursor("SELECT name FROM patients ORDER BY id", params![]).await?.batches()?;
//!     Ok(Response::stream("text/plain", async move |body: &mut BodyWriter| {
//!         while let Some(rows) = patients.next().await {
//!             for row in &rows? {
//!                 body.send(row.get::<String>("name")? + "\n").await?;
//!             }
//!         }
//!         Ok(())
//!     }))
//! }
//!
//! wharf_sdk::async_handler!(Router::new().get("/names", names));
//! # fn main() {}
//! ```
//!
//! Dropping the future of a statement cancels the statement on the server and dooms its transaction.

mod body;
mod cursor;
mod database;
#[cfg(feature = "documents")]
pub mod documents;
mod request;
mod router;
mod serve;

pub use wit_bindgen::spawn_local;

pub use self::body::{BodyStream, BodyWriter, Writing};
pub use self::cursor::{Batches, Cursor};
pub use self::database::{Connection, Database, Executor, Transaction};
pub use self::request::Request;
pub use self::router::Router;
pub use self::serve::serve;

/// An answer of a WASI 0.3 handler.
pub type Response = crate::http::Response<BodyStream>;

/// Everything that most handlers need.
pub mod prelude {
    pub use super::{BodyWriter, Cursor, Database, Executor, Request, Response, Router, Transaction};
    pub use crate::{
        Date, Decimal, Error, Json, Method, Problem, Result, Time, Timestamp, TimestampTz, TransactionOptions, Uuid, params,
    };
}

/// Makes the crate a handler of WASI 0.3: takes an expression that gives a [`Router`], evaluated anew for each call.
///
/// Outside of wasm nothing is exported, so a handler's own tests run natively.
#[macro_export]
macro_rules! async_handler {
    ($router:expr $(,)?) => {
        const _: () = {
            fn router() -> $crate::asynchronous::Router {
                $router
            }
            // Native builds export nothing; this keeps what only the routes use from looking unused.
            const _: fn() -> $crate::asynchronous::Router = router;

            #[cfg(target_family = "wasm")]
            const _: () = {
                use $crate::raw_asynchronous::exports::wasi::http0_3_0::handler::{ErrorCode, Guest, Request, Response};

                struct Handler;

                impl Guest for Handler {
                    async fn handle(request: Request) -> Result<Response, ErrorCode> {
                        $crate::asynchronous::serve(&router(), request).await
                    }
                }

                use $crate::raw_asynchronous as raw;
        raw::export_handler_async!(Handler with_types_in raw);
            };
        };
    };
}
