//! The one table from errors to HTTP answers (RFC 9457 problem documents).
//!
//! Everything a document says is in this file or is a number of the configuration, so nothing of the inside can leak through it.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde::Serialize;

use super::RequestId;
use crate::admin::HEADERS;

/// Why a request is not answered by its handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No route fits the path.
    NoRoute,
    /// Routes fit the path, but for these methods only.
    MethodNotAllowed(Vec<Method>),
    /// The request breaks a rule of HTTP or of the host; the text says which and is shown.
    BadRequest(&'static str),
    /// The request did not arrive in time.
    RequestTimeout,
    /// The body is longer than this many bytes.
    BodyTooLarge(u64),
    /// Path and query are longer than this many bytes.
    UriTooLong(usize),
    /// The headers are too many or too long.
    HeadersTooLarge,
    /// The handler trapped or panicked.
    HandlerTrapped,
    /// The handler used up its fuel.
    FuelExhausted,
    /// The handler reached its limit of memory, tables or instances.
    MemoryExhausted,
    /// The handler returned without an answer.
    HandlerNoResponse,
    /// The handler's answer is none that HTTP allows.
    InvalidResponse,
    /// The host panicked while serving the call.
    HostPanicked,
    /// No place was free in time; the client may try again after this long.
    Overloaded(Duration),
    /// The host is stopping.
    ShuttingDown,
    /// The call's wall clock ran out.
    DeadlineExceeded,
    /// The operator ended the call.
    Cancelled,
    /// Only who has the host's token may ask this.
    Unauthorized,
    /// A page of another site asks.
    CrossSite,
    /// The request is for another host than this.
    Misdirected,
    /// There is nothing of this name; the text says what there is not and is shown.
    NotFound(&'static str),
    /// It cannot be done as things stand; the text says why not and is shown.
    Conflict(&'static str),
}

/// What a problem is called, for programs. Never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the problem of the same name")]
pub enum Code {
    NoRoute,
    MethodNotAllowed,
    BadRequest,
    RequestTimeout,
    BodyTooLarge,
    UriTooLong,
    HeadersTooLarge,
    HandlerTrapped,
    FuelExhausted,
    MemoryExhausted,
    HandlerNoResponse,
    InvalidResponse,
    HostPanicked,
    Overloaded,
    ShuttingDown,
    DeadlineExceeded,
    Cancelled,
    Unauthorized,
    CrossSite,
    Misdirected,
    NotFound,
    Conflict,
}

/// How long clients are told to stay away from a host that is stopping.
const SHUTDOWN_RETRY: Duration = Duration::from_secs(5);

impl Code {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 22] = [
        Self::NoRoute,
        Self::MethodNotAllowed,
        Self::BadRequest,
        Self::RequestTimeout,
        Self::BodyTooLarge,
        Self::UriTooLong,
        Self::HeadersTooLarge,
        Self::HandlerTrapped,
        Self::FuelExhausted,
        Self::MemoryExhausted,
        Self::HandlerNoResponse,
        Self::InvalidResponse,
        Self::HostPanicked,
        Self::Overloaded,
        Self::ShuttingDown,
        Self::DeadlineExceeded,
        Self::Cancelled,
        Self::Unauthorized,
        Self::CrossSite,
        Self::Misdirected,
        Self::NotFound,
        Self::Conflict,
    ];

    /// As it stands in the document.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    /// The table: name, status, detail.
    fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::NoRoute => ("no-route", StatusCode::NOT_FOUND, "No route fits this path."),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "This path does not take this method; Allow lists those it takes.",
            ),
            Self::BadRequest => ("bad-request", StatusCode::BAD_REQUEST, "The request is not well-formed HTTP."),
            Self::RequestTimeout => ("request-timeout", StatusCode::REQUEST_TIMEOUT, "The request did not arrive in time."),
            Self::BodyTooLarge => ("body-too-large", StatusCode::PAYLOAD_TOO_LARGE, "The request's body is longer than allowed."),
            Self::UriTooLong => ("uri-too-long", StatusCode::URI_TOO_LONG, "The path and query are longer than allowed."),
            Self::HeadersTooLarge => (
                "headers-too-large",
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The request's header fields are too many or too long.",
            ),
            Self::HandlerTrapped => ("handler-trapped", StatusCode::INTERNAL_SERVER_ERROR, "The handler failed."),
            Self::FuelExhausted => {
                ("fuel-exhausted", StatusCode::INTERNAL_SERVER_ERROR, "The handler used up the computation that a call may take.")
            }
            Self::MemoryExhausted => {
                ("memory-exhausted", StatusCode::INTERNAL_SERVER_ERROR, "The handler used up the memory that a call may take.")
            }
            Self::HandlerNoResponse => {
                ("handler-no-response", StatusCode::INTERNAL_SERVER_ERROR, "The handler returned without an answer.")
            }
            Self::InvalidResponse => {
                ("invalid-response", StatusCode::INTERNAL_SERVER_ERROR, "The handler's answer is not well-formed HTTP.")
            }
            Self::HostPanicked => ("host-panicked", StatusCode::INTERNAL_SERVER_ERROR, "The host failed."),
            Self::Overloaded => ("overloaded", StatusCode::SERVICE_UNAVAILABLE, "Too many requests are being served."),
            Self::ShuttingDown => ("shutting-down", StatusCode::SERVICE_UNAVAILABLE, "The host is stopping."),
            Self::DeadlineExceeded => {
                ("deadline-exceeded", StatusCode::GATEWAY_TIMEOUT, "The call took longer than a call may take.")
            }
            Self::Cancelled => ("cancelled-by-operator", StatusCode::SERVICE_UNAVAILABLE, "The operator has ended the call."),
            Self::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED, "This takes the host's token."),
            Self::CrossSite => ("cross-site", StatusCode::FORBIDDEN, "A page of another site may not ask this."),
            Self::Misdirected => ("misdirected", StatusCode::MISDIRECTED_REQUEST, "This host does not go by that name."),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "There is nothing of this name."),
            Self::Conflict => ("conflict", StatusCode::CONFLICT, "This cannot be done as things stand."),
        }
    }
}

impl Problem {
    /// What it is called.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NoRoute => Code::NoRoute,
            Self::MethodNotAllowed(_) => Code::MethodNotAllowed,
            Self::BadRequest(_) => Code::BadRequest,
            Self::RequestTimeout => Code::RequestTimeout,
            Self::BodyTooLarge(_) => Code::BodyTooLarge,
            Self::UriTooLong(_) => Code::UriTooLong,
            Self::HeadersTooLarge => Code::HeadersTooLarge,
            Self::HandlerTrapped => Code::HandlerTrapped,
            Self::FuelExhausted => Code::FuelExhausted,
            Self::MemoryExhausted => Code::MemoryExhausted,
            Self::HandlerNoResponse => Code::HandlerNoResponse,
            Self::InvalidResponse => Code::InvalidResponse,
            Self::HostPanicked => Code::HostPanicked,
            Self::Overloaded(_) => Code::Overloaded,
            Self::ShuttingDown => Code::ShuttingDown,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Cancelled => Code::Cancelled,
            Self::Unauthorized => Code::Unauthorized,
            Self::CrossSite => Code::CrossSite,
            Self::Misdirected => Code::Misdirected,
            Self::NotFound(_) => Code::NotFound,
            Self::Conflict(_) => Code::Conflict,
        }
    }

    /// The whole answer.
    #[must_use]
    pub fn response(&self, id: &RequestId) -> Response<Bytes> {
        let code = self.code();
        let mut response = Response::new(Bytes::from(self.document(id)));
        *response.status_mut() = code.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(super::request_id::NAME, id.header());
        if let Some((name, value)) = self.advice() {
            headers.insert(name, value);
        }
        response
    }

    /// The whole answer as HTTP/1.1 bytes, after which the connection is closed; for a connection whose protocol engine has ended.
    pub(super) fn raw(&self, id: &RequestId) -> Vec<u8> {
        let (parts, body) = self.response(id).into_parts();
        let reason = parts.status.canonical_reason().unwrap_or_default();
        let mut raw = format!("HTTP/1.1 {} {reason}\r\n", parts.status.as_u16()).into_bytes();
        for (name, value) in &parts.headers {
            raw.extend_from_slice(name.as_str().as_bytes());
            raw.extend_from_slice(b": ");
            raw.extend_from_slice(value.as_bytes());
            raw.extend_from_slice(b"\r\n");
        }
        raw.extend_from_slice(format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes());
        raw.extend_from_slice(&body);
        raw
    }

    fn document(&self, id: &RequestId) -> String {
        let (code, status, detail) = self.code().row();
        let limit = match self {
            Self::BodyTooLarge(limit) => Some(*limit),
            Self::UriTooLong(limit) => u64::try_from(*limit).ok(),
            _ => None,
        };
        let document = Document {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            code,
            detail: match self {
                Self::BadRequest(reason) | Self::NotFound(reason) | Self::Conflict(reason) => reason,
                _ => detail,
            },
            limit_bytes: limit,
            instance: id.as_str(),
        };
        // A struct of strings and numbers always serializes.
        serde_json::to_string(&document).unwrap_or_default()
    }

    /// The header that tells the client what to do.
    fn advice(&self) -> Option<(header::HeaderName, HeaderValue)> {
        match self {
            Self::MethodNotAllowed(allowed) => {
                let mut names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
                names.sort_unstable();
                HeaderValue::from_str(&names.join(", ")).ok().map(|value| (header::ALLOW, value))
            }
            Self::Overloaded(after) => Some((header::RETRY_AFTER, seconds(*after))),
            Self::ShuttingDown => Some((header::RETRY_AFTER, seconds(SHUTDOWN_RETRY))),
            Self::Unauthorized => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            _ => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code().name())
    }
}

impl std::error::Error for Problem {}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_bytes: Option<u64>,
    instance: &'a str,
}

/// Whole seconds, at least one, rounded up.
fn seconds(duration: Duration) -> HeaderValue {
    HeaderValue::from(duration.as_millis().div_ceil(1000).clamp(1, 86_400) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Problem> {
        vec![
            Problem::NoRoute,
            Problem::MethodNotAllowed(vec![Method::POST, Method::GET]),
            Problem::BadRequest("The path has a dot segment."),
            Problem::RequestTimeout,
            Problem::BodyTooLarge(10),
            Problem::UriTooLong(20),
            Problem::HeadersTooLarge,
            Problem::HandlerTrapped,
            Problem::FuelExhausted,
            Problem::MemoryExhausted,
            Problem::HandlerNoResponse,
            Problem::InvalidResponse,
            Problem::HostPanicked,
            Problem::Overloaded(Duration::from_millis(1200)),
            Problem::ShuttingDown,
            Problem::DeadlineExceeded,
            Problem::Cancelled,
            Problem::Unauthorized,
            Problem::CrossSite,
            Problem::Misdirected,
            Problem::NotFound("There is no database of this name."),
            Problem::Conflict("Several calls have this request id; say which by its number."),
        ]
    }

    #[test]
    fn the_table() {
        let id = RequestId::accept("r-1").unwrap();
        let text: Vec<String> =
            all().iter().map(|problem| String::from_utf8(problem.raw(&id)).unwrap().replace('\r', "")).collect();
        insta::assert_snapshot!(text.join("\n\n"));
    }

    #[test]
    fn every_code_is_listed_once_in_order() {
        let codes: Vec<Code> = all().iter().map(Problem::code).collect();
        assert_eq!(codes, Code::ALL);
        for (place, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, place);
        }
    }
}
