//! A client's end of a connection of any kind, and the certificates that it needs for one.

use std::{
    fs,
    io::{self, IoSlice},
    net::Shutdown,
    os::fd::AsFd,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use super::{Tls, Wire};

/// What a client reads and writes.
pub(super) enum Stream {
    Plain(Wire),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// With TLS on it.
    pub(super) async fn secured(socket: TcpStream, config: &Arc<ClientConfig>) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, socket).await?;
        Ok(Self::Tls(Box::new(stream)))
    }

    /// What closes it under whoever uses it.
    pub(super) fn another_hand(&self) -> impl FnOnce() + use<> {
        let socket = match self {
            Self::Plain(Wire::Tcp(stream)) => stream.as_fd(),
            Self::Plain(Wire::Unix(stream)) => stream.as_fd(),
            Self::Tls(stream) => stream.get_ref().0.as_fd(),
        };
        // To shut it down, its kind does not matter.
        let socket = std::net::TcpStream::from(socket.try_clone_to_owned().unwrap());
        move || socket.shutdown(Shutdown::Both).unwrap()
    }

    pub(super) fn protocol(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol(),
        }
    }
}

/// The same for either kind.
macro_rules! either {
    ($this:expr, $stream:ident => $done:expr) => {
        match $this.get_mut() {
            Stream::Plain($stream) => $done,
            Stream::Tls($stream) => $done,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// A certificate for `localhost` and its key, in PEM form.
pub(super) struct Certified {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Certified {
    pub(super) fn new() -> Self {
        Self::between(2000, 2999)
    }

    /// One that is valid from the beginning of a year to the beginning of another.
    pub(super) fn between(first: i32, last: i32) -> Self {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(first, 1, 1);
        params.not_after = rcgen::date_time_ymd(last, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    pub(super) fn write(&self, folder: &Path) {
        fs::write(folder.join("certificate.pem"), &self.certificate).unwrap();
        fs::write(folder.join("key.pem"), &self.key).unwrap();
    }

    /// A client that trusts these and nobody else.
    pub(super) fn client(trusted: &[&Self]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        for certified in trusted {
            roots.add(certificate(&certified.certificate)).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth()
    }
}

pub(super) fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// What [`Certified::write`] wrote.
pub(super) fn load(folder: &Path) -> Result<Tls, super::TlsError> {
    Tls::load(&folder.join("certificate.pem"), &folder.join("key.pem"))
}
