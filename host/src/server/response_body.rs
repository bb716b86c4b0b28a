//! An answer's body: counts it, settles its outcome, and lets a stalled reader lose it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::{BoxError, Code, Exchange, Outcome, Problem, activity::Answering, exchange::Running};

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
            slot: Mutex::new(Slot { body: Some(Box::pin(body)), offered: None, was_given_up: false }),
            exchange: Arc::clone(running.exchange()),
        });
        running.activity().add_answer(Arc::clone(&streaming) as Arc<dyn Answering>);
        Self::Streaming(streaming, running)
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
        let Some(body) = slot.body.as_mut() else {
            return Poll::Ready(slot.was_given_up.then(|| Err(Stalled.into())));
        };
        let polled = catch_unwind(AssertUnwindSafe(|| body.as_mut().poll_frame(cx)));
        let (ended, result) = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Some(Ok(frame)))) => {
                self.exchange.add_bytes(frame.data_ref().map_or(0, Bytes::len));
                let ended = body.is_end_stream().then_some(Outcome::Answered);
                slot.offered = Some(Instant::now());
                (ended, Some(Ok(frame)))
            }
            Ok(Poll::Ready(None)) => (Some(Outcome::Answered), None),
            Ok(Poll::Ready(Some(Err(error)))) => {
                let outcome = error.downcast_ref::<Problem>().map_or(Outcome::Aborted, |problem| Outcome::Failed(problem.code()));
                (Some(outcome), Some(Err(error)))
            }
            Err(_panic) => {
                tracing::error!(request_id = self.exchange.id().as_str(), "the host panicked while streaming an answer");
                (Some(Outcome::Failed(Code::HostPanicked)), Some(Err(Problem::HostPanicked.into())))
            }
        };
        if let Some(outcome) = ended {
            self.exchange.settle(outcome);
            let body = slot.body.take();
            drop(slot);
            drop(body);
        }
        Poll::Ready(result)
    }
}

impl<B: Send> Answering for Streaming<B> {
    fn give_up(&self, now: Instant, limit: Duration) -> bool {
        let mut slot = self.slot();
        if slot.body.is_none() || slot.offered.is_none_or(|since| now < since + limit) {
            return false;
        }
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
                slot.body.as_ref().map_or(!slot.was_given_up, |body| body.is_end_stream())
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
