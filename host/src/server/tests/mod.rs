//! The server through its socket: a dispatcher that does as the path says, and a client that sees every byte.

/// Each test on a listener of every kind, with this attribute.
macro_rules! over_every_listener {
    (#[$attribute:meta] $($test:ident,)+) => {
        mod tcp {
            $(#[$attribute] async fn $test() { super::$test(super::On::Tcp).await; })+
        }
        mod unix {
            $(#[$attribute] async fn $test() { super::$test(super::On::Unix).await; })+
        }
        mod tls {
            $(#[$attribute] async fn $test() { super::$test(super::On::Tls).await; })+
        }
    };
}

mod drain;
mod gone;
mod http2;
mod limits;
mod requests;
mod stream;
mod timeouts;
mod timing;
mod tls;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    sync::Semaphore,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::rustls::ClientConfig;
use tokio_util::sync::CancellationToken;

use self::stream::{Certified, Stream};
use super::{stream::Wire, *};
use crate::{
    shards::Shards,
    telemetry::{requests::Requests, timing::Part},
};

/// Longer than anything here takes; a wait that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a server looks at its certificate.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// A free port.
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Many times what hyper and the system buffer.
const LARGE: usize = 32 * 1024 * 1024;

async fn within<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("in time")
}

/// Events that a test waits for, each counted.
struct Script {
    started: Semaphore,
    dropped: Semaphore,
    /// `/wait` answers once there is a permit.
    go: Semaphore,
}

/// A call, or the body of its answer, that tells when it is dropped.
struct Noticed(Arc<Script>);

impl Drop for Noticed {
    fn drop(&mut self) {
        self.0.dropped.add_permits(1);
    }
}

async fn next(events: &Semaphore) {
    within(events.acquire()).await.unwrap().forget();
}

struct ByPath(Arc<Script>, Arc<Requests>);

type TestBody = UnsyncBoxBody<Bytes, BoxError>;

fn text(text: impl Into<Bytes>) -> TestBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

impl Dispatch for ByPath {
    type Body = TestBody;

    async fn dispatch(&self, request: Request<RequestBody>, exchange: Arc<Exchange>) -> Result<Response<TestBody>, Problem> {
        let noticed = Noticed(Arc::clone(&self.0));
        self.0.started.add_permits(1);
        exchange.set_route(self.1.route(&"by-path".into(), "/{*rest}"));
        let mut response = Response::new(text(""));
        match request.uri().path() {
            "/hello" => *response.body_mut() = text("hello"),
            "/origin" => *response.body_mut() = text(format!("{} {}", exchange.origin(), exchange.origin().is_vouched)),
            "/id" => *response.body_mut() = text(request.headers()["x-request-id"].as_bytes().to_vec()),
            "/echo" => match request.into_body().collect().await {
                Ok(body) => *response.body_mut() = text(body.to_bytes()),
                Err(error) => *response.body_mut() = text(format!("handler saw: {error:?}")),
            },
            "/never" => std::future::pending().await,
            "/wait" => {
                self.0.go.acquire().await.unwrap().forget();
                *response.body_mut() = text("waited");
            }
            "/endless" => {
                let frames = futures::stream::repeat_with(move || {
                    let _inside = &noticed;
                    Ok(http_body::Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])))
                });
                *response.body_mut() = BodyExt::boxed_unsync(StreamBody::new(frames));
                return Ok(response);
            }
            "/timed" => {
                let timing = exchange.timing().expect("the client is told");
                for part in Part::ALL {
                    let _span = timing.begin(part);
                    while timing.so_far(part) < Duration::from_millis(1) {
                        tokio::task::yield_now().await;
                    }
                }
                response.headers_mut().insert("server-timing", HeaderValue::from_static("handler;dur=7"));
                *response.body_mut() = text("timed");
            }
            "/large" => *response.body_mut() = text(vec![b'x'; LARGE]),
            "/stuck" => {
                let frames = futures::stream::iter([Ok(http_body::Frame::data(Bytes::from_static(b"first")))])
                    .chain(futures::stream::pending())
                    .inspect(move |_| _ = &noticed);
                *response.body_mut() = BodyExt::boxed_unsync(StreamBody::new(frames));
                return Ok(response);
            }
            "/broken" => {
                let frames = [Ok(http_body::Frame::data(Bytes::from_static(b"first"))), Err(Problem::DeadlineExceeded.into())];
                *response.body_mut() = BodyExt::boxed_unsync(StreamBody::new(futures::stream::iter(frames)));
            }
            "/panic" => panic!("a secret of the inside"),
            "/panic-later" => {
                let frames =
                    futures::stream::repeat_with(|| -> Result<http_body::Frame<Bytes>, BoxError> { panic!("also secret") });
                *response.body_mut() = BodyExt::boxed_unsync(StreamBody::new(frames));
            }
            "/103" => *response.status_mut() = StatusCode::EARLY_HINTS,
            "/204" => {
                *response.status_mut() = StatusCode::NO_CONTENT;
                *response.body_mut() = text("not sent");
            }
            "/wrong-length" => {
                response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("7"));
                *response.body_mut() = text("12345");
            }
            "/hop-by-hop" => {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("x-secret"));
                response.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("gzip"));
                response.headers_mut().insert("x-request-id", HeaderValue::from_static("forged"));
                *response.body_mut() = text("ok");
            }
            "/problem/method-not-allowed" => return Err(Problem::MethodNotAllowed(vec![Method::PUT, Method::GET])),
            "/problem/overloaded" => return Err(Problem::Overloaded(Duration::from_secs(3))),
            "/problem/fuel" => return Err(Problem::FuelExhausted),
            _ => return Err(Problem::NoRoute),
        }
        Ok(response)
    }
}

/// What a server listens on.
#[derive(Clone, Copy, Debug)]
enum On {
    Tcp,
    Unix,
    /// With TLS on it, over TCP.
    Tls,
}

/// Where a server listens.
#[derive(Clone, Debug)]
enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// With whom its clients trust.
    Tls(SocketAddr, Arc<ClientConfig>),
}

impl Address {
    /// Without TLS, whatever is spoken there.
    async fn wire(&self) -> io::Result<Wire> {
        within(async {
            Ok(match self {
                Self::Tcp(address) | Self::Tls(address, _) => Wire::Tcp(TcpStream::connect(address).await?),
                Self::Unix(path) => Wire::Unix(UnixStream::connect(path).await?),
            })
        })
        .await
    }

    async fn connect(&self) -> io::Result<Stream> {
        match (self.wire().await?, self) {
            (Wire::Tcp(socket), Self::Tls(_, config)) => within(Stream::secured(socket, config)).await,
            (wire, _) => Ok(Stream::Plain(wire)),
        }
    }
}

/// A running server.
struct Host {
    address: Address,
    /// Where its socket is, if it has one, or its certificate.
    folder: TempDir,
    script: Arc<Script>,
    counters: Arc<Counters>,
    requests: Arc<Requests>,
    tuning: Tuning,
    shutdown: CancellationToken,
    served: JoinHandle<Drained>,
}

impl Host {
    async fn start(on: On, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        let folder = tempfile::tempdir().unwrap();
        let certified = Certified::new();
        certified.write(folder.path());
        let (listener, address) = match on {
            On::Tcp => {
                let (listener, address) = Listener::tcp(ANY).await.unwrap();
                (listener, Address::Tcp(address))
            }
            On::Tls => {
                let (listener, address) = Listener::tcp(ANY).await.unwrap();
                (listener, Address::Tls(address, Arc::new(Certified::client(&[&certified]))))
            }
            On::Unix => {
                let path = folder.path().join("socket");
                (Listener::unix(&path).unwrap(), Address::Unix(path))
            }
        };
        let requests = Arc::new(Requests::new("http", 100));
        let mut server = Server::new(listener, settings).unwrap().counted_in(Arc::clone(&requests));
        if let On::Tls = on {
            server = server.over_tls(Arc::new(stream::load(folder.path()).unwrap()), CHECK_INTERVAL);
        }
        let script = Arc::new(Script { started: Semaphore::new(0), dropped: Semaphore::new(0), go: Semaphore::new(0) });
        let (counters, tuning, shutdown) = (server.counters(), server.tuning(), CancellationToken::new());
        let served = tokio::spawn({
            let shutdown = shutdown.clone();
            let dispatch = Arc::new(ByPath(Arc::clone(&script), Arc::clone(&requests)));
            async move { server.serve(dispatch, &Shards::default(), shutdown, CancellationToken::new()).await }
        });
        Self { address, folder, script, counters, requests, tuning, shutdown, served }
    }

    async fn connect(&self) -> Client {
        Client::new(self.address.connect().await.unwrap())
    }

    /// One request on a connection of its own, to the connection's end.
    async fn ask(&self, request: &str) -> String {
        let mut client = self.connect().await;
        client.send(request).await;
        client.rest().await
    }

    async fn stop(self) -> Drained {
        self.shutdown.cancel();
        within(self.served).await.unwrap()
    }

    /// Waits until an outcome was counted so many times: it is counted as the call is dropped, which the client cannot see.
    async fn counted(&self, outcome: &str, times: u64) {
        within(async {
            while self.counters.get(outcome) < times {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

struct Client {
    stream: Stream,
    read: Vec<u8>,
}

impl Client {
    fn new(stream: Stream) -> Self {
        Self { stream, read: Vec::new() }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
        within(self.stream.flush()).await.unwrap();
    }

    /// Sends a byte every now and then until something comes back, or nothing can be sent any more.
    async fn drip(&mut self, pause: Duration) {
        within(async {
            while self.stream.write_all(b"x").await.is_ok() && self.stream.flush().await.is_ok() {
                if timeout(pause, self.stream.read_buf(&mut self.read)).await.is_ok() {
                    break;
                }
            }
        })
        .await;
    }

    async fn get(&mut self, path: &str) -> String {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        self.answer().await
    }

    /// One answer that has a content-length.
    async fn answer(&mut self) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.read);
            if let Some(head) = text.find("\r\n\r\n") {
                let length = text[..head]
                    .lines()
                    .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned))
                    .map_or(0, |length| length.parse::<usize>().unwrap());
                if self.read.len() >= head + 4 + length {
                    let rest = self.read.split_off(head + 4 + length);
                    let answer = std::mem::replace(&mut self.read, rest);
                    return String::from_utf8(answer).unwrap();
                }
            }
            let count = within(self.stream.read_buf(&mut self.read)).await.unwrap();
            assert!(count > 0, "closed in the middle of: {}", String::from_utf8_lossy(&self.read));
        }
    }

    /// All until the server closes, whether or not TLS says that it was all.
    async fn rest(self) -> String {
        match self.end().await {
            (text, None | Some(io::ErrorKind::UnexpectedEof)) => text,
            (text, Some(error)) => panic!("{error} after: {text}"),
        }
    }

    /// All until the connection ends, and the error that ended it.
    async fn end(mut self) -> (String, Option<io::ErrorKind>) {
        let error = loop {
            match within(self.stream.read_buf(&mut self.read)).await {
                Ok(0) => break None,
                Ok(_) => {}
                Err(error) => break Some(error.kind()),
            }
        };
        (String::from_utf8_lossy(&self.read).into_owned(), error)
    }
}

/// Asserts the problem document of an answer, and that nothing else is in it.
fn assert_problem(answer: &str, status: u16, code: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(head.contains("content-type: application/problem+json"), "{answer}");
    let document: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert_eq!(document["code"], code, "{answer}");
    assert_eq!(document["status"], status, "{answer}");
    assert_eq!(header_of(answer, "x-request-id"), document["instance"].as_str(), "{answer}");
    assert!(!answer.contains("secret"), "{answer}");
}

fn header_of<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    head.lines()
        .find_map(|line| line.split_once(": ").filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}
