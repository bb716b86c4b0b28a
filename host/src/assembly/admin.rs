//! The admin listener: bound before anything else of a host is there, and gone after everything else.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Progress, StartError};
use crate::{
    admin::{self, Admin, Refusal, Token, Way},
    config::Config,
    pool::HostCapacity,
    server::{self, BindError, Dispatch, Drained, Exchange, Listener, Peer, Problem, RequestBody, Server},
    shards::Shards,
};

/// Clients at once, on each of its sockets; no more than half of them may watch for long (`admin.max_viewers`).
const MAX_CONNECTIONS: usize = 64;
/// Bytes of a request's body.
const MAX_BODY: u64 = 64 * 1024;
/// How long a client may take to say what it asks, and to ask again: short, for whoever has nothing to ask keeps probes from a place.
const HEADERS: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(5);
/// How long what is asked while it goes away may take.
const DRAIN: Duration = Duration::from_secs(1);
/// After which whoever found too many watching may try again.
const VIEWERS_RETRY: Duration = Duration::from_secs(5);

/// Where a host is asked about itself. Goes away when it is dropped.
pub(super) struct Desk {
    admin: Arc<Admin>,
    address: Option<SocketAddr>,
    serving: Vec<JoinHandle<Drained>>,
    stop: DropGuard,
}

impl Desk {
    /// Listens and answers, on the runtime of the caller: it steals work, so that a shard that is held up holds up no answer.
    ///
    /// # Errors
    /// [`StartError::Admin`].
    pub(super) async fn open(
        config: &Config,
        capacity: &Arc<HostCapacity>,
        shards: &Shards,
        progress: &dyn Progress,
    ) -> Result<Self, StartError> {
        let stop = CancellationToken::new();
        let (unready_after, capacity) = (config.admin.unready_after, Arc::clone(capacity));
        let admin = Arc::new(Admin::new(settings(config), unready_after, shards.clone(), capacity, stop.clone()));
        let mut desk = Self { admin, address: None, serving: Vec::new(), stop: stop.clone().drop_guard() };
        let failed = |key| move |source| StartError::Admin { key, source };
        if let Some(address) = config.server.admin {
            let (listener, address) = Listener::tcp(address).await.map_err(failed("server.admin"))?;
            desk.serve(listener, stop.clone()).map_err(failed("server.admin"))?;
            desk.address = Some(address);
            progress.say(&format!("admin on http://{address}"));
        }
        if let Some(path) = &config.admin.socket {
            let listener = Listener::unix(path).map_err(failed("admin.socket"))?;
            desk.serve(listener, stop).map_err(failed("admin.socket"))?;
            progress.say(&format!("admin at {}", path.display()));
        }
        Ok(desk)
    }

    fn serve(&mut self, listener: Listener, stop: CancellationToken) -> Result<(), BindError> {
        let settings = server::Settings {
            max_connections: MAX_CONNECTIONS,
            max_body: MAX_BODY,
            header_timeout: HEADERS,
            idle_timeout: IDLE,
            drain_timeout: DRAIN,
            access_log: false,
            ..server::Settings::default()
        };
        let server = Server::new(listener, settings)?;
        let front = Arc::new(Front(Arc::clone(&self.admin)));
        self.serving
            .push(tokio::spawn(async move { server.serve(front, &Shards::default(), stop, CancellationToken::new()).await }));
        Ok(())
    }

    /// What it answers from.
    pub(super) fn admin(&self) -> &Arc<Admin> {
        &self.admin
    }

    /// Where it listens, besides its socket.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Answers what it was asked, and goes away.
    ///
    /// # Bounds
    /// Three seconds.
    pub(super) async fn close(self) {
        let Self { serving, stop, .. } = self;
        drop(stop);
        for serving in serving {
            // Nothing of it is left either way; a panic has been told.
            drop(serving.await);
        }
    }
}

/// Who may ask what.
pub(super) fn settings(config: &Config) -> admin::Settings {
    admin::Settings {
        is_loopback: config.server.admin.is_some_and(|address| address.ip().to_canonical().is_loopback()),
        token: config.admin.token.as_ref().map(|token| Token::new(token.expose())),
        hosts: config.admin.hosts.clone(),
        open_views: config.admin.open_views,
        max_viewers: config.admin.max_viewers as usize,
    }
}

/// Carries requests to [`Admin`], and its refusals to the one table of answers.
struct Front(Arc<Admin>);

impl Dispatch for Front {
    type Body = admin::Body;

    async fn dispatch(&self, request: Request<RequestBody>, exchange: Arc<Exchange>) -> Result<Response<Self::Body>, Problem> {
        let (request, _body) = request.into_parts();
        let way = match exchange.peer() {
            Peer::Tcp(_) => Way::Network,
            Peer::Unix => Way::Socket,
        };
        self.0.answer(&request, way).await.map_err(problem)
    }
}

fn problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Misdirected => Problem::Misdirected,
        Refusal::CrossSite => Problem::CrossSite,
        Refusal::NoToken | Refusal::WrongToken => Problem::Unauthorized,
        Refusal::NoRoute => Problem::NoRoute,
        Refusal::NotFound(what) => Problem::NotFound(what),
        Refusal::Conflict(why) => Problem::Conflict(why),
        Refusal::TooManyViewers => Problem::Overloaded(VIEWERS_RETRY),
        Refusal::MethodNotAllowed(allowed) => Problem::MethodNotAllowed(allowed),
        Refusal::Malformed(why) => Problem::BadRequest(why),
    }
}
