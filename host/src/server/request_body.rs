//! A request's body, with an end to its length and to its patience.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Exchange, Outcome, Settings, activity::Activity, exchange::Fault};

/// The body of a request, as it arrives. After an error there is nothing more.
///
/// # Bounds
/// `max_body` bytes; `body_stall_timeout` between two pieces and `request_timeout` for all of them, both looked at while somebody waits
/// for the next.
pub struct RequestBody {
    incoming: Incoming,
    left: u64,
    limit: u64,
    stall_timeout: Duration,
    deadline: Instant,
    late: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    is_over: bool,
    exchange: Arc<Exchange>,
    activity: Arc<Activity>,
}

/// Why a request's body ended early. Whatever the handler makes of it, the answer is the problem it stands for, if no headers are out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestBodyError {
    /// Longer than this many bytes; answered with `body-too-large`.
    #[error("the body is longer than {0} bytes")]
    TooLarge(u64),
    /// The next piece, or the last, did not come in time; answered with `request-timeout`.
    #[error("the body stopped coming")]
    Stalled,
    /// The framing is broken; answered with `bad-request`.
    #[error("the body is not well-formed")]
    Malformed,
    /// The client went away or reset the stream.
    #[error("the client went away")]
    Disconnected,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, settings: &Settings, exchange: Arc<Exchange>, activity: Arc<Activity>) -> Self {
        let (limit, stall_timeout) = (settings.max_body, settings.body_stall_timeout);
        let deadline = exchange.started() + settings.request_timeout;
        let (late, is_waiting, is_over) = (None, false, false);
        Self { incoming, left: limit, limit, stall_timeout, deadline, late, is_waiting, is_over, exchange, activity }
    }

    fn fail(&mut self, error: RequestBodyError, fault: Option<Fault>) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        self.is_over = true;
        self.activity.set_unread();
        match fault {
            Some(fault) => self.exchange.set_fault(fault),
            None => self.exchange.settle(Outcome::ClientGone),
        }
        Poll::Ready(Some(Err(error)))
    }

    /// Whether the wait for the next piece has lasted too long. One timer serves all pieces; it is armed by the first that is late.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        if !std::mem::replace(&mut self.is_waiting, true) {
            let until = (Instant::now() + self.stall_timeout).min(self.deadline);
            match &mut self.late {
                Some(late) => late.as_mut().reset(until),
                late => *late = Some(Box::pin(sleep_until(until))),
            }
        }
        self.late.as_mut().is_some_and(|late| late.as_mut().poll(cx).is_ready())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Pending if this.is_late(cx) => this.fail(RequestBodyError::Stalled, Some(Fault::Stalled)),
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                this.is_over = true;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) if is_malformed(&error) => {
                this.fail(RequestBodyError::Malformed, Some(Fault::Malformed))
            }
            Poll::Ready(Some(Err(_))) => this.fail(RequestBodyError::Disconnected, None),
            Poll::Ready(Some(Ok(frame))) => {
                this.is_waiting = false;
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match this.left.checked_sub(length) {
                    Some(left) => this.left = left,
                    None => return this.fail(RequestBodyError::TooLarge(this.limit), Some(Fault::TooLarge)),
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_over { SizeHint::with_exact(0) } else { self.incoming.size_hint() }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.is_end_stream() {
            self.activity.set_unread();
        }
    }
}

/// Whether hyper could not make sense of the framing, rather than the connection having ended.
fn is_malformed(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData);
        }
        source = inner.source();
    }
    false
}
