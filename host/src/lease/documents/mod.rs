//! What the handles of a guest of `wharf:documents` stand for.
//!
//! They are made of what those of SQL are made of: one lease for an operation, or one that is held for a transaction or a cursor. What a guest
//! sends is looked at byte by byte before a connection is asked for, so that bytes which are refused cost nobody a connection.

mod collection;
mod cursor;
mod database;

pub use self::{
    collection::Collection,
    cursor::Cursor,
    database::{Database, Transaction},
};

use super::Error;
use crate::{driver::Failure, pool::OperationError};

/// A request that is refused here.
fn refused(failure: Failure) -> Error {
    Error::Operation(OperationError::Failed(failure))
}
