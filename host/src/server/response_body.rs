//! An answer's body: counts it, settles its outcome, and lets a stalled reader lose it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::{BoxError, Code, Exchange, Outcome, Problem, activity::Answering, exchange::Running};

/// What a reader has `body_stall_timeout` for, in bytes. A longer frame is offered in pieces of this.
const PIECE: usize = 64 * 1024;

/// What hyper writes out.
pub(super) enum ResponseBody<B: Send + 'static> {
    /// Known whole; its exchange is settled already.
    Whole(Option<Bytes>),
    /// A handler's, as it comes. The guard ends the exchange when hyper lets go of the body.
    Streaming(Arc<Streaming<B>>, Running),
}

/// A handler's body where the supervisor of the connection can reach it.
pub(super) struct Streaming<B> {
    slot: Mutex<Slot<B>>,
    exchange: Arc<Exchange>,
}

struct Slot<B> {
    /// `None` once it ended, failed or was given up.
    body: Option<Pin<Box<B>>>,
    /// Since when the client owes to take what was given; `None` while the handler is the one that is waited for.
    offered: Option<Instant>,
    /// What is left of a frame that is too long to be offered at once.
    rest: Bytes,
    was_given_up: bool,
}

/// The client did not read on.
#[derive(Debug, thiserror::Error)]
#[error("the reader stalled")]
struct Stalled;

impl<B> ResponseBody<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    pub(super) fn streaming(body: B, running: Running) -> Self {
        let streaming = Arc::new(Streaming {
            slot: Mutex::new(Slot { body: Some(Box::pin(body)), offered: None, rest: Bytes::new(), was_given_up: false }),
            exchange: Arc::clone(running.exchange()),
        });
        running.activity().add_answer(Arc::clone(&streaming) as Arc<dyn Answering>);
        Self::Streaming(streaming, running)
    }
}

impl<B> Slot<B> {
    fn next_piece(&mut self, exchange: &Exchange) -> Bytes {
        self.offered = Some(Instant::now());
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        self.settle_last(exchange);
        piece
    }

    /// The answer is whole once the handler's body is gone and all of its last frame was taken.
    fn settle_last(&self, exchange: &Exchange) {
        if self.body.is_none() && self.rest.is_empty() {
            exchange.settle(Outcome::Answered);
        }
    }
}

impl<B> Streaming<B> {
    fn slot(&self) -> MutexGuard<'_, Slot<B>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Streaming<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut slot = self.slot();
        slot.offered = None;
        if !slot.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(slot.next_piece(&self.exchange)))));
        }
        let Some(body) = slot.body.as_mut() else {
            return Poll::Ready(slot.was_given_up.then(|| Err(Stalled.into())));
        };
        let polled = catch_unwind(AssertUnwindSafe(|| body.as_mut().poll_frame(cx)));
        let (ended, result) = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Some(Ok(frame)))) => {
                let is_last = body.is_end_stream();
                let finished = if is_last { slot.body.take() } else { None };
                slot.offered = Some(Instant::now());
                let frame = match frame.into_data() {
                    Ok(data) => {
                        self.exchange.add_bytes(data.len());
                        slot.rest = data;
                        Frame::data(slot.next_piece(&self.exchange))
                    }
                    Err(trailers) => {
                        slot.settle_last(&self.exchange);
                        trailers
                    }
                };
                drop(slot);
                drop(finished);
                return Poll::Ready(Some(Ok(frame)));
            }
            Ok(Poll::Ready(None)) => (Outcome::Answered, None),
            Ok(Poll::Ready(Some(Err(error)))) => {
                let outcome = error.downcast_ref::<Problem>().map_or(Outcome::Aborted, |problem| Outcome::Failed(problem.code()));
                (outcome, Some(Err(error)))
            }
            Err(_panic) => {
                tracing::error!(request_id = self.exchange.id().as_str(), "the host panicked while streaming an answer");
                (Outcome::Failed(Code::HostPanicked), Some(Err(Problem::HostPanicked.into())))
            }
        };
        self.exchange.settle(ended);
        let body = slot.body.take();
        drop(slot);
        drop(body);
        Poll::Ready(result)
    }
}

impl<B: Send> Answering for Streaming<B> {
    fn give_up(&self, deadline: Instant) -> bool {
        let mut slot = self.slot();
        let is_over = slot.body.is_none() && slot.rest.is_empty();
        if is_over || slot.offered.is_none_or(|since| since > deadline) {
            return false;
        }
        slot.rest.clear();
        self.exchange.settle(Outcome::ReaderStalled);
        slot.was_given_up = true;
        let body = slot.body.take();
        drop(slot);
        drop(body);
        true
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Streaming(streaming, _) => streaming.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Streaming(streaming, _) => {
                let slot = streaming.slot();
                // An answer that was given up still has to fail.
                slot.rest.is_empty() && slot.body.as_ref().map_or(!slot.was_given_up, |body| body.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Streaming(streaming, _) => {
                streaming.slot().body.as_ref().map_or_else(SizeHint::default, |body| body.size_hint())
            }
        }
    }
}

impl<B: Send + 'static> Drop for ResponseBody<B> {
    fn drop(&mut self) {
        if let Self::Streaming(streaming, running) = self {
            running.activity().remove_answer(Arc::as_ptr(streaming).cast());
            // The supervisor may hold a copy for a moment: what the handler's body holds must go now.
            let body = streaming.slot().body.take();
            drop(body);
        }
    }
}
