//! The audit log: a line before each database operation and one after it, chained so that what is done to the log afterwards shows.
//!
//! `record` says what a line says, `chain` seals it, `verify` reads it again.

mod chain;
mod record;
mod verify;

pub use self::{
    chain::{Head, Key, MIN_HEAD_DIGITS, MIN_KEY_BYTES, Mac, NoHead, ShortKey, ToldHead},
    record::{Actor, MAX_LINE, MAX_STATEMENT, Outcome, Reclaim, Request, Statement, Types},
    verify::{End, Finding, Problem, ReadError, Report, Verifier, verify},
};

#[cfg(test)]
mod tests;
