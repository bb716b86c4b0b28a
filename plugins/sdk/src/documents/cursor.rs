//! Results that are read in batches.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::bindings::sync::wharf::documents::database as raw;
use crate::documents::decode::Rest;
use crate::error::Result;

/// How many documents a batch has at the most, unless told.
pub(crate) const DEFAULT_BATCH_SIZE: u32 = 500;

/// A result that need not fit in memory. Iterating gives its documents and fetches a batch whenever one is used up.
///
/// It ends when a batch cannot be fetched; a document of another shape is an error after which it goes on. Dropping it early is safe.
#[derive(Debug)]
pub struct Cursor<T> {
    raw: raw::Cursor,
    batch_size: u32,
    rest: Rest,
    ended: bool,
    documents: PhantomData<fn() -> T>,
}

impl<T> Cursor<T> {
    pub(super) fn new(raw: raw::Cursor) -> Self {
        Self { raw, batch_size: DEFAULT_BATCH_SIZE, rest: Rest::default(), ended: false, documents: PhantomData }
    }

    /// Fetches at most this many documents at once (at least 1, by default 500); the host gives fewer where they are large.
    #[must_use]
    pub fn batch_size(mut self, documents: u32) -> Self {
        self.batch_size = documents.max(1);
        self
    }

    /// Gives the connection back now; dropping does the same without telling how it went.
    ///
    /// # Errors
    /// When the connection was lost meanwhile.
    pub fn close(self) -> Result<()> {
        Ok(self.raw.close()?)
    }
}

impl<T: DeserializeOwned> Iterator for Cursor<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(document) = self.rest.next() {
                return Some(document);
            }
            if self.ended {
                return None;
            }
            // The old batch is freed before the next one is fetched.
            self.rest = Rest::default();
            let batch = self.raw.next(self.batch_size).transpose();
            self.ended = !matches!(batch, Some(Ok(_)));
            match batch? {
                Ok(batch) => self.rest = Rest::new(batch.documents),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

impl<T: DeserializeOwned> std::iter::FusedIterator for Cursor<T> {}
