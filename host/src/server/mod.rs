//! The HTTP server: accepts connections, admits requests, hands them to a [`Dispatch`] and writes what comes back.
//!
//! In the order data flows: `stream` has the sockets of either kind, `place` the paths of those of Unix; `listener` accepts and drains;
//! `connection` supervises one socket (time-outs, client gone) with what `socket` and `activity` tell it; `line` is what is spoken on, the
//! socket itself or `tls` on it; `service` takes one request to its answer, which `exchange` records and [`Counters`] counts, `origin`
//! says who asked, and `timing` tells what the time went into; `request_body` and `response_body` bound the bodies; [`problem`] is the one table from errors to answers.

mod activity;
mod connection;
mod counters;
mod exchange;
mod line;
mod listener;
mod origin;
mod place;
pub mod problem;
mod request_body;
mod request_id;
mod response_body;
mod service;
mod settings;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod timing;
mod tls;

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};

pub use self::{
    counters::Counters,
    exchange::{Exchange, OUTCOMES, Outcome},
    listener::{BindError, Drained, Server, Tuning},
    origin::{ForwardedHeader, Origin, Proxies},
    problem::{Code, Problem},
    request_body::{RequestBody, RequestBodyError},
    request_id::RequestId,
    settings::{Http2, Settings},
    stream::{Listener, Peer},
    tls::{Tls, TlsError},
};

/// What a response's body may fail with. A [`Problem`] inside names the outcome of the call; the client only sees an aborted answer.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Who answers requests: routing, admission, the call itself.
pub trait Dispatch: Send + Sync + 'static {
    /// What an answer consists of.
    type Body: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static;

    /// Answers one request, which passed every limit of the server.
    ///
    /// # Errors
    /// The [`Problem`] that is answered instead. When the request's body broke a limit on the way, that is answered, whatever comes
    /// back from here. A panic is answered with [`Problem::HostPanicked`].
    /// # Cancellation
    /// The future, and later the body, are dropped as soon as the client is gone, or stops reading for `body_stall_timeout`, or when the
    /// drain has lasted `drain_timeout`. Their drop must not block. For HEAD, 204 and 304 the body is dropped unread.
    fn dispatch(
        &self,
        request: Request<RequestBody>,
        exchange: Arc<Exchange>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Problem>> + Send;
}
