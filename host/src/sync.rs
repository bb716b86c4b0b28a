//! The locks and atomics that decide who gets a connection and when a lease ends, named in one place: `tests/schedules` compiles `pool` and
//! `lease` as they are, but over a lock at which a scheduler can stop whoever comes.

pub(crate) use std::sync::{Mutex, MutexGuard, atomic};
