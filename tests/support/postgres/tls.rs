//! A PostgreSQL server of its own that speaks TLS, with one role for each thing that a server may demand.

use std::{os::unix::fs::MetadataExt, path::Path, time::Duration};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::server::{Server, start};
use crate::{secrets, wait};

/// A server with the database `app` and three roles. It ends when it is dropped.
#[derive(Debug)]
pub struct TlsServer {
    server: Server,
    password: String,
}

/// What the server lets a role do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsRole {
    /// Come as it likes.
    Any,
    /// Come by TLS only.
    Encrypted,
    /// Come by TLS only, and show a certificate that the server trusts.
    Certified,
}

impl TlsRole {
    /// As the server knows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "tls_any",
            Self::Encrypted => "tls_encrypted",
            Self::Certified => "tls_certified",
        }
    }
}

const RULES: &str = "host    all postgres      127.0.0.1/32 scram-sha-256\n\
                     host    all tls_any       127.0.0.1/32 scram-sha-256\n\
                     hostssl all tls_encrypted 127.0.0.1/32 scram-sha-256\n\
                     hostssl all tls_certified 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n";

impl TlsServer {
    /// Starts a server with a certificate and its key, and the authority of its clients, all in PEM.
    ///
    /// # Panics
    /// When there are no programs to start, or the server refuses.
    pub async fn start(certificate: &str, key: &str, client_authority: &str) -> Self {
        let this = Self { server: start(), password: secrets::plant() };
        let data = this.data();
        write(&data, "clients.pem", client_authority);
        write(&data, "pg_hba.conf", RULES);
        let mut admin = this.server.connect("postgres").await;
        for role in [TlsRole::Any, TlsRole::Encrypted, TlsRole::Certified] {
            run(&mut admin, &format!("CREATE ROLE {} LOGIN PASSWORD '{}'", role.name(), this.password)).await;
        }
        run(&mut admin, "CREATE DATABASE app OWNER tls_any").await;
        for setting in ["ssl = on", "ssl_cert_file = 'server.pem'", "ssl_key_file = 'server.key'", "ssl_ca_file = 'clients.pem'"]
        {
            run(&mut admin, &format!("ALTER SYSTEM SET {setting}")).await;
        }
        admin.close().await.expect("closed");
        this.show(certificate, key).await;
        this
    }

    /// Shows another certificate from now on.
    ///
    /// # Panics
    /// When the server does not take it.
    pub async fn show(&self, certificate: &str, key: &str) {
        let data = self.data();
        write(&data, "server.pem", certificate);
        write(&data, "server.key", key);
        let mut admin = self.server.connect("postgres").await;
        let loaded = "SELECT pg_conf_load_time()::text";
        let before: String = sqlx::query_scalar(loaded).fetch_one(&mut admin).await.expect("a time");
        run(&mut admin, "SELECT pg_reload_conf()").await;
        // The server reads its certificate before it takes the next connection, and tells its sessions just before.
        let admin = tokio::sync::Mutex::new(admin);
        wait::until("the server has read its settings again", Duration::from_secs(30), || async {
            let now: String = sqlx::query_scalar(loaded).fetch_one(&mut *admin.lock().await).await.expect("a time");
            if now == before { Err(now) } else { Ok(()) }
        })
        .await;
    }

    /// The URL of a role; `host` is `localhost` or `127.0.0.1`, `query` begins after the question mark.
    #[must_use]
    pub fn url(&self, role: TlsRole, host: &str, query: &str) -> String {
        let address = self.server.address();
        let port = address.rsplit(':').next().unwrap_or_default();
        format!("postgres://{}:{}@{host}:{port}/app?{query}", role.name(), self.password)
    }

    /// The word that no message may contain.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Whether each session in the database `app` is encrypted, by how it calls itself.
    ///
    /// # Panics
    /// When the server refuses to say.
    pub async fn encrypted(&self) -> Vec<(String, bool)> {
        let mut admin = self.server.connect("postgres").await;
        let sql = "SELECT a.application_name, s.ssl FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) \
                    WHERE a.datname = 'app' ORDER BY 1";
        let rows = sqlx::query_as(sql).fetch_all(&mut admin).await.expect("pg_stat_ssl");
        admin.close().await.expect("closed");
        rows
    }

    fn data(&self) -> std::path::PathBuf {
        self.server.folder().join("data")
    }
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Writes a file that belongs to the server and that nobody else may read, or it would not take it.
fn write(data: &Path, name: &str, text: &str) {
    use std::os::unix::fs::{PermissionsExt, chown};
    let path = data.join(name);
    let owner = std::fs::metadata(data).expect("the server's folder");
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("permissions");
    chown(&path, Some(owner.uid()), Some(owner.gid())).expect("owned by the server");
}
