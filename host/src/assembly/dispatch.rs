//! From a request to a call, and from a call's failure to a problem document.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};

use super::{generation::Target, running::Running};
use crate::{
    call::{self, CallBody, CallError, CallMeta, Outcome},
    plugin::Plugin,
    router::Lookup,
    server::{BoxError, Dispatch, Exchange, Problem, RequestBody, RequestBodyError},
    telemetry::{
        requests,
        trace::{CallSpan, Tracer},
    },
};

/// When a client that found no place may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Answers requests by calling the plugins of the generation that is in force when they come.
pub(super) struct Dispatcher(pub(super) Arc<Running>);

impl Dispatch for Dispatcher {
    type Body = AnswerBody;

    async fn dispatch(
        &self,
        mut request: Request<RequestBody>,
        exchange: Arc<Exchange>,
    ) -> Result<Response<AnswerBody>, Problem> {
        let Target { plugin, route } = match self.0.current.load().router.lookup(request.method(), request.uri().path()) {
            Lookup::Found(target) => target.clone(),
            Lookup::MethodNotAllowed(allowed) => return Err(Problem::MethodNotAllowed(allowed)),
            Lookup::NotFound => return Err(Problem::NoRoute),
            Lookup::Malformed(why) => return Err(Problem::BadRequest(why)),
        };
        let span = self.0.tracer.as_ref().and_then(|tracer| begin(tracer, &mut request, &exchange, &plugin, &route));
        if let Some(span) = &span {
            exchange.set_span(span.clone());
        }
        exchange.set_route(route);
        // The server watches the reader of a streamed answer itself.
        let trail = self.0.auditor.as_ref().map(|auditor| auditor.trail(&plugin, &exchange, request.headers()));
        let (request_id, is_secure) = (exchange.id().to_shared(), exchange.is_secure());
        let timing = exchange.timing().cloned();
        let meta = CallMeta { request_id, is_secure, trail, span, reader_stalled: None, timing };
        let answer = self.0.caller.call(plugin, request.map(CallersBody), meta).await;
        answer.map(|answer| answer.map(AnswerBody)).map_err(problem)
    }
}

/// Takes a request up in its trace, and tells who asks what of whom if it is sampled.
fn begin(
    tracer: &Arc<Tracer>,
    request: &mut Request<RequestBody>,
    exchange: &Exchange,
    plugin: &Plugin,
    route: &requests::Route,
) -> Option<CallSpan> {
    let mut span = tracer.begin(request.headers_mut(), exchange.origin().is_vouched)?;
    let method = known(request.method());
    span.rename(format!("{method} {}", route.path()));
    span.add("http.request.method", method);
    span.add("http.route", route.path());
    span.add("url.scheme", if exchange.is_secure() { "https" } else { "http" });
    span.add("url.path", request.uri().path());
    span.add("wharf.request_id", exchange.id().as_str());
    span.add("wharf.plugin", &**plugin.name());
    span.add("wharf.digest", plugin.digest().to_string());
    Some(CallSpan::new(span))
}

/// A method as the conventions have it: of those that a client may make up, nobody keeps count.
fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
    KNOWN.into_iter().find(|name| *name == method.as_str()).unwrap_or("_OTHER")
}

/// A request's body, with its failures as a call knows them.
struct CallersBody(RequestBody);

impl Body for CallersBody {
    type Data = Bytes;
    type Error = call::RequestBodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| match error {
                RequestBodyError::TooLarge(limit_bytes) => call::RequestBodyError::TooLarge { limit_bytes },
                RequestBodyError::Stalled => call::RequestBodyError::Stalled,
                RequestBodyError::Malformed | RequestBodyError::Disconnected => call::RequestBodyError::ClientGone,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// An answer's body, with its failure as the server knows it.
pub(super) struct AnswerBody(CallBody);

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map_err(|aborted| aborted_by(aborted.outcome))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// How a call that gave no answer is answered.
fn problem(error: CallError) -> Problem {
    match error {
        CallError::Trapped { .. } => Problem::HandlerTrapped,
        CallError::FuelExhausted => Problem::FuelExhausted,
        CallError::MemoryExhausted => Problem::MemoryExhausted,
        CallError::DeadlineExceeded => Problem::DeadlineExceeded,
        CallError::Overloaded { .. } => Problem::Overloaded(RETRY_AFTER),
        CallError::ShuttingDown => Problem::ShuttingDown,
        CallError::NoResponse | CallError::GuestError { .. } => Problem::HandlerNoResponse,
        CallError::InvalidResponse { .. } => Problem::InvalidResponse,
        CallError::InvalidRequest { .. } => Problem::BadRequest("the host is not an authority"),
        CallError::BodyTooLarge { limit_bytes } => Problem::BodyTooLarge(limit_bytes),
        // The client that would read these is gone, or reads no more.
        CallError::BodyStalled | CallError::ClientGone | CallError::ReaderStalled => Problem::RequestTimeout,
        CallError::HostPanicked => Problem::HostPanicked,
        CallError::Cancelled => Problem::Cancelled,
    }
}

/// What ended an answer that had begun, where a problem names it.
fn aborted_by(outcome: Outcome) -> BoxError {
    let problem = match outcome {
        Outcome::Trapped => Problem::HandlerTrapped,
        Outcome::FuelExhausted => Problem::FuelExhausted,
        Outcome::MemoryExhausted => Problem::MemoryExhausted,
        Outcome::DeadlineExceeded => Problem::DeadlineExceeded,
        Outcome::ShuttingDown => Problem::ShuttingDown,
        Outcome::InvalidResponse => Problem::InvalidResponse,
        Outcome::HostPanicked => Problem::HostPanicked,
        Outcome::Cancelled => Problem::Cancelled,
        other => return other.as_str().into(),
    };
    problem.into()
}
