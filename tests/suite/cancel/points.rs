//! Everything that can be awaited of a pool or a lease, each with what has to be done before; of documents see `documents`.

use std::{sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt};
use tokio::time::Instant;
use wharf::{
    driver::{Driver, Operation, ResultLimit, Statement, TransactionOptions},
    lease::{self, Connection, End, Scope, Transaction},
    pool::{AcquireError, Borrower, Database, Granted, Hold, Limit, PoolSpec, Until, Via},
};

use super::{MAX, PATIENCE, cut::Cut};

const WRITE: TransactionOptions = TransactionOptions { isolation: None, read_only: false };

/// What a point is tried with.
pub(crate) struct Rig {
    pub(crate) database: Database,
    pub(crate) grant: Arc<Granted>,
    /// Opens sessions of the same database.
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) scope: Arc<Scope>,
    pub(crate) cut: Cut,
    /// Whether the call ends right before its future is dropped, as it does when a guest traps or a client goes away.
    pub(crate) call_ends: bool,
}

/// The state of the pool that a point begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// Every connection is open and idle.
    Warm,
    /// Nothing is open.
    Cold,
    /// As `Warm`; it is closed afterwards.
    Closed,
}

/// Something that can be awaited. `true` when it was awaited to its end.
pub(crate) struct Point {
    pub(crate) name: &'static str,
    pub(crate) pool: Pool,
    /// Whether what it did may have been committed.
    pub(crate) may_commit: bool,
    /// Whether the future belongs to a call, which may end before it is dropped.
    pub(crate) of_call: bool,
    pub(crate) run: fn(Rig) -> BoxFuture<'static, bool>,
}

pub(crate) const fn point(name: &'static str, run: fn(Rig) -> BoxFuture<'static, bool>) -> Point {
    Point { name, pool: Pool::Warm, may_commit: false, of_call: true, run }
}

pub(crate) const fn commits(name: &'static str, run: fn(Rig) -> BoxFuture<'static, bool>) -> Point {
    Point { may_commit: true, ..point(name, run) }
}

/// All of them.
pub(crate) const POINTS: [Point; 30] = [
    point("start", |rig| async move { rig.cut(rig.database.start(true)).await }.boxed()).of_pool(Pool::Cold),
    point("add a pool, nothing open", |rig| async move { add_pool(rig).await }.boxed()).of_pool(Pool::Cold),
    point("add a pool, no place free", |rig| async move { add_pool(rig).await }.boxed()).of_pool(Pool::Warm),
    point("acquire, nothing open", |rig| async move { rig.cut(rig.acquire()).await }.boxed()).of_pool(Pool::Cold),
    point("acquire, one idle", |rig| async move { rig.cut(rig.acquire()).await }.boxed()).of_pool(Pool::Warm),
    point("acquire, all lent", |rig| async move { acquire_behind(rig, Vec::new()).await }.boxed()).of_pool(Pool::Warm),
    point("acquire, all being reclaimed", |rig| async move { acquire_behind(rig, write()).await }.boxed()).of_pool(Pool::Warm),
    commits("run", |rig| async move { run(rig).await }.boxed()).of_pool(Pool::Warm),
    commits("close, a transaction open", |rig| async move { close(rig).await }.boxed()).of_pool(Pool::Closed),
    point("query", |rig| async move { rig.cut(rig.open().query(numbers())).await }.boxed()),
    commits("execute", |rig| async move { rig.cut(rig.open().execute(mark())).await }.boxed()),
    commits("execute many", |rig| async move { rig.cut(rig.open().execute_many(mark().sql, vec![vec![]])).await }.boxed()),
    point("connect", |rig| async move { rig.cut(rig.open().connect()).await }.boxed()),
    point("begin", |rig| async move { rig.cut(rig.open().begin(WRITE)).await }.boxed()),
    point("cursor", |rig| async move { rig.cut(rig.open().cursor(numbers())).await }.boxed()),
    point("query, connected", |rig| async move { rig.cut(rig.connect().await.query(numbers())).await }.boxed()),
    commits("execute, connected", |rig| async move { rig.cut(rig.connect().await.execute(mark())).await }.boxed()),
    point("begin, connected", |rig| async move { rig.cut(rig.connect().await.begin(WRITE)).await }.boxed()),
    point("query in a transaction", |rig| async move { rig.cut(rig.begin().await.query(numbers())).await }.boxed()),
    point("execute in a transaction", |rig| async move { rig.cut(rig.begin().await.execute(mark())).await }.boxed()),
    point("savepoint", |rig| async move { rig.cut(rig.begin().await.savepoint("s")).await }.boxed()),
    point("roll back to a savepoint", |rig| async move { savepoint(rig, true).await }.boxed()),
    point("release a savepoint", |rig| async move { savepoint(rig, false).await }.boxed()),
    commits("commit", |rig| async move { rig.cut(rig.begin().await.commit()).await }.boxed()),
    commits("commit, connected", |rig| async move { commit_connected(rig).await }.boxed()),
    point("roll back", |rig| async move { rig.cut(rig.begin().await.rollback()).await }.boxed()),
    point("cursor in a transaction", |rig| async move { rig.cut(rig.begin().await.cursor(numbers())).await }.boxed()),
    point("fetch", |rig| async move { fetch(rig, false).await }.boxed()),
    point("fetch in a transaction", |rig| async move { fetch(rig, true).await }.boxed()),
    point("close a cursor", |rig| async move { close_cursor(rig).await }.boxed()),
];

impl Point {
    /// Of the pool, and no call's.
    pub(crate) const fn of_pool(self, pool: Pool) -> Self {
        Self { pool, of_call: false, ..self }
    }
}

fn numbers() -> Statement {
    Statement { sql: "SELECT n FROM numbers ORDER BY n".into(), params: Vec::new() }
}

fn mark() -> Statement {
    Statement { sql: "INSERT INTO marks VALUES (1)".into(), params: Vec::new() }
}

/// Until long after everything here is over.
pub(crate) fn until() -> Until {
    Until { at: Instant::now() + PATIENCE, limit: Limit::Statement }
}

/// Borrows as the pool's own users do.
pub(crate) async fn acquire(database: &Database, grant: &Granted) -> Result<Hold, AcquireError> {
    let borrower = Borrower { plugin: "plugin".into(), request_id: "request".into(), trail: None };
    database.acquire(grant, borrower, Instant::now() + PATIENCE).await
}

impl Rig {
    /// Drops the future where it is to be dropped, and what it came to with it; whether it came to its end, which has to be a good one.
    pub(crate) async fn cut<T, E: std::fmt::Debug>(&self, future: impl Future<Output = Result<T, E>>) -> bool {
        let end = || {
            if self.call_ends {
                self.scope.end(End::ClientGone);
            }
        };
        match self.cut.run(future, end).await {
            Some(Ok(_)) => true,
            Some(Err(error)) => panic!("it failed: {error:?}"),
            None => false,
        }
    }

    pub(crate) async fn acquire(&self) -> Result<Hold, AcquireError> {
        acquire(&self.database, &self.grant).await
    }

    pub(crate) fn open(&self) -> lease::Database {
        self.scope.open("db").unwrap()
    }

    async fn connect(&self) -> Connection {
        self.open().connect().await.unwrap()
    }

    /// A transaction that has written something.
    async fn begin(&self) -> Transaction {
        let transaction = self.open().begin(WRITE).await.unwrap();
        transaction.execute(mark()).await.unwrap();
        transaction
    }
}

/// Opens a transaction that has written something.
fn write() -> Vec<Operation> {
    vec![Operation::Begin(WRITE.into()), Operation::Execute(mark())]
}

/// All are lent, and given back once the one that is cut has asked; in a transaction on one of them something was done.
pub(crate) async fn acquire_behind(rig: Rig, done: Vec<Operation>) -> bool {
    let mut held = Vec::new();
    for _ in 0..MAX {
        held.push(rig.acquire().await.unwrap());
    }
    for operation in done {
        held[0].run(Via::Transaction(1), operation, until()).await.unwrap();
    }
    let giving_back = tokio::spawn(async move {
        tokio::task::yield_now().await;
        drop(held);
    });
    let ended = rig.cut(rig.acquire()).await;
    // Whoever went away has no place in the queue any more, before anybody else could take it out.
    assert!(ended || rig.database.waiters() == 0);
    giving_back.await.unwrap();
    ended
}

/// Another credential, for which the same control path serves.
pub(crate) async fn add_pool(rig: Rig) -> bool {
    let spec = PoolSpec { driver: Arc::clone(&rig.driver), shares_control_of: Some(0) };
    rig.cut(rig.database.add_pool(spec)).await
}

async fn run(rig: Rig) -> bool {
    let hold = rig.acquire().await.unwrap();
    rig.cut(hold.run(Via::Connection, Operation::Execute(mark()), until())).await
}

async fn close(rig: Rig) -> bool {
    let _transaction = rig.begin().await;
    let closing = rig.database.close(Instant::now() + PATIENCE);
    rig.cut(closing.map(|left| if left.sessions == 0 { Ok(()) } else { Err(left) })).await
}

async fn savepoint(rig: Rig, roll_back: bool) -> bool {
    let transaction = rig.begin().await;
    transaction.savepoint("s").await.unwrap();
    transaction.execute(mark()).await.unwrap();
    if roll_back { rig.cut(transaction.rollback_to("s")).await } else { rig.cut(transaction.release("s")).await }
}

async fn commit_connected(rig: Rig) -> bool {
    let connection = rig.connect().await;
    let transaction = connection.begin(WRITE).await.unwrap();
    transaction.execute(mark()).await.unwrap();
    rig.cut(transaction.commit()).await
}

async fn fetch(rig: Rig, in_transaction: bool) -> bool {
    let transaction = if in_transaction { Some(rig.begin().await) } else { None };
    let cursor = match &transaction {
        Some(transaction) => transaction.cursor(numbers()).await.unwrap(),
        None => rig.open().cursor(numbers()).await.unwrap(),
    };
    // Half read.
    cursor.next(3).await.unwrap();
    rig.cut(cursor.next(3)).await
}

async fn close_cursor(rig: Rig) -> bool {
    let cursor = rig.open().cursor(numbers()).await.unwrap();
    cursor.next(3).await.unwrap();
    rig.cut(cursor.close()).await
}

/// A query with one number for an answer.
pub(crate) async fn number(hold: &Hold, sql: &str) -> Result<i64, String> {
    use wharf::driver::{
        Answer,
        types::{Cells, ColumnData},
    };
    let statement = Statement { sql: sql.into(), params: Vec::new() };
    let query = Operation::Query(statement, ResultLimit { rows: 1, bytes: 1000 });
    let answer = hold.run(Via::Connection, query, until()).await.map_err(|error| format!("{sql}: {error:?}"))?;
    let Answer::Rows(rows) = &answer else { return Err(format!("{sql}: {answer:?}")) };
    match rows.batch.columns.first().map(|column| &column.data) {
        Some(ColumnData::Cells(Cells::Signed(cells))) if cells.len() == 1 => Ok(cells[0]),
        _ => Err(format!("{sql}: {rows:?}")),
    }
}

/// Where the next borrower would trip over a transaction of an earlier one.
pub(crate) async fn begin_and_roll_back(hold: &Hold) -> Result<(), String> {
    let transaction = Via::Transaction(1);
    for operation in [Operation::Begin(WRITE.into()), Operation::Rollback] {
        hold.run(transaction, operation.clone(), until()).await.map_err(|error| format!("{operation:?}: {error:?}"))?;
    }
    Ok(())
}

/// Forgets what earlier points have committed.
pub(crate) async fn clear(hold: &Hold) -> Result<(), String> {
    let statement = Statement { sql: "DELETE FROM marks".into(), params: Vec::new() };
    hold.run(Via::Connection, Operation::Execute(statement), until()).await.map(drop).map_err(|error| format!("{error:?}"))
}

/// Longer than anything here lasts, so that only bounds and the cut end anything.
pub(crate) const CALL: Duration = PATIENCE;
