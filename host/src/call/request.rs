//! Turns an HTTP request into the guest's.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, WasiBody};

use super::{CallError, RequestBodyError};

/// How a request's body failed, if it did; seen by the call while the guest reads the body.
pub(super) type BodyFailure = Arc<OnceLock<RequestBodyError>>;

/// A request whose URI names scheme and authority, as handlers of both versions expect it.
pub(super) fn prepare<B>(request: http::Request<B>, is_secure: bool) -> Result<(http::Request<WasiBody>, BodyFailure), CallError>
where
    B: Body<Data = Bytes, Error = RequestBodyError> + Send + 'static,
{
    let (mut head, body) = request.into_parts();
    let authority = match head.uri.authority() {
        Some(authority) => authority.clone(),
        None => host(&head.headers)?,
    };
    let mut uri = std::mem::take(&mut head.uri).into_parts();
    if is_secure {
        uri.scheme = Some(Scheme::HTTPS);
    }
    uri.scheme.get_or_insert(Scheme::HTTP);
    uri.authority = Some(authority);
    if uri.path_and_query.is_none() {
        uri.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    }
    head.uri = http::Uri::from_parts(uri).map_err(|error| CallError::InvalidRequest { detail: error.to_string() })?;
    let failure = BodyFailure::default();
    let body = Watched { body: Box::pin(body), failure: Arc::clone(&failure) };
    Ok((http::Request::from_parts(head, BodyExt::boxed_unsync(body)), failure))
}

fn host(headers: &http::HeaderMap) -> Result<Authority, CallError> {
    let Some(host) = headers.get(HOST) else {
        // HTTP/1.0 need not say; the server has refused what must.
        return Ok(Authority::from_static("localhost"));
    };
    Authority::try_from(host.as_bytes())
        .map_err(|_| CallError::InvalidRequest { detail: "the host header is not an authority".to_owned() })
}

/// Passes a body through, and remembers how it failed.
struct Watched<B> {
    body: Pin<Box<B>>,
    failure: BodyFailure,
}

impl<B> Body for Watched<B>
where
    B: Body<Data = Bytes, Error = RequestBodyError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|failed| {
                let _first = this.failure.set(failed);
                match failed {
                    RequestBodyError::TooLarge { limit_bytes } => Error::HttpRequestBodySize(Some(limit_bytes)),
                    RequestBodyError::Stalled => Error::ConnectionReadTimeout,
                    RequestBodyError::ClientGone => Error::ConnectionTerminated,
                }
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;

    use super::*;

    fn prepared(uri: &str, host: Option<&str>) -> Result<String, CallError> {
        prepared_over(false, uri, host)
    }

    fn prepared_over(is_secure: bool, uri: &str, host: Option<&str>) -> Result<String, CallError> {
        let mut request = http::Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let body = Empty::<Bytes>::new().map_err(|never| match never {});
        prepare(request.body(body).unwrap(), is_secure).map(|(request, _)| request.uri().to_string())
    }

    #[test]
    fn the_uri_names_scheme_and_authority() {
        assert_eq!(prepared("/a?b", Some("example.org:8080")).unwrap(), "http://example.org:8080/a?b");
        assert_eq!(prepared("https://example.org/a", Some("other")).unwrap(), "https://example.org/a");
        assert_eq!(prepared("/", None).unwrap(), "http://localhost/");
    }

    #[test]
    fn what_comes_through_tls_is_https_whatever_it_says() {
        for uri in ["/a", "http://example.org/a", "https://example.org/a"] {
            assert_eq!(prepared_over(true, uri, Some("example.org")).unwrap(), "https://example.org/a");
        }
    }

    #[test]
    fn a_host_that_is_none_is_refused() {
        assert!(matches!(prepared("/", Some("a b")), Err(CallError::InvalidRequest { .. })));
    }
}
