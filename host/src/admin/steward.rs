//! What the operator has the host do: read its configuration again.

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Response, StatusCode};
use serde::Serialize;

use super::{answer, json};

/// Does what changes the host as a whole.
pub trait Steward: Send + Sync {
    /// Reads the configuration again and puts it in force or, with `check`, finds out whether that could be done.
    ///
    /// # Errors
    /// All that speaks against it, a line each. Nothing has changed then.
    fn reload(&self, check: bool) -> BoxFuture<'static, Result<Reloaded, Vec<String>>>;
}

/// What a reload came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reloaded {
    /// The generation that is in force.
    pub generation: u64,
    /// What is different from what was in force before, a line each.
    pub changes: Vec<String>,
}

/// A problem document like those of the server, with every reason.
#[derive(Serialize)]
struct Refused {
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'static str,
    reasons: Vec<String>,
}

/// Says what came of a reload.
pub(super) fn told(done: Result<Reloaded, Vec<String>>) -> Response<Bytes> {
    let refused = |reasons| Refused {
        title: "Conflict",
        status: StatusCode::CONFLICT.as_u16(),
        code: "reload-refused",
        detail: "The configuration is refused, and what was in force stays.",
        reasons,
    };
    match done {
        Ok(reloaded) => json(StatusCode::OK, &reloaded),
        Err(reasons) => {
            let document = serde_json::to_vec(&refused(reasons)).unwrap_or_default();
            answer(StatusCode::CONFLICT, Bytes::from(document), "application/problem+json")
        }
    }
}
