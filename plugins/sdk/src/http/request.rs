//! A request of WASI 0.2, with its body.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use serde::de::DeserializeOwned;

use crate::bindings::sync::wasi::http0_2_12::types::IncomingRequest;
use crate::bindings::sync::wasi::io::streams::StreamError;
use crate::error::{Error, Result};
use crate::http::{DEFAULT_BODY_LIMIT, Head};
use crate::problem::Problem;

/// How much of the body is asked for at once.
const READ_BYTES: u64 = 64 * 1024;

/// A request. What comes before the body is in [`Head`], which this dereferences to.
pub struct Request {
    pub(super) head: Head,
    raw: RefCell<Option<Rc<IncomingRequest>>>,
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
    pub(super) fn new(raw: IncomingRequest) -> Self {
        let raw = Rc::new(raw);
        let lender = Rc::clone(&raw);
        let head = Head::new(raw.method().into(), raw.path_with_query(), move || lender.headers().entries());
        Self { head, raw: RefCell::new(Some(raw)) }
    }

    /// The whole body, up to [`DEFAULT_BODY_LIMIT`].
    ///
    /// # Errors
    /// As [`Request::bytes_up_to`].
    pub fn bytes(&self) -> Result<Vec<u8>> {
        self.bytes_up_to(DEFAULT_BODY_LIMIT)
    }

    /// The whole body, up to `limit` bytes. It can be read once.
    ///
    /// # Errors
    /// 413 when it is longer, 400 when it breaks off.
    pub fn bytes_up_to(&self, limit: usize) -> Result<Vec<u8>> {
        let declared = self.header("content-length").and_then(|text| text.parse::<usize>().ok());
        if declared.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        let raw = self.raw.take().ok_or_else(|| Error::other("the body has been read already"))?;
        let body = raw.consume().map_err(|()| Error::other("the body has been taken already"))?;
        let stream = body.stream().map_err(|()| Error::other("the body has been taken already"))?;
        let mut bytes = Vec::with_capacity(declared.unwrap_or_default());
        loop {
            match stream.blocking_read(READ_BYTES) {
                Ok(chunk) if bytes.len() + chunk.len() > limit => return Err(too_large(limit)),
                Ok(chunk) if bytes.is_empty() && bytes.capacity() < chunk.len() => bytes = chunk,
                Ok(chunk) => bytes.extend_from_slice(&chunk),
                Err(StreamError::Closed) => return Ok(bytes),
                Err(StreamError::LastOperationFailed(_)) => return Err(Error::Disconnected),
            }
        }
    }

    /// The body as JSON, up to [`DEFAULT_BODY_LIMIT`].
    ///
    /// # Errors
    /// 415 when the content type is not JSON, 400 when the text is not, 422 when it has another shape than `T`, and those of
    /// [`Request::bytes_up_to`].
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        check_json_type(&self.head)?;
        parse_json(&self.bytes()?)
    }
}

pub(crate) fn too_large(limit: usize) -> Error {
    Problem::new(413, "body-too-large").detail(format!("the body may have {limit} bytes")).into()
}

/// A page of another origin can post forms and plain text without asking, but not JSON; so the type is insisted on.
pub(crate) fn check_json_type(head: &Head) -> Result<()> {
    let content_type = head.header("content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let detail = "the body must be sent with content-type: application/json";
    Err(Problem::new(415, "unsupported-media-type").detail(detail).into())
}

pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        let problem = if error.is_data() { Problem::new(422, "invalid-body") } else { Problem::new(400, "invalid-json") };
        problem.detail(error.to_string()).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Method;

    fn status<T: fmt::Debug>(result: Result<T>) -> u16 {
        match result {
            Ok(_) => 200,
            Err(Error::Rejected(problem)) => problem.status(),
            Err(error) => panic!("a rejection: {error}"),
        }
    }

    #[test]
    fn only_json_is_taken_for_json() {
        let check = |value: &'static str| {
            status(check_json_type(&Head::new(Method::Post, None, move || vec![("content-type".into(), value.into())])))
        };
        for value in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
            assert_eq!(check(value), 200, "{value}");
        }
        for value in ["", "text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonp"] {
            assert_eq!(check(value), 415, "{value}");
        }
    }

    #[test]
    fn broken_json_and_json_of_another_shape_differ() {
        assert_eq!(parse_json::<Vec<i32>>(b"[1, 2]").unwrap(), [1, 2]);
        assert_eq!(status(parse_json::<Vec<i32>>(b"[1, ")), 400);
        assert_eq!(status(parse_json::<Vec<i32>>(b"[1, \"x\"]")), 422);
    }
}
