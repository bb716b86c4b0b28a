//! What a handler answers.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use crate::error::Result;

/// The body of a response; `S` is what produces one that streams.
pub enum Body<S> {
    /// None.
    Empty,
    /// All of it.
    Full(Vec<u8>),
    /// Written while it is sent.
    Stream(S),
}

/// An answer. `S` is what produces a streaming body: [`BodyStream`](crate::http::BodyStream) or
/// [`asynchronous::BodyStream`](crate::asynchronous::BodyStream).
pub struct Response<S> {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(Cow<'static, str>, String)>,
    pub(crate) body: Body<S>,
}

impl<S> Response<S> {
    /// A status without a body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Empty }
    }

    /// 204.
    #[must_use]
    pub fn no_content() -> Self {
        Self::status(204)
    }

    /// 200 with these bytes.
    #[must_use]
    pub fn bytes(content_type: impl Into<Cow<'static, str>>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::with_body(content_type, Body::Full(bytes.into()))
    }

    /// 200 with this text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::bytes("text/plain; charset=utf-8", text.into())
    }

    /// 200 with the JSON form of a value; rows have one too.
    ///
    /// # Errors
    /// When there is none, such as for a map whose keys are not text.
    pub fn json(value: &(impl Serialize + ?Sized)) -> Result<Self> {
        Ok(Self::bytes("application/json", serde_json::to_vec(value)?))
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same with one header more. A name or value that HTTP does not allow makes the answer a 500.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn with_body(content_type: impl Into<Cow<'static, str>>, body: Body<S>) -> Self {
        Self { status: 200, headers: vec![("content-type".into(), content_type.into().into_owned())], body }
    }

    /// The headers as the host takes them, with the length of a body that is all there.
    pub(crate) fn wire_headers(&self) -> Vec<(String, Vec<u8>)> {
        let headers = self.headers.iter().map(|(name, value)| (name.to_string(), value.clone().into_bytes()));
        let length = match &self.body {
            Body::Full(bytes) => Some(("content-length".to_owned(), bytes.len().to_string().into_bytes())),
            Body::Empty | Body::Stream(_) => None,
        };
        headers.chain(length).collect()
    }
}

impl<S> fmt::Debug for Response<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = match &self.body {
            Body::Empty => "empty".to_owned(),
            Body::Full(bytes) => format!("{} bytes", bytes.len()),
            Body::Stream(_) => "streaming".to_owned(),
        };
        f.debug_struct("Response").field("status", &self.status).field("headers", &self.headers).field("body", &body).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_its_type_and_length() {
        let response = Response::<()>::json(&[1, 2]).unwrap().with_status(201).with_header("location", "/x");
        assert_eq!((response.status, response.header("Content-Type")), (201, Some("application/json")));
        let headers = response.wire_headers();
        assert_eq!(headers[1], ("location".to_owned(), b"/x".to_vec()));
        assert_eq!(headers[2], ("content-length".to_owned(), b"5".to_vec()));
    }

    #[test]
    fn no_content_has_no_headers() {
        assert!(Response::<()>::no_content().wire_headers().is_empty());
    }
}
