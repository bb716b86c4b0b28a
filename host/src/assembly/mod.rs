//! Puts a host together from a validated configuration, runs it, and takes it down again.
//!
//! In the order of a start: `admin` answers from then on, `audit` opens the audit log, `databases` are migrated and opened with their `pools`,
//! `plugins` compiled and granted something (`reach` says what they import of databases in vain); all of that is a `generation`, to which
//! `dispatch` routes requests, and [`Host`] binds the server. `summary` says what came of it. Stopping goes the other way round.
//!
//! While it is `running`, a `reload` may put another generation in force; `difference` says what that changes.

mod admin;
mod audit;
mod databases;
mod difference;
mod dispatch;
mod generation;
mod host;
mod plugins;
mod pools;
mod reach;
mod reload;
mod running;
mod stop;
mod summary;

pub use self::{
    host::{Host, Stopped},
    plugins::inspect,
    reload::{Refused, Reloaded, Reloader},
    stop::{Closed, Stop, longest_stop},
};

/// Hears what is going on during a start that takes long.
pub trait Progress: Send + Sync {
    /// One line.
    fn say(&self, line: &str);
}

/// Why a host could not start. Free of addresses of databases and of credentials.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A database cannot be had.
    #[error("database `{name}`: {reason}")]
    Database {
        /// Its name in the configuration.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A database cannot be migrated.
    #[error("database `{name}`: {reason}")]
    Migration {
        /// Its name in the configuration.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The engine cannot be made.
    #[error(transparent)]
    Engine(#[from] crate::engine::EngineError),
    /// A component cannot be loaded.
    #[error("plugin `{name}`: component `{component}`: {reason}")]
    Plugin {
        /// Its name in the configuration.
        name: String,
        /// The file.
        component: String,
        /// What is wrong.
        reason: String,
    },
    /// Two routes overlap, which the configuration should have told.
    #[error("{0}")]
    Route(String),
    /// The server cannot listen.
    #[error(transparent)]
    Bind(#[from] crate::server::BindError),
    /// The certificate of the traffic listener cannot be shown, which it could a moment ago.
    #[error("`server.tls`")]
    Tls(#[from] crate::server::TlsError),
    /// The audit log cannot be had.
    #[error("the audit log of `audit.file` cannot be had")]
    Audit(#[from] crate::telemetry::audit::StartError),
    /// The admin listener cannot be had.
    #[error("the admin listener cannot be had; `{key}` may name another, or be \"off\"")]
    Admin {
        /// The setting that says where.
        key: &'static str,
        /// Why.
        source: crate::server::BindError,
    },
    /// Somebody asked it to stop before it was ready; what was open has been closed.
    #[error("stopped before anything was served")]
    Stopped(Vec<Closed>),
}
