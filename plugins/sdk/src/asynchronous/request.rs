//! A request of WASI 0.3, with its body.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use serde::de::DeserializeOwned;
use wit_bindgen::StreamResult;

use crate::bindings::asynchronous::wasi::http0_3_0::types::{ErrorCode, Request as Raw};
use crate::bindings::asynchronous::wit_future;
use crate::error::{Error, Result};
use crate::http::{DEFAULT_BODY_LIMIT, Head, check_json_type, parse_json, too_large};

/// How much of the body is asked for at once.
const READ_BYTES: usize = 64 * 1024;

/// A request. What comes before the body is in [`Head`], which this dereferences to.
pub struct Request {
    pub(super) head: Head,
    raw: Rc<RefCell<Option<Raw>>>,
}

impl Deref for Request {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head.fmt(f)
    }
}

impl Request {
    pub(super) fn new(raw: Raw) -> Self {
        let (method, target) = (raw.get_method().into(), raw.get_path_with_query());
        let raw = Rc::new(RefCell::new(Some(raw)));
        let lender = Rc::clone(&raw);
        let headers = move || lender.borrow().as_ref().map(|raw| raw.get_headers().copy_all()).unwrap_or_default();
        Self { head: Head::new(method, target, headers), raw }
    }

    /// The whole body, up to [`DEFAULT_BODY_LIMIT`].
    ///
    /// # Errors
    /// As [`Request::bytes_up_to`].
    pub async fn bytes(&self) -> Result<Vec<u8>> {
        self.bytes_up_to(DEFAULT_BODY_LIMIT).await
    }

    /// The whole body, up to `limit` bytes. It can be read once.
    ///
    /// # Errors
    /// 413 when it is longer, 400 when it breaks off.
    pub async fn bytes_up_to(&self, limit: usize) -> Result<Vec<u8>> {
        // Reading the body uses the request up; the headers are looked at before, so they stay.
        let declared = self.header("content-length").and_then(|text| text.parse::<usize>().ok());
        if declared.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        let raw = self.raw.take().ok_or_else(|| Error::other("the body has been read already"))?;
        let (received, outcome) = wit_future::new::<Result<(), ErrorCode>>(|| Ok(()));
        let (mut stream, trailers) = Raw::consume_body(raw, outcome);
        let mut bytes = Vec::with_capacity(declared.unwrap_or(READ_BYTES.min(limit)));
        loop {
            if bytes.len() == bytes.capacity() {
                bytes.reserve(READ_BYTES);
            }
            let (status, read) = stream.read(bytes).await;
            bytes = read;
            if bytes.len() > limit {
                return Err(too_large(limit));
            }
            if !matches!(status, StreamResult::Complete(_)) {
                break;
            }
        }
        drop(stream);
        drop(received);
        // A stream that ends does not tell why; the trailers beside it do.
        trailers.await.map(|_| bytes).map_err(|_| Error::Disconnected)
    }

    /// The body as JSON, up to [`DEFAULT_BODY_LIMIT`].
    ///
    /// # Errors
    /// As [`crate::Request::json`].
    pub async fn json<T: DeserializeOwned>(&self) -> Result<T> {
        check_json_type(&self.head)?;
        parse_json(&self.bytes().await?)
    }
}
