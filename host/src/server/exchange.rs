//! One request and what became of it: its id, its outcome, its access line.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering},
};

use http::{Method, StatusCode, Uri};
use tokio::time::Instant;
use tracing::Level;

use super::{Code, Origin, Peer, Problem, RequestId, activity::Activity};
use crate::telemetry::{self, requests::Route, timing::Timing, trace::CallSpan};

/// What one request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The handler's whole answer was given out, whatever its status.
    Answered,
    /// The client went away before that.
    ClientGone,
    /// The client stopped reading for too long.
    ReaderStalled,
    /// The answer failed after its headers were out, without a problem that names why.
    Aborted,
    /// A problem: its document, or after the headers an aborted answer.
    Failed(Code),
}

/// The names of all outcomes, in the order in which they are counted.
pub const OUTCOMES: [&str; 4 + Code::ALL.len()] = {
    // Written out because a constant cannot map; a test holds it against `Outcome::name`.
    [
        "answered",
        "client-gone",
        "reader-stalled",
        "aborted",
        "no-route",
        "method-not-allowed",
        "bad-request",
        "request-timeout",
        "body-too-large",
        "uri-too-long",
        "headers-too-large",
        "handler-trapped",
        "fuel-exhausted",
        "memory-exhausted",
        "handler-no-response",
        "invalid-response",
        "host-panicked",
        "overloaded",
        "shutting-down",
        "deadline-exceeded",
        "cancelled-by-operator",
        "unauthorized",
        "cross-site",
        "misdirected",
        "not-found",
        "conflict",
    ]
};

const OPEN: u8 = u8::MAX;

impl Outcome {
    /// As it stands in access lines and counters.
    #[must_use]
    pub fn name(self) -> &'static str {
        OUTCOMES[usize::from(self.place())]
    }

    pub(super) fn place(self) -> u8 {
        match self {
            Self::Answered => 0,
            Self::ClientGone => 1,
            Self::ReaderStalled => 2,
            Self::Aborted => 3,
            Self::Failed(code) => 4 + code as u8,
        }
    }
}

/// How a request's body broke a rule on its way to the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Fault {
    TooLarge = 1,
    Stalled = 2,
    Malformed = 3,
}

/// One request, from its headers to the last byte of its answer.
#[derive(Debug)]
pub struct Exchange {
    id: RequestId,
    method: Method,
    uri: Uri,
    origin: Origin,
    /// Whether it came through TLS.
    is_secure: bool,
    /// Whether it leaves a line in the access log.
    is_logged: bool,
    started: Instant,
    route: OnceLock<Arc<Route>>,
    /// Of the call, if it is traced.
    span: OnceLock<CallSpan>,
    status: AtomicU16,
    bytes: AtomicU64,
    outcome: AtomicU8,
    fault: AtomicU8,
    /// What its time goes into, if the client is told.
    timing: Option<Arc<Timing>>,
}

impl Exchange {
    pub(super) fn new(id: RequestId, method: Method, uri: Uri, origin: Origin, is_secure: bool, is_logged: bool) -> Self {
        Self {
            id,
            method,
            uri,
            origin,
            is_secure,
            is_logged,
            started: Instant::now(),
            route: OnceLock::new(),
            span: OnceLock::new(),
            status: AtomicU16::new(0),
            bytes: AtomicU64::new(0),
            outcome: AtomicU8::new(OPEN),
            fault: AtomicU8::new(0),
            timing: None,
        }
    }

    /// The same; the client is told what its time went into.
    pub(super) fn timed(self) -> Self {
        Self { timing: Some(Arc::default()), ..self }
    }

    /// As accepted from the client or made by the server.
    #[must_use]
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// The other end of the connection.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.origin.peer
    }

    /// Who asks, as far as that is known.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether it came through TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// When the request's headers were complete.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Where to write what its time goes into, if the client is told.
    #[must_use]
    pub fn timing(&self) -> Option<&Arc<Timing>> {
        self.timing.as_ref()
    }

    /// Says whose route it came by, for the access line and the metrics. Only the first one counts.
    pub fn set_route(&self, route: Arc<Route>) {
        // A second one is a caller's slip that only a log line would show.
        let _already_there = self.route.set(route);
    }

    /// Has its end told in the span of its call. Only the first span counts.
    pub fn set_span(&self, span: CallSpan) {
        // As for the route.
        let _already_traced = self.span.set(span);
    }

    /// Says what the request came to. Only the first outcome counts.
    pub(super) fn settle(&self, outcome: Outcome) {
        let _settled = self.outcome.compare_exchange(OPEN, outcome.place(), Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(super) fn set_status(&self, status: StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }

    pub(super) fn add_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn set_fault(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::Relaxed);
    }

    /// The problem that the request's body was, if it was one.
    pub(super) fn fault(&self, max_body: u64) -> Option<Problem> {
        match self.fault.load(Ordering::Relaxed) {
            fault if fault == Fault::TooLarge as u8 => Some(Problem::BodyTooLarge(max_body)),
            fault if fault == Fault::Stalled as u8 => Some(Problem::RequestTimeout),
            fault if fault == Fault::Malformed as u8 => Some(Problem::BadRequest("The request's body is not well-formed HTTP.")),
            _ => None,
        }
    }
}

/// Held while a request is being answered; its drop ends the exchange, whatever the reason.
pub(super) struct Running {
    exchange: Arc<Exchange>,
    activity: Arc<Activity>,
}

impl Running {
    pub(super) fn begin(exchange: Arc<Exchange>, activity: Arc<Activity>) -> Self {
        activity.call_began();
        activity.counters().began();
        Self { exchange, activity }
    }

    pub(super) fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let now = Instant::now();
        self.activity.call_ended(now);
        let exchange = &self.exchange;
        exchange.settle(if self.activity.is_cut() { Outcome::Failed(Code::ShuttingDown) } else { Outcome::ClientGone });
        let place = usize::from(exchange.outcome.load(Ordering::Relaxed));
        let (route, status) = (exchange.route.get(), exchange.status.load(Ordering::Relaxed));
        let took = now - exchange.started;
        self.activity.counters().ended(place, route.map(|route| &**route), &exchange.method, status, took);
        if let Some(span) = exchange.span.get() {
            span.edit(|span| {
                if status != 0 {
                    span.add("http.response.status_code", i64::from(status));
                }
                if place != usize::from(Outcome::Answered.place()) {
                    span.fail(OUTCOMES.get(place).copied().unwrap_or_default());
                } else if status >= 500 {
                    span.fail(status.to_string());
                }
            });
        }
        if exchange.is_logged && tracing::enabled!(target: "access", Level::INFO) {
            tracing::info!(
                target: "access",
                method = exchange.method.as_str(),
                path = exchange.uri.path(),
                status,
                duration_ms = telemetry::millis(took),
                bytes = exchange.bytes.load(Ordering::Relaxed),
                client = %exchange.origin,
                request_id = exchange.id.as_str(),
                plugin = route.map_or("", |route| route.plugin()),
                outcome = OUTCOMES.get(place).copied().unwrap_or_default(),
            );
        }
    }
}

/// Counts and logs what one connection brought that never became a request, because it could not be read.
#[derive(Clone)]
pub(super) struct Refusals {
    activity: Arc<Activity>,
    origin: Origin,
    is_logged: bool,
}

impl Refusals {
    pub(super) fn new(activity: Arc<Activity>, peer: Peer, is_logged: bool) -> Self {
        Self { activity, origin: Origin::direct(peer), is_logged }
    }

    pub(super) fn add(&self, problem: &Problem, id: &RequestId) {
        let outcome = Outcome::Failed(problem.code());
        self.activity.counters().never_ran(problem.code());
        if self.is_logged {
            tracing::info!(
                target: "access",
                method = "",
                path = "",
                status = problem.code().status().as_u16(),
                client = %self.origin,
                request_id = id.as_str(),
                plugin = "",
                outcome = outcome.name(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_name_and_its_place() {
        let first = [Outcome::Answered, Outcome::ClientGone, Outcome::ReaderStalled, Outcome::Aborted];
        for (place, outcome) in first.into_iter().chain(Code::ALL.map(Outcome::Failed)).enumerate() {
            assert_eq!(usize::from(outcome.place()), place);
            if let Outcome::Failed(code) = outcome {
                assert_eq!(outcome.name(), code.name());
            }
        }
    }
}
