//! PostgreSQL, 14 and later, over raw connections of sqlx.
//!
//! `connect` opens a session with every backstop set and refuses a role that may do too much (`role`). `connection` takes the
//! operations: a statement is refused or classified by its text (`residue`), prepared, its parameters written in the form of the types
//! that the server describes (`types`, `encode`) and its rows read straight into columns (`statement`, `decode`); a `cursor` does the
//! same in steps. `reset` takes the session back and proves it clean; `control` ends statements and sessions from outside.
//!
//! What the host itself says goes through the simple protocol (`simple`), because a guest can take over the names of prepared
//! statements; what a guest says goes through the extended protocol, which takes one statement only.

mod calendar;
mod catalog;
mod connect;
mod connection;
mod control;
mod cursor;
mod decode;
mod encode;
mod error;
mod network;
mod numeric;
mod reset;
mod residue;
mod role;
mod simple;
mod statement;
mod types;

#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr, sync::Arc};

use futures::future::BoxFuture;
use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgSslMode},
};

pub(super) use self::error::connect_failure;
use self::residue::Classifier;
use crate::driver::{Connection, Control, Driver, Engine, Failure, FailureKind, settings::Settings};

/// One PostgreSQL database with one credential.
pub struct Postgres {
    shared: Arc<Shared>,
}

/// What all sessions of one driver share.
struct Shared {
    options: PgConnectOptions,
    /// Where it differs from `options`.
    control: Option<PgConnectOptions>,
    settings: Settings,
    classifier: Classifier,
}

impl Postgres {
    /// Takes a URL such as `postgres://user:secret@host:5432/database?sslmode=disable`, or with a socket folder as `host` parameter.
    /// Nothing is opened yet.
    ///
    /// # Errors
    /// [`FailureKind::Invalid`] for a URL that cannot be read; the message does not repeat it.
    pub fn new(url: &str, settings: Settings) -> Result<Self, Failure> {
        let options = parse(url)?;
        Ok(Self { shared: Arc::new(Shared { options, control: None, settings, classifier: Classifier::default() }) })
    }

    /// Uses another credential for [`Driver::control`]. Its role needs `pg_signal_backend` and `pg_read_all_stats`, or membership in
    /// the role of the sessions.
    ///
    /// # Errors
    /// As for [`Postgres::new`].
    pub fn control_with(self, url: &str) -> Result<Self, Failure> {
        let control = Some(parse(url)?);
        let Shared { options, settings, .. } = &*self.shared;
        let shared = Shared { options: options.clone(), control, settings: settings.clone(), classifier: Classifier::default() };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither address nor credential: this ends up in logs.
        f.debug_struct("Postgres").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

/// What a URL says. Where and how to connect comes from it alone: sqlx would take what is left out from variables such as `PGSSLMODE`.
pub(super) fn parse(url: &str) -> Result<PgConnectOptions, Failure> {
    let unusable = |_| Failure::new(FailureKind::Invalid, "the database URL cannot be used: it is not a valid PostgreSQL URL");
    let mut options = PgConnectOptions::from_str(url).map_err(unusable)?.disable_statement_logging();
    // An IPv6 address keeps its brackets, by which neither the network nor a certificate knows it.
    if let Some(address) = options.get_host().strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let address = address.to_owned();
        options = options.host(&address);
    }
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let given = |names: &[&str]| query.split('&').any(|pair| names.contains(&pair.split('=').next().unwrap_or(pair)));
    if !given(&["sslmode", "ssl-mode"]) {
        options = options.ssl_mode(PgSslMode::Prefer);
    }
    if !given(&["sslrootcert", "ssl-root-cert", "ssl-ca"]) {
        options = options.ssl_root_cert_from_pem(Vec::new());
    }
    let foreign = |variable| std::env::var_os(variable).is_some();
    if !given(&["sslcert", "ssl-cert"]) && (foreign("PGSSLCERT") || foreign("PGSSLKEY")) {
        // They cannot be unset in the options.
        let message = "PGSSLCERT and PGSSLKEY are set in the environment; unset them and name the files in the URL";
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    Ok(options)
}

impl Driver for Postgres {
    fn engine(&self) -> Engine {
        Engine::Postgres
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

    fn address(&self) -> Option<String> {
        let options = &self.shared.options;
        let network = || format!("{}:{}", options.get_host(), options.get_port());
        Some(options.get_socket().map_or_else(network, |socket| socket.display().to_string()))
    }
}
