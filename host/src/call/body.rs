//! The body of an answer: complete already, or streamed from the call's task.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Outcome;

/// The answer was begun and cannot be finished; the server must abort the connection or reset the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer was aborted: {}", outcome.as_str())]
pub struct AnswerAborted {
    /// How the call ended.
    pub outcome: Outcome,
}

/// The body of an answer.
///
/// A body that ends without an error is whole. Dropping a streamed one before its end ends the call as `ClientGone`.
#[derive(Debug)]
pub struct CallBody {
    ready: VecDeque<Frame<Bytes>>,
    rest: Option<Rest>,
}

#[derive(Debug)]
struct Rest {
    frames: mpsc::Receiver<Frame<Bytes>>,
    shared: Arc<Shared>,
}

/// What the two ends tell each other besides frames.
#[derive(Debug, Default)]
struct Shared {
    ending: OnceLock<Result<(), AnswerAborted>>,
    /// Bytes that the reader has been given.
    taken: AtomicU64,
}

/// The end of a streamed body that the call's task holds. At most one frame waits in it.
#[derive(Debug)]
pub(super) struct BodySender {
    frames: mpsc::Sender<Frame<Bytes>>,
    shared: Arc<Shared>,
}

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    Gone,
    Stalled,
}

impl CallBody {
    /// A body that is all there.
    pub(super) fn complete(frames: VecDeque<Frame<Bytes>>) -> Self {
        Self { ready: frames, rest: None }
    }

    /// A body of which only the first frames are there.
    pub(super) fn streamed(first: VecDeque<Frame<Bytes>>) -> (Self, BodySender) {
        let (sender, frames) = mpsc::channel(1);
        let shared = Arc::new(Shared::default());
        let rest = Rest { frames, shared: Arc::clone(&shared) };
        (Self { ready: first, rest: Some(rest) }, BodySender { frames: sender, shared })
    }
}

impl BodySender {
    /// Waits until the client's side has room and hands the frame over.
    pub(super) async fn send(&self, frame: Frame<Bytes>, stall: Duration) -> Result<(), NotTaken> {
        match timeout(stall, self.frames.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(NotTaken::Gone),
            Err(_) => Err(NotTaken::Stalled),
        }
    }

    /// Waits until everything that was sent is taken.
    pub(super) async fn drained(&self, stall: Duration) -> Result<(), NotTaken> {
        match timeout(stall, self.frames.reserve()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(NotTaken::Gone),
            Err(_) => Err(NotTaken::Stalled),
        }
    }

    /// Resolves when nobody will take another frame.
    pub(super) async fn gone(&self) {
        self.frames.closed().await;
    }

    /// Bytes that the reader has been given, whether it is still there or not.
    pub(super) fn taken(&self) -> u64 {
        self.shared.taken.load(Ordering::Relaxed)
    }

    /// Ends the body. One that is dropped without this is aborted too.
    pub(super) fn end(self, ending: Result<(), AnswerAborted>) {
        // Said before the channel closes, which happens when self is dropped: the body looks here when it sees that.
        let _first = self.shared.ending.set(ending);
    }
}

impl Body for CallBody {
    type Data = Bytes;
    type Error = AnswerAborted;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerAborted>>> {
        let this = &mut *self;
        let Some(rest) = this.rest.as_mut() else { return Poll::Ready(this.ready.pop_front().map(Ok)) };
        let frame = match this.ready.pop_front() {
            Some(frame) => Some(frame),
            None => ready!(rest.frames.poll_recv(cx)),
        };
        match frame {
            Some(frame) => {
                rest.shared.taken.fetch_add(frame.data_ref().map_or(0, |data| data.len() as u64), Ordering::Relaxed);
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                // Without an ending the task itself is gone, which only a stopping runtime does.
                let ending = rest.shared.ending.get().copied().unwrap_or(Err(AnswerAborted { outcome: Outcome::ShuttingDown }));
                this.rest = None;
                Poll::Ready(ending.err().map(Err))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let ready = self.ready.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum();
        if self.rest.is_some() {
            let mut hint = SizeHint::new();
            hint.set_lower(ready);
            hint
        } else {
            SizeHint::with_exact(ready)
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const STALL: Duration = Duration::from_secs(10);

    fn frame(text: &'static str) -> Frame<Bytes> {
        Frame::data(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn a_complete_body_knows_its_length() {
        let body = CallBody::complete([frame("he"), frame("llo")].into());
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    }

    #[tokio::test]
    async fn a_streamed_body_ends_well_only_when_told() {
        let (body, sender) = CallBody::streamed([frame("a")].into());
        sender.send(frame("b"), STALL).await.unwrap();
        sender.end(Ok(()));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "ab");

        let (body, sender) = CallBody::streamed(VecDeque::new());
        sender.send(frame("b"), STALL).await.unwrap();
        sender.end(Err(AnswerAborted { outcome: Outcome::Trapped }));
        assert_eq!(body.collect().await.unwrap_err().outcome, Outcome::Trapped);

        let (body, sender) = CallBody::streamed(VecDeque::new());
        drop(sender);
        assert!(body.collect().await.is_err());
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_has_stalled() {
        let (_body, sender) = CallBody::streamed(VecDeque::new());
        let stall = Duration::from_millis(5);
        sender.send(frame("a"), stall).await.unwrap();
        assert_eq!(sender.send(frame("b"), stall).await, Err(NotTaken::Stalled));
        assert_eq!(sender.drained(stall).await, Err(NotTaken::Stalled));
    }

    #[tokio::test]
    async fn a_reader_that_went_away_is_noticed() {
        let (body, sender) = CallBody::streamed(VecDeque::new());
        drop(body);
        sender.gone().await;
        assert_eq!(sender.send(frame("b"), STALL).await, Err(NotTaken::Gone));
        assert_eq!(sender.taken(), 0);
    }

    #[tokio::test]
    async fn what_a_reader_took_is_known_when_it_is_gone() {
        let (mut body, sender) = CallBody::streamed([frame("ab")].into());
        sender.send(frame("cde"), STALL).await.unwrap();
        for expected in [2, 5] {
            body.frame().await.unwrap().unwrap();
            assert_eq!(sender.taken(), expected);
        }
        sender.send(frame("f"), STALL).await.unwrap();
        drop(body);
        assert_eq!(sender.taken(), 5);
    }
}
