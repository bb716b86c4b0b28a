//! TLS to a receiver of traces: it has to prove who it is.

use std::{fs, sync::Arc, time::Duration};

use support::{
    host::{Host, Setup},
    receiver::{Manner, Receiver},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use super::certificates::{Authority, Certified};

const PATIENCE: Duration = Duration::from_secs(30);

fn acceptor(shown: &Certified) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(shown.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).unwrap()))
}

/// A host that trusts this authority alone.
async fn start(receiver: &Receiver, authority: &Authority) -> Host {
    let port = receiver.address().port();
    let setup = Setup::new().toml(&format!("\n[traces]\nendpoint = \"https://localhost:{port}/otlp\"\nsample = \"1\""));
    let trusted = setup.folder().join("authority.pem");
    fs::write(&trusted, authority.pem()).unwrap();
    setup.environment("SSL_CERT_FILE", &trusted.display().to_string()).plugin("probe", "probe", "").start().await
}

#[tokio::test]
async fn spans_are_told_only_to_whom_the_machine_trusts() {
    let (authority, other) = (Authority::new("an authority"), Authority::new("another authority"));
    let receiver = Receiver::with(&[Manner::Takes], Some(acceptor(&authority.sign("localhost")))).await;
    let trusting = start(&receiver, &authority).await;
    assert_eq!(trusting.client().get("/probe/hello").await.status, 200);
    assert_eq!(trusting.stop().await.code, Some(0));
    let seen = receiver.seen();
    assert_eq!((seen.requests[0].0.as_str(), seen.spans.len()), ("POST /otlp", 1));

    let elsewhere = Receiver::with(&[Manner::Takes], Some(acceptor(&authority.sign("elsewhere.example")))).await;
    for (receiver, trusted) in [(&receiver, &other), (&elsewhere, &authority)] {
        let before = receiver.seen().requests.len();
        let host = start(receiver, trusted).await;
        assert_eq!(host.client().get("/probe/hello").await.status, 200);
        assert!(host.logged("spans cannot be exported", PATIENCE).await.contains("no TLS"));
        assert_eq!(host.stop().await.code, Some(0));
        assert_eq!(receiver.seen().requests.len(), before);
    }
}
