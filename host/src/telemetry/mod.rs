//! What the host tells about itself: log lines, counters that are cheap enough for every call, and the audit log.

pub mod audit;
pub mod counters;
mod json;
pub mod logs;
