//! Bodies that are written while they are sent, in WASI 0.3.

use std::pin::Pin;

use wit_bindgen::StreamWriter;

use crate::asynchronous::Response;
use crate::error::{Error, Result};
use crate::http::Body;

/// What a streaming body is while it is written.
pub type Writing<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// What writes a streaming body. Runs once, after the handler has returned.
pub type BodyStream = Box<dyn for<'a> FnOnce(&'a mut BodyWriter) -> Writing<'a>>;

impl Response {
    /// 200 with a body that `write` produces as it goes; move a cursor into it.
    ///
    /// The head is sent first, so if `write` fails the answer is broken off: the client cannot take the part for the whole. What may be
    /// wrong from the start belongs before this.
    #[must_use]
    pub fn stream(content_type: impl Into<String>, write: impl AsyncFnOnce(&mut BodyWriter) -> Result<()> + 'static) -> Self {
        fn check<F: for<'a> FnOnce(&'a mut BodyWriter) -> Writing<'a>>(function: F) -> F {
            function
        }
        let write = check(move |body| Box::pin(async move { write(body).await }));
        Self::with_body(content_type.into(), Body::Stream(Box::new(write)))
    }
}

/// The place where a body is written to.
#[derive(Debug)]
pub struct BodyWriter(StreamWriter<u8>);

impl BodyWriter {
    pub(super) fn new(stream: StreamWriter<u8>) -> Self {
        Self(stream)
    }

    /// Sends bytes; done when the host has taken them all.
    ///
    /// # Errors
    /// [`Error::Disconnected`] when nobody reads any more.
    pub async fn send(&mut self, bytes: impl Into<Vec<u8>>) -> Result<()> {
        if self.0.write_all(bytes.into()).await.is_empty() { Ok(()) } else { Err(Error::Disconnected) }
    }
}
