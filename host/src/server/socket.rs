//! The bytes of one connection as hyper sees them: tells what happens, and gives hyper's own refusals a problem document.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Problem, RequestId, activity::Activity, exchange::Refusals, line::Line};

const HTTP2_PREFACE_START: &[u8] = b"PRI * ";

/// The line is shared with the connection's supervisor, which watches it and has the last word on it.
pub(super) struct Socket {
    line: Line,
    activity: Arc<Activity>,
    refusals: Refusals,
    max_uri: usize,
    is_new: bool,
    is_refused: bool,
}

impl Socket {
    pub(super) fn new(line: Line, activity: Arc<Activity>, refusals: Refusals, max_uri: usize) -> Self {
        Self { line, activity, refusals, max_uri, is_new: true, is_refused: false }
    }

    /// hyper answers what it cannot parse by itself, without a body. Such an answer is the only thing that begins like this while
    /// nothing of any call is left to be written, so no handler can produce it.
    fn refusal(&self, bytes: &[u8]) -> Option<Problem> {
        if !bytes.starts_with(b"HTTP/1.1 4") || !self.activity.is_quiet() || self.activity.is_http2() {
            return None;
        }
        match &bytes[9..12] {
            b"400" => Some(Problem::BadRequest("The request is not well-formed HTTP.")),
            b"414" => Some(Problem::UriTooLong(self.max_uri)),
            b"431" => Some(Problem::HeadersTooLarge),
            _ => None,
        }
    }

    fn poll_write_slices(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let total = slices.iter().map(|slice| slice.len()).sum();
        if self.is_refused {
            return Poll::Ready(Ok(total));
        }
        if let Some(problem) = slices.first().and_then(|first| self.refusal(first)) {
            self.is_refused = true;
            self.activity.set_unread();
            let id = RequestId::make();
            self.refusals.add(&problem, &id);
            self.line.say(cx, &problem.raw(&id));
            return Poll::Ready(Ok(total));
        }
        let written = ready!(self.line.poll_write(cx, slices));
        self.activity.answering();
        Poll::Ready(written)
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(this.line.poll_read(cx, buf))?;
        let bytes = &buf.filled()[before..];
        if !bytes.is_empty() {
            if std::mem::take(&mut this.is_new) && bytes.starts_with(HTTP2_PREFACE_START) {
                this.activity.set_http2();
            }
            this.activity.bytes_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_slices(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_slices(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes only once it has written all it had.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.line.poll_flush(cx))?;
        self.activity.flushed();
        Poll::Ready(Ok(()))
    }

    /// The supervisor closes the socket.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.poll_finish(cx)
    }
}
