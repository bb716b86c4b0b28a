//! What comes before the body of a request.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::fmt;
use std::str::FromStr;

use crate::bindings::asynchronous::wasi::http0_3_0::types::Method as AsyncMethod;
use crate::bindings::sync::wasi::http0_2_12::types::Method as SyncMethod;
use crate::error::{Error, Result};
use crate::problem::Problem;

/// Names and values in the order they came.
pub type Headers = Vec<(String, Vec<u8>)>;

/// Parameters of a route's path, decoded.
pub(crate) type Parameters = Vec<(String, String)>;

/// A method of HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Connect,
    Trace,
    Other(String),
}

impl Method {
    /// Its name, as in the request.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// From the generated types, which are alike in both versions.
macro_rules! method_from {
    ($raw:ident) => {
        impl From<$raw> for Method {
            fn from(method: $raw) -> Self {
                match method {
                    $raw::Get => Self::Get,
                    $raw::Head => Self::Head,
                    $raw::Post => Self::Post,
                    $raw::Put => Self::Put,
                    $raw::Patch => Self::Patch,
                    $raw::Delete => Self::Delete,
                    $raw::Options => Self::Options,
                    $raw::Connect => Self::Connect,
                    $raw::Trace => Self::Trace,
                    $raw::Other(name) => Self::Other(name),
                }
            }
        }
    };
}

method_from!(SyncMethod);
method_from!(AsyncMethod);

/// Method, path, query and headers of a request.
pub struct Head {
    method: Method,
    target: String,
    parameters: Parameters,
    /// Fetched from the host when first asked for: most handlers never do.
    headers: LazyCell<Headers, Box<dyn FnOnce() -> Headers>>,
}

impl Head {
    pub(crate) fn new(method: Method, target: Option<String>, headers: impl FnOnce() -> Headers + 'static) -> Self {
        let target = target.unwrap_or_else(|| "/".to_owned());
        Self { method, target, parameters: Parameters::new(), headers: LazyCell::new(Box::new(headers)) }
    }

    pub(crate) fn set_parameters(&mut self, parameters: Parameters) {
        self.parameters = parameters;
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path as it came, without query, percent-encoded.
    #[must_use]
    pub fn raw_path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The query as it came, without `?`; empty if there is none.
    #[must_use]
    pub fn raw_query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// A parameter of the route's path, decoded: `{id}` of `/patients/{id}`.
    ///
    /// # Errors
    /// 400 when the text does not parse, 500 when the route has no such parameter.
    pub fn path<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<T> {
        let found = self.parameters.iter().find(|(key, _)| key == name);
        let (_, text) = found.ok_or_else(|| Error::other(format!("the route has no parameter {name}")))?;
        text.parse()
            .map_err(|error| Problem::new(400, "invalid-path").detail(format!("{name} in the path is not valid: {error}")).into())
    }

    /// The first query parameter of this name, decoded.
    ///
    /// # Errors
    /// 400 when the text does not parse.
    pub fn query<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<Option<T>> {
        let found = self.query_pairs().find(|(key, _)| key == name);
        let parse = |(_, text): (_, Cow<'_, str>)| {
            text.parse().map_err(|error| {
                let problem = Problem::new(400, "invalid-query");
                problem.detail(format!("query parameter {name} is not valid: {error}")).into()
            })
        };
        found.map(parse).transpose()
    }

    /// All query parameters in order, decoded.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.raw_query().as_bytes())
    }

    /// All headers in order.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The first header of this name, however it is written, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers().iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(target: &str) -> Head {
        Head::new(Method::Get, Some(target.into()), || vec![("Content-Type".into(), b"text/plain".to_vec())])
    }

    fn problem(error: Error) -> (u16, String) {
        let Error::Rejected(problem) = error else { panic!("a rejection: {error}") };
        (problem.status(), problem.to_string())
    }

    #[test]
    fn query_parameters_are_decoded_and_parsed() {
        let head = head("/patients?limit=20&name=Zo%C3%AB+M&empty=&limit=30");
        assert_eq!(head.raw_path(), "/patients");
        assert_eq!(head.query::<u32>("limit").unwrap(), Some(20));
        assert_eq!(head.query::<String>("name").unwrap().as_deref(), Some("Zoë M"));
        assert_eq!(head.query::<u32>("after").unwrap(), None);
        let (status, text) = problem(head.query::<u32>("empty").unwrap_err());
        assert_eq!(status, 400);
        assert!(text.contains("query parameter empty is not valid: cannot parse integer from empty string"), "{text}");
    }

    #[test]
    fn path_parameters_are_parsed() {
        let mut head = head("/patients/7");
        head.set_parameters(vec![("id".into(), "7".into()), ("kind".into(), "x".into())]);
        assert_eq!(head.path::<i64>("id").unwrap(), 7);
        assert_eq!(problem(head.path::<i64>("kind").unwrap_err()).0, 400);
        assert!(matches!(head.path::<i64>("nothing"), Err(Error::Other(_))));
    }

    #[test]
    fn headers_are_found_however_they_are_written() {
        let head = head("/");
        assert_eq!(head.header("content-type"), Some("text/plain"));
        assert_eq!(head.header("accept"), None);
        assert_eq!(head.raw_query(), "");
    }
}
