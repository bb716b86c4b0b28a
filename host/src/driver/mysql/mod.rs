//! MariaDB and MySQL over raw connections of sqlx.
//!
//! `connect` opens a session with every backstop set that the server offers and refuses a user that may do too much (`role`).
//! `connection` takes the operations. A guest's text is read just far enough to refuse transaction control and to know what it may
//! leave behind (`lex`, `text`, `residue`, `catalog`), prepared, its parameters bound (`encode`), and its rows read into columns
//! (`types`, `statement`, `decode`); an open `cursor` owns the connection. `transaction` is begun and ended by the host alone;
//! `control` ends statements and sessions from outside. What may be shown of a text `redact` says, by the same lexer.
//!
//! What the host itself says goes through the text protocol (`host`), several statements in one message; what a guest says goes through
//! prepared statements only, of which the server takes one at a time although sqlx asks for `CLIENT_MULTI_STATEMENTS`.

mod calendar;
mod catalog;
mod connect;
mod connection;
mod control;
mod cursor;
mod decode;
mod encode;
mod error;
mod host;
mod lex;
pub(super) mod redact;
mod residue;
mod role;
mod statement;
mod text;
mod transaction;
mod types;
pub mod url;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use sqlx::{ConnectOptions, mysql::MySqlConnectOptions};

use self::residue::Classifier;
use crate::driver::{Connection, Control, Driver, Engine, Failure, FailureKind, settings::Settings};

/// One MariaDB or MySQL database with one credential.
pub struct Mysql {
    shared: Arc<Shared>,
}

/// What all sessions of one driver share.
struct Shared {
    options: MySqlConnectOptions,
    /// Where it differs from `options`.
    control: Option<MySqlConnectOptions>,
    settings: Settings,
    classifier: Classifier,
}

impl Mysql {
    /// Takes a URL such as `mysql://user:secret@host:3306/database?ssl-mode=VERIFY_IDENTITY`, see [`url`]. Nothing is opened yet.
    ///
    /// # Errors
    /// [`FailureKind::Invalid`] for a URL that cannot be used; the message does not repeat it.
    pub fn new(url: &str, settings: Settings) -> Result<Self, Failure> {
        let options = parse(url)?;
        Ok(Self { shared: Arc::new(Shared { options, control: None, settings, classifier: Classifier::default() }) })
    }

    /// Uses another credential for [`Driver::control`]. Its user needs `PROCESS` and `CONNECTION ADMIN` (MySQL: `CONNECTION_ADMIN`).
    ///
    /// # Errors
    /// As for [`Mysql::new`].
    pub fn control_with(self, url: &str) -> Result<Self, Failure> {
        let control = Some(parse(url)?);
        let Shared { options, settings, .. } = &*self.shared;
        let shared = Shared { options: options.clone(), control, settings: settings.clone(), classifier: Classifier::default() };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl fmt::Debug for Mysql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither address nor credential: this ends up in logs.
        f.debug_struct("Mysql").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

fn parse(text: &str) -> Result<MySqlConnectOptions, Failure> {
    let options = url::parse(text).map_err(|refusal| {
        Failure::new(FailureKind::Invalid, format!("the database URL cannot be used: it {}", refusal.message))
    })?;
    Ok(options.disable_statement_logging())
}

/// Why a session could not be opened, in words that name neither address nor credential.
pub(super) fn why_not_connected(error: sqlx::Error) -> String {
    error::connect_failure(error).message
}

impl Driver for Mysql {
    fn engine(&self) -> Engine {
        Engine::Mysql
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
