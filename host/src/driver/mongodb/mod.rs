//! MongoDB over clients of the `mongodb` crate, one for each session.
//!
//! `url` says what of a URL is taken. `connect` makes a client that has one socket for operations and one that watches the server, looks who the
//! session is, and refuses a user that may do too much (`role`). What it made is a `link`, which is closed whoever drops it. `connection` takes the
//! operations: each is a command (`command`) that carries the time that is left and the fields of the `transaction`, which is begun and ended by
//! the host alone. Results are read by `read` through a `cursor`, writes are sent by `write`; `error` and `reply` read what the server says.
//! `control` ends operations and sessions from outside. `migrations` run before any of it.
//!
//! Nothing else is sent: no retries, no implicit sessions, no cleaning up in the background (the driver's own does not say when it is done).

mod command;
mod connect;
mod connection;
mod control;
mod cursor;
mod error;
mod link;
pub(super) mod migrations;
mod read;
mod reply;
mod role;
mod transaction;
pub mod url;
mod write;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
};

use futures::future::BoxFuture;
use tokio_util::task::TaskTracker;

use self::{
    command::Room,
    connect::{Openings, PATIENCE},
    url::Location,
};
use crate::driver::{Connection, Control, Driver, Engine, Failure, FailureKind, settings::Settings};

/// Sockets of control paths that may be in the middle of being opened.
const CONTROL_OPENINGS: u32 = 4;

/// One MongoDB database with one credential.
pub struct Mongodb {
    shared: Arc<Shared>,
}

/// What all sessions of one driver share.
struct Shared {
    location: Location,
    /// Where it differs from `location`.
    control: Option<Location>,
    settings: Settings,
    /// Sockets of sessions that are being opened.
    openings: Arc<Openings>,
    /// Sockets of control paths that are being opened.
    control_openings: Arc<Openings>,
    /// For replies that may be long, while they are parsed.
    room: Room,
    /// What dropped links left, until it is closed.
    remains: TaskTracker,
    /// Whether it was said that the server controls nobody's access.
    warned: AtomicBool,
}

impl Shared {
    fn new(location: Location, control: Option<Location>, settings: Settings) -> Self {
        let openings = Arc::new(Openings::new(settings.max_connections, PATIENCE));
        let control_openings = Arc::new(Openings::new(CONTROL_OPENINGS, PATIENCE));
        let (remains, warned) = (TaskTracker::new(), AtomicBool::new(false));
        Self { location, control, settings, openings, control_openings, room: Room::new(), remains, warned }
    }
}

impl Mongodb {
    /// Takes a URL such as `mongodb://user:secret@host:27017/database?authSource=admin`, see [`url`]. Nothing is opened yet.
    ///
    /// # Errors
    /// [`FailureKind::Invalid`] for a URL that cannot be used; the message does not repeat it.
    pub fn new(url: &str, settings: Settings) -> Result<Self, Failure> {
        Ok(Self { shared: Arc::new(Shared::new(parse(url)?, None, settings)) })
    }

    /// Uses another credential for [`Driver::control`]. Its user needs `inprog`, `killop` and `killAnySession` (the roles `clusterMonitor` and
    /// `hostManager` have them).
    ///
    /// # Errors
    /// As for [`Mongodb::new`]; also when the sessions' own user has no name, by which theirs are told from others'.
    pub fn control_with(self, url: &str) -> Result<Self, Failure> {
        let Shared { location, settings, .. } = &*self.shared;
        if location.credential().is_some() && location.user().is_none() {
            let message = "a control credential needs sessions whose user the URL names";
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        let shared = Shared::new(location.clone(), Some(parse(url)?), settings.clone());
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl fmt::Debug for Mongodb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither address nor credential: this ends up in logs.
        f.debug_struct("Mongodb").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

fn parse(text: &str) -> Result<Location, Failure> {
    url::parse(text)
        .map_err(|refusal| Failure::new(FailureKind::Invalid, format!("the database URL cannot be used: it {}", refusal.message)))
}

impl Driver for Mongodb {
    fn engine(&self) -> Engine {
        Engine::Mongodb
    }

    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, Failure>> {
        Box::pin(async move {
            let connection = connect::open(&self.shared).await?;
            Ok(Box::new(connection) as Box<dyn Connection>)
        })
    }

    fn control(&self) -> BoxFuture<'_, Result<Box<dyn Control>, Failure>> {
        Box::pin(async move {
            let control = control::open(&self.shared).await?;
            Ok(Box::new(control) as Box<dyn Control>)
        })
    }

    fn resize(&self, max_connections: u32) {
        self.shared.openings.resize(max_connections);
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.shared.remains.close();
            self.shared.remains.wait().await;
        })
    }
}
