//! Takes spans, counts them and forgets them, so that tracing is measured and not what becomes of traces.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Each span has it once.
const MARK: &str = "\"spanId\"";

/// Listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Sink {
    address: SocketAddr,
    spans: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Sink {
    /// Listens on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, spans) = (listener.local_addr()?, Arc::default());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&spans)));
        Ok(Self { address, spans, accepting })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many spans have come.
    pub(crate) fn spans(&self) -> usize {
        self.spans.load(Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, spans: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&spans)));
    }
}

async fn serve(stream: TcpStream, spans: Arc<AtomicUsize>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let spans = Arc::clone(&spans);
        async move {
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            spans.fetch_add(count(&body), Relaxed);
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(Bytes::from_static(b"{}"))))
        }
    });
    // A host that is killed breaks off.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn count(document: &[u8]) -> usize {
    std::str::from_utf8(document).map_or(0, |text| text.matches(MARK).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_counts_once_and_not_for_its_parent() {
        assert_eq!(count(br#"{"spans":[{"spanId":"1","parentSpanId":"0"},{"spanId":"2","parentSpanId":"1"}]}"#), 2);
        assert_eq!(count(b"\xff"), 0);
    }
}
