//! The locks and atomics at which those who want a connection meet slots and pools, named in one place: `tests/schedules` compiles `pool`
//! and `lease` as they are, but over a lock at which a scheduler can stop whoever comes.

// What many read and few replace: whoever reads waits for nobody, and writes to no memory that others use.
pub(crate) use arc_swap::ArcSwap as Live;
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};
