//! A host with one guest that misbehaves and one that does not, on one small pool, and what must hold after each misdeed.

use std::{future::Future, time::Duration};

use serde_json::{Value as Json, json};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use support::{
    client::{Client, Reply},
    host::{Host, Setup},
    mariadb::MariadbDatabase,
    postgres::PostgresDatabase,
};

/// Which database lies under the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
    Mariadb,
}

/// Sessions of the pool, at most.
pub(crate) const POOL: usize = 3;

/// What of them the guest may hold, so that the probe always has one.
pub(crate) const GRANT: usize = 2;

/// How long a host may take to have everything back: the bounds of reclaim, one after the other.
pub(crate) const RECLAIM: Duration = Duration::from_secs(11);

/// Calls that an instance serves where [`REUSED`] is set.
pub(crate) const REUSE: u32 = 100;

tokio::task_local! {
    /// Set while plugins are to be started with instances that serve several calls.
    pub(crate) static REUSED: ();
}

/// The table that misdeeds are seen in.
const NOTES: [&str; 3] = [
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, note text NOT NULL); INSERT INTO notes (note) VALUES ('one'), ('two'), ('three')",
    "CREATE TABLE notes (id bigserial PRIMARY KEY, note text NOT NULL); INSERT INTO notes (note) VALUES ('one'), ('two'), ('three')",
    "CREATE TABLE notes (id BIGINT AUTO_INCREMENT PRIMARY KEY, note TEXT NOT NULL); INSERT INTO notes (note) VALUES ('one'), ('two'), ('three')",
];

/// What a bed is made with.
#[derive(Debug)]
pub(crate) struct Making {
    engine: Engine,
    limits: String,
    database: String,
    server: String,
    read_only: bool,
}

/// A running host with its database.
#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) host: Host,
    pub(crate) database: Database,
    guest: String,
    /// Control connections: one a credential.
    controls: usize,
}

/// The database, as an independent connection sees it.
#[derive(Debug)]
pub(crate) enum Database {
    Sqlite(SqliteConnectOptions),
    Postgres(PostgresDatabase),
    Mariadb(MariadbDatabase),
}

/// A bed on this engine.
pub(crate) fn on(engine: Engine) -> Making {
    Making {
        engine,
        limits: "fuel = 200_000_000, deadline = \"3s\", memory = \"32MiB\"".to_owned(),
        database: String::new(),
        server: String::new(),
        read_only: false,
    }
}

impl Making {
    /// Other limits for the guest.
    pub(crate) fn limits(mut self, limits: &str) -> Self {
        limits.clone_into(&mut self.limits);
        self
    }

    /// Settings of the database.
    pub(crate) fn database(mut self, settings: &str) -> Self {
        settings.clone_into(&mut self.database);
        self
    }

    /// Settings of the server.
    pub(crate) fn server(mut self, settings: &str) -> Self {
        settings.clone_into(&mut self.server);
        self
    }

    /// The guest may only read.
    pub(crate) fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Starts the host with this guest.
    pub(crate) async fn start(self, guest: &str) -> Bed {
        let setup = Setup::new().server(&self.server);
        let (database, url, grant) = match self.engine {
            Engine::Sqlite => {
                let file = setup.folder().join("main.db");
                let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
                (Database::Sqlite(options), format!("sqlite://{}", file.display()), String::new())
            }
            Engine::Postgres => {
                let database = PostgresDatabase::create().await;
                let url = database.url(&database.owner);
                let grant = format!(", url = {:?}", database.url(&database.reader));
                (Database::Postgres(database), url, grant)
            }
            Engine::Mariadb => {
                let database = MariadbDatabase::create().await;
                let url = database.url(&database.owner);
                let grant = format!(", url = {:?}", database.url(&database.reader));
                (Database::Mariadb(database), url, grant)
            }
        };
        database.execute(NOTES[self.engine as usize]).await;
        let other = setup.folder().join("other.db");
        let elsewhere = Database::Sqlite(SqliteConnectOptions::new().filename(&other).create_if_missing(true));
        elsewhere.execute(NOTES[0]).await;
        let access = match self.read_only {
            true => format!("access = \"read-only\"{grant}"),
            false => "access = \"read-write\"".to_owned(),
        };
        let instances = match REUSED.try_with(|()| ()) {
            Ok(()) => format!("instances = {{ reuse = {REUSE} }}\n"),
            Err(_) => String::new(),
        };
        let settings = format!("max_connections = {POOL}\nacquire_timeout = \"1s\"\n{}", self.database);
        let host = setup
            .database("main", &url, &settings)
            // Exists, and is granted to nobody here.
            .database("other", &format!("sqlite://{}", other.display()), "")
            .guest(
                guest,
                &format!("{instances}limits = {{ {} }}\ndatabases.main = {{ {access}, max_connections = {GRANT} }}", self.limits),
            )
            .plugin("bystander", "probe", &format!("{instances}databases.main = {{ access = \"read-write\" }}"))
            .start()
            .await;
        Bed { host, database, guest: guest.to_owned(), controls: if self.read_only { 2 } else { 1 } }
    }
}

impl Bed {
    pub(crate) fn client(&self) -> Client {
        self.host.client()
    }

    /// Calls the guest: `""` for its own behaviour, `/variant` for another, with a query if need be.
    ///
    /// Meanwhile the other plugin is called over and over, and must not notice.
    pub(crate) async fn call(&self, variant: &str) -> Reply {
        let path = format!("/{}{variant}", self.guest);
        self.undisturbed(async { self.client().get(&path).await }).await
    }

    /// Waits for something, while the other plugin is called over and over, and must not notice.
    pub(crate) async fn undisturbed<T>(&self, until: impl Future<Output = T>) -> T {
        let client = self.client();
        let mut until = std::pin::pin!(until);
        loop {
            tokio::select! {
                biased;
                result = &mut until => return result,
                reply = client.get("/bystander/query?sql=SELECT+1") => {
                    assert_eq!((reply.status.as_u16(), &reply.json()["error"]), (200, &Json::Null), "{reply:?}\n{}", self.host.log());
                }
            }
        }
    }

    /// Calls the other plugin with a list of steps.
    pub(crate) async fn run(&self, steps: Json) -> Vec<Json> {
        let reply = self.client().post("/bystander/run", &steps).await;
        assert_eq!(reply.status, 200, "{reply:?}\n{}", self.host.log());
        reply.json().as_array().unwrap().clone()
    }

    /// What must hold after every misdeed: the host lives, all capacity is free, a fresh acquire works, nothing was written, and
    /// the server lists no session of ours but idle ones.
    pub(crate) async fn recovers(&mut self) {
        self.recovers_but_for_notes().await;
        self.notes_are_untouched().await;
    }

    /// The same for a misdeed that may write.
    pub(crate) async fn recovers_but_for_notes(&mut self) {
        self.host.assert_alive();
        self.all_capacity_is_free().await;
        match &self.database {
            Database::Postgres(database) => database.until_quiet(POOL + self.controls, RECLAIM).await,
            Database::Mariadb(database) => database.until_quiet(POOL + self.controls, RECLAIM).await,
            Database::Sqlite(_) => {}
        }
    }

    /// Nothing was written.
    pub(crate) async fn notes_are_untouched(&self) {
        assert_eq!(self.database.notes().await, ["one", "two", "three"]);
    }

    /// All connections of the pool at once, in one call.
    async fn all_capacity_is_free(&self) {
        let names: Vec<String> = (0..POOL).map(|number| format!("c{number}")).collect();
        let mut steps: Vec<Json> = names.iter().map(|name| json!({ "do": "connect", "as": name })).collect();
        steps.extend(names.iter().map(|name| json!({ "do": "query", "on": name, "sql": "SELECT count(*) FROM notes" })));
        support::wait::until("all capacity", RECLAIM, || async {
            let outcomes = self.run(json!(steps)).await;
            match outcomes.iter().find(|outcome| !outcome["error"].is_null()) {
                // A connection may still be on its way back.
                Some(refused) if refused["error"]["kind"] == "pool-exhausted" => Err(refused.to_string()),
                Some(wrong) => panic!("{wrong}\n{}", self.host.log()),
                None => Ok(()),
            }
        })
        .await;
    }

    /// Stops the host, which must find every connection.
    pub(crate) async fn ends_well(self) {
        let ended = self.host.stop().await;
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains("0 connections left"), "{said}");
        match &self.database {
            Database::Postgres(database) => database.nothing_left().await,
            // A session has no name there, so that of the control path, whose good-bye nobody confirms, looks like the others.
            Database::Mariadb(database) => database.until_quiet(0, Duration::from_secs(5)).await,
            Database::Sqlite(_) => {}
        }
    }

    /// The database on PostgreSQL.
    pub(crate) fn postgres(&self) -> &PostgresDatabase {
        match &self.database {
            Database::Postgres(database) => database,
            Database::Sqlite(_) | Database::Mariadb(_) => panic!("this test is for PostgreSQL"),
        }
    }

    /// The database on MariaDB.
    pub(crate) fn mariadb(&self) -> &MariadbDatabase {
        match &self.database {
            Database::Mariadb(database) => database,
            Database::Sqlite(_) | Database::Postgres(_) => panic!("this test is for MariaDB"),
        }
    }
}

impl Database {
    /// Runs statements as the owner.
    pub(crate) async fn execute(&self, statements: &str) {
        match self {
            Self::Postgres(database) => database.execute(statements).await,
            Self::Mariadb(database) => database.execute(statements).await,
            Self::Sqlite(file) => {
                let mut connection = file.connect().await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// The notes that are there.
    pub(crate) async fn notes(&self) -> Vec<String> {
        let query = "SELECT note FROM notes ORDER BY id";
        match self {
            Self::Postgres(database) => {
                let mut connection = database.connect().await;
                let notes = sqlx::query_scalar(query).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                notes
            }
            Self::Mariadb(database) => {
                let mut connection = database.connect().await;
                let notes = sqlx::query_scalar(query).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                notes
            }
            Self::Sqlite(file) => {
                let mut connection: SqliteConnection = file.clone().read_only(true).connect().await.unwrap();
                let notes = sqlx::query_scalar(query).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                notes
            }
        }
    }
}
