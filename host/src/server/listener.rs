//! Accepts connections within their number, and drains them in the end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Counters, Dispatch, Settings,
    connection::{self, Tasks},
    service::Shared,
};
use crate::shards::Shards;

/// How long the tasks of connections that were cut may take to let go of what they hold.
const SETTLE: Duration = Duration::from_secs(2);
/// How long accepting pauses after the system ran out of something.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    settings: Settings,
    counters: Arc<Counters>,
}

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The setting of this name is out of its bounds.
    #[error("server setting `{0}` is out of bounds")]
    Setting(&'static str),
    /// The address cannot be taken.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
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
    /// Takes the address. Connections wait in the backlog until [`Server::serve`].
    ///
    /// # Errors
    /// [`BindError::Setting`] and [`BindError::Listen`].
    pub async fn bind(settings: Settings) -> Result<Self, BindError> {
        if let Some(name) = settings.out_of_bounds() {
            return Err(BindError::Setting(name));
        }
        let failed = |error| BindError::Listen(settings.listen, error);
        let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, local_addr, settings, counters: Arc::default() })
    }

    /// Where it really listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What came of its requests.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Answers until `shutdown`, then drains: accepts no more, closes what idles, answers new requests with `shutting-down`, and lets
    /// running calls end. Accepts here, and serves connections in `shards`.
    ///
    /// # Bounds
    /// Returns within `drain_timeout` and two seconds after `shutdown`.
    /// # Cancellation
    /// Not cancel-safe: connections that were accepted go on without a supervisor of their number.
    pub async fn serve<D: Dispatch>(self, dispatch: Arc<D>, shards: &Shards, shutdown: CancellationToken) -> Drained {
        let Self { listener, settings, counters, .. } = self;
        let drain_timeout = settings.drain_timeout;
        let places = Arc::new(Semaphore::new(settings.max_connections));
        let shared = Arc::new(Shared { dispatch, settings, counters: Arc::clone(&counters), shutdown: shutdown.clone() });
        let tracker = TaskTracker::new();
        let cut = CancellationToken::new();
        while let Some((place, stream, peer)) = accept(&listener, &places, &shutdown).await {
            let tasks = Tasks { tracker: tracker.clone(), shards: shards.clone() };
            let (shared, cut) = (Arc::clone(&shared), cut.child_token());
            shards.seat().spawn(&tracker, async move {
                // From the driver of the runtime that accepts to that of the one that serves.
                match stream.into_std().and_then(TcpStream::from_std) {
                    Ok(stream) => connection::run(shared, stream, peer, tasks, cut).await,
                    Err(error) => tracing::warn!(%error, "cannot serve a connection"),
                }
                drop(place);
            });
        }
        drop(listener);

        let at_shutdown = counters.running();
        tracker.close();
        let mut left = 0;
        if timeout(drain_timeout, tracker.wait()).await.is_err() {
            left = counters.running();
            cut.cancel();
            // Whether it settled is read from the tracker.
            let _settled = timeout(SETTLE, tracker.wait()).await;
        }
        Drained { finished: at_shutdown.saturating_sub(left), cut: left, stuck: tracker.len() }
    }
}

/// The next connection, once there is a place for it; `None` at shutdown.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let wait = async {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        let mut pause = FIRST_PAUSE;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // An answer should not wait for more of it. A socket that refuses this is about to fail anyway.
                    let _set = stream.set_nodelay(true);
                    return Some((place, stream, peer));
                }
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
