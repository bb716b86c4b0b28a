//! What the host tells about itself: log lines, metrics that are cheap enough for every call, traces of those that are sampled, what the
//! time of a call went into, signs of life, and the audit log.

pub mod audit;
pub mod beat;
mod json;
pub mod lanes;
pub mod logs;
pub mod metrics;
pub mod process;
pub mod requests;
pub mod timing;
pub mod trace;
