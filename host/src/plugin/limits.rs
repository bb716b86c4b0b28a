//! What one plugin, and one call of it, may use.

use std::time::Duration;

/// Limits of a plugin. Every one is finite; what happens at each is said at the field.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Units of computation a call, about one an instruction; beyond it the call ends with `FuelExhausted`.
    pub fuel: u64,
    /// Wall clock of a call, from admission to the last byte of the answer; beyond it the call ends with `DeadlineExceeded`.
    pub deadline: Duration,
    /// Bytes of all linear memories of a call; growth beyond it is refused, and a call that then fails ends with `MemoryExhausted`.
    pub memory: usize,
    /// Calls that run at the same time; more wait.
    pub max_concurrency: usize,
    /// Calls that wait for one of those places; more are refused with `Overloaded`.
    pub max_waiting: usize,
    /// Calls that one instance serves, one after the other; 1 means a fresh instance for every call. A call that ends in any other way than
    /// by a clean return, or leaves a handle behind, is the last of its instance.
    pub reuse: u32,
    /// How long a client may take nothing of a streamed answer; beyond it the call ends with `ReaderStalled`.
    pub body_stall_timeout: Duration,
    /// Bytes of one printed line; the rest is cut and the line marked.
    pub log_line_bytes: usize,
    /// Printed lines a second over all calls; the rest is counted and the number logged.
    pub log_lines_per_second: u32,
    /// What is logged of it at all.
    pub log: LogLevel,
}

/// What is logged of a plugin, by the levels of those lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Neither what it prints nor how its calls fail.
    Off,
    /// How its calls fail.
    Warn,
    /// What it prints as well.
    Info,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 1_000_000_000,
            deadline: Duration::from_secs(15),
            memory: 64 << 20,
            max_concurrency: 64,
            max_waiting: 64,
            reuse: 1,
            body_stall_timeout: Duration::from_secs(10),
            log_line_bytes: 4 << 10,
            log_lines_per_second: 100,
            log: LogLevel::Info,
        }
    }
}
