//! What HTTP is spoken on: a socket, or TLS on one.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::{activity::Activity, stream::Wire};

/// What one connection is spoken on. A clone is the same line: the connection's supervisor has one, and has the last word on it.
#[derive(Clone)]
pub(super) struct Line {
    watched: Watched,
    /// Those who lock it are in one task.
    tls: Option<Arc<Mutex<TlsStream<Watched>>>>,
}

/// The socket itself, which tells when it takes bytes.
#[derive(Clone)]
pub(super) struct Watched {
    wire: Arc<Wire>,
    activity: Arc<Activity>,
}

impl Line {
    pub(super) fn plain(watched: Watched) -> Self {
        Self { watched, tls: None }
    }

    /// `tls` is on a clone of `watched`.
    pub(super) fn secured(watched: Watched, tls: TlsStream<Watched>) -> Self {
        Self { watched, tls: Some(Arc::new(Mutex::new(tls))) }
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.watched.wire
    }

    /// The socket, if nobody else has the line any more.
    pub(super) fn into_wire(self) -> Option<Wire> {
        drop(self.tls);
        Arc::into_inner(self.watched.wire)
    }

    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &self.tls {
            None => self.watched.poll_take(cx, buf),
            Some(tls) => Pin::new(&mut *locked(tls)).poll_read(cx, buf),
        }
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &self.tls {
            None => self.watched.poll_give(cx, slices),
            Some(tls) => Pin::new(&mut *locked(tls)).poll_write_vectored(cx, slices),
        }
    }

    /// TLS keeps some of what is written.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.tls {
            None => Poll::Ready(Ok(())),
            Some(tls) => Pin::new(&mut *locked(tls)).poll_flush(cx),
        }
    }

    /// Says that what was written is all, where that can be said. The socket stays open.
    pub(super) fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.tls {
            None => Poll::Ready(Ok(())),
            Some(tls) => Pin::new(&mut *locked(tls)).poll_shutdown(cx),
        }
    }

    /// Best effort, for what is said before a connection ends in any case: there is room for it unless the client does not read.
    pub(super) fn say(&self, cx: &mut Context<'_>, bytes: &[u8]) {
        let _written = self.poll_write(cx, &[IoSlice::new(bytes)]);
        let _flushed = self.poll_flush(cx);
    }

    /// The last words, and that they are the last. Best effort as well; nobody else may wait for the line any more.
    pub(super) fn end(&self, words: Option<&[u8]>) {
        let mut cx = Context::from_waker(Waker::noop());
        if let Some(words) = words {
            self.say(&mut cx, words);
        }
        let _finished = self.poll_finish(&mut cx);
    }
}

fn locked(tls: &Mutex<TlsStream<Watched>>) -> MutexGuard<'_, TlsStream<Watched>> {
    tls.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watched {
    pub(super) fn new(wire: Wire, activity: Arc<Activity>) -> Self {
        Self { wire: Arc::new(wire), activity }
    }

    fn poll_take(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.wire.poll_read_ready(cx))?;
            let mut is_read = false;
            let readiness = self.wire.try_io(Interest::READABLE, || {
                let count = self.wire.try_read_buf(buf)?;
                is_read = true;
                // A read that did not fill the buffer has emptied the socket. Saying so clears the readiness, as tokio's own read
                // does, and spares the system call that would find nothing.
                if count > 0 && buf.remaining() > 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match readiness {
                _ if is_read => return Poll::Ready(Ok(())),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                _ => {}
            }
        }
    }

    fn poll_give(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.wire.poll_write_ready(cx))?;
            match self.wire.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    self.activity.bytes_written();
                    return Poll::Ready(result);
                }
            }
        }
    }
}

/// As TLS uses it.
impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_take(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_give(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_give(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The supervisor closes the socket.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
