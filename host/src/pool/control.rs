//! The control path of a pool: one session outside of it, kept open, through which statements are cancelled and sessions ended.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use futures::FutureExt;
use tokio::{sync::Mutex, time::timeout};

use crate::driver::{Control, Driver, Failure, FailureKind, Session};

/// Owns the control session, and opens it anew when it broke.
pub(super) struct ControlPath {
    driver: Arc<dyn Driver>,
    /// How long an open session may take to answer that it is alive; who wants to cancel something waits for its turn meanwhile.
    patience: Duration,
    /// Whether it failed when it was last looked after, so that only changes are logged.
    pub(super) down: AtomicBool,
    /// One caller at a time; each is bounded, the wait for its turn included.
    open: Mutex<Option<Box<dyn Control>>>,
}

impl fmt::Debug for ControlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlPath").field("driver", &self.driver).finish_non_exhaustive()
    }
}

impl ControlPath {
    pub(super) fn new(driver: Arc<dyn Driver>, patience: Duration) -> Self {
        Self { driver, patience, down: AtomicBool::new(false), open: Mutex::new(None) }
    }

    /// Asks the server to end what the session runs.
    pub(super) async fn cancel(&self, session: &Session, bound: Duration) -> Result<(), Failure> {
        self.ask(Request::Cancel(session), bound).await.map(drop)
    }

    /// Ends the session on the server.
    pub(super) async fn terminate(&self, session: &Session, bound: Duration) -> Result<(), Failure> {
        self.ask(Request::Terminate(session), bound).await.map(drop)
    }

    /// Whether the server still lists the session.
    pub(super) async fn is_listed(&self, session: &Session, bound: Duration) -> Result<bool, Failure> {
        self.ask(Request::IsListed(session), bound).await
    }

    /// Opens the path, or finds out whether it still works.
    pub(super) async fn ping(&self, bound: Duration) -> Result<(), Failure> {
        self.ask(Request::Ping, bound).await.map(drop)
    }

    /// Closes the path, and tells which session it was; the next call would open it anew.
    pub(super) async fn close(&self, bound: Duration) -> Option<Session> {
        let control = timeout(bound, self.open.lock()).await.ok()?.take()?;
        let session = control.session().cloned();
        // What does not close in time, or panics, is dropped, and its socket with it.
        let _ = timeout(bound, AssertUnwindSafe(async { control.close().await }).catch_unwind()).await;
        session
    }

    /// A control session that fails or is interrupted half-way is not used again. One that was open and turns out to be lost is replaced
    /// once: every question may be asked twice, and only a new session tells whether the server can be reached.
    async fn ask(&self, request: Request<'_>, bound: Duration) -> Result<bool, Failure> {
        let attempt = async {
            let mut open = self.open.lock().await;
            let mut known = open.take();
            loop {
                let was_open = known.is_some();
                let mut control = match known.take() {
                    Some(control) => control,
                    None => self.driver.control().await?,
                };
                let answer = match request {
                    Request::Cancel(session) => control.cancel(session).await.map(|()| true),
                    Request::Terminate(session) => control.terminate(session).await.map(|()| true),
                    Request::IsListed(session) => control.is_listed(session).await,
                    Request::Ping => {
                        timeout(self.patience, control.ping()).await.unwrap_or_else(|_| Err(silent())).map(|()| true)
                    }
                };
                if !answer.as_ref().is_err_and(|failure| failure.lost) {
                    *open = Some(control);
                    return answer;
                }
                if !was_open {
                    return answer;
                }
            }
        };
        // A panic of a driver must not end the task of the slot that asks: its place would be lost.
        match timeout(bound, AssertUnwindSafe(attempt).catch_unwind()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_panic)) => Err(Failure::new(FailureKind::Disconnected, "the driver panicked on the control path").lost()),
            Err(_elapsed) => Err(silent()),
        }
    }
}

fn silent() -> Failure {
    Failure::new(FailureKind::Disconnected, "the control path did not answer in time").lost()
}

/// What the control session is asked.
#[derive(Clone, Copy)]
enum Request<'a> {
    Cancel(&'a Session),
    Terminate(&'a Session),
    IsListed(&'a Session),
    Ping,
}
