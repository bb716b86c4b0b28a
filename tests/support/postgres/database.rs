//! A database of one test, with the roles that an operator would give to a host.

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tokio::sync::Mutex;

use super::server::{Server, server};
use crate::{random::token, removal::remove, secrets};

/// A database and its roles; both are dropped with it.
#[derive(Debug)]
pub struct PostgresDatabase {
    /// As the server knows it.
    pub name: String,
    /// Owns the database; no superuser.
    pub owner: Role,
    /// May read every table of the owner, and write nothing.
    pub reader: Role,
    /// May see and end the sessions of others (`pg_signal_backend`, `pg_read_all_stats`), and nothing else.
    pub control: Role,
    /// In another database, so that it is not among the sessions of this one.
    pub(super) admin: Mutex<PgConnection>,
    server: &'static Server,
}

/// A role that may log in.
#[derive(Clone, Debug)]
pub struct Role {
    /// As the server knows it.
    pub name: String,
    /// A word that no log may contain.
    pub password: String,
}

/// What writes large objects; everybody may, unless told otherwise, in a read-only transaction even.
const LARGE_OBJECT_WRITERS: &str = "lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea), lo_put(oid, bigint, bytea), \
                                    lo_unlink(oid), lo_open(oid, integer), lowrite(integer, bytea), \
                                    lo_truncate(integer, integer), lo_truncate64(integer, bigint)";

impl PostgresDatabase {
    /// Makes a database of a name that nobody else has.
    ///
    /// # Panics
    /// When there is no server (see [`server`]) or it refuses.
    pub async fn create() -> Self {
        Self::create_on(server()).await
    }

    /// The same on a server of the caller's own.
    ///
    /// # Panics
    /// When it refuses.
    pub async fn create_on(server: &'static Server) -> Self {
        let name = format!("wharf_{}", token());
        let role = |what: &str| Role { name: format!("{name}_{what}"), password: secrets::plant() };
        let (owner, reader, control) = (role("owner"), role("reader"), role("control"));
        let mut admin = server.connect("postgres").await;
        for role in [&owner, &reader, &control] {
            let sql = format!("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{}'", role.name, role.password);
            execute(&mut admin, &sql).await;
        }
        execute(&mut admin, &format!("GRANT pg_signal_backend, pg_read_all_stats TO {}", control.name)).await;
        execute(&mut admin, &format!("CREATE DATABASE {name} OWNER {}", owner.name)).await;

        let mut inside = server.connect(&name).await;
        let (o, r, c) = (&owner.name, &reader.name, &control.name);
        for sql in [
            // Nobody gets in, or writes anything, but by these grants.
            format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC"),
            "REVOKE ALL ON SCHEMA public FROM PUBLIC".to_owned(),
            format!("REVOKE EXECUTE ON FUNCTION {LARGE_OBJECT_WRITERS} FROM PUBLIC"),
            format!("GRANT ALL ON SCHEMA public TO {o}"),
            format!("GRANT EXECUTE ON FUNCTION {LARGE_OBJECT_WRITERS} TO {o}"),
            format!("GRANT CONNECT ON DATABASE {name} TO {r}, {c}"),
            format!("GRANT USAGE ON SCHEMA public TO {r}"),
            format!("ALTER DEFAULT PRIVILEGES FOR ROLE {o} GRANT SELECT ON TABLES TO {r}"),
        ] {
            execute(&mut inside, &sql).await;
        }
        inside.close().await.expect("closed");
        Self { name, owner, reader, control, admin: Mutex::new(admin), server }
    }

    /// The URL for one of the roles, password and all.
    #[must_use]
    pub fn url(&self, role: &Role) -> String {
        format!("postgres://{}:{}@{}/{}", role.name, role.password, self.server.address(), self.name)
    }

    /// The same through something that listens elsewhere and passes on what it hears, unencrypted.
    #[must_use]
    pub fn url_at(&self, role: &Role, address: std::net::SocketAddr) -> String {
        format!("postgres://{}:{}@{address}/{}?sslmode=disable", role.name, role.password, self.name)
    }

    /// `127.0.0.1:5432`, or what takes its place.
    #[must_use]
    pub fn address(&self) -> String {
        self.server.address()
    }

    /// A connection of the owner.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn connect(&self) -> PgConnection {
        let options: sqlx::postgres::PgConnectOptions = self.url(&self.owner).parse().expect("a URL");
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
        let mut admin = self.admin.lock().await;
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1")
            .bind(&self.name)
            .execute(&mut *admin)
            .await
            .expect("terminated");
    }
}

async fn execute(connection: &mut PgConnection, statements: &str) {
    if let Err(error) = sqlx::raw_sql(AssertSqlSafe(statements)).execute(connection).await {
        panic!("{statements}: {error}");
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let superuser = self.server.superuser("postgres");
        let mut statements = vec![format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)];
        let roles = [&self.owner, &self.reader, &self.control];
        statements.extend(roles.map(|role| format!("DROP ROLE IF EXISTS {}", role.name)));
        remove(&self.name, async move || {
            let mut connection = superuser.connect().await?;
            for statement in &statements {
                sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(&mut connection).await?;
            }
            connection.close().await?;
            Ok(())
        });
    }
}
