//! A database of one test, with the users that an operator would give to a host.

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, MySqlConnection, mysql::MySqlConnectOptions};
use tokio::sync::Mutex;

use super::{
    server::{Server, server},
    sessions,
};
use crate::{random::token, removal::remove, secrets};

/// A database and its users; all are dropped with it.
#[derive(Debug)]
pub struct MariadbDatabase {
    /// As the server knows it.
    pub name: String,
    /// Has every privilege on the database, and on nothing else.
    pub owner: User,
    /// May read every table of it, and write nothing.
    pub reader: User,
    /// May see and end the sessions of others (`PROCESS`, `CONNECTION ADMIN`), and nothing else.
    pub control: User,
    /// In another database, so that it is not among the sessions of this one.
    pub(super) admin: Mutex<MySqlConnection>,
    server: &'static Server,
}

/// A user that may log in.
#[derive(Clone, Debug)]
pub struct User {
    /// As the server knows it.
    pub name: String,
    /// A word that no log may contain.
    pub password: String,
}

impl MariadbDatabase {
    /// Makes a database of a name that nobody else has.
    ///
    /// # Panics
    /// When there is no server (see [`server`]), it refuses, or it does not tell of its sessions what [`Self::sessions`] asks.
    pub async fn create() -> Self {
        let server = server();
        let name = format!("wharf_{}", token());
        let user = |what: &str| User { name: format!("{name}_{what}"), password: secrets::plant() };
        let (owner, reader, control) = (user("owner"), user("reader"), user("control"));
        let mut admin = server.connect("mysql").await;
        sessions::must_tell(&mut admin).await;
        execute(&mut admin, &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")).await;
        for user in [&owner, &reader, &control] {
            execute(&mut admin, &format!("CREATE USER {} IDENTIFIED BY '{}'", user.name, user.password)).await;
        }
        let pattern = name.replace('_', "\\_");
        execute(&mut admin, &format!("GRANT ALL ON `{pattern}`.* TO {}", owner.name)).await;
        execute(&mut admin, &format!("GRANT SELECT ON `{pattern}`.* TO {}", reader.name)).await;
        execute(&mut admin, &format!("GRANT PROCESS, CONNECTION ADMIN ON *.* TO {}", control.name)).await;
        Self { name, owner, reader, control, admin: Mutex::new(admin), server }
    }

    /// The URL for one of the users, password and all.
    #[must_use]
    pub fn url(&self, user: &User) -> String {
        format!("mysql://{}:{}@{}/{}", user.name, user.password, self.server.address(), self.name)
    }

    /// The same through something that listens elsewhere and passes on what it hears, unencrypted.
    #[must_use]
    pub fn url_at(&self, user: &User, address: std::net::SocketAddr) -> String {
        format!("mysql://{}:{}@{address}/{}?ssl-mode=DISABLED", user.name, user.password, self.name)
    }

    /// `127.0.0.1:3306`, or what takes its place.
    #[must_use]
    pub fn address(&self) -> String {
        self.server.address()
    }

    /// A connection of the owner.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn connect(&self) -> MySqlConnection {
        let options: MySqlConnectOptions = self.url(&self.owner).parse().expect("a URL");
        options.connect().await.expect("the owner may connect")
    }

    /// Runs statements as the owner, on a connection that is closed before this returns.
    ///
    /// # Panics
    /// When one fails.
    pub async fn execute(&self, statements: &str) {
        let mut connection = self.connect().await;
        execute(&mut connection, statements).await;
        connection.close().await.expect("closed");
    }

    /// The only cell of a query's only row, as text, seen by the owner.
    ///
    /// # Panics
    /// When the query fails or the cell is no text.
    pub async fn text(&self, query: &str) -> String {
        let mut connection = self.connect().await;
        let text = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut connection).await.expect("one text");
        connection.close().await.expect("closed");
        text
    }

    /// Ends every session in this database, as a restart of the server would.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn terminate_all(&self) {
        let ids: Vec<i64> = self.sessions().await.into_iter().map(|session| session.id).collect();
        let mut admin = self.admin.lock().await;
        for id in ids {
            // One that has ended by itself is as good.
            let killed = sqlx::raw_sql(AssertSqlSafe(format!("KILL CONNECTION {id}"))).execute(&mut *admin).await;
            if let Err(error) = killed {
                assert!(error.to_string().contains("Unknown thread id"), "{error}");
            }
        }
    }
}

async fn execute(connection: &mut MySqlConnection, statements: &str) {
    if let Err(error) = sqlx::raw_sql(AssertSqlSafe(statements)).execute(connection).await {
        panic!("{statements}: {error}");
    }
}

impl Drop for MariadbDatabase {
    fn drop(&mut self) {
        let administrator = self.server.administrator("mysql");
        let mut statements = vec![format!("DROP DATABASE IF EXISTS {}", self.name)];
        statements.extend([&self.owner, &self.reader, &self.control].map(|user| format!("DROP USER IF EXISTS {}", user.name)));
        remove(&self.name, async move || {
            let mut connection = administrator.connect().await?;
            for statement in &statements {
                // A session that a failed test left may hold a lock on a table.
                sqlx::raw_sql(AssertSqlSafe(format!("SET lock_wait_timeout = 10; {statement}"))).execute(&mut connection).await?;
            }
            connection.close().await?;
            Ok(())
        });
    }
}
