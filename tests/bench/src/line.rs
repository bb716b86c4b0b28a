//! One connection of HTTP/1.1 that is asked one thing after the other, each with its time.
//!
//! wrk does not tell the latency of an answer by its status, nor when a single call came back; where that matters, this is the client.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, timeout},
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes of a body that a failure shows.
const SHOWN: usize = 500;

/// An open connection, which is opened again when the server has closed it between two answers, as it may.
#[derive(Debug)]
pub(crate) struct Line {
    address: SocketAddr,
    host: HeaderValue,
    sender: SendRequest<Empty<Bytes>>,
    _connection: Connection,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// How long a client that was refused is asked to stay away.
    pub(crate) retry_after: Option<Duration>,
    /// From the request to the end of the body.
    pub(crate) took: Duration,
    /// The length of the body.
    pub(crate) bytes: usize,
    /// How the body begins, unless it is an answer of success.
    pub(crate) said: String,
}

/// What a refusal or a failure is called, as host and SDK write it.
#[derive(Debug, Deserialize)]
struct Problem {
    code: String,
}

/// The task that moves the bytes; it ends with the line.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let (sender, connection) = open(address).await?;
        Ok(Self { address, host: address.to_string().parse()?, sender, _connection: connection })
    }

    /// Sends a GET and waits for the whole answer.
    ///
    /// # Errors
    /// When there is none within two minutes, or it breaks off.
    /// # Cancellation
    /// The connection is of no more use.
    pub(crate) async fn ask(&mut self, path: &Uri) -> Result<Reply> {
        if self.sender.ready().await.is_err() {
            (self.sender, self._connection) = open(self.address).await?;
            self.sender.ready().await?;
        }
        let request = Request::get(path.clone()).header(header::HOST, self.host.clone()).body(Empty::new())?;
        let answer = timeout(PATIENCE, self.exchange(request)).await;
        answer.with_context(|| format!("{path}: no answer within {PATIENCE:?}"))?.with_context(|| path.to_string())
    }

    /// The same, for an answer of this status and no other.
    ///
    /// # Errors
    /// As [`Line::ask`], and for any other status.
    pub(crate) async fn expect(&mut self, path: &Uri, status: u16) -> Result<Reply> {
        let reply = self.ask(path).await?;
        ensure!(reply.status == status, "{path} was answered with {} instead of {status}: {}", reply.status, reply.said);
        Ok(reply)
    }

    async fn exchange(&mut self, request: Request<Empty<Bytes>>) -> Result<Reply> {
        let sent = Instant::now();
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let mut body = response.into_body();
        let (mut bytes, mut said) = (0, Vec::new());
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                bytes += data.len();
                if !status.is_success() && said.len() < SHOWN {
                    said.extend_from_slice(&data);
                }
            }
        }
        Ok(Reply {
            status: status.as_u16(),
            retry_after: retry_after.map(Duration::from_secs),
            took: sent.elapsed(),
            bytes,
            said: String::from_utf8_lossy(&said).into_owned(),
        })
    }
}

impl Reply {
    /// The code of a problem document; empty when it is none.
    pub(crate) fn code(&self) -> String {
        serde_json::from_str::<Problem>(&self.said).map_or_else(|_| String::new(), |problem| problem.code)
    }
}

async fn open(address: SocketAddr) -> Result<(SendRequest<Empty<Bytes>>, Connection)> {
    let socket = TcpStream::connect(address).await.with_context(|| format!("no connection to {address}"))?;
    socket.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(socket)).await?;
    Ok((sender, Connection(tokio::spawn(connection.map(drop)))))
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Milliseconds, as figures are told.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
