//! What the host tells about itself: log lines, metrics that are cheap enough for every call, what the time of a call went into, and signs of life.

pub mod beat;
mod json;
pub mod lanes;
pub mod logs;
pub mod metrics;
pub mod timing;
