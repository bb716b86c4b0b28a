//! What is particular to TLS; everything else is tried over every kind of listener.

use std::{fs, path::Path, time::Instant};

use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_rustls::rustls::{RootCertStore, crypto::ring, version};

use super::*;

const SHORT: Duration = Duration::from_millis(200);

impl Host {
    fn port(&self) -> SocketAddr {
        match &self.address {
            Address::Tls(address, _) => *address,
            other => panic!("no TLS at {other:?}"),
        }
    }

    /// A connection of a client that is configured so.
    async fn agree(&self, config: ClientConfig) -> io::Result<Stream> {
        let socket = TcpStream::connect(self.port()).await?;
        within(Stream::secured(socket, &Arc::new(config))).await
    }

    /// A client that trusts the certificate that the host began with.
    fn config(&self) -> ClientConfig {
        match &self.address {
            Address::Tls(_, config) => ClientConfig::clone(config),
            other => panic!("no TLS at {other:?}"),
        }
    }
}

#[tokio::test]
async fn each_client_gets_the_protocol_that_it_asks_for() {
    let host = Host::start(On::Tls, |_| {}).await;
    for (asked, expected) in [
        (vec!["h2", "http/1.1"], Some("h2")),
        (vec!["http/1.1", "h2"], Some("h2")),
        (vec!["http/1.1"], Some("http/1.1")),
        (vec!["spdy/3", "http/1.1"], Some("http/1.1")),
        (vec![], None),
    ] {
        let mut config = host.config();
        config.alpn_protocols = asked.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = host.agree(config).await.unwrap();
        assert_eq!(stream.protocol(), expected.map(str::as_bytes), "{asked:?}");
        if expected == Some("h2") {
            let io = TokioIo::new(stream);
            let (mut sender, connection) = within(hyper::client::conn::http2::handshake(TokioExecutor::new(), io)).await.unwrap();
            tokio::spawn(connection);
            let request = Request::builder().uri("https://localhost/hello").body(Empty::<Bytes>::new()).unwrap();
            let response = within(sender.send_request(request)).await.unwrap();
            assert_eq!((response.status(), response.version()), (StatusCode::OK, http::Version::HTTP_2));
        } else {
            assert!(Client::new(stream).get("/hello").await.ends_with("hello"), "{asked:?}");
        }
    }
    let mut config = host.config();
    config.alpn_protocols = vec![b"spdy/3".to_vec()];
    assert!(host.agree(config).await.is_err());
}

#[tokio::test]
async fn both_versions_are_spoken() {
    let host = Host::start(On::Tls, |_| {}).await;
    let certificate = fs::read_to_string(host.folder.path().join("certificate.pem")).unwrap();
    for version in [&version::TLS12, &version::TLS13] {
        let mut roots = RootCertStore::empty();
        roots.add(stream::certificate(&certificate)).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_protocol_versions(&[version]).unwrap().with_root_certificates(roots).with_no_client_auth();
        let stream = host.agree(config).await.unwrap();
        assert!(Client::new(stream).get("/hello").await.ends_with("hello"), "{version:?}");
    }
}

#[tokio::test]
async fn the_end_is_said_of_whole_answers_only() {
    let host = Host::start(On::Tls, |settings| settings.idle_timeout = SHORT).await;
    for (request, is_whole) in [
        ("GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", true),
        ("GET /hello HTTP/1.0\r\n\r\n", true),
        ("nonsense\r\n\r\n", true),
        // Until it idles for too long.
        ("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n", true),
        ("GET /broken HTTP/1.1\r\nhost: x\r\n\r\n", false),
        ("GET /broken HTTP/1.0\r\n\r\n", false),
    ] {
        let mut client = host.connect().await;
        client.send(request).await;
        let end = within(client.stream.read_to_end(&mut client.read)).await;
        let text = String::from_utf8_lossy(&client.read);
        match end {
            Ok(_) => assert!(is_whole && text.starts_with("HTTP/1."), "{request}: {text}"),
            Err(error) => assert_eq!((error.kind(), is_whole), (io::ErrorKind::UnexpectedEof, false), "{request}: {text}"),
        }
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_end_has_a_place_for_as_long_as_headers_have() {
    let host = Host::start(On::Tls, |settings| (settings.header_timeout, settings.max_connections) = (SHORT, 1)).await;
    // Nothing, and the beginning of a record of TLS that goes on for ever.
    for start in ["", "\u{16}\u{3}\u{1}\u{40}\u{0}\u{1}"] {
        let began = Instant::now();
        let mut client = Client::new(Stream::Plain(host.address.wire().await.unwrap()));
        client.send(start).await;
        let mut nothing = Vec::new();
        let _reset_or_end = within(client.stream.read_to_end(&mut nothing)).await;
        assert!(nothing.is_empty() && began.elapsed() >= SHORT, "{nothing:?}");
        // The place is free again.
        assert!(host.connect().await.get("/hello").await.ends_with("hello"));
    }
}

#[tokio::test]
async fn a_byte_now_and_then_does_not_keep_a_handshake_alive() {
    let host = Host::start(On::Tls, |settings| settings.header_timeout = SHORT).await;
    let mut client = Client::new(Stream::Plain(host.address.wire().await.unwrap()));
    client.send("\u{16}\u{3}\u{1}\u{40}\u{0}\u{1}").await;
    let began = Instant::now();
    client.drip(SHORT / 10).await;
    assert!(client.read.is_empty() && began.elapsed() < PATIENCE / 2);
}

#[tokio::test]
async fn what_is_not_tls_is_no_request() {
    let host = Host::start(On::Tls, |_| {}).await;
    let mut client = Client::new(Stream::Plain(host.address.wire().await.unwrap()));
    client.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let _reset_or_end = within(client.stream.read_to_end(&mut client.read)).await;
    assert!(!String::from_utf8_lossy(&client.read).contains("HTTP"));
    assert_eq!(host.counters.iter().map(|(_, count)| count).sum::<u64>(), 0);
    assert!(host.connect().await.get("/hello").await.ends_with("hello"));
}

#[tokio::test]
async fn a_stop_waits_for_no_handshake() {
    let host = Host::start(On::Tls, |settings| settings.drain_timeout = Duration::from_secs(600)).await;
    let _silent = host.address.wire().await.unwrap();
    // The one before was accepted by then.
    assert!(host.connect().await.get("/hello").await.ends_with("hello"));
    host.counted("answered", 1).await;
    assert_eq!(host.stop().await, Drained { finished: 0, cut: 0, stuck: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_shown_and_no_request_is_lost() {
    let host = Host::start(On::Tls, |_| {}).await;
    let first = Certified {
        certificate: fs::read_to_string(host.folder.path().join("certificate.pem")).unwrap(),
        key: fs::read_to_string(host.folder.path().join("key.pem")).unwrap(),
    };
    let second = Certified::new();
    let (trusts_both, port) = (Arc::new(Certified::client(&[&first, &second])), host.port());
    let enough = CancellationToken::new();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, enough) = (Address::Tls(port, Arc::clone(&trusts_both)), enough.clone());
            tokio::spawn(async move {
                let mut kept = Client::new(address.connect().await.unwrap());
                let mut answered = 0_u64;
                while !enough.is_cancelled() {
                    assert!(kept.get("/hello").await.ends_with("hello"));
                    let mut new = Client::new(address.connect().await.unwrap());
                    assert!(new.get("/hello").await.ends_with("hello"));
                    answered += 2;
                }
                answered
            })
        })
        .collect();
    host.counted("answered", 100).await;
    assert!(host.agree(Certified::client(&[&second])).await.is_err());
    second.write(host.folder.path());
    within(async { while host.agree(Certified::client(&[&second])).await.is_err() {} }).await;
    assert!(host.agree(Certified::client(&[&first])).await.is_err());
    let before = host.counters.get("answered");
    host.counted("answered", before + 100).await;
    enough.cancel();
    let mut answered = 0;
    for client in clients {
        answered += within(client).await.unwrap();
    }
    host.counted("answered", answered).await;
    assert_eq!(host.counters.iter().map(|(_, count)| count).sum::<u64>(), answered);
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

/// A section without sense.
fn pem(label: &str) -> String {
    format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n")
}

/// A folder.
fn in_place_of_a_file(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
}

#[test]
fn a_pair_that_cannot_be_shown_is_refused_and_the_one_before_stays() {
    type Spoil = fn(&Path);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let good = Certified::between(2000, 2100);
    good.write(folder);
    let tls = stream::load(folder).unwrap();
    let expires = tls.expires();
    // The 1st of January 2100.
    assert_eq!(expires, Duration::from_secs(4_102_444_800));
    assert!(!tls.refresh().unwrap());
    let table: [(Spoil, &str); 9] = [
        (|at| write(at, "key.pem", &Certified::new().key), "the key is not that of the certificate"),
        (|at| Certified::between(2000, 2001).write(at), "the certificate has expired"),
        (|at| Certified::between(2998, 2999).write(at), "the certificate is not valid yet"),
        (|at| write(at, "certificate.pem", ""), "certificate.pem holds no certificate in PEM form"),
        (|at| write(at, "certificate.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n"), "certificate.pem holds no certificate"),
        (|at| write(at, "key.pem", &pem("ENCRYPTED PRIVATE KEY")), "key.pem holds no private key in PEM form"),
        (|at| write(at, "key.pem", &pem("PRIVATE KEY")), "certificate and key cannot be used"),
        (|at| fs::remove_file(at.join("key.pem")).unwrap(), "key.pem cannot be read"),
        (|at| in_place_of_a_file(&at.join("certificate.pem")), "certificate.pem cannot be read"),
    ];
    for (spoil, expected) in table {
        good.write(folder);
        spoil(folder);
        // It is said as often as it is asked.
        for refused in [tls.refresh().unwrap_err(), tls.refresh().unwrap_err(), stream::load(folder).unwrap_err()] {
            assert!(refused.to_string().contains(expected), "{refused} instead of {expected}");
        }
        assert_eq!(tls.expires(), expires);
    }
    fs::remove_dir(folder.join("certificate.pem")).unwrap();
    good.write(folder);
    assert!(!tls.refresh().unwrap());
    Certified::between(2000, 2200).write(folder);
    assert!(tls.refresh().unwrap() && tls.expires() > expires && !tls.refresh().unwrap());
}
