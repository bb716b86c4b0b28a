//! The bytes of one connection: tells what happens on it, and gives hyper's own refusals a problem document.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::{Problem, RequestId, activity::Activity, exchange, stream::Wire};

const HTTP2_PREFACE_START: &[u8] = b"PRI * ";

/// The stream is shared with the connection's supervisor, which watches it and has the last word on it.
pub(super) struct Socket {
    stream: Arc<Wire>,
    activity: Arc<Activity>,
    max_uri: usize,
    is_new: bool,
    is_refused: bool,
}

impl Socket {
    pub(super) fn new(stream: Arc<Wire>, activity: Arc<Activity>, max_uri: usize) -> Self {
        Self { stream, activity, max_uri, is_new: true, is_refused: false }
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
            exchange::refused(self.activity.counters(), &problem, &id);
            // Best effort: the connection ends either way, and there is room for a document unless the client does not read.
            let _written = self.stream.try_write(&problem.raw(&id));
            return Poll::Ready(Ok(total));
        }
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    self.activity.bytes_written();
                    return Poll::Ready(result);
                }
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            ready!(this.stream.poll_read_ready(cx))?;
            let before = buf.filled().len();
            let mut read = None;
            let readiness = this.stream.try_io(Interest::READABLE, || {
                let count = this.stream.try_read_buf(buf)?;
                read = Some(count);
                // A read that did not fill the buffer has emptied the socket. Saying so clears the readiness, as tokio's own read
                // does, and spares the system call that would find nothing.
                if count > 0 && buf.remaining() > 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match (read, readiness) {
                (Some(count), _) => {
                    if count > 0 {
                        let bytes = &buf.filled()[before..];
                        if std::mem::take(&mut this.is_new) && bytes.starts_with(HTTP2_PREFACE_START) {
                            this.activity.set_http2();
                        }
                        this.activity.bytes_read();
                    }
                    return Poll::Ready(Ok(()));
                }
                (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                (None, _) => {}
            }
        }
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
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.activity.flushed();
        Poll::Ready(Ok(()))
    }

    /// The supervisor closes the stream.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
