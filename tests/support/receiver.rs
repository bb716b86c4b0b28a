//! A small receiver of traces by OTLP over HTTP in JSON: takes spans, or does what a test wants instead.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Its spans are taken.
    Takes,
    /// With this status, and its spans are not.
    Refuses(u16),
    /// Not at all.
    Silent,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    seen: watch::Receiver<Seen>,
    accepting: JoinHandle<()>,
}

/// What has come so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The path and the headers of each request, whatever became of it.
    pub requests: Vec<(String, HeaderMap)>,
    /// The spans that were taken.
    pub spans: Vec<Span>,
}

/// One span as it came.
#[derive(Clone, Debug)]
pub struct Span(pub Json);

#[derive(Debug)]
struct Shared {
    /// The last one is for all that follow.
    manners: Mutex<VecDeque<Manner>>,
    seen: watch::Sender<Seen>,
}

impl Receiver {
    /// One that takes everything.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start() -> Self {
        Self::with(&[Manner::Takes], None).await
    }

    /// One that answers each request in its turn so, and all that follow like the last; over TLS if that is given.
    ///
    /// # Panics
    /// When it cannot listen, or for no manners at all.
    pub async fn with(manners: &[Manner], tls: Option<TlsAcceptor>) -> Self {
        assert!(!manners.is_empty(), "a receiver has manners");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, seen) = watch::channel(Seen::default());
        let shared = Arc::new(Shared { manners: Mutex::new(manners.iter().copied().collect()), seen: sender });
        Self { address, seen, accepting: tokio::spawn(accept(listener, tls, shared)) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has come so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// What has come, as soon as it is enough.
    ///
    /// # Panics
    /// When it is not within the bound.
    pub async fn until(&self, what: &str, bound: Duration, enough: impl Fn(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.clone();
        match timeout(bound, seen.wait_for(|seen| enough(seen))).await {
            Ok(Ok(seen)) => (*seen).clone(),
            _ => panic!("{what} not seen within {bound:?}: {:?}", self.seen()),
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            match tls {
                None => serve(stream, shared).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, shared).await;
                    }
                }
            }
        });
    }
}

async fn serve<S>(stream: S, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(shared.answer(request).await) }
    });
    // Clients go away as they like.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let manner = self.manner();
        let spans = if manner == Manner::Takes { spans(&body) } else { Vec::new() };
        self.seen.send_modify(|seen| {
            seen.requests.push((format!("{} {}", parts.method, parts.uri), parts.headers));
            seen.spans.extend(spans);
        });
        let (status, body) = match manner {
            Manner::Takes => (200, "{}"),
            Manner::Refuses(status) => (status, "no"),
            Manner::Silent => std::future::pending().await,
        };
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status.try_into().expect("a status");
        response
    }

    fn manner(&self) -> Manner {
        let mut manners = self.manners.lock().unwrap_or_else(PoisonError::into_inner);
        let manner = if manners.len() > 1 { manners.pop_front() } else { manners.front().copied() };
        manner.expect("one is left")
    }
}

fn spans(document: &[u8]) -> Vec<Span> {
    let document: Json = serde_json::from_slice(document).expect("JSON");
    let list = |json: &Json, key: &str| json[key].as_array().unwrap_or_else(|| panic!("no {key}: {json}")).clone();
    let resources = list(&document, "resourceSpans");
    let scopes = resources.iter().flat_map(|resource| list(resource, "scopeSpans"));
    scopes.flat_map(|scope| list(&scope, "spans")).map(Span).collect()
}

impl Span {
    /// A text of it: `name`, `traceId`, `spanId`, `parentSpanId`.
    ///
    /// # Panics
    /// When it has none of this name.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_else(|| panic!("no {key}: {}", self.0))
    }

    /// An attribute, a number as its digits.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&str> {
        let attributes = self.0["attributes"].as_array()?;
        let value = &attributes.iter().find(|attribute| attribute["key"] == key)?["value"];
        value["stringValue"].as_str().or_else(|| value["intValue"].as_str())
    }

    /// The names of its events, in order.
    #[must_use]
    pub fn events(&self) -> Vec<&str> {
        self.0["events"].as_array().into_iter().flatten().filter_map(|event| event["name"].as_str()).collect()
    }

    /// Why it failed, if it says so.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        let is_failed = self.0["status"]["code"] == 2;
        assert_eq!(is_failed, self.attribute("error.type").is_some(), "{}", self.0);
        self.attribute("error.type")
    }
}
