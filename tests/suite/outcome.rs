//! What a commit came to, and what its holder is told: done, failed, or unknown where nobody can tell. PostgreSQL is asked afterwards.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use support::{
    cut::{At, Cut},
    host::Setup,
    postgres::PostgresDatabase,
};
use tokio::time::Instant;
use wharf::{
    driver::{
        Answer, Driver, Failure, FailureKind, Operation, ResultLimit, Statement, TransactionOptions, Value,
        postgres::Postgres,
        settings::{Access, Settings as DriverSettings},
        sqlite::Sqlite,
    },
    pool::{Borrower, Database, GrantId, Hold, HostCapacity, Limit, OperationError, PoolSpec, Quota, Settings, Until, Via},
};

const PATIENCE: Duration = Duration::from_secs(30);
const TRANSACTION: Via = Via::Transaction(1);

/// A pool with one connection.
struct Pool(Database, GrantId);

impl Pool {
    async fn new(driver: impl Driver) -> Self {
        let settings = Settings { max_connections: 1, min_connections: 0, ..Settings::default() };
        let quota = Quota { pool: 0, max_connections: 1, reserved_connections: 0, max_transaction_time: PATIENCE };
        let pools = vec![PoolSpec { driver: Arc::new(driver), shares_control_of: None }];
        let (database, grants) = Database::new("outcome", settings, pools, vec![quota], Arc::new(HostCapacity::new(1)));
        database.start(false).await.unwrap();
        Self(database, grants[0])
    }

    async fn borrow_it(&self) -> Hold {
        let borrower = Borrower { plugin: "plugin".into(), request_id: "request".into() };
        self.0.acquire(self.1, borrower, Instant::now() + PATIENCE).await.unwrap()
    }

    async fn begun(&self) -> Hold {
        let hold = self.borrow_it().await;
        run(&hold, TRANSACTION, begin()).await.unwrap();
        hold
    }

    async fn close(self) {
        assert_eq!(self.0.close(Instant::now() + PATIENCE).await.sessions, 0);
    }
}

async fn run(hold: &Hold, via: Via, operation: Operation) -> Result<Answer, OperationError> {
    hold.run(via, operation, Until { at: Instant::now() + PATIENCE, limit: Limit::Statement }).await
}

fn begin() -> Operation {
    Operation::Begin(TransactionOptions { isolation: None, read_only: false })
}

fn statement(sql: &str) -> Statement {
    Statement { sql: sql.into(), params: Vec::new() }
}

fn execute(sql: &str) -> Operation {
    Operation::Execute(statement(sql))
}

fn query(sql: &str) -> Operation {
    Operation::Query(statement(sql), ResultLimit { rows: 10, bytes: 10_000 })
}

#[track_caller]
fn failure(result: Result<Answer, OperationError>) -> Failure {
    match result {
        Err(OperationError::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

async fn notes() -> PostgresDatabase {
    let database = PostgresDatabase::create().await;
    database.execute("CREATE TABLE notes (note text PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)").await;
    database
}

async fn written(database: &PostgresDatabase) -> String {
    database.text("SELECT coalesce(string_agg(note, ' ' ORDER BY note), '') FROM notes").await
}

/// A driver whose sessions go through the proxy, and whose control path does not.
async fn through(database: &PostgresDatabase, marker: &'static str, at: At) -> (Cut, Postgres) {
    let (direct, address) = (database.url(&database.owner), database.address());
    let cut = Cut::new(address.clone(), marker, at).await;
    let driver = Postgres::new(&direct.replace(&address, &cut.address()), DriverSettings::default()).unwrap();
    (cut, driver.control_with(&direct).unwrap())
}

/// What the server has once nobody of ours is at work there any more.
async fn settled(database: &PostgresDatabase) -> String {
    database.until_sessions("all idle", PATIENCE, |sessions| sessions.iter().all(|row| row.state == "idle")).await;
    written(database).await
}

#[tokio::test]
async fn a_connection_lost_during_commit_leaves_the_outcome_unknown() {
    for (at, expected) in [(At::Sending, ""), (At::Sent, "mine"), (At::Answered, "mine")] {
        let database = notes().await;
        let (_cut, driver) = through(&database, "; COMMIT", at).await;
        let pool = Pool::new(driver).await;
        let hold = pool.begun().await;
        run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('mine')")).await.unwrap();
        let failure = failure(run(&hold, TRANSACTION, Operation::Commit).await);
        assert_eq!((failure.kind, failure.lost), (FailureKind::CommitUnknown, true), "{at:?}: {failure:?}");
        // It is told once: what follows cannot repair it.
        run(&hold, TRANSACTION, Operation::Commit).await.unwrap_err();
        drop(hold);
        // The next borrower has another connection.
        let next = pool.borrow_it().await;
        run(&next, Via::Connection, query("SELECT 1")).await.unwrap();
        drop(next);
        assert_eq!(settled(&database).await, expected, "{at:?}");
        pool.close().await;
    }
}

#[tokio::test]
async fn a_list_of_parameters_that_is_cut_off_in_its_commit_is_unknown_too() {
    for (at, expected) in [(At::Sending, ""), (At::Sent, "a b"), (At::Answered, "a b")] {
        let database = notes().await;
        let (_cut, driver) = through(&database, "; COMMIT", at).await;
        let pool = Pool::new(driver).await;
        let hold = pool.borrow_it().await;
        let lists = ["a", "b"].map(|note| vec![Value::Text(note.to_owned())]).to_vec();
        let many = Operation::ExecuteMany("INSERT INTO notes VALUES ($1)".into(), lists);
        assert_eq!(failure(run(&hold, Via::Connection, many).await).kind, FailureKind::CommitUnknown, "{at:?}");
        drop(hold);
        assert_eq!(settled(&database).await, expected, "{at:?}");
        pool.close().await;
    }
}

/// The text of a statement is sent once, to be prepared, and its parameters later, to be run.
#[tokio::test]
async fn a_statement_by_itself_is_unknown_where_it_may_have_written() {
    const PARAMETER: &str = "the note itself";
    let insert = "INSERT INTO notes VALUES ($1)";
    for (sql, marker, at, kind, expected) in [
        // It was never run.
        (insert, "INSERT INTO", At::Sending, FailureKind::Disconnected, ""),
        (insert, "INSERT INTO", At::Sent, FailureKind::Disconnected, ""),
        (insert, PARAMETER, At::Sending, FailureKind::CommitUnknown, ""),
        ("SELECT lower($1)", PARAMETER, At::Sending, FailureKind::Disconnected, ""),
        ("SELECT note FROM notes WHERE note = $1", PARAMETER, At::Sending, FailureKind::Disconnected, ""),
        ("SELECT writes($1)", PARAMETER, At::Sending, FailureKind::CommitUnknown, ""),
    ] {
        let database = notes().await;
        database
            .execute("CREATE FUNCTION writes(text) RETURNS int LANGUAGE sql AS 'INSERT INTO notes VALUES ($1) RETURNING 1'")
            .await;
        let (_cut, driver) = through(&database, marker, at).await;
        let pool = Pool::new(driver).await;
        let parameter = Statement { sql: sql.into(), params: vec![Value::Text(PARAMETER.to_owned())] };
        for operation in
            [Operation::Execute(parameter.clone()), Operation::Query(parameter, ResultLimit { rows: 1, bytes: 1000 })]
        {
            let hold = pool.borrow_it().await;
            let failure = failure(run(&hold, Via::Connection, operation).await);
            assert_eq!((failure.kind, failure.lost), (kind, true), "{sql} {at:?}: {failure:?}");
        }
        assert_eq!(settled(&database).await, expected, "{sql} {at:?}");
        // In a transaction it is certain: nothing was committed.
        let parameter = Statement { sql: sql.into(), params: vec![Value::Text(PARAMETER.to_owned())] };
        let hold = pool.begun().await;
        let failure = failure(run(&hold, TRANSACTION, Operation::Execute(parameter)).await);
        assert_eq!(failure.kind, FailureKind::Disconnected, "{sql} {at:?}: {failure:?}");
        drop(hold);
        pool.close().await;
    }
}

#[tokio::test]
async fn a_commit_that_is_ended_or_takes_too_long_is_unknown() {
    let database = notes().await;
    database
        .execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        .await;
    let driver = Postgres::new(&database.url(&database.owner), DriverSettings::default()).unwrap();
    let pool = Pool::new(driver).await;
    let hold = pool.begun().await;
    run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('ended')")).await.unwrap();
    let committing = run(&hold, TRANSACTION, Operation::Commit);
    let ending = async {
        let running = |sessions: &[support::postgres::SessionRow]| {
            sessions.iter().any(|row| row.query.ends_with("COMMIT") && row.state == "active")
        };
        database.until_sessions("a commit under way", PATIENCE, running).await;
        database.terminate_all().await;
    };
    let (committed, ()) = tokio::join!(committing, ending);
    assert_eq!(failure(committed).kind, FailureKind::CommitUnknown);
    drop(hold);

    let hold = pool.begun().await;
    run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('late')")).await.unwrap();
    let until = Until { at: Instant::now() + Duration::from_millis(100), limit: Limit::Statement };
    let late = hold.run(TRANSACTION, Operation::Commit, until).await;
    assert_eq!(failure(late).kind, FailureKind::CommitUnknown);
    drop(hold);
    drop(pool.borrow_it().await);
    assert_eq!(settled(&database).await, "");
    pool.close().await;
}

#[tokio::test]
async fn a_commit_that_the_server_refuses_has_failed_and_says_so() {
    let database = notes().await;
    let driver = Postgres::new(&database.url(&database.owner), DriverSettings::default()).unwrap();
    let pool = Pool::new(driver).await;
    // Checked when it is committed.
    let hold = pool.begun().await;
    run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('a'), ('a')")).await.unwrap();
    assert_eq!(failure(run(&hold, TRANSACTION, Operation::Commit).await).kind, FailureKind::ConstraintViolation);
    // The transaction is over, and the connection stays its holder's.
    run(&hold, Via::Connection, execute("INSERT INTO notes VALUES ('b')")).await.unwrap();
    drop(hold);
    // An earlier statement failed.
    let hold = pool.begun().await;
    run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('c')")).await.unwrap();
    run(&hold, TRANSACTION, query("SELECT 1/0")).await.unwrap_err();
    assert_eq!(run(&hold, TRANSACTION, Operation::Commit).await.unwrap_err(), OperationError::Aborted);
    drop(hold);
    // One that failed where the host did not see it.
    let hold = pool.begun().await;
    run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('d')")).await.unwrap();
    run(&hold, TRANSACTION, execute("DO $$ BEGIN COMMIT; END $$")).await.unwrap_err();
    run(&hold, TRANSACTION, Operation::Commit).await.unwrap_err();
    drop(hold);
    assert_eq!(settled(&database).await, "b");
    pool.close().await;
}

/// A driver, a way to ask what is there, and a statement that fails.
async fn nested(pool: &Pool, fails: &str) {
    let hold = pool.begun().await;
    let name = |name: &str| -> Arc<str> { name.into() };
    let insert = |note: &str| execute(&format!("INSERT INTO notes VALUES ('{note}')"));
    let on = |operation| run(&hold, TRANSACTION, operation);
    on(insert("outer")).await.unwrap();
    on(Operation::Savepoint(name("a"))).await.unwrap();
    on(insert("lost")).await.unwrap();
    on(execute(fails)).await.unwrap_err();
    // Only going back is left, and going back undoes nothing else.
    on(insert("refused")).await.unwrap_err();
    on(Operation::RollbackTo(name("a"))).await.unwrap();
    on(insert("after")).await.unwrap();
    // The same name within, which fails twice.
    on(Operation::Savepoint(name("a"))).await.unwrap();
    for _ in 0..2 {
        on(insert("lost too")).await.unwrap();
        on(execute(fails)).await.unwrap_err();
        on(Operation::RollbackTo(name("a"))).await.unwrap();
    }
    on(Operation::Release(name("a"))).await.unwrap();
    // One that is not there changes nothing.
    for operation in [Operation::RollbackTo(name("b")), Operation::Release(name("b")), begin()] {
        on(operation).await.unwrap_err();
    }
    on(insert("last")).await.unwrap();
    // The first of the name is still there, and with it everything before.
    on(Operation::RollbackTo(name("a"))).await.unwrap();
    on(insert("end")).await.unwrap();
    on(Operation::Commit).await.unwrap();
}

#[tokio::test]
async fn what_fails_within_a_savepoint_rolls_back_nothing_but_that_on_postgres() {
    let database = PostgresDatabase::create().await;
    database.execute("CREATE TABLE notes (note text UNIQUE)").await;
    let driver = Postgres::new(&database.url(&database.owner), DriverSettings::default()).unwrap();
    let pool = Pool::new(driver).await;
    for fails in ["SELECT 1/0", "INSERT INTO notes VALUES ('outer')", "no SQL", "DO $$ BEGIN ROLLBACK; END $$"] {
        nested(&pool, fails).await;
        assert_eq!(written(&database).await, "end outer", "{fails}");
        database.execute("DELETE FROM notes").await;
    }
    pool.close().await;
}

#[tokio::test]
async fn what_fails_within_a_savepoint_rolls_back_nothing_but_that_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let settings = DriverSettings { access: Access::ReadWrite, ..DriverSettings::default() };
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("outcome.db").display());
    let pool = Pool::new(Sqlite::new(&url, settings).unwrap()).await;
    let hold = pool.borrow_it().await;
    run(&hold, Via::Connection, execute("CREATE TABLE notes (note TEXT UNIQUE)")).await.unwrap();
    drop(hold);
    let count = |expected: &'static str| {
        let pool = &pool;
        async move {
            let hold = pool.borrow_it().await;
            let sql = format!(
                "SELECT 1 WHERE (SELECT coalesce(group_concat(note, ' '), '') FROM (SELECT note FROM notes ORDER BY note)) = '{expected}'"
            );
            let Answer::Rows(rows) = run(&hold, Via::Connection, query(&sql)).await.unwrap() else { panic!("rows") };
            assert_eq!(rows.batch.row_count, 1, "not {expected}");
        }
    };
    for fails in ["INSERT INTO notes VALUES ('outer')", "no SQL", "INSERT OR ABORT INTO notes VALUES ('outer')"] {
        nested(&pool, fails).await;
        count("end outer").await;
        let hold = pool.borrow_it().await;
        run(&hold, Via::Connection, execute("DELETE FROM notes")).await.unwrap();
    }
    // Where the engine itself rolls back everything, nothing that follows may pass for the transaction.
    let hold = pool.begun().await;
    run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('outer')")).await.unwrap();
    run(&hold, TRANSACTION, Operation::Savepoint("a".into())).await.unwrap();
    run(&hold, TRANSACTION, execute("INSERT OR ROLLBACK INTO notes VALUES ('outer')")).await.unwrap_err();
    run(&hold, TRANSACTION, Operation::RollbackTo("a".into())).await.unwrap_err();
    run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('stray')")).await.unwrap_err();
    run(&hold, TRANSACTION, Operation::Commit).await.unwrap_err();
    drop(hold);
    count("").await;
    pool.close().await;
}

#[tokio::test]
async fn a_guest_is_told_that_the_outcome_is_unknown() {
    for (at, expected) in [(At::Sending, ""), (At::Answered, "mine")] {
        let database = notes().await;
        let address = database.address();
        let cut = Cut::new(address.clone(), "; COMMIT", at).await;
        let url = database.url(&database.owner).replace(&address, &cut.address());
        let host = Setup::new()
            .database("main", &url, "")
            .plugin("probe", "probe", "databases.main = { access = \"read-write\" }")
            .start()
            .await;
        let steps = json!([
            { "do": "begin", "as": "t" },
            { "do": "execute", "on": "t", "sql": "INSERT INTO notes VALUES ('mine')" },
            { "do": "commit", "on": "t" },
        ]);
        let outcomes = host.client().post("/probe/run", &steps).await.json();
        assert_eq!(outcomes[2]["error"]["kind"], "commit-unknown", "{at:?}: {outcomes:#?}");
        assert!(!outcomes.to_string().contains("127.0.0.1"), "{outcomes:#?}");
        let reply = host.client().get("/probe/query?sql=SELECT+1").await.json();
        assert_eq!(reply["error"], serde_json::Value::Null, "{reply:#?}");
        assert_eq!(settled(&database).await, expected, "{at:?}");
        assert_eq!(host.stop().await.code, Some(0));
    }
}
