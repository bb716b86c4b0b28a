//! HTTP: requests in, responses out, routes between.
//!
//! A request's [`Head`], the [`Response`] and the routes are the same for both WASI versions; how bodies move is not: [`serve`] and
//! [`BodyWriter`] are those of WASI 0.2, their counterparts for 0.3 are in [`crate::asynchronous`].

mod body;
mod head;
mod request;
mod response;
mod router;
mod routes;
mod serve;

pub use self::body::{BodyStream, BodyWriter};
pub use self::head::{Head, Headers, Method};
pub use self::request::Request;
pub use self::response::{Body, Response};
pub use self::router::Router;
pub use self::serve::serve;

pub(crate) use self::head::Parameters;
pub(crate) use self::request::{check_json_type, parse_json, too_large};
pub(crate) use self::routes::Routes;
pub(crate) use self::serve::explain;

/// How long the body of a request may be, unless the handler says otherwise.
pub const DEFAULT_BODY_LIMIT: usize = 1024 * 1024;
