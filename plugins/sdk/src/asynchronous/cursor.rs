//! Results that are read in batches, pulled one by one or as a stream.

use std::rc::Rc;

use wit_bindgen::{FutureReader, StreamReader};

use crate::bindings::asynchronous::wharf::sql_async::database as raw;
use crate::error::Result;
use crate::sql::{DEFAULT_BATCH_SIZE, OwnedRow, OwnedRows, Rows};
use crate::wire;

/// A result that need not fit in memory. Dropping it early is safe.
#[derive(Debug)]
pub struct Cursor {
    raw: raw::Cursor,
    columns: Rc<[wire::ColumnInfo]>,
    batch_size: u32,
    rows: Option<OwnedRows>,
}

impl Cursor {
    pub(super) fn new(raw: raw::Cursor) -> Self {
        let columns = raw.columns().into();
        Self { raw, columns, batch_size: DEFAULT_BATCH_SIZE, rows: None }
    }

    /// Fetches at most this many rows at once (at least 1, by default 500); the host gives fewer where they are large.
    #[must_use]
    pub fn batch_size(mut self, rows: u32) -> Self {
        self.batch_size = rows.max(1);
        self
    }

    /// Names and types of the columns.
    #[must_use]
    pub fn columns(&self) -> &[wire::ColumnInfo] {
        &self.columns
    }

    /// The next row, or none after the last.
    ///
    /// # Errors
    /// When the next batch cannot be fetched.
    pub async fn next(&mut self) -> Result<Option<OwnedRow>> {
        loop {
            if let Some(row) = self.rows.as_mut().and_then(Iterator::next) {
                return Ok(Some(row));
            }
            // The old batch is freed before the next one is fetched.
            self.rows = None;
            match self.next_batch().await? {
                Some(rows) => self.rows = Some(rows.into_iter()),
                None => return Ok(None),
            }
        }
    }

    /// The next batch, or none after the last. Rows of an earlier batch that [`Cursor::next`] has not given yet are passed over.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub async fn next_batch(&mut self) -> Result<Option<Rows>> {
        let batch = self.raw.next(self.batch_size).await?;
        Ok(batch.map(|batch| Rows::new(Rc::clone(&self.columns), batch)))
    }

    /// The remaining batches as a stream: the host fetches the next one while this one is worked on.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn batches(self) -> Result<Batches> {
        let (stream, outcome) = self.raw.batches(self.batch_size)?;
        Ok(Batches { stream, outcome: Some(outcome), columns: self.columns, _cursor: self.raw })
    }
}

/// The batches of a [`Cursor`] as they arrive. Dropping it closes the cursor.
#[derive(Debug)]
pub struct Batches {
    stream: StreamReader<wire::Batch>,
    outcome: Option<FutureReader<Result<(), wire::Error>>>,
    columns: Rc<[wire::ColumnInfo]>,
    /// Kept until the stream, which is declared above it, is gone.
    _cursor: raw::Cursor,
}

impl Batches {
    /// The next batch; none after the last one or after an error.
    pub async fn next(&mut self) -> Option<Result<Rows>> {
        if self.outcome.is_some()
            && let Some(batch) = self.stream.next().await
        {
            return Some(Ok(Rows::new(Rc::clone(&self.columns), batch)));
        }
        // A stream that ends does not tell why; the future beside it does.
        self.outcome.take()?.await.err().map(|error| Err(error.into()))
    }
}
