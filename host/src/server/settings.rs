//! The limits of the server, each finite.

use std::time::Duration;

use super::Proxies;

/// How much of everything the server takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Connections at once; further ones wait in the operating system's backlog. At least 1, default 1,024.
    pub max_connections: usize,
    /// Request line and headers together, also what a connection buffers in each direction. 8 KiB to 16 MiB, default 64 KiB.
    pub max_header_bytes: usize,
    /// Header fields of a request. At least 1, default 100.
    pub max_headers: usize,
    /// Path and query of a request. Default 8 KiB.
    pub max_uri: usize,
    /// A request's body, without the framing. Default 10 MiB.
    pub max_body: u64,
    /// From the first byte of a request (on a new connection: from the accept) to the end of its headers. Default 10 s.
    pub header_timeout: Duration,
    /// A connection without a request. Default 60 s.
    pub idle_timeout: Duration,
    /// How long the next piece of a request's body, or a reader's taking of the next piece of an answer, is waited for. Default 10 s.
    pub body_stall_timeout: Duration,
    /// From the end of a request's head to the end of its body, while somebody reads it. Default 1 h: the call ends sooner.
    pub request_timeout: Duration,
    /// How long running calls may go on once the server stops. Default 10 s.
    pub drain_timeout: Duration,
    /// Whether every request leaves a line in the access log. Default true.
    pub access_log: bool,
    /// Whom to believe where a request comes from. Default nobody.
    pub proxies: Proxies,
    /// Whether answers say in `Server-Timing` what their time went into. Default false.
    pub server_timing: bool,
    /// What is particular to HTTP/2.
    pub http2: Http2,
}

/// Limits of one HTTP/2 connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Http2 {
    /// Requests at once. Default 100.
    pub max_concurrent_streams: u32,
    /// Streams that the peer reset before they were looked at; more end the connection (rapid reset). Default 20.
    pub max_pending_reset_streams: usize,
    /// Streams that the peer made this side reset; more end the connection. Default 256.
    pub max_local_reset_streams: usize,
    /// What a peer may send ahead on one stream. Default 256 KiB.
    pub stream_window: u32,
    /// What a peer may send ahead on all streams together. Default 1 MiB.
    pub connection_window: u32,
    /// How often a silent peer is pinged. Default 20 s.
    pub ping_interval: Duration,
    /// How long the answer to a ping may take. Default 10 s.
    pub ping_timeout: Duration,
}

impl Settings {
    /// The name of the first setting that is out of its bounds.
    #[must_use]
    pub fn out_of_bounds(&self) -> Option<&'static str> {
        if self.max_connections == 0 || self.max_connections > tokio::sync::Semaphore::MAX_PERMITS {
            Some("max_connections")
        } else if !(8 * 1024..=16 * 1024 * 1024).contains(&self.max_header_bytes) {
            Some("max_header_bytes")
        } else if self.max_headers == 0 || self.max_headers > 10_000 {
            Some("max_headers")
        } else {
            None
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_header_bytes: 64 * 1024,
            max_headers: 100,
            max_uri: 8 * 1024,
            max_body: 10 * 1024 * 1024,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_stall_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60 * 60),
            drain_timeout: Duration::from_secs(10),
            access_log: true,
            proxies: Proxies::default(),
            server_timing: false,
            http2: Http2::default(),
        }
    }
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 100,
            max_pending_reset_streams: 20,
            max_local_reset_streams: 256,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
        }
    }
}
