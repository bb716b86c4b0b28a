//! What the host tells about itself: log lines, metrics that are cheap enough for every call, and traces of those that are sampled.

mod json;
pub mod lanes;
pub mod logs;
pub mod metrics;
pub mod trace;
