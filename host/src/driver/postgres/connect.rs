//! Opens a session: start-up options as backstops, then identity, role and baseline as the server tells them.

use std::sync::Arc;

use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgConnection},
};

use super::{Shared, connection::PostgresConnection, error, reset::Baseline, role, simple, simple::TextRows};
use crate::driver::{
    Failure, FailureKind, Session,
    settings::{Access, Settings},
};

/// How often the server looks, while it executes, whether the client is still there.
const CLIENT_CHECK: &str = "1s";
const OLDEST_VERSION: u32 = 140_000;

/// Identity: process, start in microseconds, version, role, whether that is or may become a superuser.
const IDENTITY: &str = "SELECT pg_catalog.pg_backend_pid(), \
    (SELECT (extract(epoch FROM a.backend_start) * 1000000)::bigint FROM pg_catalog.pg_stat_activity a \
      WHERE a.pid = pg_catalog.pg_backend_pid()), \
    pg_catalog.current_setting('server_version_num'), \
    current_user, \
    EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolsuper AND pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER'))";

/// Opens one session for guests.
pub(super) async fn open(shared: &Arc<Shared>) -> Result<PostgresConnection, Failure> {
    let mut link = options(shared).connect().await.map_err(error::connect_failure)?;
    let session = identify(&mut link, &shared.settings).await?;
    if shared.settings.access == Access::ReadOnly {
        role::check_read_only(&mut link).await?;
    }
    let baseline = Baseline::read(&mut link).await.map_err(error::failure)?;
    Ok(PostgresConnection::new(link, Arc::clone(shared), session, baseline))
}

fn options(shared: &Shared) -> PgConnectOptions {
    let Settings { access, statement_timeout, idle_in_transaction_timeout, statement_cache, .. } = &shared.settings;
    let mut options = shared
        .options
        .clone()
        .application_name("wharf")
        // sqlx leaks a named statement each time when its cache has no place at all.
        .statement_cache_capacity(statement_cache.count.max(1))
        .options([
            ("statement_timeout", format!("{}ms", statement_timeout.as_millis().max(1))),
            ("idle_in_transaction_session_timeout", format!("{}ms", idle_in_transaction_timeout.as_millis().max(1))),
            ("client_connection_check_interval", CLIENT_CHECK.to_owned()),
            // Nobody reads notices here.
            ("client_min_messages", "error".to_owned()),
        ]);
    if *access == Access::ReadOnly {
        options = options.options([("default_transaction_read_only", "on")]);
    }
    options
}

async fn identify(link: &mut PgConnection, settings: &Settings) -> Result<Session, Failure> {
    let rows = simple::run(link, IDENTITY).await.map_err(error::failure)?;
    let unknown = || Failure::new(FailureKind::Disconnected, "the server does not tell who the session is").lost();
    let text = |column| simple::cell(&rows, 0, column).ok_or_else(unknown);
    let version: u32 = text(2)?.parse().map_err(|_| unknown())?;
    if version < OLDEST_VERSION {
        return Err(Failure::new(FailureKind::Invalid, "the server is older than PostgreSQL 14").lost());
    }
    if text(4)? == "t" && !settings.allow_superuser {
        let role = text(3)?;
        let message = format!(
            "the role \"{role}\" is or may become a superuser, whom no check of the database holds; \
             use a plain role, or set `allow_superuser`"
        );
        return Err(Failure::new(FailureKind::Denied, message).lost());
    }
    session(&rows)
}

/// Who the session of a link is.
pub(super) async fn who(link: &mut PgConnection) -> Result<Session, Failure> {
    session(&simple::run(link, IDENTITY).await.map_err(error::failure)?)
}

fn session(rows: &TextRows) -> Result<Session, Failure> {
    let number = |column| simple::cell(rows, 0, column)?.parse::<i64>().ok();
    let unknown = || Failure::new(FailureKind::Disconnected, "the server does not tell who the session is").lost();
    // Only digits are ever put into SQL.
    let (id, started) = number(0).zip(number(1)).ok_or_else(unknown)?;
    Ok(Session { id, started: started.to_string().into() })
}
