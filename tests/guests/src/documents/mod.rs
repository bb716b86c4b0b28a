//! `wharf:documents` for the handlers of the tests: what a step of JSON asks for, and what came of it as JSON. Documents are hex digits of
//! their bytes, so that a test may send whatever it likes and sees all that comes.

pub mod ask;
pub mod tell;

pub use crate::plain::generated::wharf::documents::{
    database::{Collection, Cursor, Database, Transaction},
    types::*,
};

/// The resources of `wharf:documents-async`, which have the same types.
pub mod concurrent {
    pub use crate::concurrent::generated::wharf::documents_async::database::{Collection, Cursor, Database, Transaction};
}
