//! A cursor over documents.

use crate::{
    driver::{
        Answer,
        documents::{Batch, Reply},
    },
    lease::{
        Error,
        held::{Reader, unexpected},
    },
};

/// An open cursor; dropping it closes it, on the server, too.
#[derive(Debug)]
pub struct Cursor(Reader);

impl Cursor {
    /// Of one that was opened, with what was answered to it.
    pub(super) fn new((reader, answer): (Reader, Answer)) -> Result<Self, Error> {
        if answer == Answer::Done { Ok(Self(reader)) } else { Err(unexpected()) }
    }

    /// The next documents, `None` after the last.
    ///
    /// # Bounds
    /// `max_documents` and the grant's `max_rows` and `max_result_bytes`, whichever is less; at least one document.
    /// # Errors
    /// See [`Error`]; [`Error::Invalid`] for no documents at all.
    /// # Cancellation
    /// Dropping the future ends the operation on the server, and the cursor with it.
    pub async fn next(&self, max_documents: u32) -> Result<Option<Batch>, Error> {
        if max_documents == 0 {
            return Err(Error::Invalid("a batch has at least one document"));
        }
        let answer = self.0.fetch(max_documents).await?;
        if let Answer::Documents(Reply::Next(batch)) = answer { Ok(batch) } else { Err(unexpected()) }
    }

    /// Marks the batches as taken by a stream.
    ///
    /// # Errors
    /// [`Error::Invalid`] the second time.
    pub fn take_stream(&self) -> Result<(), Error> {
        self.0.take_stream()
    }

    /// Closes the cursor without waiting, as dropping the last handle does.
    pub fn abandon(&self) {
        self.0.abandon();
    }

    /// Closes the cursor, and gives the connection back that was leased for it.
    ///
    /// # Errors
    /// See [`Error`].
    /// # Cancellation
    /// It is closed all the same.
    pub async fn close(&self) -> Result<(), Error> {
        self.0.close().await
    }
}
