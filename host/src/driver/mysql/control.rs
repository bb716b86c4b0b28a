//! The control path: one session that ends the statements and the sessions of others.

use std::sync::Arc;

use futures::future::BoxFuture;
use sqlx::{Connection as _, mysql::MySqlConnection};

use super::{Shared, connect, error, host};
use crate::driver::{Control, Failure, FailureKind, Session};

/// The server's number for "there is no such thread".
const NO_SUCH_THREAD: u16 = 1094;

/// Opens the control path.
pub(super) async fn open(shared: &Arc<Shared>) -> Result<ControlPath, Failure> {
    let (link, session) = connect::open_control(shared).await?;
    Ok(ControlPath { link, session, may_cancel: shared.settings.server_cancel })
}

/// The one control session of a driver.
pub(super) struct ControlPath {
    link: MySqlConnection,
    session: Session,
    may_cancel: bool,
}

impl ControlPath {
    /// Kills what `what` says, if the session is the one that was read at connect. A server gives no number twice while it runs, and
    /// this session would not outlive a restart, so nothing can come in between.
    async fn kill(&mut self, what: &str, session: &Session) -> Result<(), Failure> {
        if !connect::lists(&mut self.link, session).await? {
            return Ok(());
        }
        match host::run(&mut self.link, format!("KILL {what} {}", session.id)).await {
            Ok(_) => Ok(()),
            Err(error) if host::number(&error) == Some(NO_SUCH_THREAD) => Ok(()),
            Err(error) => Err(error::failure(error)),
        }
    }
}

impl Control for ControlPath {
    fn cancel<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            if !self.may_cancel {
                return Err(Failure::new(FailureKind::Denied, "cancelling on the server is switched off by `server_cancel`"));
            }
            self.kill("QUERY", session).await
        })
    }

    fn terminate<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.kill("CONNECTION", session))
    }

    fn is_listed<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<bool, Failure>> {
        Box::pin(connect::lists(&mut self.link, session))
    }

    fn session(&self) -> Option<&Session> {
        Some(&self.session)
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move { self.link.ping().await.map_err(error::failure) })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        // Nobody waits for what it says: the server notices either way.
        Box::pin(async move { _ = self.link.close().await })
    }
}
