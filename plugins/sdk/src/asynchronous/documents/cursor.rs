//! Results that are read in batches, pulled one by one or as a stream.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use wit_bindgen::{FutureReader, StreamReader};

use crate::bindings::asynchronous::wharf::documents_async::database as raw;
use crate::documents::decode::Rest;
use crate::documents::{DEFAULT_BATCH_SIZE, Documents, wire};
use crate::error::Result;

/// A result that need not fit in memory. Dropping it early is safe.
#[derive(Debug)]
pub struct Cursor<T> {
    raw: raw::Cursor,
    batch_size: u32,
    rest: Rest,
    documents: PhantomData<fn() -> T>,
}

impl<T> Cursor<T> {
    pub(super) fn new(raw: raw::Cursor) -> Self {
        Self { raw, batch_size: DEFAULT_BATCH_SIZE, rest: Rest::default(), documents: PhantomData }
    }

    /// Fetches at most this many documents at once (at least 1, by default 500); the host gives fewer where they are large.
    #[must_use]
    pub fn batch_size(mut self, documents: u32) -> Self {
        self.batch_size = documents.max(1);
        self
    }

    /// The next document, or none after the last.
    ///
    /// # Errors
    /// When the next batch cannot be fetched, or the document is of another shape; the next call goes on after that one.
    pub async fn next(&mut self) -> Result<Option<T>>
    where
        T: DeserializeOwned,
    {
        loop {
            if let Some(document) = self.rest.next() {
                return document.map(Some);
            }
            // The old batch is freed before the next one is fetched.
            self.rest = Rest::default();
            match self.raw.next(self.batch_size).await? {
                Some(batch) => self.rest = Rest::new(batch.documents),
                None => return Ok(None),
            }
        }
    }

    /// The remaining batches as a stream: the host fetches the next one while this one is worked on. Documents of an earlier batch that
    /// [`Cursor::next`] has not given yet are passed over.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn batches(self) -> Result<Batches> {
        let (stream, outcome) = self.raw.batches(self.batch_size)?;
        Ok(Batches { stream, outcome: Some(outcome), _cursor: self.raw })
    }

    /// Gives the connection back now; dropping does the same without telling how it went.
    ///
    /// # Errors
    /// When the connection was lost meanwhile.
    pub async fn close(self) -> Result<()> {
        Ok(self.raw.close().await?)
    }
}

/// The batches of a [`Cursor`] as they arrive. Dropping it closes the cursor.
#[derive(Debug)]
pub struct Batches {
    stream: StreamReader<wire::Batch>,
    outcome: Option<FutureReader<Result<(), wire::Error>>>,
    /// Kept until the stream, which is declared above it, is gone.
    _cursor: raw::Cursor,
}

impl Batches {
    /// The next batch; none after the last one or after an error.
    pub async fn next(&mut self) -> Option<Result<Documents>> {
        if self.outcome.is_some()
            && let Some(batch) = self.stream.next().await
        {
            return Some(Ok(Documents::new(batch.documents)));
        }
        // A stream that ends does not tell why; the future beside it does.
        self.outcome.take()?.await.err().map(|error| Err(error.into()))
    }
}
