//! A database on either server, for claims that hold on both.

use std::{net::SocketAddr, time::Duration};

use crate::{mariadb::MariadbDatabase, postgres::PostgresDatabase, wait};

/// A server that a claim is tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    Mariadb,
}

impl Engine {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Postgres, Self::Mariadb];

    /// As the host calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Mariadb => "MariaDB",
        }
    }

    /// A statement that takes a minute.
    #[must_use]
    pub fn minute(self) -> &'static str {
        match self {
            Self::Postgres => "SELECT pg_sleep(60), 'a literal', 1",
            Self::Mariadb => "SELECT SLEEP(60), 'a literal', 1",
        }
    }
}

/// A database with its users, asked on connections that are none of the host's.
#[derive(Debug)]
pub enum ServerDatabase {
    /// On PostgreSQL.
    Postgres(PostgresDatabase),
    /// On MariaDB.
    Mariadb(MariadbDatabase),
}

/// What a server says of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The server's number of it.
    pub id: i64,
    /// Who it belongs to.
    pub user: String,
    /// The statement that runs; empty when none does.
    pub running: String,
}

impl ServerDatabase {
    /// Makes a database of a name that nobody else has.
    ///
    /// # Panics
    /// When there is no server or it refuses.
    pub async fn create(engine: Engine) -> Self {
        match engine {
            Engine::Postgres => Self::Postgres(PostgresDatabase::create().await),
            Engine::Mariadb => Self::Mariadb(MariadbDatabase::create().await),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self {
            Self::Postgres(_) => Engine::Postgres,
            Self::Mariadb(_) => Engine::Mariadb,
        }
    }

    /// The owner's name.
    #[must_use]
    pub fn owner(&self) -> &str {
        match self {
            Self::Postgres(database) => &database.owner.name,
            Self::Mariadb(database) => &database.owner.name,
        }
    }

    /// The name of the user that may end the sessions of others.
    #[must_use]
    pub fn control(&self) -> &str {
        match self {
            Self::Postgres(database) => &database.control.name,
            Self::Mariadb(database) => &database.control.name,
        }
    }

    /// The owner's URL.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Postgres(database) => database.url(&database.owner),
            Self::Mariadb(database) => database.url(&database.owner),
        }
    }

    /// The owner's URL through something that listens elsewhere, unencrypted.
    #[must_use]
    pub fn url_at(&self, address: SocketAddr) -> String {
        match self {
            Self::Postgres(database) => database.url_at(&database.owner, address),
            Self::Mariadb(database) => database.url_at(&database.owner, address),
        }
    }

    /// As [`ServerDatabase::url_at`], for the user that may end the sessions of others.
    #[must_use]
    pub fn control_url_at(&self, address: SocketAddr) -> String {
        match self {
            Self::Postgres(database) => database.url_at(&database.control, address),
            Self::Mariadb(MariadbDatabase { control, .. }) => {
                // The only database that everybody may be in.
                format!("mysql://{}:{}@{address}/information_schema?ssl-mode=DISABLED", control.name, control.password)
            }
        }
    }

    /// Host and port of the server.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Postgres(database) => database.address(),
            Self::Mariadb(database) => database.address(),
        }
    }

    /// Runs statements as the owner.
    ///
    /// # Panics
    /// When one fails.
    pub async fn execute(&self, statements: &str) {
        match self {
            Self::Postgres(database) => database.execute(statements).await,
            Self::Mariadb(database) => database.execute(statements).await,
        }
    }

    /// The only cell of a query's only row, as text, seen by the owner.
    ///
    /// # Panics
    /// When the query fails or the cell is no text.
    pub async fn text(&self, query: &str) -> String {
        match self {
            Self::Postgres(database) => database.text(query).await,
            Self::Mariadb(database) => database.text(query).await,
        }
    }

    /// The sessions in this database, whoever opened them, by number.
    ///
    /// # Panics
    /// When the server refuses to say.
    pub async fn sessions(&self) -> Vec<Seen> {
        match self {
            Self::Postgres(database) => {
                let sessions = database.sessions().await.into_iter();
                let running = |state: &str, query: String| if state == "active" { query } else { String::new() };
                sessions
                    .map(|row| Seen { id: row.pid.into(), user: row.usename, running: running(&row.state, row.query) })
                    .collect()
            }
            Self::Mariadb(database) => {
                let sessions = database.sessions().await.into_iter();
                sessions.map(|row| Seen { id: row.id, user: row.user, running: row.query }).collect()
            }
        }
    }

    /// Waits until `expected` holds of the sessions, which are given back.
    ///
    /// # Panics
    /// After `bound`, with the sessions there were.
    pub async fn until_sessions(&self, what: &str, bound: Duration, expected: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        wait::until(what, bound, || async {
            let sessions = self.sessions().await;
            if expected(&sessions) { Ok(sessions) } else { Err(format!("{sessions:#?}")) }
        })
        .await
    }

    /// Waits until there is no session.
    ///
    /// # Panics
    /// After `bound`, with the sessions there were.
    pub async fn until_nobody(&self, bound: Duration) {
        self.until_sessions("nobody to have a session", bound, <[Seen]>::is_empty).await;
    }

    /// Waits until somebody runs a statement with this text.
    ///
    /// # Panics
    /// After `bound`, with the sessions there were.
    pub async fn until_running(&self, part: &str, bound: Duration) -> Vec<Seen> {
        let running = |sessions: &[Seen]| sessions.iter().any(|session| session.running.contains(part));
        self.until_sessions(&format!("{part} to run"), bound, running).await
    }
}
