//! Problem documents: how an error looks to the client (RFC 9457).

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use crate::error::Error;
use crate::http::Response;

/// How long a client is asked to wait before it tries a full pool again.
const RETRY_AFTER_SECONDS: u32 = 1;

/// An `application/problem+json` answer with a stable `code`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    title: &'static str,
    status: u16,
    code: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip)]
    headers: Vec<(&'static str, String)>,
}

/// What is wrong with one field of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct FieldError {
    field: Cow<'static, str>,
    detail: String,
}

impl Problem {
    /// A problem of this status; `code` is for programs and stays the same for ever.
    pub fn new(status: u16, code: impl Into<Cow<'static, str>>) -> Self {
        Self { title: reason(status), status, code: code.into(), detail: None, errors: Vec::new(), headers: Vec::new() }
    }

    /// Says in words what is wrong with this request.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds what is wrong with one field.
    #[must_use]
    pub fn field(mut self, field: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { field: field.into(), detail: detail.into() });
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Whether any field has been found wrong.
    #[must_use]
    pub fn has_field_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// What the client sees of an error: nothing of its inside.
    ///
    /// | error | status | code |
    /// |---|---|---|
    /// | rejected by the handler | its own | its own |
    /// | `pool-exhausted` | 503, `Retry-After: 1` | `pool-exhausted` |
    /// | `shutting-down` | 503, `Retry-After: 1` | `shutting-down` |
    /// | `not-primary` | 503, `Retry-After: 1` | `not-primary` |
    /// | `disconnected` of a database | 503, `Retry-After: 1` | `disconnected` |
    /// | `write-conflict` | 503, `Retry-After: 1` | `write-conflict` |
    /// | `commit-unknown` | 503 | `commit-unknown` |
    /// | `deadline-exceeded` | 504 | `deadline-exceeded` |
    /// | request body broken off | 400 | `body-incomplete` |
    /// | anything else | 500 | `internal-error` |
    ///
    /// A constraint violation or a duplicate key is the handler's to explain; left alone it is a 500. Nobody is asked to try again what may
    /// be done already.
    #[must_use]
    pub fn from_error(error: &Error) -> Self {
        if let Error::Rejected(problem) = error {
            return (**problem).clone();
        }
        let unavailable = |code| Self::new(503, code).header("retry-after", RETRY_AFTER_SECONDS.to_string());
        match (error.name(), error) {
            (Some(code @ ("pool-exhausted" | "shutting-down" | "not-primary" | "disconnected" | "write-conflict")), _) => {
                unavailable(code)
            }
            (Some(code @ "commit-unknown"), _) => Self::new(503, code),
            (Some(code @ "deadline-exceeded"), _) => Self::new(504, code),
            (None, Error::Disconnected) => Self::new(400, "body-incomplete"),
            _ => Self::new(500, "internal-error"),
        }
    }

    /// The answer itself.
    #[must_use]
    pub fn into_response<S>(self) -> Response<S> {
        // A struct of texts and numbers always has a JSON form.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let response = Response::bytes("application/problem+json", body).with_status(self.status);
        self.headers.into_iter().fold(response, |response, (name, value)| response.with_header(name, value))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.code)?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

/// The title of a status, as registered.
fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        423 => "Locked",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        507 => "Insufficient Storage",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::error::tests::sql;

    fn answer(error: &Error) -> (u16, String, String) {
        let response = Problem::from_error(error).into_response::<()>();
        let retry = response.header("retry-after").unwrap_or_default().to_owned();
        let crate::http::Body::Full(body) = response.body else { panic!("a document") };
        (response.status, retry, String::from_utf8(body).unwrap())
    }

    #[test]
    fn nothing_of_the_inside_reaches_the_client() {
        let internal = r#"{"title":"Internal Server Error","status":500,"code":"internal-error"}"#;
        let violation = sql(ErrorKind::ConstraintViolation, Some("23505"), &[("constraint", "secret")]);
        let mismatch = crate::error::RowError::RowCount(2).into();
        for error in [violation, mismatch, Error::other("secret"), sql(ErrorKind::Denied, None, &[])] {
            assert_eq!(answer(&error), (500, String::new(), internal.to_owned()));
        }
    }

    #[test]
    fn what_may_pass_by_itself_says_when_to_retry() {
        let body = |title, status, code| format!(r#"{{"title":"{title}","status":{status},"code":"{code}"}}"#);
        let expected = |code| (503, "1".to_owned(), body("Service Unavailable", 503, code));
        assert_eq!(answer(&sql(ErrorKind::PoolExhausted, None, &[])), expected("pool-exhausted"));
        assert_eq!(answer(&sql(ErrorKind::ShuttingDown, None, &[])), expected("shutting-down"));
        // Nothing was written, and the database may be back soon.
        assert_eq!(answer(&sql(ErrorKind::Disconnected, None, &[])), expected("disconnected"));
        let late = (504, String::new(), body("Gateway Timeout", 504, "deadline-exceeded"));
        assert_eq!(answer(&sql(ErrorKind::DeadlineExceeded, None, &[])), late);
        // It may be done.
        let unknown = (503, String::new(), body("Service Unavailable", 503, "commit-unknown"));
        assert_eq!(answer(&sql(ErrorKind::CommitUnknown, None, &[])), unknown);
    }

    #[cfg(feature = "documents")]
    #[test]
    fn errors_of_documents_are_answered_as_those_of_sql() {
        use crate::documents::ErrorKind;
        let of_kind = |kind| answer(&crate::documents::tests::of_kind(kind));
        let passing = [
            ErrorKind::PoolExhausted,
            ErrorKind::ShuttingDown,
            ErrorKind::NotPrimary,
            ErrorKind::Disconnected,
            ErrorKind::WriteConflict,
        ];
        for kind in passing {
            let (status, retry, body) = of_kind(kind);
            assert_eq!((status, retry.as_str(), body.contains("secret")), (503, "1", false), "{kind:?}");
        }
        let (status, retry, body) = of_kind(ErrorKind::CommitUnknown);
        assert_eq!((status, retry.as_str(), body.contains("secret")), (503, "", false));
        assert_eq!(of_kind(ErrorKind::DeadlineExceeded).0, 504);
        let internal = answer(&Error::other("secret"));
        for kind in [ErrorKind::DuplicateKey, ErrorKind::Denied] {
            assert_eq!(of_kind(kind), internal, "{kind:?}");
        }
    }

    #[test]
    fn rejections_carry_detail_and_fields() {
        let problem = Problem::new(422, "invalid-patient").detail("the patient is not valid").field("name", "must not be empty");
        assert!(problem.has_field_errors());
        assert_eq!(
            answer(&problem.into()).2,
            r#"{"title":"Unprocessable Content","status":422,"code":"invalid-patient","detail":"the patient is not valid","errors":[{"field":"name","detail":"must not be empty"}]}"#
        );
        assert_eq!(answer(&Error::not_found("no such patient")).0, 404);
    }
}
