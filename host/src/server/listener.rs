//! Accepts connections within their number, and drains them in the end.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use super::{
    Counters, Dispatch, Listener, Peer, Settings, Tls,
    connection::{self, Tasks},
    service::Shared,
    stream::Wire,
};
use crate::{
    engine::{Gate, GatePermit},
    shards::Shards,
    sync::Live,
    telemetry::requests::Requests,
};

/// How long a place for a connection is waited for before it is waited for again.
const PLACE: Duration = Duration::from_secs(60 * 60);
/// How long the tasks of connections that were cut may take to let go of what they hold.
const SETTLE: Duration = Duration::from_secs(2);
/// How long accepting pauses after the system ran out of something.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    tuning: Tuning,
    /// With how often its files are looked at.
    tls: Option<(Arc<Tls>, Duration)>,
    counters: Arc<Counters>,
}

/// Changes the settings of a server, also while it serves.
#[derive(Clone, Debug)]
pub struct Tuning {
    settings: Arc<Live<Settings>>,
    /// One place a connection.
    places: Arc<Gate>,
}

impl Tuning {
    /// Puts other settings in force. What a connection as a whole is given it keeps: its time limits, and how long its heads may be. Fewer
    /// connections are there once so many have ended.
    ///
    /// # Errors
    /// [`BindError::Setting`]; nothing has changed then.
    pub fn set(&self, settings: Settings) -> Result<(), BindError> {
        if let Some(name) = settings.out_of_bounds() {
            return Err(BindError::Setting(name));
        }
        // Only who accepts ever waits.
        self.places.resize(settings.max_connections, 1);
        self.settings.store(Arc::new(settings));
        Ok(())
    }
}

/// Why a server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The setting of this name is out of its bounds.
    #[error("server setting `{0}` is out of bounds")]
    Setting(&'static str),
    /// The address cannot be taken.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The path cannot be taken.
    #[error("cannot listen on {}", .0.display())]
    Socket(PathBuf, #[source] io::Error),
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Calls that were running when the server stopped and ended by themselves.
    pub finished: usize,
    /// Calls that were still running after `drain_timeout`, and were dropped.
    pub cut: usize,
    /// Tasks that still hold something two seconds after they were dropped; anything but 0 is a fault of the host.
    pub stuck: usize,
}

impl Server {
    /// A server of what comes to a listener.
    ///
    /// # Errors
    /// [`BindError::Setting`].
    pub fn new(listener: Listener, settings: Settings) -> Result<Self, BindError> {
        match settings.out_of_bounds() {
            Some(name) => Err(BindError::Setting(name)),
            None => {
                let places = Arc::new(Gate::new(settings.max_connections, 1));
                let tuning = Tuning { settings: Arc::new(Live::from_pointee(settings)), places };
                Ok(Self { listener, tuning, tls: None, counters: Arc::default() })
            }
        }
    }

    /// The same over TLS, with HTTP/2 for clients that ask for it. The files of the certificate are looked at every `check_interval`,
    /// which is not 0; a handshake may take as long as a request's headers.
    #[must_use]
    pub fn over_tls(self, tls: Arc<Tls>, check_interval: Duration) -> Self {
        Self { tls: Some((tls, check_interval)), ..self }
    }

    /// The same, whose requests count in `requests` as metrics.
    #[must_use]
    pub fn counted_in(self, requests: Arc<Requests>) -> Self {
        Self { counters: Arc::new(Counters::new(requests)), ..self }
    }

    /// What changes its settings.
    #[must_use]
    pub fn tuning(&self) -> Tuning {
        self.tuning.clone()
    }

    /// What came of its requests.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Answers until `shutdown`, then drains: accepts no more, closes what idles, answers new requests with `shutting-down`, and lets
    /// running calls end. Accepts here, and serves connections in `shards`. Cancels `cut` before what still runs then is cut off.
    ///
    /// # Bounds
    /// Returns within `drain_timeout` and two seconds after `shutdown`.
    /// # Cancellation
    /// Not cancel-safe: connections that were accepted go on without a supervisor of their number.
    pub async fn serve<D: Dispatch>(
        self,
        dispatch: Arc<D>,
        shards: &Shards,
        shutdown: CancellationToken,
        cut: CancellationToken,
    ) -> Drained {
        let Self { listener, tuning: Tuning { settings, places }, tls, counters } = self;
        let _watching = tls.as_ref().map(|(tls, every)| AbortOnDropHandle::new(tokio::spawn(Arc::clone(tls).watch(*every))));
        let tls = tls.map(|(tls, _)| tls);
        let (of_shared, of_counters) = (Arc::clone(&settings), Arc::clone(&counters));
        let shared = Arc::new(Shared { dispatch, settings: of_shared, tls, counters: of_counters, shutdown: shutdown.clone() });
        let tracker = TaskTracker::new();
        let connections = CancellationToken::new();
        while let Some((place, stream, peer)) = accept(&listener, &places, &shutdown).await {
            let tasks = Tasks { tracker: tracker.clone(), shards: shards.clone() };
            let (shared, cut) = (Arc::clone(&shared), connections.child_token());
            shards.seat().spawn(&tracker, async move {
                match stream.moved() {
                    Ok(stream) => connection::run(shared, stream, peer, tasks, cut).await,
                    Err(error) => tracing::warn!(%error, "cannot serve a connection"),
                }
                drop(place);
            });
        }
        drop(listener);

        let at_shutdown = counters.running();
        tracker.close();
        let drain_timeout = settings.load().drain_timeout;
        let mut left = 0;
        if timeout(drain_timeout, tracker.wait()).await.is_err() {
            left = counters.running();
            // First, so that calls that are cut off end as what they are, and not as if their clients had gone.
            cut.cancel();
            connections.cancel();
            // Whether it settled is read from the tracker.
            let _settled = timeout(SETTLE, tracker.wait()).await;
        }
        Drained { finished: at_shutdown.saturating_sub(left), cut: left, stuck: tracker.len() }
    }
}

/// The next connection, once there is a place for it; `None` at shutdown.
async fn accept(listener: &Listener, places: &Gate, shutdown: &CancellationToken) -> Option<(GatePermit, Wire, Peer)> {
    let wait = async {
        let place = loop {
            if let Ok(place) = places.enter(Instant::now() + PLACE).await {
                break place;
            }
        };
        let mut pause = FIRST_PAUSE;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((place, stream, peer)),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, pause_ms = pause.as_millis() as u64, "cannot accept connections");
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        accepted = wait => accepted,
    }
}

/// Whether accepting failed for a connection that is gone already, rather than for want of descriptors or memory.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
