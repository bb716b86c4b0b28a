//! A host with the probe of documents on a small pool, and what must hold when it is left alone again.

use std::time::Duration;

use serde_json::{Value as Json, json};
use support::{
    client::{Client, Reply},
    host::{Host, Setup},
    mongodb::{MongodbDatabase, SocketRow},
    wait,
};

/// How long a host may take to have everything back: the bounds of reclaim, one after the other.
pub(crate) const RECLAIM: Duration = Duration::from_secs(11);

/// Sockets that a connection has: one for operations, one to watch the server.
pub(crate) const SOCKETS: usize = 2;

/// What a bed is made with.
pub(crate) struct Making {
    guest: String,
    pool: usize,
    limits: String,
    settings: String,
    grant: String,
    read_only: bool,
}

/// A running host with its database.
pub(crate) struct Bed {
    pub(crate) host: Host,
    pub(crate) database: MongodbDatabase,
    pool: usize,
    controls: usize,
}

/// A bed with this guest as the plugin `it`, granted a database `main` of three connections.
pub(crate) fn with(guest: &str) -> Making {
    Making {
        guest: guest.to_owned(),
        pool: 3,
        limits: "fuel = 2_000_000_000, deadline = \"15s\", memory = \"256MiB\"".to_owned(),
        settings: String::new(),
        grant: String::new(),
        read_only: false,
    }
}

impl Making {
    /// So many connections.
    pub(crate) fn pool(mut self, connections: usize) -> Self {
        self.pool = connections;
        self
    }

    /// Other limits for the guest.
    pub(crate) fn limits(mut self, limits: &str) -> Self {
        limits.clone_into(&mut self.limits);
        self
    }

    /// Settings of the database.
    pub(crate) fn settings(mut self, settings: &str) -> Self {
        settings.clone_into(&mut self.settings);
        self
    }

    /// Settings of the grant, such as `max_rows = 10`.
    pub(crate) fn grant(mut self, settings: &str) -> Self {
        self.grant = format!(", {settings}");
        self
    }

    /// The guest may only read.
    pub(crate) fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Starts the host. A plugin `writer` may write, whatever the other may.
    pub(crate) async fn start(self) -> Bed {
        let Self { guest, pool, limits, settings, grant, read_only } = self;
        let database = MongodbDatabase::create().await;
        let settings = settings_of(&database, pool, &settings);
        let access = match read_only {
            true => format!("access = \"read-only\", url = {:?}", database.url(&database.reader)),
            false => "access = \"read-write\"".to_owned(),
        };
        let host = Setup::new()
            .database("main", &database.url(&database.owner), &settings)
            .plugin("it", &guest, &format!("limits = {{ {limits} }}\ndatabases.main = {{ {access}{grant} }}"))
            .plugin("writer", "documents_probe", "databases.main = { access = \"read-write\" }")
            .start()
            .await;
        Bed { host, database, pool, controls: if read_only { 2 } else { 1 } }
    }
}

/// How long the control path may take to end a session, and to see that it is gone: one process in Python has the sessions of the whole
/// suite, and while it works for others it answers after seconds.
const BOUNDS: &str = "bounds = { kill = \"5s\", confirm = \"5s\" }";

/// Settings of a database with so many connections, and with a user of its own to see and end sessions.
pub(crate) fn settings_of(database: &MongodbDatabase, pool: usize, others: &str) -> String {
    let control = database.url(&database.control);
    format!("control_url = {control:?}\nmax_pool_size = {pool}\nacquire_timeout = \"2s\"\n{BOUNDS}\n{others}")
}

/// The outcomes of steps that a plugin has run.
pub(crate) fn outcomes(reply: &Reply) -> Vec<Json> {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json().as_array().unwrap_or_else(|| panic!("{reply:?}")).clone()
}

impl Bed {
    pub(crate) fn client(&self) -> Client {
        self.host.client()
    }

    /// The outcomes of a list of steps.
    pub(crate) async fn run(&self, steps: Json) -> Vec<Json> {
        outcomes(&self.client().post("/it/run", &steps).await)
    }

    /// The outcome of one step.
    pub(crate) async fn one(&self, step: Json) -> Json {
        self.run(json!([step])).await.remove(0)
    }

    /// The same by the plugin that may write.
    pub(crate) async fn write(&self, step: Json) -> Json {
        let outcome = outcomes(&self.client().post("/writer/run", &json!([step])).await).remove(0);
        assert!(outcome["error"].is_null(), "{outcome}");
        outcome
    }

    /// The sockets of the pools, not those of the control path.
    pub(crate) async fn sockets(&self) -> Vec<SocketRow> {
        pooled(&self.database).await
    }

    /// What must hold after every misdeed: the host lives and has not panicked, all capacity is free, a fresh operation works, and the
    /// server lists no more sockets than there may be and no cursor.
    pub(crate) async fn recovers(&mut self) {
        self.host.assert_alive();
        assert!(!self.host.log().contains("panicked"), "{}", self.host.log());
        let mut steps: Vec<Json> = (0..self.pool).map(|number| json!({ "do": "begin", "as": format!("t{number}") })).collect();
        steps.extend((0..self.pool).map(|number| json!({ "do": "find-one", "on": format!("t{number}"), "in": "nothing" })));
        let steps = &Json::from(steps);
        wait::until("all capacity", RECLAIM, || async {
            let outcomes = outcomes(&self.client().post("/writer/run", steps).await);
            match outcomes.into_iter().find(|outcome| !outcome["error"].is_null()) {
                // A connection may still be on its way back.
                Some(refused) if refused["error"]["kind"] == "pool-exhausted" => Err(refused.to_string()),
                Some(wrong) => panic!("{wrong}\n{}", self.host.log()),
                None => Ok(()),
            }
        })
        .await;
        self.database.until_quiet((self.pool + self.controls) * SOCKETS, RECLAIM).await;
    }

    /// Stops the host, which must find every connection.
    pub(crate) async fn ends_well(self) {
        let ended = self.host.stop().await;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, Some(0), "{said}");
        assert!(said.contains("database main: 0 connections left, says MongoDB"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        self.database.nothing_left().await;
    }
}

/// The sockets that are none of a control path.
pub(crate) async fn pooled(database: &MongodbDatabase) -> Vec<SocketRow> {
    let mut sockets = database.sockets().await;
    sockets.retain(|socket| !socket.app.starts_with("wharf control"));
    sockets
}
