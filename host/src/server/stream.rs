//! The sockets that the server listens and speaks on, of TCP or of Unix, behind one type each.

use std::{
    fmt,
    io::{self, IoSlice},
    net::SocketAddr,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::BufMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

use super::{BindError, place::Place};

/// Takes connections.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener, Place),
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Whoever has this address; a proxy, where there is one.
    Tcp(SocketAddr),
    /// A program of the user that owns the socket, or of root.
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

impl Listener {
    /// Takes an address, and tells which: port 0 takes a free one. Connections wait in the backlog until a server serves them.
    ///
    /// # Errors
    /// [`BindError::Listen`].
    pub async fn tcp(address: SocketAddr) -> Result<(Self, SocketAddr), BindError> {
        let failed = |error| BindError::Listen(address, error);
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let taken = listener.local_addr().map_err(failed)?;
        Ok((Self(Kind::Tcp(listener)), taken))
    }

    /// Takes a path, in a folder that is made for the owner alone, or that only the owner can change. What a host that is gone left
    /// there is replaced, and the socket goes with the listener. Only programs of its owner and of root are served.
    ///
    /// # Errors
    /// [`BindError::Socket`].
    pub fn unix(path: &Path) -> Result<Self, BindError> {
        let (listener, place) = Place::bind(path).map_err(|error| BindError::Socket(path.to_owned(), error))?;
        Ok(Self(Kind::Unix(listener, place)))
    }

    pub(super) async fn accept(&self) -> io::Result<(Wire, Peer)> {
        match &self.0 {
            Kind::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // An answer should not wait for more of it. A socket that refuses this is about to fail anyway.
                let _set = stream.set_nodelay(true);
                Ok((Wire::Tcp(stream), Peer::Tcp(address)))
            }
            Kind::Unix(listener, place) => loop {
                let (stream, _unnamed) = listener.accept().await?;
                if stream.peer_cred().is_ok_and(|peer| place.admits(peer.uid())) {
                    return Ok((Wire::Unix(stream), Peer::Unix));
                }
                tracing::warn!("a program of another user came through the socket, and was turned away");
            },
        }
    }
}

/// The socket of a connection.
#[derive(Debug)]
pub(super) enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The same for either kind.
macro_rules! either {
    ($wire:expr, $stream:ident => $done:expr) => {
        match $wire {
            Wire::Tcp($stream) => $done,
            Wire::Unix($stream) => $done,
        }
    };
}

impl Wire {
    /// From the driver of the runtime that accepted it to that of the caller's.
    pub(super) fn moved(self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(TcpStream::from_std(stream.into_std()?)?),
            Self::Unix(stream) => Self::Unix(UnixStream::from_std(stream.into_std()?)?),
        })
    }

    pub(super) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        either!(self, stream => stream.ready(interest).await)
    }

    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read_ready(cx))
    }

    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_write_ready(cx))
    }

    pub(super) fn try_io<R>(&self, interest: Interest, operation: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        either!(self, stream => stream.try_io(interest, operation))
    }

    pub(super) fn try_read_buf(&self, buf: &mut impl BufMut) -> io::Result<usize> {
        either!(self, stream => stream.try_read_buf(buf))
    }

    pub(super) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(self, stream => stream.try_write_vectored(slices))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
