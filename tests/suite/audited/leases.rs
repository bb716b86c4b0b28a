//! Every operation of a lease, and every way in which one comes to nothing, on the scripted driver.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::FutureExt;
use serde_json::{Value as Json, json};
use support::scripted::{Behaviour, Event, Kind, Script, Step};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};
use wharf::{
    driver::{Engine, FailureKind, ResultLimit, Statement, TransactionOptions, Value, documents::types, settings::Access},
    lease::{self, CallInfo, End, Error, Grant, Grants, Scope},
    pool::{Counts, Database, HostCapacity, PoolSpec, Quota, Settings},
    telemetry::audit::{self, Audit, Durability, Key, Trail},
};

use super::{KEY, all_end, lines, pair, story};
use crate::documents_leases::every_function;

const PATIENCE: Duration = Duration::from_secs(10);
const SECRET: &str = "hunter2";
const WRITE: TransactionOptions = TransactionOptions { isolation: None, read_only: false };
/// A document without a field.
const EMPTY: [u8; 5] = [5, 0, 0, 0, 0];

/// A database of two connections, and a log.
struct Bed {
    script: Script,
    pool: Database,
    grants: Arc<Grants>,
    audit: Arc<Audit>,
    folder: TempDir,
}

impl Bed {
    async fn new(engine: Engine, access: Access) -> Self {
        Self::with(engine, access, Durability::Written).await
    }

    async fn with(engine: Engine, access: Access, durability: Durability) -> Self {
        let script = Script::new();
        script.speak(engine);
        let quota = Quota { pool: 0, max_connections: 2, reserved_connections: 0, max_transaction_time: PATIENCE };
        let pools = vec![PoolSpec { driver: Arc::new(script.clone()), shares_control_of: None }];
        let (pool, granted) = Database::new("scripted", Settings::default(), pools, vec![quota], Arc::new(HostCapacity::new(2)));
        pool.start(true).await.unwrap();
        let grant = Grant {
            database: pool.clone(),
            granted: Arc::clone(&granted[0]),
            access,
            max_connections: 2,
            max_result: ResultLimit { rows: 10, bytes: 1000 },
            max_statements: 50,
        };
        let folder = tempfile::tempdir().unwrap();
        let mut settings = audit::Settings::new(folder.path().join("audit.log"), Key::new(KEY).unwrap());
        settings.durability = durability;
        let audit = Arc::new(Audit::start(settings).unwrap());
        let grants = Arc::new(Grants::new(BTreeMap::from([("db".into(), grant)])));
        Self { script, pool, grants, audit, folder }
    }

    fn scope(&self) -> Arc<Scope> {
        let trail = Trail::new(Arc::clone(&self.audit), "request".into(), "plugin".into(), "3f", Some("dr.who".to_owned()));
        let deadline = Instant::now() + PATIENCE;
        let call = CallInfo { plugin: "plugin".into(), request_id: "request".into(), deadline, trail: Some(Arc::new(trail)) };
        Scope::new(call, Arc::clone(&self.grants))
    }

    fn database(&self) -> lease::Database {
        self.scope().open("db").unwrap()
    }

    /// How often an operation has begun on the server.
    fn ran(&self, kind: Kind) -> usize {
        self.script.count(|event| matches!(event, Event::Began(Step::Run(ran), _) if *ran == kind))
    }

    /// Waits until an operation has.
    async fn until_ran(&self, kind: Kind) {
        timeout(PATIENCE, async {
            while self.ran(kind) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }

    /// Waits until nothing is lent, and nothing under way.
    async fn is_quiet(&self) {
        let is_quiet = |counts: Counts| counts.total() == counts.idle;
        timeout(PATIENCE, async {
            while !is_quiet(self.pool.counts()) {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }

    /// What the log says in the end; never anything secret.
    async fn end(self) -> Vec<Json> {
        self.is_quiet().await;
        let left = self.pool.close(Instant::now() + PATIENCE).await;
        assert_eq!(left.sessions, 0);
        self.audit.close().await.unwrap();
        let lines = lines(self.folder.path()).unwrap();
        all_end(&lines).unwrap();
        assert!(!json!(lines).to_string().contains(SECRET), "{lines:?}");
        lines
    }
}

fn secret() -> Statement {
    let sql = format!("SELECT n FROM t WHERE name = '{SECRET}' AND id = $1");
    Statement { sql: sql.into(), params: vec![Value::Text(SECRET.to_owned())] }
}

#[tokio::test]
async fn every_operation_of_sql_has_a_line_before_it_and_one_after_it() {
    for durability in Durability::ALL {
        let bed = Bed::with(Engine::Postgres, Access::ReadWrite, durability).await;
        let database = bed.database();
        let sql = || secret().sql;
        let twice = || vec![secret().params, secret().params];
        database.query(secret()).await.unwrap();
        database.execute(secret()).await.unwrap();
        database.execute_many(sql(), twice()).await.unwrap();
        let cursor = database.cursor(secret()).await.unwrap();
        cursor.next(1).await.unwrap();
        cursor.close().await.unwrap();
        let connection = database.connect().await.unwrap();
        connection.query(secret()).await.unwrap();
        connection.execute(secret()).await.unwrap();
        connection.execute_many(sql(), twice()).await.unwrap();
        let transaction = connection.begin(WRITE).await.unwrap();
        transaction.query(secret()).await.unwrap();
        transaction.execute(secret()).await.unwrap();
        transaction.execute_many(sql(), twice()).await.unwrap();
        transaction.savepoint("hunters").await.unwrap();
        transaction.rollback_to("hunters").await.unwrap();
        transaction.release("hunters").await.unwrap();
        let cursor = transaction.cursor(secret()).await.unwrap();
        cursor.next(1).await.unwrap();
        cursor.close().await.unwrap();
        transaction.commit().await.unwrap();
        connection.close().unwrap();
        database.begin(WRITE).await.unwrap().rollback().await.unwrap();
        bed.script.once(Step::Run(Kind::Execute), Behaviour::Error(FailureKind::ConstraintViolation));
        database.execute(secret()).await.unwrap_err();

        let lines = bed.end().await;
        let statements = [pair("query", "done 1"), pair("execute", "done 1"), pair("execute-many", "done 2")].concat();
        let cursor = [pair("fetch", "done 1"), pair("close-cursor", "done")].concat();
        let expected = [
            statements.clone(),
            // Counted before it waits for a connection.
            ["open-cursor begins", "begin begins", "begin done", "open-cursor done"].map(str::to_owned).to_vec(),
            cursor.clone(),
            pair("rollback", "done").to_vec(),
            statements.clone(),
            pair("begin", "done").to_vec(),
            statements,
            [pair("savepoint", "done"), pair("rollback-to", "done"), pair("release", "done")].concat(),
            pair("open-cursor", "done").to_vec(),
            cursor,
            pair("commit", "done").to_vec(),
            [pair("begin", "done"), pair("rollback", "done"), pair("execute", "constraint-violation")].concat(),
        ];
        assert_eq!(story(&lines), expected.concat(), "{durability:?}");
        let first = lines.iter().find(|line| line["kind"] == "intent").unwrap();
        let said = ["request", "plugin", "digest", "who", "database", "verb", "statement", "types"].map(|key| first[key].clone());
        let text = "SELECT n FROM t WHERE name = ? AND id = $n";
        let expected: [Json; 8] = [
            "request".into(),
            "plugin".into(),
            "3f".into(),
            "dr.who".into(),
            "scripted".into(),
            "query".into(),
            text.into(),
            json!(["text"]),
        ];
        assert_eq!(said, expected);
        let prints: Vec<&Json> = lines.iter().filter(|line| line["statement"] == text).map(|line| &line["print"]).collect();
        assert!(prints.len() == 12 && prints.iter().all(|print| *print == prints[0]), "{prints:?}");
    }
}

#[tokio::test]
async fn every_operation_of_documents_has_its_lines_too() {
    let bed = Bed::new(Engine::Mongodb, Access::ReadWrite).await;
    let concerns = || types::TransactionOptions { read_concern: None, write_concern: None };
    let database = bed.database().documents().unwrap();
    database.list_collections(None).await.unwrap();
    let people = database.collection("people").unwrap();
    every_function(&people).await;
    let cursor = people.cursor(EMPTY.to_vec(), types::FindOptions::default()).await.unwrap();
    cursor.next(1).await.unwrap();
    cursor.close().await.unwrap();
    let transaction = database.begin(concerns()).await.unwrap();
    transaction.collection("people").unwrap().find(EMPTY.to_vec(), types::FindOptions::default()).await.unwrap();
    transaction.commit().await.unwrap();
    database.begin(concerns()).await.unwrap().abort().await.unwrap();

    let lines = bed.end().await;
    let functions = [
        ("list-collections", "done 1"),
        ("find", "done 1"),
        ("find-one", "done 1"),
        ("aggregate", "done 1"),
        ("count", "done"),
        ("estimated-count", "done"),
        ("distinct", "done 1"),
        ("insert", "done 1"),
        ("update", "done 1"),
        ("replace", "done 1"),
        ("delete", "done 1"),
        ("find-and-modify", "done 1"),
        ("bulk-write", "done 1"),
        ("create-indexes", "done"),
        ("drop-index", "done"),
        ("list-indexes", "done 1"),
    ];
    let mut expected: Vec<String> = functions.into_iter().flat_map(|(verb, outcome)| pair(verb, outcome)).collect();
    expected.extend(["open-cursor begins", "begin begins", "begin done", "open-cursor done"].map(str::to_owned));
    let rest = [
        ("fetch", "done 1"),
        ("close-cursor", "done"),
        ("rollback", "done"),
        ("begin", "done"),
        ("find", "done 1"),
        ("commit", "done"),
        ("begin", "done"),
        ("rollback", "done"),
    ];
    expected.extend(rest.into_iter().flat_map(|(verb, outcome)| pair(verb, outcome)));
    assert_eq!(story(&lines), expected);
    let find = lines.iter().find(|line| line["verb"] == "find").unwrap();
    assert!(find["statement"].as_str().unwrap().contains("people") && find["types"] == json!([]), "{find}");
}

#[tokio::test]
async fn what_is_refused_has_one_line() {
    let bed = Bed::new(Engine::Mongodb, Access::ReadOnly).await;
    let people = bed.database().documents().unwrap().collection("people").unwrap();
    people.find(vec![1, 2, 3], types::FindOptions::default()).await.unwrap_err();
    let limit = types::FindOptions { limit: Some(0), ..Default::default() };
    people.cursor(EMPTY.to_vec(), limit).await.unwrap_err();
    // As many as the call may have statements.
    for _ in 2..60 {
        people.find(vec![1, 2, 3], types::FindOptions::default()).await.unwrap_err();
    }
    let lines = bed.end().await;
    assert_eq!(story(&lines), ["refused request invalid"; 50]);
    assert_eq!(lines[2]["statement"], "people");

    let bed = Bed::new(Engine::Postgres, Access::ReadWrite).await;
    let scope = bed.scope();
    for _ in 0..3 {
        assert!(matches!(scope.open("another"), Err(Error::NotGranted { .. })));
    }
    let database = scope.open("db").unwrap();
    for _ in 0..50 {
        database.query(secret()).await.unwrap();
    }
    // Once, however often the guest tries.
    for _ in 0..3 {
        database.query(secret()).await.unwrap_err();
        database.execute(secret()).await.unwrap_err();
    }
    let held = [database.connect().await.unwrap(), database.connect().await.unwrap()];
    assert!(matches!(database.begin(WRITE).await, Err(Error::Limit { limit: "max_connections", .. })));
    drop((held, database));
    let lines = bed.end().await;
    let mut expected = vec!["refused open not-granted".to_owned()];
    expected.extend((0..50).flat_map(|_| pair("query", "done 1")));
    expected.push("refused query limit-exceeded".to_owned());
    expected.extend(pair("begin", "limit-exceeded"));
    assert_eq!(story(&lines), expected);
    let refused: Vec<&Json> = lines.iter().filter(|line| line["kind"] == "refused").collect();
    assert_eq!((&refused[0]["database"], &refused[1]["code"]), (&json!("another"), &json!("max_statements")));
}

#[tokio::test]
async fn what_is_left_open_has_a_line_that_says_how_it_ended() {
    let bed = Bed::new(Engine::Postgres, Access::ReadWrite).await;
    let database = bed.database();
    let connection = database.connect().await.unwrap();
    drop(connection.begin(WRITE).await.unwrap());
    // Behind the end of the other.
    connection.query(secret()).await.unwrap();
    drop(connection);
    bed.is_quiet().await;
    drop(database.begin(WRITE).await.unwrap());
    bed.is_quiet().await;
    let scope = bed.scope();
    let transaction = scope.open("db").unwrap().begin(WRITE).await.unwrap();
    scope.end(End::Trapped);
    bed.is_quiet().await;
    drop(transaction);
    let transaction = database.begin(WRITE).await.unwrap();
    bed.script.once(Step::Run(Kind::Execute), Behaviour::Slow);
    {
        let mut execute = Box::pin(transaction.execute(secret()));
        tokio::select! {
            _ = &mut execute => panic!("it goes on"),
            () = bed.until_ran(Kind::Execute) => {}
        }
    }
    bed.is_quiet().await;
    drop(transaction);
    let lines = bed.end().await;
    let expected = [
        pair("begin", "done").to_vec(),
        vec!["query begins".to_owned(), "reclaim transaction-dropped rolled-back".to_owned(), "query done 1".to_owned()],
        pair("begin", "done").to_vec(),
        vec!["reclaim released rolled-back".to_owned()],
        pair("begin", "done").to_vec(),
        vec!["reclaim trapped rolled-back".to_owned()],
        pair("begin", "done").to_vec(),
        pair("execute", "abandoned").to_vec(),
        vec!["reclaim cancelled cancelled".to_owned()],
    ];
    let (mut story, mut expected) = (story(&lines), expected.concat());
    // The host rolls back as soon as the handle is dropped, before or after the next line is asked for.
    story[2..5].sort();
    expected[2..5].sort();
    assert_eq!(story, expected);
    let reclaims: Vec<&Json> = lines.iter().filter(|line| line["kind"] == "reclaim").collect();
    assert!(reclaims.iter().all(|line| line["request"] == "request" && line["who"] == "dr.who"), "{reclaims:?}");
}

#[tokio::test]
async fn nothing_is_sent_of_what_the_log_does_not_tell() {
    let bed = Bed::new(Engine::Postgres, Access::ReadWrite).await;
    let database = bed.database();
    let transaction = database.begin(WRITE).await.unwrap();
    // Nobody writes any more.
    bed.audit.close().await.unwrap();
    let before = bed.script.count(|event| matches!(event, Event::Began(Step::Run(_), _)));
    assert_eq!(database.query(secret()).await.unwrap_err(), Error::Audit);
    assert_eq!(database.execute_many("SELECT 1".into(), vec![Vec::new()]).await.unwrap_err(), Error::Audit);
    assert_eq!(database.begin(WRITE).await.unwrap_err(), Error::Audit);
    assert_eq!(database.cursor(secret()).await.unwrap_err(), Error::Audit);
    assert_eq!(transaction.execute(secret()).await.unwrap_err(), Error::Audit);
    assert_eq!(bed.script.count(|event| matches!(event, Event::Began(Step::Run(_), _))), before);
    // It is rolled back, as any that cannot be committed.
    assert_eq!(transaction.commit().await.unwrap_err(), Error::Audit);
    drop(transaction);
    bed.is_quiet().await;
    assert_eq!((bed.ran(Kind::Commit), bed.script.in_transaction()), (0, 0));
}

#[tokio::test]
async fn a_call_that_is_over_waits_for_no_line() {
    let bed = Bed::new(Engine::Postgres, Access::ReadWrite).await;
    let scope = bed.scope();
    let database = scope.open("db").unwrap();
    scope.end(End::ClientGone);
    assert_eq!(database.query(secret()).now_or_never().unwrap().unwrap_err(), Error::CallEnded(End::ClientGone));
    drop((database, scope));
    assert_eq!(story(&bed.end().await), Vec::<String>::new());
}
