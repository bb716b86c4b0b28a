//! What a running host tells about itself, and who may ask: requests in, answers out, whoever carries them.
//!
//! In the order data flows: `ROUTES` says what there is to ask for, `access` who may ask it, and `health` answers.
//!
//! Nothing changes by GET, there is no cookie and no header that lets other sites in. So even where no token is asked for, a browser
//! cannot be made to change anything.

mod access;
mod health;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header, request};
use serde::Serialize;
use tokio::time::sleep;

pub use self::access::{Settings, Token};
use self::{
    access::{Access, Need},
    health::Health,
};
use crate::{
    pool::Database,
    router::{Lookup, Route, Router},
    shards::Shards,
};

/// How long the answer to a wrong token takes.
const PENALTY: Duration = Duration::from_millis(100);

/// What there is to ask for.
const ROUTES: [(Method, &str, Page); 2] =
    [(Method::GET, "/health/live", Page::Live), (Method::GET, "/health/ready", Page::Ready)];

/// Who answers a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Live,
    Ready,
}

impl Page {
    /// What asking for it takes. Orchestrators probe, and have no token.
    fn need(self) -> Need {
        match self {
            Self::Live | Self::Ready => Need::Nothing,
        }
    }
}

/// On every answer: it is of now, it is what it says it is, and no page may show it or be told where it came from.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
];

/// Why something is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is not for this host, by the name that it gives.
    Misdirected,
    /// A page of another site asks.
    CrossSite,
    /// It takes the token, and there was none.
    NoToken,
    /// It takes the token, and there was another.
    WrongToken,
    /// There is no such thing.
    NotFound,
    /// There is, for other methods: these.
    MethodNotAllowed(Vec<Method>),
    /// The path is none, for this reason, a sentence to be shown.
    Malformed(&'static str),
}

/// How a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Over a network, be it that of the machine alone.
    Network,
    /// Through the socket, which only the host's own user and root can.
    Socket,
}

/// What a host is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Databases are opened, plugins loaded.
    Starting,
    /// Requests are answered.
    Serving,
    /// Requests that came are finished, then everything is closed.
    Draining,
}

/// Answers for one host.
pub struct Admin {
    access: Access,
    routes: Router<Page>,
    health: Health,
}

impl Admin {
    /// For a host that begins to start, and serves in `shards`. A required database counts as down once it has been for `unready_after`.
    #[must_use]
    pub fn new(settings: Settings, unready_after: Duration, shards: Shards) -> Self {
        let routes = ROUTES.map(|(method, path, page)| Route { method: Some(method), pattern: path.to_owned(), target: page });
        let Ok(routes) = Router::build(routes) else { unreachable!("the routes of the host itself fit together") };
        Self { access: Access::new(settings), routes, health: Health::new(unready_after, shards) }
    }

    /// The host is at something else now.
    pub fn set_phase(&self, phase: Phase) {
        self.health.set_phase(phase);
    }

    /// From now on the host is ready only while these are up.
    pub fn require(&self, databases: Vec<Database>) {
        self.health.require(databases);
    }

    /// Answers one request, whose body does not matter.
    ///
    /// # Bounds
    /// At once, but for a wrong token: after 100 ms.
    /// # Errors
    /// [`Refusal`].
    pub async fn answer(&self, request: &request::Parts, way: Way) -> Result<Response<Bytes>, Refusal> {
        let found = self.routes.lookup(&request.method, request.uri.path());
        let need = match found {
            Lookup::Found(page) => page.need(),
            // Who may not look is not told what there is.
            _ if matches!(request.method, Method::GET | Method::HEAD) => Need::Look,
            _ => Need::Change,
        };
        if let Err(refusal) = self.access.check(request, way, need) {
            if refusal == Refusal::WrongToken {
                sleep(PENALTY).await;
            }
            return Err(refusal);
        }
        match found {
            Lookup::Found(Page::Live) => Ok(self.health.live()),
            Lookup::Found(Page::Ready) => Ok(self.health.ready()),
            Lookup::MethodNotAllowed(allowed) => Err(Refusal::MethodNotAllowed(allowed)),
            Lookup::NotFound => Err(Refusal::NotFound),
            Lookup::Malformed(why) => Err(Refusal::Malformed(why)),
        }
    }
}

/// A document with the headers that every answer has.
fn json(status: StatusCode, document: &impl Serialize) -> Response<Bytes> {
    // Structs of strings and numbers always serialize.
    let mut response = Response::new(Bytes::from(serde_json::to_vec(document).unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
