//! What a document database tells of a failure, besides its kind and its message.

use super::types::WriteOutcome;
use crate::driver::FailureKind;

/// Facts of a failure that only documents have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// The server's number, such as 11000.
    pub code: Option<i32>,
    /// The server's name for the number, such as `DuplicateKey`.
    pub code_name: Option<String>,
    /// A document with what the server adds: `keyPattern` and `keyValue`, or `errInfo`.
    pub info: Option<Vec<u8>>,
    /// The writes that failed, in order; empty unless several were sent.
    pub write_errors: Vec<WriteError>,
    /// What was written all the same, where that is known.
    pub done: Option<WriteOutcome>,
    /// The same may succeed when it is tried again; in a transaction, all of it.
    pub transient: bool,
}

/// One write of several that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteError {
    /// Its place among those sent, from 0.
    pub index: u32,
    /// As of a failure.
    pub kind: FailureKind,
    /// The server's number.
    pub code: i32,
    /// What the server says of it.
    pub message: String,
    /// As [`Details::info`].
    pub info: Option<Vec<u8>>,
}
