//! What the host tells about itself: log lines, and counters that are cheap enough for every call.

pub mod counters;
mod json;
pub mod logs;
