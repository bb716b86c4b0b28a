//! A small HTTP client: one connection a request, nothing hidden, every wait bounded.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Body, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value as Json;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

use crate::secrets;

/// The body of a request.
pub type RequestBody = BoxBody<Bytes, std::convert::Infallible>;

/// Sends requests to one address.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    patience: Duration,
    http2: bool,
    is_searched: bool,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Client {
    /// A client for HTTP/1.1 that waits 30 s for each part of an answer.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, patience: Duration::from_secs(30), http2: false, is_searched: false }
    }

    /// The same with HTTP/2, known in advance.
    #[must_use]
    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// The same that fails where an answer tells a secret.
    #[must_use]
    pub fn searched(mut self) -> Self {
        self.is_searched = true;
        self
    }

    /// The same with another patience.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// GET.
    ///
    /// # Panics
    /// When no whole answer comes in time.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    /// POST of JSON.
    ///
    /// # Panics
    /// As [`Client::get`].
    pub async fn post(&self, path: &str, body: &Json) -> Reply {
        self.send(Method::POST, path, Some(body)).await
    }

    /// PUT of JSON.
    ///
    /// # Panics
    /// As [`Client::get`].
    pub async fn put(&self, path: &str, body: &Json) -> Reply {
        self.send(Method::PUT, path, Some(body)).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Json>) -> Reply {
        let request = Request::builder().method(method.clone()).uri(path);
        let (request, body) = match body {
            Some(body) => (request.header(header::CONTENT_TYPE, "application/json"), Bytes::from(body.to_string())),
            None => (request, Bytes::new()),
        };
        let request = request.body(Full::new(body).boxed()).expect("a valid request");
        match self.open(request).await {
            Ok(answer) => answer.whole().await.unwrap_or_else(|error| panic!("{method} {path}: {error}")),
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    /// Sends a request whose URI is a path, and gives back the answer as soon as its headers are there.
    ///
    /// # Errors
    /// When there are no headers in time: the connection was refused or broken, or the patience ended.
    pub async fn open(&self, request: Request<RequestBody>) -> anyhow::Result<Answer> {
        timeout(self.patience, self.exchange(request)).await?
    }

    async fn exchange(&self, mut request: Request<RequestBody>) -> anyhow::Result<Answer> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        let io = TokioIo::new(socket);
        let (response, connection) = if self.http2 {
            let authority = format!("http://{}{}", self.address, request.uri());
            *request.uri_mut() = authority.parse()?;
            let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
            let connection = Connection(tokio::spawn(connection.map(drop)));
            (sender.send_request(request).await?, connection)
        } else {
            request.headers_mut().insert(header::HOST, self.address.to_string().parse()?);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            let connection = Connection(tokio::spawn(connection.map(drop)));
            (sender.send_request(request).await?, connection)
        };
        let (http::response::Parts { status, headers, .. }, body) = response.into_parts();
        let answer =
            Answer { status, headers, body, patience: self.patience, is_searched: self.is_searched, _connection: connection };
        answer.search(format!("{:?}", answer.headers).as_bytes());
        Ok(answer)
    }
}

/// A request body of bytes.
#[must_use]
pub fn bytes(body: impl Into<Bytes>) -> RequestBody {
    Full::new(body.into()).boxed()
}

/// A request body of any kind.
#[must_use]
pub fn body(body: impl Body<Data = Bytes, Error = std::convert::Infallible> + Send + Sync + 'static) -> RequestBody {
    body.boxed()
}

/// An answer whose headers are there. Dropping it closes the connection, wherever the body is.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    patience: Duration,
    is_searched: bool,
    _connection: Connection,
}

impl Answer {
    /// The next piece of the body, `None` after its proper end.
    ///
    /// # Errors
    /// When the body was cut off, or nothing comes in time.
    pub async fn chunk(&mut self) -> anyhow::Result<Option<Bytes>> {
        loop {
            match timeout(self.patience, self.body.frame()).await? {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.search(&data);
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The rest of the body.
    ///
    /// # Errors
    /// As [`Answer::chunk`].
    pub async fn whole(mut self) -> anyhow::Result<Reply> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        // A secret may be in two chunks.
        self.search(&body);
        Ok(Reply { status: self.status, headers: self.headers, body: body.into() })
    }

    fn search(&self, bytes: &[u8]) {
        if self.is_searched {
            secrets::assert_kept("the listener", &String::from_utf8_lossy(bytes));
        }
    }
}

/// The task that moves the bytes; it ends with the answer.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Reply {
    /// The body as text.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none; the message has the whole answer.
    #[must_use]
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Status and code of a problem document.
    ///
    /// # Panics
    /// When the answer is none, or has not the headers that one must have.
    #[must_use]
    pub fn problem(&self) -> (u16, String) {
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        assert_eq!(content_type, Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status.as_u16(), "{json}");
        let code = json["code"].as_str().unwrap_or_else(|| panic!("no code: {json}"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            // What may be done already, nobody is asked to try again.
            let may_be_done = ["commit-unknown", "cancelled-by-operator"].contains(&code);
            assert_ne!(self.headers.contains_key(header::RETRY_AFTER), may_be_done, "{self:?}");
        }
        (self.status.as_u16(), code.to_owned())
    }
}
