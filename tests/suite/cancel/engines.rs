//! The engines that every point is tried on, and what each says of itself from outside.

use std::{sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt};
use mongodb::bson::doc;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, sqlite::SqliteConnectOptions};
use support::{
    mariadb::MariadbDatabase,
    postgres::PostgresDatabase,
    scripted::{Behaviour, Event, Script, Step},
    wire::Wire,
};
use tokio::task::AbortHandle;
use wharf::driver::{Driver, Engine, mongodb::Mongodb, mysql::Mysql, postgres::Postgres, settings::Settings, sqlite::Sqlite};

/// The rows that cursors read, and the table that traces are seen in.
const TABLES: &str = "CREATE TABLE numbers (n BIGINT NOT NULL); CREATE TABLE marks (n BIGINT NOT NULL);
                      INSERT INTO numbers VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10)";

type Make = fn() -> BoxFuture<'static, Box<dyn Bed>>;

/// All of them. A new engine needs a line here and a [`Bed`].
pub(crate) const ENGINES: [(&str, Make); 6] = [
    ("scripted", || async { Box::new(Scripted::new(Language::Sql)) as Box<dyn Bed> }.boxed()),
    ("scripted documents", || async { Box::new(Scripted::new(Language::Documents)) as Box<dyn Bed> }.boxed()),
    ("stand-in", || async { Box::new(StandIn::new()) as Box<dyn Bed> }.boxed()),
    ("sqlite", || async { Box::new(File::create().await) as Box<dyn Bed> }.boxed()),
    ("postgres", || async { Box::new(PostgresDatabase::create_with_tables().await) as Box<dyn Bed> }.boxed()),
    ("mariadb", || async { Box::new(MariadbDatabase::create_with_tables().await) as Box<dyn Bed> }.boxed()),
];

/// What a database is asked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Sql,
    Documents,
}

/// A database that pools are opened on, one after the other.
pub(crate) trait Bed: Send + Sync {
    /// Opens sessions of it.
    fn driver(&self) -> Arc<dyn Driver>;

    /// What it is asked in.
    fn language(&self) -> Language {
        Language::Sql
    }

    /// A query of one number, which is 0 in a session without a trace of an earlier borrower. Documents have no such question.
    fn residue(&self) -> &'static str;

    /// Whether the rows of `marks` can be told: a script has none.
    fn has_rows(&self) -> bool {
        true
    }

    /// Waits until the server itself says that there are at most `most` sessions, and that none of them has a transaction open.
    ///
    /// # Panics
    /// After `bound`, with what the server said.
    fn quiet(&self, most: usize, bound: Duration) -> BoxFuture<'_, ()>;
}

/// Every step waits until it is let go, so that every future of the driver is pending once.
struct Scripted {
    script: Script,
    language: Language,
    releaser: AbortHandle,
}

impl Scripted {
    fn new(language: Language) -> Self {
        let script = Script::new();
        if language == Language::Documents {
            script.speak(Engine::Mongodb);
        }
        for step in Step::all() {
            script.always(step, Behaviour::Slow);
        }
        let slow = script.clone();
        let releaser = tokio::spawn(async move {
            let mut seen = 0;
            loop {
                slow.until(|events| events.len() > seen).await;
                for event in &slow.events()[seen..] {
                    seen += 1;
                    if let Event::Began(step, _) = event {
                        slow.release(*step);
                    }
                }
            }
        });
        Self { script, language, releaser: releaser.abort_handle() }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.releaser.abort();
    }
}

impl Bed for Scripted {
    fn driver(&self) -> Arc<dyn Driver> {
        Arc::new(self.script.clone())
    }

    fn language(&self) -> Language {
        self.language
    }

    fn residue(&self) -> &'static str {
        "SELECT 1"
    }

    fn has_rows(&self) -> bool {
        false
    }

    fn quiet(&self, most: usize, bound: Duration) -> BoxFuture<'_, ()> {
        async move {
            support::wait::until("a quiet script", bound, || async {
                // The control path is no session here.
                match (self.script.listed(), self.script.in_transaction()) {
                    (listed, 0) if listed <= most => Ok(()),
                    (listed, open) => Err(format!("{listed} sessions, {open} in a transaction")),
                }
            })
            .await;
        }
        .boxed()
    }
}

/// The stand-in for MongoDB, which ends what runs, and what a session has, as MongoDB does. It keeps no documents.
struct StandIn(Wire);

impl StandIn {
    fn new() -> Self {
        let wire = Wire::start_forgetful();
        // What is found is more than is read at once.
        let batches = [1_i32, 3, 5].map(|first| vec![doc! { "_id": first }, doc! { "_id": first + 1 }]);
        wire.answer_batches("find", "app.notes", &batches);
        Self(wire)
    }
}

impl Bed for StandIn {
    fn driver(&self) -> Arc<dyn Driver> {
        Arc::new(Mongodb::new(&self.0.url("app"), Settings::default()).unwrap())
    }

    fn language(&self) -> Language {
        Language::Documents
    }

    fn residue(&self) -> &'static str {
        ""
    }

    fn has_rows(&self) -> bool {
        false
    }

    fn quiet(&self, most: usize, bound: Duration) -> BoxFuture<'_, ()> {
        async move {
            let is_quiet = |wire: &Wire| {
                let sockets = wire.sockets();
                // Those of a session go by one name, which is not that of the control path.
                let sessions =
                    sockets.iter().filter(|(name, sockets)| name.starts_with("wharf app ") && sockets.open > 0).count();
                let nothing_open = wire.waiting().is_empty() && wire.transactions() == 0 && wire.cursors() == 0;
                (sessions <= most && nothing_open).then_some(())
            };
            self.0.until(&format!("at most {most} sessions, and nothing open"), bound, is_quiet).await;
        }
        .boxed()
    }
}

/// An SQLite file.
struct File {
    folder: tempfile::TempDir,
}

impl File {
    async fn create() -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        let mut connection = file.options().create_if_missing(true).connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(TABLES)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        file
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new().filename(self.folder.path().join("main.db")).busy_timeout(Duration::ZERO)
    }
}

impl Bed for File {
    fn driver(&self) -> Arc<dyn Driver> {
        let url = format!("sqlite://{}", self.folder.path().join("main.db").display());
        Arc::new(Sqlite::new(&url, Settings::default()).unwrap())
    }

    fn residue(&self) -> &'static str {
        "SELECT count(*) FROM temp.sqlite_master"
    }

    fn quiet(&self, _most: usize, bound: Duration) -> BoxFuture<'_, ()> {
        async move {
            let mut outsider = self.options().connect().await.unwrap();
            let outsider = tokio::sync::Mutex::new(&mut outsider);
            // Whoever has a transaction open that reads keeps the log from being emptied, and one that writes holds the lock.
            support::wait::until("a file that nobody uses", bound, || async {
                let checkpoint: (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
                    .fetch_one(&mut **outsider.lock().await)
                    .await
                    .map_err(|error| error.to_string())?;
                if checkpoint.0 == 0 { Ok(()) } else { Err("the file is in use".to_owned()) }
            })
            .await;
        }
        .boxed()
    }
}

/// A database on a server.
trait WithTables {
    async fn create_with_tables() -> Self;
}

impl WithTables for PostgresDatabase {
    async fn create_with_tables() -> Self {
        let database = Self::create().await;
        database.execute(TABLES).await;
        let mut admin = support::postgres::server().connect("postgres").await;
        for role in [&database.owner, &database.control] {
            let sql = format!("ALTER ROLE {} PASSWORD '{}'", role.name, verifier(&mut admin, &role.password).await);
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        }
        admin.close().await.unwrap();
        database
    }
}

/// What the server keeps of a password, made with one iteration. sqlx yields in every fifth, which would be 819 points in each
/// connect with the usual 4,096, at none of which anything has happened since the one before.
async fn verifier(admin: &mut PgConnection, password: &str) -> String {
    let salt = b"salt of the test";
    let salted = hmac(password.as_bytes(), &[salt, &1_u32.to_be_bytes()[..]].concat());
    let stored = Sha256::digest(hmac(&salted, b"Client Key"));
    let parts: [&[u8]; 3] = [salt, &stored, &hmac(&salted, b"Server Key")];
    let (salt, stored, server): (String, String, String) =
        sqlx::query_as("SELECT encode($1, 'base64'), encode($2, 'base64'), encode($3, 'base64')")
            .bind(parts[0])
            .bind(parts[1])
            .bind(parts[2])
            .fetch_one(admin)
            .await
            .unwrap();
    format!("SCRAM-SHA-256$1:{salt}${stored}:{server}")
}

/// RFC 2104; the key is at most one block.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |with: u8| (0..64).map(move |at| key.get(at).copied().unwrap_or(0) ^ with);
    let inner = Sha256::new().chain_update(pad(0x36).collect::<Vec<u8>>()).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c).collect::<Vec<u8>>()).chain_update(inner).finalize().to_vec()
}

impl Bed for PostgresDatabase {
    fn driver(&self) -> Arc<dyn Driver> {
        let driver = Postgres::new(&self.url(&self.owner), Settings::default()).unwrap();
        Arc::new(driver.control_with(&self.url(&self.control)).unwrap())
    }

    fn residue(&self) -> &'static str {
        "SELECT (SELECT count(*) FROM pg_cursors WHERE name <> '') + count(pg_current_xact_id_if_assigned())
             + (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')"
    }

    fn quiet(&self, most: usize, bound: Duration) -> BoxFuture<'_, ()> {
        // And the control path.
        self.until_quiet(most + 1, bound).boxed()
    }
}

impl WithTables for MariadbDatabase {
    async fn create_with_tables() -> Self {
        let database = Self::create().await;
        // A key that `LAST_INSERT_ID()` tells, in a column that nobody has to name.
        database.execute(TABLES).await;
        database.execute("ALTER TABLE marks ADD id BIGINT INVISIBLE AUTO_INCREMENT PRIMARY KEY").await;
        database
    }
}

impl Bed for MariadbDatabase {
    fn driver(&self) -> Arc<dyn Driver> {
        let driver = Mysql::new(&self.url(&self.owner), Settings::default()).unwrap();
        Arc::new(driver.control_with(&self.url(&self.control)).unwrap())
    }

    fn residue(&self) -> &'static str {
        "SELECT CAST(@@in_transaction + LAST_INSERT_ID() AS SIGNED)"
    }

    fn quiet(&self, most: usize, bound: Duration) -> BoxFuture<'_, ()> {
        // And the control path.
        self.until_quiet(most + 1, bound).boxed()
    }
}
