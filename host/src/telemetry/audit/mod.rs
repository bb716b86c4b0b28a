//! The audit log: a line before each database operation and one after it, chained so that what is done to the log afterwards shows.
//!
//! The `trail` of a call knows whose lines they are, and asks for them at the `desk`; the `writer`, a thread, takes what waits and has the
//! `log` add it to its files on a `disk`.
//! `record` says what a line says, `chain` seals it. `recovery` finds the end of a log at the start, `verify` reads all of it again.

mod board;
mod chain;
mod desk;
mod disk;
mod log;
mod record;
mod recovery;
mod settings;
mod trail;
mod verify;
mod writer;

pub use self::{
    board::{Down, Status},
    chain::{Head, Key, MIN_HEAD_DIGITS, MIN_KEY_BYTES, Mac, NoHead, ShortKey, ToldHead},
    desk::{Audit, Operation},
    record::{Actor, MAX_LINE, MAX_STATEMENT, Outcome, Reclaim, Request, Statement, Types},
    recovery::StartError,
    settings::{Durability, MIN_FILE_SIZE, Settings, WhenUnavailable},
    trail::Trail,
    verify::{End, Finding, Problem, ReadError, Report, Verifier, verify, verify_with},
    writer::{CloseError, Unavailable},
};

#[cfg(test)]
mod tests;
