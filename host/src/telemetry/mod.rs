//! What the host tells about itself: log lines, and metrics that are cheap enough for every call.

mod json;
pub mod lanes;
pub mod logs;
pub mod metrics;
pub mod process;
pub mod requests;
