//! A client with its session, which is closed whoever drops it.
//!
//! Dropped as they are, client and session would clean up in tasks that nobody waits for, and open a socket to say good-bye. So a task is
//! started with each link that takes it over when it is dropped, and ends the client without saying anything.

use std::{collections::HashMap, time::Duration};

use bson::Document;
use mongodb::{Client, ClientSession, Database, action::Shutdown};
use tokio::{sync::oneshot, time::timeout};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::cursor::{Cursor, Number};
use crate::driver::{Failure, FailureKind};

/// What ending a client's tasks may last; they end by themselves later otherwise.
const CLOSING: Duration = Duration::from_secs(3);

/// A client that has one session, and what was opened in it.
pub(super) struct Link {
    pub(super) client: Client,
    /// The database of the guests.
    pub(super) database: Database,
    /// Where commands about sessions and transactions go.
    pub(super) admin: Database,
    pub(super) session: ClientSession,
    /// All that the server may have, also while they are read.
    pub(super) cursors: HashMap<Number, Cursor>,
}

impl Link {
    /// The session's identity, as the server knows it.
    pub(super) fn lsid(&self) -> Document {
        self.session.id().clone()
    }

    /// Ends the client's tasks and closes its sockets, once it is awaited. The session and its cursors must still be held then: with them
    /// there is nothing that the driver would say to the server first.
    fn shutdown(&self) -> Shutdown {
        self.client.clone().shutdown().immediate(true)
    }
}

/// Takes a link over.
struct Remains {
    link: Link,
    /// Makes whoever closes the driver wait.
    _token: TaskTrackerToken,
}

/// Owns a link.
pub(super) struct Kept {
    link: Option<Link>,
    keeper: Option<oneshot::Sender<Remains>>,
    remains: TaskTracker,
}

impl Kept {
    /// Starts the task that takes the link over.
    pub(super) fn new(link: Link, remains: &TaskTracker) -> Self {
        let (keeper, dropped) = oneshot::channel::<Remains>();
        tokio::spawn(async move {
            // Nothing is sent for a link that was closed in order.
            if let Ok(remains) = dropped.await {
                // What lasts longer is not waited for.
                _ = timeout(CLOSING, remains.link.shutdown()).await;
            }
        });
        Self { link: Some(link), keeper: Some(keeper), remains: remains.clone() }
    }

    /// # Errors
    /// [`FailureKind::Disconnected`] once it is closed.
    pub(super) fn get(&mut self) -> Result<&mut Link, Failure> {
        self.link.as_mut().ok_or_else(|| Failure::new(FailureKind::Disconnected, "the connection is closed").lost())
    }

    /// Whether a cursor is open, or was and has not been closed.
    pub(super) fn has_cursors(&self) -> bool {
        self.link.as_ref().is_some_and(|link| !link.cursors.is_empty())
    }

    /// Ends the client, and waits until its sockets are closed.
    ///
    /// # Bounds
    /// [`CLOSING`]; the keeper goes on with what lasts longer.
    /// # Cancellation
    /// The keeper goes on with it.
    pub(super) async fn close(mut self) {
        if let Some(shutdown) = self.link.as_ref().map(Link::shutdown)
            && timeout(CLOSING, shutdown).await.is_err()
        {
            return;
        }
        // Only now: after the end of its client a session has nobody to tell.
        self.link = None;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let (Some(link), Some(keeper)) = (self.link.take(), self.keeper.take()) {
            // Without its runtime nobody listens, and all of its sockets are closed.
            _ = keeper.send(Remains { link, _token: self.remains.token() });
        }
    }
}
