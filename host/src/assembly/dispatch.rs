//! From a request to a call, and from a call's failure to a problem document.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};

use super::running::Running;
use crate::{
    call::{self, CallBody, CallError, CallMeta, Outcome},
    router::Lookup,
    server::{BoxError, Dispatch, Exchange, Problem, RequestBody, RequestBodyError},
};

/// When a client that found no place may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Answers requests by calling the plugins of the generation that is in force when they come.
pub(super) struct Dispatcher(pub(super) Arc<Running>);

impl Dispatch for Dispatcher {
    type Body = AnswerBody;

    async fn dispatch(&self, request: Request<RequestBody>, exchange: Arc<Exchange>) -> Result<Response<AnswerBody>, Problem> {
        let plugin = match self.0.current.load().router.lookup(request.method(), request.uri().path()) {
            Lookup::Found(plugin) => Arc::clone(plugin),
            Lookup::MethodNotAllowed(allowed) => return Err(Problem::MethodNotAllowed(allowed)),
            Lookup::NotFound => return Err(Problem::NoRoute),
            Lookup::Malformed(why) => return Err(Problem::BadRequest(why)),
        };
        exchange.set_plugin(Arc::clone(plugin.name()));
        // The server watches the reader of a streamed answer itself.
        let meta = CallMeta { request_id: exchange.id().to_shared(), reader_stalled: None };
        let answer = self.0.caller.call(plugin, request.map(CallersBody), meta).await;
        answer.map(|answer| answer.map(AnswerBody)).map_err(problem)
    }
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
