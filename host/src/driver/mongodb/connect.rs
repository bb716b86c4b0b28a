//! Opens a session: a client with one socket for operations and one that watches the server, then identity and privileges as the server
//! tells them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bson::{Bson, Document, Uuid, rawdoc};
use mongodb::{
    Client,
    error::Error,
    event::{
        EventHandler,
        cmap::CmapEvent,
        sdam::{SdamEvent, ServerHeartbeatFailedEvent},
    },
    options::{ClientOptions, ServerAddress, ServerMonitoringMode},
};
use tokio::{sync::watch, time::Instant};

use super::{
    Shared,
    connection::MongodbConnection,
    error,
    link::{Kept, Link},
    reply, role,
    url::Location,
};
use crate::driver::{Failure, FailureKind, Session};

/// Opens one session for guests.
pub(super) async fn open(shared: &Arc<Shared>) -> Result<MongodbConnection, Failure> {
    let Opened { mut kept, session, sockets } = link(shared, &shared.location, &shared.openings, "wharf").await?;
    role::check(kept.get()?, shared).await?;
    Ok(MongodbConnection::new(kept, Arc::clone(shared), session, sockets))
}

/// What an open link is known by.
pub(super) struct Opened {
    pub(super) kept: Kept,
    pub(super) session: Session,
    pub(super) sockets: Arc<Sockets>,
}

/// Opens a client whose sockets go by a name of their own, and asks the server who it is.
///
/// # Errors
/// [`FailureKind::Disconnected`] as soon as every host was tried once, and at once while too many openings go on (see [`Openings`]);
/// [`FailureKind::Denied`] for a credential that is refused.
/// # Cancellation
/// A socket that has come as far as its handshake stays until the server has answered or closed it: the crate sets no limit to that. Until then
/// it counts among the openings.
pub(super) async fn link(shared: &Shared, location: &Location, openings: &Arc<Openings>, what: &str) -> Result<Opened, Failure> {
    let sockets = Arc::new(openings.enter(Instant::now())?);
    let name = format!("{what} {} {:032x}", location.database, rand::random::<u128>());
    let parsed = ClientOptions::parse(location.connection.clone()).await.map_err(|error| error::connect(&error))?;
    let mut options = settled(parsed, &name, shared)?;
    let hosts = options.hosts.len();
    let (failing, mut failed) = watch::channel(Failed { untried: options.hosts.clone(), last: None });
    let noted = Arc::clone(&sockets);
    options.cmap_event_handler = Some(EventHandler::callback(move |event| noted.note(&event)));
    options.sdam_event_handler = Some(EventHandler::callback(move |event| {
        if let SdamEvent::ServerHeartbeatFailed(event) = event {
            failing.send_modify(|failed| failed.note(event));
        }
    }));
    let client = Client::with_options(options).map_err(|error| error::connect(&error))?;
    // Not consistent with what it has read before: the times of one borrower are none of the next one's.
    let session = client.start_session().causal_consistency(false).await.map_err(|error| error::connect(&error))?;
    let (database, admin) = (client.database(&location.database), client.database("admin"));
    let mut kept = Kept::new(Link { client, database, admin, session, cursors: HashMap::new() }, &shared.remains);
    let all_failed = async {
        match failed.wait_for(|failed| failed.untried.is_empty()).await.map(|failed| failed.last.clone()) {
            Ok(Some(error)) => error::connect(&error),
            // The client would be gone first.
            _ => std::future::pending().await,
        }
    };
    let Link { admin, session, .. } = kept.get()?;
    let asking = async { admin.run_raw_command(rawdoc! { "hello": 1 }).session(session).await };
    let hello = tokio::select! {
        biased;
        hello = asking => hello.map_err(|error| error::connect(&error))?,
        // The driver would wait for another host until its time is up.
        failure = all_failed => return Err(failure),
    };
    let session = identity(&hello, &name, &kept.get()?.lsid())?;
    if hosts > 1 && hello.get_str("msg").is_ok_and(|kind| kind == "isdbgrid") {
        let message = "the URL names several routers of a sharded cluster, of which a transaction may use one only; name one";
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    Ok(Opened { kept, session, sockets })
}

/// What is promised of connections rests on these. Of what the crate has made of a URL only what the URL may say is taken over: for a name that
/// stands for hosts it has noted that name as well, and would look it up again and again, in a task that does not end with its client.
fn settled(parsed: ClientOptions, name: &str, shared: &Shared) -> Result<ClientOptions, Failure> {
    // A name that stands for hosts may say so in the network's books.
    if parsed.load_balanced == Some(true) {
        let message = "the database URL cannot be used: it sets `loadBalanced`, which Wharf sets itself";
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    let mut options = ClientOptions::default();
    options.hosts = parsed.hosts;
    options.connect_timeout = parsed.connect_timeout;
    options.credential = parsed.credential;
    options.direct_connection = parsed.direct_connection;
    options.repl_set_name = parsed.repl_set_name;
    options.tls = parsed.tls;
    options.app_name = Some(name.to_owned());
    options.max_pool_size = Some(1);
    options.max_connecting = Some(1);
    // One socket watches; where the server pushes there would be two.
    options.server_monitoring_mode = Some(ServerMonitoringMode::Poll);
    options.server_selection_timeout = Some(shared.settings.server_selection_timeout);
    // A retry is a second operation behind our back.
    options.retry_reads = Some(false);
    options.retry_writes = Some(false);
    Ok(options)
}

/// A session is known by the name of its sockets and by its logical session.
fn identity(hello: &Document, name: &str, lsid: &Document) -> Result<Session, Failure> {
    let unknown = || Failure::new(FailureKind::Disconnected, "the server does not tell who the session is").lost();
    let id = reply::number(hello, "connectionId").ok_or_else(unknown)?;
    let Some(Bson::Binary(lsid)) = lsid.get("id") else { return Err(unknown()) };
    let lsid = lsid.to_uuid().map_err(|_| unknown())?;
    Ok(Session { id, started: format!("{name}|{lsid}").into() })
}

/// The name of a session's sockets, and its logical session.
pub(super) fn known_by(session: &Session) -> Result<(&str, Uuid), Failure> {
    let parts = session.started.rsplit_once('|').and_then(|(name, lsid)| Some((name, Uuid::parse_str(lsid).ok()?)));
    parts.ok_or_else(|| Failure::new(FailureKind::Invalid, "not a session of MongoDB"))
}

/// How long one opening that is not answered keeps out the next one that is too many.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Sockets for operations that are being opened, be anybody there to wait for them or not.
///
/// While there are too many, one more is let through as soon as the newest is older than the patience, or has come to an end where it was too
/// many itself: a server that was silent and is back never answers what it has lost, and nobody would find out that it is back. So of those that
/// are never answered there are by one more in that time at most.
#[derive(Debug)]
pub(super) struct Openings {
    count: AtomicUsize,
    most: AtomicUsize,
    patience: Duration,
    /// When the newest was let through; nothing once one that was too many has come to an end.
    newest: Mutex<Option<Instant>>,
}

impl Openings {
    pub(super) fn new(most: u32, patience: Duration) -> Self {
        let openings = Self { count: AtomicUsize::new(0), most: AtomicUsize::new(0), patience, newest: Mutex::new(None) };
        openings.resize(most);
        openings
    }

    /// There may be so many from now on.
    pub(super) fn resize(&self, most: u32) {
        self.most.store(usize::try_from(most).unwrap_or(usize::MAX), Ordering::Release);
    }

    /// Lets the sockets of one client through. Those that begin at the same time all see what was before them: without those that were let
    /// through later there are fewer than twice as many as there may be.
    ///
    /// # Errors
    /// [`FailureKind::Disconnected`] while there are too many.
    fn enter(self: &Arc<Self>, now: Instant) -> Result<Sockets, Failure> {
        let count = self.count.load(Ordering::Acquire);
        let is_too_many = count >= self.most.load(Ordering::Acquire);
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if is_too_many && newest.is_some_and(|newest| now.saturating_duration_since(newest) < self.patience) {
            let message = format!("{count} connections are still being opened, and the server does not answer them");
            return Err(Failure::new(FailureKind::Disconnected, message).lost());
        }
        *newest = Some(now);
        Ok(Sockets::new(Arc::clone(self), is_too_many))
    }

    fn let_the_next_through(&self) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What became of a client's sockets for operations.
#[derive(Debug)]
pub(super) struct Sockets {
    first: OnceLock<ServerAddress>,
    changed: AtomicBool,
    openings: Arc<Openings>,
    /// How many of them are this client's.
    pending: AtomicUsize,
    /// It was let through although there were too many, and keeps the next one out.
    keeps_out: AtomicBool,
}

impl Drop for Sockets {
    /// The client's last task has ended, and none of its sockets is left.
    fn drop(&mut self) {
        self.openings.count.fetch_sub(*self.pending.get_mut(), Ordering::AcqRel);
        self.make_way();
    }
}

impl Sockets {
    fn new(openings: Arc<Openings>, keeps_out: bool) -> Self {
        let (changed, keeps_out) = (AtomicBool::new(false), AtomicBool::new(keeps_out));
        Self { first: OnceLock::new(), changed, openings, pending: AtomicUsize::new(0), keeps_out }
    }

    /// Whether the socket is not the one any more that the session was opened with.
    pub(super) fn have_changed(&self) -> bool {
        self.changed.load(Ordering::Acquire)
    }

    fn note(&self, event: &CmapEvent) {
        match event {
            CmapEvent::ConnectionCreated(_) => self.begun(),
            CmapEvent::ConnectionReady(_) | CmapEvent::ConnectionClosed(_) => self.opened(),
            _ => {}
        }
        let changes = match event {
            // A second one, to the same server or to another that is primary now.
            CmapEvent::ConnectionCreated(event) => self.first.set(event.address.clone()).is_err(),
            CmapEvent::ConnectionClosed(_) => true,
            CmapEvent::PoolCleared(event) => self.first.get() == Some(&event.address),
            _ => false,
        };
        if changes {
            self.changed.store(true, Ordering::Release);
        }
    }

    /// One is being opened.
    fn begun(&self) {
        self.openings.count.fetch_add(1, Ordering::AcqRel);
        self.pending.fetch_add(1, Ordering::AcqRel);
    }

    /// One is open, or has failed; one that was open and is closed counts no more.
    fn opened(&self) {
        let fewer = |pending: usize| pending.checked_sub(1);
        if self.pending.fetch_update(Ordering::AcqRel, Ordering::Acquire, fewer).is_ok() {
            self.openings.count.fetch_sub(1, Ordering::AcqRel);
            self.make_way();
        }
    }

    /// What was too many has come to an end.
    fn make_way(&self) {
        if self.keeps_out.swap(false, Ordering::AcqRel) {
            self.openings.let_the_next_through();
        }
    }
}

/// Hosts of the URL that have not failed yet, and why the last one did.
struct Failed {
    untried: Vec<ServerAddress>,
    last: Option<Error>,
}

impl Failed {
    fn note(&mut self, event: ServerHeartbeatFailedEvent) {
        self.untried.retain(|host| *host != event.server_address);
        self.last = Some(event.failure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{mongodb::Mongodb, settings::Settings};

    #[tokio::test]
    async fn of_a_url_only_what_it_may_say_is_taken_over() {
        let url = "mongodb://app:pw@host/accounts?replicaSet=rs&tls=true&directConnection=true&maxPoolSize=7&connectTimeoutMS=5";
        let driver = Mongodb::new(url, Settings::default()).unwrap();
        let parsed = || async { ClientOptions::parse(driver.shared.location.connection.clone()).await.unwrap() };
        let options = settled(parsed().await, "name", &driver.shared).unwrap();
        let ClientOptions { hosts, credential, tls, .. } = parsed().await;
        assert_eq!((options.hosts, options.credential, options.tls), (hosts, credential, tls));
        assert_eq!((options.repl_set_name.as_deref(), options.direct_connection), (Some("rs"), Some(true)));
        assert_eq!((options.app_name.as_deref(), options.max_pool_size), (Some("name"), Some(1)));
        // As the network's books may say of a name that stands for hosts.
        let mut balanced = parsed().await;
        balanced.load_balanced = Some(true);
        let failure = settled(balanced, "name", &driver.shared).unwrap_err();
        assert!(failure.kind == FailureKind::Invalid && failure.message.contains("`loadBalanced`"), "{failure:?}");
    }

    #[test]
    fn those_that_nobody_answers_are_by_one_more_in_so_long() {
        let (openings, began) = (Arc::new(Openings::new(2, PATIENCE)), Instant::now());
        let open = |now| openings.enter(now).inspect(Sockets::begun);
        let mut hung = vec![open(began).unwrap(), open(began).unwrap()];
        assert_eq!(open(began + PATIENCE / 2).unwrap_err().kind, FailureKind::Disconnected);
        for more in 1..=3 {
            let now = began + PATIENCE * more;
            hung.push(open(now).unwrap());
            assert!(open(now).is_err() && open(now + PATIENCE / 2).is_err());
        }
        // The server is back: what it answers makes way for the next one at once, and so does what comes to nothing before.
        let now = began + PATIENCE * 4;
        let answered = open(now).unwrap();
        assert!(open(now).is_err());
        answered.opened();
        drop(openings.enter(now).unwrap());
        hung.push(open(now).unwrap());
        assert!(open(now).is_err());
        // One that is only closed says nothing of the server.
        drop(answered);
        assert!(open(now).is_err());
        // Nor is it one too many where more are allowed.
        openings.resize(10);
        hung.push(open(now).unwrap());
        openings.resize(2);
        assert!(open(now).is_err());
        hung.clear();
        assert_eq!(openings.count.load(Ordering::Acquire), 0);
        assert!(open(now).is_ok());
    }
}
