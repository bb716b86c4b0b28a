//! One client, which makes one call after the other as their kinds say.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use support::client::{RequestBody, body, bytes};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

use crate::{
    check::{Heard, Verdict, check},
    kinds::{Ask, Engine, Kind},
};

/// How long a client waits for an answer that must come. Longer than every limit of the host.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long one waits that goes away: long enough for most calls to be where they should be left.
const IMPATIENCE: Duration = Duration::from_millis(250);

/// What is sent to be sent back.
static BYTES: [u8; 32 * 1024] = [b'x'; 32 * 1024];

/// A client with a connection that it uses again as long as it can.
#[derive(Debug)]
pub(crate) struct Caller {
    address: SocketAddr,
    line: Option<Line>,
}

/// A connection, and the task that moves its bytes; dropping it closes the socket, wherever the bytes are.
#[derive(Debug)]
struct Line {
    sender: SendRequest<RequestBody>,
    task: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Caller {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, line: None }
    }

    /// Makes one call and judges what comes of it.
    pub(crate) async fn call(&mut self, kind: &Kind, engine: Option<Engine>, number: u64) -> Verdict {
        let (request, sent) = request(kind, engine, number);
        let heard = match kind.ask {
            Ask::Get(_) | Ask::Steps(_) | Ask::Send(_) | Ask::Starve(_) => self.patiently(request).await,
            Ask::Leave(_) | Ask::Trickle(_) => match timeout(IMPATIENCE, self.patiently(request)).await {
                Ok(heard) => heard,
                Err(_) => {
                    self.line = None;
                    Heard::Nothing
                }
            },
            Ask::Sip(_) => self.sip(request).await,
        };
        if !matches!((&kind.ask, &heard), (Ask::Get(_) | Ask::Steps(_) | Ask::Send(_), Heard::Whole { .. })) {
            self.line = None;
        }
        check(&kind.expected, &sent, &heard)
    }

    async fn patiently(&mut self, request: Request<RequestBody>) -> Heard {
        let answer = async {
            let response = match self.send(request).await {
                Ok(response) => response,
                Err(error) => return Heard::Lost(error.to_string()),
            };
            let status = response.status().as_u16();
            match response.into_body().collect().await {
                Ok(whole) => Heard::Whole { status, body: whole.to_bytes() },
                Err(error) => Heard::Cut { status, why: error.to_string() },
            }
        };
        timeout(PATIENCE, answer).await.unwrap_or_else(|_| Heard::Lost(format!("no answer within {PATIENCE:?}")))
    }

    async fn sip(&mut self, request: Request<RequestBody>) -> Heard {
        let answer = async {
            let response = match self.send(request).await {
                Ok(response) => response,
                Err(error) => return Heard::Lost(error.to_string()),
            };
            let status = response.status().as_u16();
            let mut body = response.into_body();
            if status != 200 {
                // A problem document has something to say.
                let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                return Heard::Whole { status, body };
            }
            match body.frame().await {
                Some(Ok(frame)) if frame.data_ref().is_some_and(|data| !data.is_empty()) => Heard::Begun { status },
                other => Heard::Cut { status, why: format!("{other:?}") },
            }
        };
        timeout(PATIENCE, answer).await.unwrap_or_else(|_| Heard::Lost(format!("no answer within {PATIENCE:?}")))
    }

    async fn send(&mut self, request: Request<RequestBody>) -> anyhow::Result<Response<Incoming>> {
        // The host may have closed it after the last answer.
        if let Some(line) = &mut self.line
            && line.sender.ready().await.is_err()
        {
            self.line = None;
        }
        let line = match &mut self.line {
            Some(line) => line,
            None => self.line.insert(connect(self.address).await?),
        };
        Ok(line.sender.send_request(request).await?)
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<Line> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(socket)).await?;
    let task = tokio::spawn(connection.map(drop));
    Ok(Line { sender, task })
}

/// The request of a kind, and the bytes of its body as far as they are known before.
fn request(kind: &Kind, engine: Option<Engine>, number: u64) -> (Request<RequestBody>, Bytes) {
    let (method, path, sent) = match kind.ask {
        Ask::Get(path) | Ask::Leave(path) | Ask::Sip(path) => (Method::GET, path, Bytes::new()),
        Ask::Steps(steps) => {
            let steps = steps(engine.expect("steps are done on a database"), number);
            (Method::POST, "/probe/run", Bytes::from(steps.to_string()))
        }
        Ask::Send(path) | Ask::Trickle(path) | Ask::Starve(path) => (Method::POST, path, Bytes::from_static(&BYTES)),
    };
    let body = match kind.ask {
        Ask::Trickle(_) | Ask::Starve(_) => {
            let some = stream::iter([Ok::<_, Infallible>(Frame::data(sent.clone()))]);
            body(StreamBody::new(some.chain(stream::pending())))
        }
        _ => bytes(sent.clone()),
    };
    let uri = match engine {
        Some(engine) => format!("{path}{}database={}", if path.contains('?') { '&' } else { '?' }, engine.name()),
        None => path.to_owned(),
    };
    let request = Request::builder().method(method).uri(uri).header(header::HOST, "soak").body(body).expect("a valid request");
    (request, sent)
}
