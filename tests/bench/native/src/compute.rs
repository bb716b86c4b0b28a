//! What computes: the same source as the guest's, compiled for this machine.

#[path = "../../../guests/src/compute.rs"]
#[expect(unreachable_pub, reason = "public where it is a library")]
mod work;

use axum::{Router, routing::get};

/// The paths of `bench_compute`.
pub(crate) fn router() -> Router {
    Router::new().route("/hash", get(async || work::hash())).route("/sort", get(async || work::sort()))
}
