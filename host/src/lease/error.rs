//! Why something that a call asked of a database failed.

use crate::pool::{AcquireError, OperationError};

use super::End;

/// The host's side of an error; [`crate::interface`] translates it for the guest.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The plugin has no grant of this name.
    #[error("no database `{name}` is granted to this plugin")]
    NotGranted {
        /// As the guest wrote it.
        name: String,
        /// What it was granted.
        granted: Vec<String>,
    },
    /// No connection was lent.
    #[error(transparent)]
    Acquire(AcquireError),
    /// The operation failed.
    #[error(transparent)]
    Operation(OperationError),
    /// A budget of the grant is used up.
    #[error("the grant allows {maximum} at most (`{limit}`)")]
    Limit {
        /// The name of the limit in `wharf.toml`.
        limit: &'static str,
        /// Its value.
        maximum: u64,
    },
    /// The call is over.
    #[error("the call has ended")]
    CallEnded(End),
    /// The handle or an argument makes no sense.
    #[error("{0}")]
    Invalid(&'static str),
}
