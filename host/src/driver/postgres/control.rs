//! The control path: one session that ends the statements and the sessions of others.

use std::sync::Arc;

use futures::future::BoxFuture;
use sqlx::{ConnectOptions, Connection as _, postgres::PgConnection};

use super::{Shared, connect, error, simple};
use crate::driver::{Control, Failure, FailureKind, Session};

/// Opens the control path.
pub(super) async fn open(shared: &Arc<Shared>) -> Result<ControlPath, Failure> {
    let options = shared.control.as_ref().unwrap_or(&shared.options).clone();
    let options =
        options.application_name("wharf control").options([("statement_timeout", "5s"), ("client_min_messages", "error")]);
    let mut link = options.connect().await.map_err(error::connect_failure)?;
    let session = connect::who(&mut link).await?;
    Ok(ControlPath { link, session, may_cancel: shared.settings.server_cancel })
}

/// The one control session of a driver.
pub(super) struct ControlPath {
    link: PgConnection,
    session: Session,
    may_cancel: bool,
}

/// What the server knows of a session.
#[derive(PartialEq)]
enum Listed {
    No,
    Yes,
    /// Somebody has this process id, but the control role may not see since when.
    Unseen,
}

impl ControlPath {
    /// Calls `function` with the process id, if the process still serves the session that was read at connect: numbers are reused.
    async fn on(&mut self, session: &Session, function: &str) -> Result<Listed, Failure> {
        let started: i64 =
            session.started.parse().map_err(|_| Failure::new(FailureKind::Invalid, "not a session of PostgreSQL"))?;
        let sql = format!(
            "SELECT a.backend_start IS NULL, \
                    CASE WHEN a.started = {started} THEN {function} END \
               FROM (SELECT pid, backend_start, (extract(epoch FROM backend_start) * 1000000)::bigint AS started \
                       FROM pg_catalog.pg_stat_activity) a \
              WHERE a.pid = {} AND (a.started = {started} OR a.started IS NULL)",
            session.id
        );
        let rows = simple::run(&mut self.link, sql).await.map_err(error::failure)?;
        Ok(match rows.first() {
            None => Listed::No,
            Some(row) if row.first().is_some_and(simple::is_true) => Listed::Unseen,
            Some(_) => Listed::Yes,
        })
    }

    async fn signal(&mut self, session: &Session, function: &str) -> Result<(), Failure> {
        match self.on(session, function).await? {
            Listed::Yes | Listed::No => Ok(()),
            Listed::Unseen => Err(Failure::new(
                FailureKind::Denied,
                "the control role may not see the session; grant it pg_signal_backend and pg_read_all_stats",
            )),
        }
    }
}

impl Control for ControlPath {
    fn cancel<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            if !self.may_cancel {
                return Err(Failure::new(FailureKind::Denied, "cancelling on the server is switched off by `server_cancel`"));
            }
            self.signal(session, "pg_catalog.pg_cancel_backend(a.pid)").await
        })
    }

    fn terminate<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.signal(session, "pg_catalog.pg_terminate_backend(a.pid)"))
    }

    fn is_listed<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<bool, Failure>> {
        // In doubt it is still there.
        Box::pin(async move { Ok(self.on(session, "NULL").await? != Listed::No) })
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
