//! A handler that uses `wharf:sql` and `wharf:documents` in one call: both are written, or both are taken back, however it ends.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use serde_json::Value as Json;
use support::{
    host::{Host, Setup},
    mongodb::MongodbDatabase,
    postgres::{PostgresDatabase, SessionRow},
    wait,
};

use super::bed::{RECLAIM, SOCKETS, settings_of};

/// Connections of either pool.
const POOL: usize = 2;

struct Bed {
    host: Host,
    sql: PostgresDatabase,
    documents: MongodbDatabase,
}

impl Bed {
    /// With so much time for a call.
    async fn start(deadline: &str) -> Self {
        let (sql, documents) = (PostgresDatabase::create().await, MongodbDatabase::create().await);
        sql.execute("CREATE TABLE notes (note text NOT NULL)").await;
        documents.run(doc! { "insert": "notes", "documents": [{ "_id": 1 }, { "_id": 2 }] }).await;
        let host = Setup::new()
            .database("sql", &sql.url(&sql.owner), &format!("max_connections = {POOL}"))
            .database("documents", &documents.url(&documents.owner), &settings_of(&documents, POOL, ""))
            .guest(
                "two_worlds",
                &format!(
                    "limits = {{ fuel = 200_000_000, deadline = {deadline:?} }}\n\
                     databases.sql = {{ access = \"read-write\" }}\n\
                     databases.documents = {{ access = \"read-write\" }}"
                ),
            )
            .start()
            .await;
        Self { host, sql, documents }
    }

    async fn call(&self, variant: &str, id: &str) -> support::client::Reply {
        let document = super::hex(&doc! { "_id": id }.to_vec().unwrap());
        let sql = "INSERT+INTO+notes+(note)+VALUES+('two+worlds')";
        self.host.client().get(&format!("/two_worlds/{variant}?sql={sql}&document={document}")).await
    }

    /// Rows and documents that are committed.
    async fn written(&self) -> (String, u64) {
        (self.sql.text("SELECT count(*)::text FROM notes").await, self.documents.count("notes").await)
    }

    async fn recovers(&mut self, ids: &[String]) {
        self.host.assert_alive();
        self.sql.until_quiet(POOL + 1, RECLAIM).await;
        self.documents.until_quiet((POOL + 1) * SOCKETS, RECLAIM).await;
        for id in ids {
            assert!(!self.documents.is_locked("notes", id.as_str()).await, "{id}");
        }
        assert!(!self.host.log().contains("panicked"), "{}", self.host.log());
    }
}

#[tokio::test]
async fn however_a_call_ends_both_databases_have_everything_back() {
    let mut bed = Bed::start("3s").await;
    for (variant, status, code) in [
        ("drops", 200, None),
        ("leaks", 200, None),
        ("traps", 500, Some("handler-trapped")),
        ("spins", 500, Some("fuel-exhausted")),
        ("waits", 504, Some("deadline-exceeded")),
    ] {
        // More often than either pool has connections. Each writes its own: a client has its answer before the transaction is taken back.
        let ids: Vec<String> = (0..=POOL).map(|number| format!("{variant} {number}")).collect();
        for id in &ids {
            let reply = bed.call(variant, id).await;
            assert_eq!(reply.status, status, "{variant}: {reply:?}\n{}", bed.host.log());
            match code {
                Some(code) => assert_eq!(reply.problem(), (status, code.to_owned()), "{variant}"),
                None => assert_eq!(reply.json()["inserted"]["ok"]["inserted"], 1, "{variant}: {reply:?}"),
            }
        }
        bed.recovers(&ids).await;
        assert_eq!(bed.written().await, ("0".to_owned(), 2), "{variant}");
    }
    let reply = bed.call("commits", "two worlds").await;
    let told = reply.json();
    let failed: Vec<&Json> = told.as_object().unwrap().values().filter(|outcome| !outcome["error"].is_null()).collect();
    assert!(failed.is_empty(), "{told}");
    assert_eq!(bed.written().await, ("1".to_owned(), 3));
    let ended = bed.host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for line in ["database sql: 0 connections left, says PostgreSQL", "database documents: 0 connections left, says MongoDB"] {
        assert!(ended.stderr.contains(line), "{line}: {}", ended.stderr);
    }
    bed.sql.nothing_left().await;
    bed.documents.nothing_left().await;
}

#[tokio::test]
async fn a_stop_takes_both_back_while_calls_hold_them() {
    // Every call has its own.
    const IDS: [&str; POOL] = ["one", "other"];
    let bed = Bed::start("25s").await;
    // More than a cursor's first batch.
    let more: Vec<Document> = (10..1_210).map(|id| doc! { "_id": id }).collect();
    bed.documents.run(doc! { "insert": "notes", "documents": more }).await;
    let client = bed.host.client();
    let calls = IDS.map(|id| {
        let (client, document) = (client.clone(), super::hex(&doc! { "_id": id }.to_vec().unwrap()));
        tokio::spawn(async move { client.get(&format!("/two_worlds/waits?document={document}")).await })
    });
    let both = |sessions: &[SessionRow]| sessions.iter().filter(|row| row.state == "idle in transaction").count() == POOL;
    bed.sql.until_sessions("both calls to hold a transaction", RECLAIM, both).await;
    // A cursor comes last. Who looked for a lock before the transaction has it could take it from it.
    wait::until("both calls to hold a cursor", RECLAIM, || async {
        let cursors = bed.documents.cursors().await;
        if cursors.len() == POOL { Ok(()) } else { Err(format!("{cursors:?}")) }
    })
    .await;
    for id in IDS {
        assert!(bed.documents.is_locked("notes", id).await, "{id}");
    }
    let Bed { host, sql, documents } = bed;
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    sql.nothing_left().await;
    documents.nothing_left().await;
    for id in IDS {
        assert!(!documents.is_locked("notes", id).await, "{id}");
    }
    for call in calls {
        // Cut off or answered, but not left hanging.
        let _ = tokio::time::timeout(Duration::from_secs(30), call).await.unwrap();
    }
}
