//! Databases: from a grant's name to Rust values.
//!
//! [`Database`], [`Connection`] and [`Transaction`] run statements; [`Rows`] and [`Cursor`] hold answers; [`Row`] gives
//! cells, which become Rust types through [`FromCell`]. Parameters go the other way through [`IntoValue`].

mod cell;
mod cursor;
mod database;
mod decode;
mod encode;
mod from_cell;
mod into_value;
mod row;
mod rows;

pub use self::cell::{Array, Cell};
pub use self::cursor::{Batches, Cursor};
pub use self::database::{Connection, Database, Executor, Transaction, TransactionOptions};
pub use self::from_cell::{Element, FromCell, Mismatch};
pub use self::into_value::{IntoElement, IntoValue};
pub use self::row::{Column, OwnedRow, Row};
pub use self::rows::{OwnedRows, Rows};

pub(crate) use self::cursor::DEFAULT_BATCH_SIZE;
