//! What a running host tells about itself, and who may ask: requests in, answers out, whoever carries them.
//!
//! In the order data flows: `ROUTES` says what there is to ask for, `access` who may ask it; `health`, `pools`, `calls` and `plugins` answer,
//! each with one document that has a JSON Schema in `schema/`, and `metrics` with text for Prometheus, of what the host has shown in `subjects`.
//! `live` shows all of it to who looks on, by a page (`live.html`) that has no data in it and asks for them. `steward` has
//! the host change.
//!
//! Nothing changes by GET, there is no cookie and no header that lets other sites in. So even where no token is asked for, a browser
//! cannot be made to change anything.

mod access;
mod calls;
mod health;
mod live;
mod metrics;
mod plugins;
mod pools;
mod steward;
mod subjects;

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header, request};
use http_body_util::{Either, Full};
use jiff::Timestamp;
use serde::Serialize;
use tokio::{sync::Semaphore, time::sleep};
use tokio_util::sync::CancellationToken;

use self::{
    access::{Access, Need},
    calls::{Call, Calls},
    health::Health,
    live::{Events, Snapshot, Watching},
    metrics::{Denied, Reloads},
    plugins::Plugins,
    pools::{Pool, Pools},
};
pub use self::{
    access::{Settings, Token},
    steward::{Reloaded, Steward},
    subjects::{Served, Subjects, Watched},
};
use crate::{
    pool::HostCapacity,
    router::{Lookup, Route, Router},
    shards::Shards,
    sync::Live,
    telemetry::metrics as recorded,
};

/// How long the answer to a wrong token takes.
const PENALTY: Duration = Duration::from_millis(100);
/// Metrics that are told at once; who else asks waits.
const MAX_SCRAPES: usize = 2;

/// What there is to ask for.
const ROUTES: [(Method, &str, Page); 19] = [
    (Method::GET, "/", Page::View),
    (Method::GET, "/live/events", Page::Events),
    (Method::GET, "/health/live", Page::Live),
    (Method::GET, "/health/ready", Page::Ready),
    (Method::GET, "/health/database-pool", Page::Pools),
    (Method::GET, "/calls", Page::Calls),
    (Method::GET, "/plugins", Page::Plugins),
    (Method::GET, "/metrics", Page::Metrics),
    (Method::POST, "/pools/{name}/drain", Page::Drain),
    (Method::POST, "/pools/{name}/resume", Page::Resume),
    (Method::POST, "/calls/{id}/cancel", Page::Cancel),
    (Method::POST, "/reload", Page::Reload { check: false }),
    (Method::POST, "/reload/check", Page::Reload { check: true }),
    (Method::GET, "/schema/live.json", Page::Schema(include_str!("schema/live.json"))),
    (Method::GET, "/schema/ready.json", Page::Schema(include_str!("schema/ready.json"))),
    (Method::GET, "/schema/database-pool.json", Page::Schema(include_str!("schema/database-pool.json"))),
    (Method::GET, "/schema/calls.json", Page::Schema(include_str!("schema/calls.json"))),
    (Method::GET, "/schema/plugins.json", Page::Schema(include_str!("schema/plugins.json"))),
    (Method::GET, "/schema/reload.json", Page::Schema(include_str!("schema/reload.json"))),
];

/// Who answers a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// Shows to people all that there is, as it changes.
    View,
    /// What it shows.
    Events,
    Live,
    Ready,
    Pools,
    Calls,
    Plugins,
    Metrics,
    /// Pauses the database of the path's name.
    Drain,
    /// Ends its pause.
    Resume,
    /// Ends the call of the path's number or request id.
    Cancel,
    /// Reads the configuration again.
    Reload {
        check: bool,
    },
    /// Tells what a document has.
    Schema(&'static str),
}

impl Page {
    /// What asking for it takes. Orchestrators probe, and have no token; nor has a browser, until it is typed into the page that takes it.
    fn need(self) -> Need {
        match self {
            Self::View => Need::Page,
            Self::Live | Self::Ready => Need::Nothing,
            Self::Events | Self::Pools | Self::Calls | Self::Plugins | Self::Metrics | Self::Schema(_) => Need::Look,
            Self::Drain | Self::Resume | Self::Cancel | Self::Reload { .. } => Need::Change,
        }
    }
}

/// On every answer, problem documents of the server included: it is of now, it is what it says it is, and no page may show it or be told where
/// it came from.
pub(crate) const HEADERS: [(HeaderName, &str); 4] = [
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
    /// There is no such path.
    NoRoute,
    /// The path is there, and what it names is not: a sentence to be shown.
    NotFound(&'static str),
    /// It cannot be done as things stand, for this reason, a sentence to be shown.
    Conflict(&'static str),
    /// As many watch as may.
    TooManyViewers,
    /// There is such a path, for other methods: these.
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

/// What an answer consists of: a document, or the events that a page shows.
pub type Body = Either<Full<Bytes>, Events>;

/// Answers for one host.
pub struct Admin {
    access: Live<Access>,
    routes: Router<Page>,
    health: Health,
    watching: Watching,
    capacity: Arc<HostCapacity>,
    subjects: Live<Subjects>,
    denied: Denied,
    scrapes: Semaphore,
    steward: OnceLock<Arc<dyn Steward>>,
    reloads: Reloads,
}

impl Admin {
    /// For a host that begins to start, serves in `shards`, and has places for connections. A required database counts as down once it
    /// has been for `unready_after`. Nobody is shown any more events once `closing` fires.
    #[must_use]
    pub fn new(
        settings: Settings,
        unready_after: Duration,
        shards: Shards,
        capacity: Arc<HostCapacity>,
        closing: CancellationToken,
    ) -> Self {
        let watching = Watching::new(settings.max_viewers, closing);
        let routes = ROUTES.map(|(method, path, page)| Route { method: Some(method), pattern: path.to_owned(), target: page });
        let Ok(routes) = Router::build(routes) else { unreachable!("the routes of the host itself fit together") };
        let (access, health) = (Live::from_pointee(Access::new(settings)), Health::new(unready_after, shards));
        Self {
            access,
            routes,
            health,
            watching,
            capacity,
            subjects: Live::from_pointee(Subjects::default()),
            denied: Denied::default(),
            scrapes: Semaphore::new(MAX_SCRAPES),
            steward: OnceLock::new(),
            reloads: Reloads::default(),
        }
    }

    /// From now on these may ask what, and a database may be down for so long. Whoever watches already stays, unless that takes another token
    /// now.
    pub fn reconfigure(&self, settings: Settings, unready_after: Duration) {
        self.watching.set_max_viewers(settings.max_viewers);
        let access = Arc::new(Access::new(settings));
        let before = self.access.swap(Arc::clone(&access));
        if !access.lets_look_on(&before) {
            self.watching.dismiss();
        }
        self.health.set_unready_after(unready_after);
    }

    /// Has the host changed by `steward` from now on; counts only the first time.
    pub fn attend(&self, steward: Arc<dyn Steward>) {
        drop(self.steward.set(steward));
    }

    /// The host has read its configuration again, and put it in force or refused it.
    pub fn count_reload(&self, is_done: bool) {
        self.reloads.count(is_done);
    }

    /// The host is at something else now.
    pub fn set_phase(&self, phase: Phase) {
        self.health.set_phase(phase);
    }

    /// From now on these are told about, and the host is ready only while the required ones of its databases are up.
    pub fn show(&self, subjects: Subjects) {
        self.subjects.store(Arc::new(subjects));
    }

    /// Whether all goes on that must, but for whoever asks: what `/health/live` says. Looked at from a later moment, whether all has gone on
    /// since.
    #[must_use]
    pub fn is_live(&self, now: Instant) -> bool {
        self.health.is_live(&self.subjects.load().databases, now)
    }

    /// Connections of all databases that there are, and that there may be at most.
    #[must_use]
    pub fn connections(&self) -> (u32, u32) {
        self.capacity.usage()
    }

    /// Answers one request, whose body does not matter.
    ///
    /// # Bounds
    /// At once, but for a wrong token, after 100 ms, and a reload, which takes as long as it takes. Events go on for as long as they are taken.
    /// # Errors
    /// [`Refusal`].
    pub async fn answer(self: &Arc<Self>, request: &request::Parts, way: Way) -> Result<Response<Body>, Refusal> {
        let found = self.routes.lookup(&request.method, request.uri.path());
        let need = match found {
            Lookup::Found(page) => page.need(),
            // Who may not look is not told what there is.
            _ if matches!(request.method, Method::GET | Method::HEAD) => Need::Look,
            _ => Need::Change,
        };
        let sitting = self.watching.sitting();
        // What others put in force meanwhile is for the next request.
        let allowed = self.access.load().check(request, way, need);
        if let Err(refusal) = allowed {
            self.denied.count(&refusal);
            if refusal == Refusal::WrongToken {
                sleep(PENALTY).await;
            }
            return Err(refusal);
        }
        match found {
            Lookup::Found(Page::Events) => self.events(sitting),
            Lookup::Found(Page::Metrics) => self.metrics().await,
            Lookup::Found(Page::Reload { check }) => {
                let steward = self.steward.get().ok_or(Refusal::Conflict("The host is not ready yet."))?;
                Ok(whole(steward::told(steward.reload(*check).await)))
            }
            Lookup::Found(page) => self.page(*page, request.uri.path()),
            Lookup::MethodNotAllowed(allowed) => Err(Refusal::MethodNotAllowed(allowed)),
            Lookup::NotFound => Err(Refusal::NoRoute),
            Lookup::Malformed(why) => Err(Refusal::Malformed(why)),
        }
    }

    async fn metrics(&self) -> Result<Response<Body>, Refusal> {
        if !recorded::is_on() {
            return Err(Refusal::NotFound("This host is configured to keep no metrics."));
        }
        // Never closed.
        let _turn = self.scrapes.acquire().await;
        let text = metrics::text(&self.subjects.load(), &self.capacity, &self.denied, &self.reloads);
        Ok(whole(answer(StatusCode::OK, text.into(), recorded::CONTENT_TYPE)))
    }

    fn page(&self, page: Page, path: &str) -> Result<Response<Body>, Refusal> {
        let subjects = self.subjects.load();
        // The second part of a path that has a parameter; names, numbers and request ids are what they are in a path.
        let parameter = path.split('/').nth(2).unwrap_or_default();
        let document = match page {
            Page::View => self.watching.page(),
            Page::Live => self.health.live(&subjects.databases),
            Page::Ready => self.health.ready(&subjects),
            Page::Pools => json(StatusCode::OK, &Pools::of(&self.capacity, &subjects)),
            Page::Calls => json(StatusCode::OK, &Calls::of(&subjects)),
            Page::Plugins => json(StatusCode::OK, &Plugins::of(&subjects)),
            Page::Drain | Page::Resume => {
                let watched = subjects.database(parameter)?;
                let is_drain = page == Page::Drain;
                if is_drain {
                    watched.database.pause()
                } else {
                    watched.database.resume()
                }
                tracing::info!(database = parameter, paused = is_drain, "the operator has changed a pool");
                json(StatusCode::OK, &Pool::of(watched, &subjects))
            }
            Page::Cancel => {
                let call = subjects.cancel(parameter)?;
                tracing::info!(plugin = %call.plugin, request_id = %call.request_id, "the operator has cancelled a call");
                json(StatusCode::OK, &Call::of(call))
            }
            // They take their time, and are answered where that is waited for.
            Page::Events | Page::Metrics | Page::Reload { .. } => return Err(Refusal::NoRoute),
            Page::Schema(text) => answer(StatusCode::OK, Bytes::from_static(text.as_bytes()), "application/schema+json"),
        };
        Ok(whole(document))
    }

    /// All there is to know, again and again, until the end of a sitting.
    fn events(self: &Arc<Self>, sitting: CancellationToken) -> Result<Response<Body>, Refusal> {
        let admin = Arc::clone(self);
        let look = move || Snapshot::of(&admin.health, &admin.capacity, &admin.subjects.load());
        let events = self.watching.events(sitting, look)?;
        Ok(answer(StatusCode::OK, Bytes::new(), "text/event-stream").map(|_| Body::Right(events)))
    }
}

/// An answer that is a document.
fn whole(document: Response<Bytes>) -> Response<Body> {
    document.map(|document| Body::Left(Full::new(document)))
}

fn json(status: StatusCode, document: &impl Serialize) -> Response<Bytes> {
    // Structs of strings and numbers always serialize.
    answer(status, Bytes::from(serde_json::to_vec(document).unwrap_or_default()), "application/json")
}

/// An answer with the headers that every one has.
fn answer(status: StatusCode, text: Bytes, content_type: &'static str) -> Response<Bytes> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The time of day that was so long ago, in UTC.
fn ago(duration: Duration) -> String {
    let at = SystemTime::now().checked_sub(duration).and_then(|at| Timestamp::try_from(at).ok());
    // A clock outside of the years that can be written.
    at.map_or_else(String::new, |at| format!("{at:.3}"))
}

/// A time of day as documents have it, from one that is more exact.
fn time(at: &str) -> String {
    at.parse().map_or_else(|_| String::new(), |at: Timestamp| format!("{at:.3}"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
