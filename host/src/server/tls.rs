//! TLS on a listener: one certificate with its key, read again when their files change.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        CertificateError, Error, InconsistentKeys, RootCertStore, ServerConfig,
        client::verify_server_cert_signed_by_trust_anchor,
        crypto::{CryptoProvider, ring},
        pki_types::{
            CertificateDer, PrivateKeyDer, UnixTime,
            pem::{self, PemObject},
        },
        server::{ClientHello, ParsedCertificate, ResolvesServerCert},
        sign::CertifiedKey,
    },
    server::TlsStream,
};

/// A longer file holds something else.
const MAX_FILE: u64 = 1024 * 1024;
/// What is spoken, in the order in which it is preferred.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];
const HTTP2: &[u8] = b"h2";
const END_OF_TIME: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));

/// The certificate that a server shows, and whoever agrees on TLS with its clients: 1.2 and 1.3.
pub struct Tls {
    files: Files,
    shown: Arc<Shown>,
    /// When that expires, in seconds since 1970.
    expires: Arc<AtomicU64>,
    provider: Arc<CryptoProvider>,
    acceptor: TlsAcceptor,
}

/// Why a certificate cannot be shown. Says nothing of what is in a key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// A file holds no certificate, or a broken one.
    #[error("{} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// A file holds no key, a broken one, or one that needs a passphrase.
    #[error("{} holds no private key in PEM form that needs no passphrase", .0.display())]
    NoKey(PathBuf),
    /// The key is of another certificate.
    #[error("the key is not that of the certificate")]
    Mismatch,
    /// Too late.
    #[error("the certificate has expired")]
    Expired,
    /// Too early.
    #[error("the certificate is not valid yet")]
    NotValidYet,
    /// Something else is wrong with certificate or key.
    #[error("certificate and key cannot be used")]
    Unusable(#[from] Error),
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What was in the files.
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

#[derive(Debug)]
struct Shown(RwLock<Pair>);

#[derive(Clone, Debug)]
struct Pair {
    key: Arc<CertifiedKey>,
    expires: UnixTime,
    /// Of what was in the files.
    print: [u8; 32],
}

impl Tls {
    /// Reads a certificate, with those that vouch for it behind it, and its key; both are files in PEM form. Blocks on the file system.
    ///
    /// # Bounds
    /// Files of 1 MiB.
    /// # Errors
    /// [`TlsError`].
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let provider = Arc::new(ring::default_provider());
        let pair = files.pair(&files.read()?, &provider)?;
        let expires = Arc::new(AtomicU64::new(pair.expires.as_secs()));
        let shown = Arc::new(Shown(RwLock::new(pair)));
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let mut config = config.with_no_client_auth().with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(Self { files, shown, expires, provider, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Looks at the files, and shows what is in them from the next handshake on, if it is something new; true if so. Blocks on the file
    /// system.
    ///
    /// # Errors
    /// [`TlsError`]; what was shown before still is.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let contents = self.files.read()?;
        if contents.print() == self.shown.pair().print {
            return Ok(false);
        }
        let pair = self.files.pair(&contents, &self.provider)?;
        self.expires.store(pair.expires.as_secs(), Ordering::Relaxed);
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(true)
    }

    /// When the certificate that is shown expires, after the epoch of Unix.
    #[must_use]
    pub fn expires(&self) -> Duration {
        Duration::from_secs(self.expires.load(Ordering::Relaxed))
    }

    /// The same in seconds, which changes with the certificate.
    #[must_use]
    pub fn expiry(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.expires)
    }

    /// Looks at the files now and then, and tells what came of it, what is wrong once.
    pub(super) async fn watch(self: Arc<Self>, every: Duration) {
        self.tell("shows a certificate");
        let mut told = None;
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let this = Arc::clone(&self);
            // What panics has said so.
            let Ok(refreshed) = spawn_blocking(move || this.refresh()).await else { continue };
            let wrong = refreshed.as_ref().err().map(ToString::to_string);
            match refreshed {
                Ok(true) => self.tell("shows a new certificate"),
                Err(error) if told != wrong => {
                    let source = std::error::Error::source(&error).map(tracing::field::display);
                    tracing::error!(%error, source, "the certificate is not renewed; the one before is still shown");
                }
                Ok(false) | Err(_) => {}
            }
            told = wrong;
        }
    }

    fn tell(&self, what: &str) {
        let expires = i64::try_from(self.expires().as_secs()).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        let expires = expires.map(tracing::field::display);
        tracing::info!(certificate = %self.files.certificate.display(), expires, "{what}");
    }

    /// Agrees with a client. Nothing else bounds how long that takes than what the caller does.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        self.acceptor.accept(stream).await
    }
}

/// Whether HTTP/2 was agreed on.
pub(super) fn is_http2<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Shown {
    fn pair(&self) -> Pair {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair().key)
    }
}

impl Contents {
    fn print(&self) -> [u8; 32] {
        let mut print = Sha256::new();
        print.update(self.certificate.len().to_be_bytes());
        print.update(&self.certificate);
        print.update(&self.key);
        print.finalize().into()
    }
}

impl Files {
    fn read(&self) -> Result<Contents, TlsError> {
        Ok(Contents { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    fn pair(&self, contents: &Contents, provider: &CryptoProvider) -> Result<Pair, TlsError> {
        let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&contents.certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| TlsError::NoCertificate(self.certificate.clone()))?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|_| TlsError::NoKey(self.key.clone()))?;
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch,
            other => other.into(),
        })?;
        Ok(Pair { expires: expiry(key.end_entity_cert()?)?, key: Arc::new(key), print: contents.print() })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |error| TlsError::Unreadable(path.to_owned(), error);
    // Opening what is no file may wait for ever.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is not a file")));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(unreadable(io::Error::other("it is longer than 1 MiB")));
    }
    Ok(bytes)
}

/// When a certificate expires that is valid now.
fn expiry(certificate: &CertificateDer<'_>) -> Result<UnixTime, TlsError> {
    let certificate = ParsedCertificate::try_from(certificate)?;
    // Nobody is trusted here, so that the answer is no at any time; but the time is looked at first.
    let refused = |at| verify_server_cert_signed_by_trust_anchor(&certificate, &RootCertStore::empty(), &[], at, &[]);
    match refused(UnixTime::now()) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { .. } | CertificateError::Expired)) => {
            return Err(TlsError::Expired);
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { .. })) => return Err(TlsError::NotValidYet),
        _ => {}
    }
    match refused(END_OF_TIME) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => Ok(not_after),
        // Without a time it would have been no certificate.
        _ => Err(TlsError::Unusable(CertificateError::BadEncoding.into())),
    }
}
