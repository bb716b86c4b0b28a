//! Sends spans: in batches, each tried some times, and nobody waits for it.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::{JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::AbortOnDropHandle,
};

use super::{
    Endpoint, Tracer,
    otlp::{self, Resource},
    span::Record,
    tracer::MANY,
};

/// How long spans are gathered before they are sent together, unless there are many.
const GATHERED_FOR: Duration = Duration::from_secs(1);
/// How often a batch is tried.
const TRIES: u32 = 3;
/// How long is waited before the second try; before each further one twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the last spans may take, once nothing more comes.
const LAST: Duration = Duration::from_secs(2);
/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 << 10;

/// Sends what a tracer keeps, in a task of its own. Ends when it is dropped.
#[derive(Debug)]
pub struct Exporter {
    tracer: Arc<Tracer>,
    sending: JoinHandle<()>,
    stop: DropGuard,
}

impl Exporter {
    /// Begins to send to a receiver, with these headers besides those that it takes, on the runtime of the caller. `patience` is how long one try
    /// may take.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn start(tracer: Arc<Tracer>, endpoint: Endpoint, headers: HeaderMap, patience: Duration) -> Self {
        let stop = CancellationToken::new();
        let sending = tokio::spawn(run(Arc::clone(&tracer), endpoint, headers, patience, stop.clone()));
        Self { tracer, sending, stop: stop.drop_guard() }
    }

    /// Whose spans it sends.
    #[must_use]
    pub fn tracer(&self) -> &Arc<Tracer> {
        &self.tracer
    }

    /// Sends what is left, when no more spans come.
    ///
    /// # Bounds
    /// Two seconds; what is not taken by then is lost, and so is told.
    pub async fn finish(self) {
        let Self { tracer, sending, stop } = self;
        drop(stop);
        // A panic has been told.
        drop(sending.await);
        let lost = tracer.lost();
        if lost > 0 {
            tracing::warn!(target: "wharf::traces", lost, "spans were lost since the start: there were too many, or nobody took them");
        }
    }
}

async fn run(tracer: Arc<Tracer>, endpoint: Endpoint, headers: HeaderMap, patience: Duration, stop: CancellationToken) {
    let tls = if endpoint.proves.is_some() { Some(connector().await) } else { None };
    let sender = Sender { endpoint, tls, headers, patience, resource: Resource::new() };
    let mut delivery = Delivery { tracer: &tracer, sender: &sender, is_failing: false };
    let mut waiting = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = tracer.many.notified() => {}
            () = sleep(GATHERED_FOR) => {}
        }
        waiting.extend(tracer.take());
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = delivery.deliver(&mut waiting) => {}
        }
    }
    waiting.extend(tracer.take());
    if timeout(LAST, delivery.deliver(&mut waiting)).await.is_err() {
        tracer.lose(waiting.len() as u64);
    }
}

/// Trusts whom this machine trusts.
async fn connector() -> TlsConnector {
    let roots = spawn_blocking(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    });
    // Without authorities nobody is trusted, and that is told with the first batch.
    let roots = roots.await.unwrap_or_else(|_| RootCertStore::empty());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("ring speaks every version that is asked for");
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// What becomes of batches.
struct Delivery<'a> {
    tracer: &'a Tracer,
    sender: &'a Sender,
    /// Whether the last one was lost, which has been told.
    is_failing: bool,
}

impl Delivery<'_> {
    /// Sends all of them, or loses them.
    ///
    /// # Cancellation
    /// What is under way may have arrived, and is still among them.
    async fn deliver(&mut self, waiting: &mut Vec<Record>) {
        while !waiting.is_empty() {
            let count = waiting.len().min(MANY);
            let document = self.sender.resource.document(&waiting[..count]).to_string();
            let sent = self.sender.send(document.into()).await;
            waiting.drain(..count);
            self.tracer.lose(sent.as_ref().map_or(count as u64, |rejected| *rejected));
            match &sent {
                Err(failed) if !self.is_failing => {
                    tracing::warn!(target: "wharf::traces", reason = %failed, "spans cannot be exported, and are lost meanwhile");
                }
                Ok(_) if self.is_failing => tracing::info!(target: "wharf::traces", "spans are exported again"),
                _ => {}
            }
            self.is_failing = sent.is_err();
        }
    }
}

/// Why a batch was not taken.
#[derive(Debug)]
struct Failed {
    why: String,
    /// Whether it may be taken at another time.
    may_pass: bool,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Failed {
    fn to(what: &str, error: &dyn std::error::Error) -> Self {
        // Its cause says more: hyper's own words are few.
        let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
        Self { why: format!("{what}: {error}{cause}"), may_pass: true }
    }
}

/// Knows the receiver.
struct Sender {
    endpoint: Endpoint,
    tls: Option<TlsConnector>,
    headers: HeaderMap,
    patience: Duration,
    resource: Resource,
}

impl Sender {
    /// Sends a batch; of how many spans the receiver wants nothing.
    async fn send(&self, document: Bytes) -> Result<u64, Failed> {
        let mut pause = PAUSE;
        let mut tries = 1;
        loop {
            let late = |_| Err(Failed { why: format!("no answer within {} ms", self.patience.as_millis()), may_pass: true });
            match timeout(self.patience, self.post(document.clone())).await.unwrap_or_else(late) {
                Err(Failed { may_pass: true, .. }) if tries < TRIES => {
                    sleep(pause.mul_f64(rand::random_range(0.75..=1.25))).await;
                    (pause, tries) = (pause * 2, tries + 1);
                }
                ended => return ended,
            }
        }
    }

    async fn post(&self, document: Bytes) -> Result<u64, Failed> {
        let Endpoint { host, port, proves, .. } = &self.endpoint;
        let connected = TcpStream::connect((host.as_str(), *port)).await;
        let stream = connected.map_err(|error| Failed::to("no connection", &error))?;
        match (&self.tls, proves) {
            (Some(tls), Some(name)) => {
                let agreed = tls.connect(name.clone(), stream).await;
                self.exchange(agreed.map_err(|error| Failed::to("no TLS", &error))?, document).await
            }
            _ => self.exchange(stream, document).await,
        }
    }

    async fn exchange<S>(&self, stream: S, document: Bytes) -> Result<u64, Failed>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut request = Request::new(Full::new(document));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.path.parse::<Uri>().map_err(|error| Failed::to("no path", &error))?;
        let host = HeaderValue::from_str(&self.endpoint.authority).map_err(|error| Failed::to("no host", &error))?;
        let headers = request.headers_mut();
        headers.extend(self.headers.clone());
        headers.insert(header::HOST, host);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let broken = |error: hyper::Error| Failed::to("the connection has broken", &error);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Moves the bytes for as long as somebody waits for them.
        let _moving = AbortOnDropHandle::new(tokio::spawn(connection.map(drop)));
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        if status.is_success() {
            let answer = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            // It has them, whatever becomes of its answer.
            return Ok(answer.map_or(0, |answer| otlp::rejected(&answer.to_bytes())));
        }
        // As the protocol has it.
        let may_pass = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        Err(Failed { why: format!("the receiver answers {status}"), may_pass: may_pass.contains(&status) })
    }
}
