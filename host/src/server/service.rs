//! Takes one request to its answer: admission, dispatch, and whatever is wrong with either.

use std::{panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header, request};
use http_body::Body;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use super::{
    Counters, Dispatch, Exchange, Origin, Outcome, Peer, Problem, RequestBody, RequestId, Settings, Tls, activity::Activity,
    exchange::Running, request_id, response_body::ResponseBody, timing,
};
use crate::sync::Live;

/// What all connections of a server share.
pub(super) struct Shared<D> {
    pub(super) dispatch: Arc<D>,
    pub(super) settings: Arc<Live<Settings>>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) counters: Arc<Counters>,
    pub(super) shutdown: CancellationToken,
}

/// Answers one request. Every error is an answer.
pub(super) async fn answer<D: Dispatch>(
    shared: Arc<Shared<D>>,
    activity: Arc<Activity>,
    peer: Peer,
    request: Request<Incoming>,
) -> Response<ResponseBody<D::Body>> {
    let (mut parts, incoming) = request.into_parts();
    let id = RequestId::of(&mut parts.headers);
    let settings = shared.settings.load();
    let origin = Origin::of(peer, &parts.headers, &settings.proxies);
    let exchange = Exchange::new(id, parts.method.clone(), parts.uri.clone(), origin, shared.tls.is_some(), settings.access_log);
    let exchange = Arc::new(if settings.server_timing { exchange.timed() } else { exchange });
    activity.speaks(parts.version);
    let running = Running::begin(Arc::clone(&exchange), Arc::clone(&activity));
    let (method, version) = (parts.method.clone(), parts.version);

    let length = incoming.size_hint().lower();
    // Made before anything is refused, so that bytes nobody reads are noticed whatever happens.
    let body = RequestBody::new(incoming, &settings, Arc::clone(&exchange), activity);
    let admitted = if shared.shutdown.is_cancelled() { Err(Problem::ShuttingDown) } else { admit(&parts, length, &settings) };
    let max_body = settings.max_body;
    // What others put in force meanwhile is for the next request.
    drop(settings);
    let result = match admitted {
        Err(problem) => {
            drop(body);
            Err(problem)
        }
        Ok(()) => {
            let request = Request::from_parts(parts, body);
            // The call of `dispatch` is inside as well: it may panic before it returns its future.
            let guarded = AssertUnwindSafe(async { shared.dispatch.dispatch(request, Arc::clone(&exchange)).await });
            let result = guarded.catch_unwind().await.unwrap_or_else(|_panic| {
                tracing::error!(request_id = exchange.id().as_str(), "the host panicked while serving a call");
                Err(Problem::HostPanicked)
            });
            match exchange.fault(max_body) {
                Some(problem) => Err(problem),
                None => result.and_then(|response| check(response, &method)),
            }
        }
    };
    let mut response = match result {
        Ok(response) => finish(response, &method, running),
        Err(problem) => refuse(&problem, version, &running),
    };
    timing::tell(&exchange, response.headers_mut());
    response
}

/// What a request must keep to before anybody is bothered with it.
fn admit(parts: &request::Parts, length: u64, settings: &Settings) -> Result<(), Problem> {
    if parts.uri.path_and_query().map_or(0, |target| target.as_str().len()) > settings.max_uri {
        return Err(Problem::UriTooLong(settings.max_uri));
    }
    if parts.headers.len() > settings.max_headers {
        return Err(Problem::HeadersTooLarge);
    }
    if parts.method == Method::CONNECT {
        return Err(Problem::BadRequest("This host is no proxy."));
    }
    let hosts = parts.headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && parts.version == Version::HTTP_11) {
        return Err(Problem::BadRequest("A request names one host."));
    }
    if length > settings.max_body {
        return Err(Problem::BodyTooLarge(settings.max_body));
    }
    Ok(())
}

/// Refuses an answer that could not be written as it is: hyper trusts lengths.
fn check<B: Body>(response: Response<B>, method: &Method) -> Result<Response<B>, Problem> {
    if response.status().is_informational() {
        return Err(Problem::InvalidResponse);
    }
    let mut lengths = response.headers().get_all(header::CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(response) };
    let length: Option<u64> =
        length.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|text| text.parse().ok());
    let (Some(length), None) = (length, lengths.next()) else { return Err(Problem::InvalidResponse) };
    let fits = response.body().size_hint().exact().is_none_or(|exact| exact == length);
    if fits || has_no_body(method, response.status()) { Ok(response) } else { Err(Problem::InvalidResponse) }
}

fn has_no_body(method: &Method, status: StatusCode) -> bool {
    method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The framing of an answer is the server's business, not the handler's.
const HOP_BY_HOP: [HeaderName; 4] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, HeaderName::from_static("keep-alive")];

fn finish<B>(response: Response<B>, method: &Method, running: Running) -> Response<ResponseBody<B>>
where
    B: Body<Data = Bytes, Error = super::BoxError> + Send + 'static,
{
    let (mut parts, body) = response.into_parts();
    for name in HOP_BY_HOP {
        parts.headers.remove(name);
    }
    parts.headers.insert(request_id::NAME, running.exchange().id().header());
    running.exchange().set_status(parts.status);
    if has_no_body(method, parts.status) {
        set_length_of_head(&mut parts.headers, parts.status, &body.size_hint());
    } else if !body.is_end_stream() {
        return Response::from_parts(parts, ResponseBody::streaming(body, running));
    }
    running.exchange().settle(Outcome::Answered);
    Response::from_parts(parts, ResponseBody::Whole(None))
}

/// What GET would have said of the body's length.
fn set_length_of_head(headers: &mut HeaderMap, status: StatusCode, hint: &http_body::SizeHint) {
    if status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_LENGTH);
    } else if let (Some(exact), false) = (hint.exact(), headers.contains_key(header::CONTENT_LENGTH)) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(exact));
    }
}

fn refuse<B: Send>(problem: &Problem, version: Version, running: &Running) -> Response<ResponseBody<B>> {
    let exchange = running.exchange();
    let mut response = problem.response(exchange.id());
    if version < Version::HTTP_2 && running.activity().is_unread() {
        // The rest of the body would be taken for the next request.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    exchange.set_status(response.status());
    exchange.add_bytes(response.body().len());
    exchange.settle(Outcome::Failed(problem.code()));
    response.map(|body| ResponseBody::Whole(Some(body)))
}
