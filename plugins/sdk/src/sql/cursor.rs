//! Results that are read in batches.

use std::rc::Rc;

use crate::bindings::sync::wharf::sql::database as raw;
use crate::error::Result;
use crate::sql::row::OwnedRow;
use crate::sql::rows::{OwnedRows, Rows};
use crate::wire;

/// How many rows a batch has at the most, unless told.
pub(crate) const DEFAULT_BATCH_SIZE: u32 = 500;

/// A result that need not fit in memory. Iterating gives its rows and fetches a batch whenever one is used up; after an error it ends.
///
/// Dropping it early is safe.
#[derive(Debug)]
pub struct Cursor {
    batches: Batches,
    rows: Option<OwnedRows>,
}

impl Cursor {
    pub(super) fn new(raw: raw::Cursor) -> Self {
        let columns = raw.columns().into();
        Self { batches: Batches { raw, columns, batch_size: DEFAULT_BATCH_SIZE, ended: false }, rows: None }
    }

    /// Fetches at most this many rows at once (at least 1, by default 500); the host gives fewer where they are large.
    #[must_use]
    pub fn batch_size(mut self, rows: u32) -> Self {
        self.batches.batch_size = rows.max(1);
        self
    }

    /// Names and types of the columns.
    #[must_use]
    pub fn columns(&self) -> &[wire::ColumnInfo] {
        &self.batches.columns
    }

    /// The batches themselves, for work by the column or without the cost of a row object. What was fetched for rows already is left
    /// out.
    #[must_use]
    pub fn batches(self) -> Batches {
        self.batches
    }
}

impl Iterator for Cursor {
    type Item = Result<OwnedRow>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.rows.as_mut().and_then(Iterator::next) {
                return Some(Ok(row));
            }
            // The old batch is freed before the next one is fetched.
            self.rows = None;
            match self.batches.next()? {
                Ok(rows) => self.rows = Some(rows.into_iter()),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl std::iter::FusedIterator for Cursor {}

/// The batches of a [`Cursor`], in order; after an error it ends.
#[derive(Debug)]
pub struct Batches {
    raw: raw::Cursor,
    columns: Rc<[wire::ColumnInfo]>,
    batch_size: u32,
    ended: bool,
}

impl Iterator for Batches {
    type Item = Result<Rows>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.raw.next(self.batch_size).transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        Some(next?.map(|batch| Rows::new(Rc::clone(&self.columns), batch)).map_err(Into::into))
    }
}

impl std::iter::FusedIterator for Batches {}
