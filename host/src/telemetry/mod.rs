//! What the host tells about itself: log lines, metrics that are cheap enough for every call, and the audit log.

pub mod audit;
mod json;
pub mod lanes;
pub mod logs;
pub mod metrics;
pub mod process;
pub mod requests;
