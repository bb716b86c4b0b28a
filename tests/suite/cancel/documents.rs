//! The same of documents: everything that can be awaited of them, and what their next borrower does.

use futures::future::FutureExt;
use tokio::time::Instant;
use wharf::{
    driver::{
        Begin, Operation, ResultLimit,
        documents::{self, Concerns, Request, types},
    },
    lease::documents::{Collection, Cursor, Database, Transaction},
    pool::{Hold, Via},
};

use super::{
    PATIENCE,
    points::{Point, Pool, Rig, acquire_behind, add_pool, commits, point, until},
};

/// A document without a field.
const EMPTY: [u8; 5] = [5, 0, 0, 0, 0];

/// All of them.
pub(crate) const POINTS: [Point; 22] = [
    point("start", |rig| async move { rig.cut(rig.database.start(true)).await }.boxed()).of_pool(Pool::Cold),
    point("add a pool, nothing open", |rig| async move { add_pool(rig).await }.boxed()).of_pool(Pool::Cold),
    point("add a pool, no place free", |rig| async move { add_pool(rig).await }.boxed()).of_pool(Pool::Warm),
    point("acquire, nothing open", |rig| async move { rig.cut(rig.acquire()).await }.boxed()).of_pool(Pool::Cold),
    point("acquire, one idle", |rig| async move { rig.cut(rig.acquire()).await }.boxed()).of_pool(Pool::Warm),
    point("acquire, all lent", |rig| async move { acquire_behind(rig, Vec::new()).await }.boxed()).of_pool(Pool::Warm),
    point("acquire, all being reclaimed", |rig| async move { acquire_behind(rig, write()).await }.boxed()).of_pool(Pool::Warm),
    commits("run", |rig| async move { run(rig).await }.boxed()).of_pool(Pool::Warm),
    commits("close, a transaction open", |rig| async move { close(rig).await }.boxed()).of_pool(Pool::Closed),
    point("list collections", |rig| async move { rig.cut(database(&rig).list_collections(None)).await }.boxed()),
    point("find", |rig| async move { rig.cut(notes(&rig).find(EMPTY.to_vec(), types::FindOptions::default())).await }.boxed()),
    commits("insert", |rig| async move { rig.cut(notes(&rig).insert(&EMPTY, insert_options())).await }.boxed()),
    point("begin", |rig| async move { rig.cut(database(&rig).begin(types::TransactionOptions::default())).await }.boxed()),
    point("cursor", |rig| {
        async move { rig.cut(notes(&rig).cursor(EMPTY.to_vec(), types::FindOptions::default())).await }.boxed()
    }),
    point("find in a transaction", |rig| async move { find_in_transaction(rig).await }.boxed()),
    point("first insert of a transaction", |rig| async move { insert_in_transaction(rig).await }.boxed()),
    commits("commit", |rig| async move { rig.cut(begin(&rig).await.commit()).await }.boxed()),
    point("abort", |rig| async move { rig.cut(begin(&rig).await.abort()).await }.boxed()),
    point("cursor in a transaction", |rig| async move { cursor_in_transaction(rig).await }.boxed()),
    point("next", |rig| async move { next(rig, false).await }.boxed()),
    point("next in a transaction", |rig| async move { next(rig, true).await }.boxed()),
    point("close a cursor", |rig| async move { close_cursor(rig).await }.boxed()),
];

fn insert_options() -> types::InsertOptions {
    types::InsertOptions { ordered: true, write_concern: None }
}

fn database(rig: &Rig) -> Database {
    rig.open().documents().unwrap()
}

fn notes(rig: &Rig) -> Collection {
    database(rig).collection("notes").unwrap()
}

/// A transaction that has written something.
async fn begin(rig: &Rig) -> Transaction {
    let transaction = database(rig).begin(types::TransactionOptions::default()).await.unwrap();
    transaction.collection("notes").unwrap().insert(&EMPTY, insert_options()).await.unwrap();
    transaction
}

fn insert() -> Operation {
    let insert = documents::Insert::new(&EMPTY, insert_options()).unwrap();
    let request = Request::Insert(documents::Collection::new("notes").unwrap(), insert);
    Operation::Documents(Box::new(request), ResultLimit { rows: 1, bytes: 1000 })
}

/// Opens a transaction that has written something.
fn write() -> Vec<Operation> {
    vec![Operation::Begin(Begin::Documents(Concerns::default())), insert()]
}

/// Where the next borrower would trip over a transaction of an earlier one.
pub(crate) async fn write_and_roll_back(hold: &Hold) -> Result<(), String> {
    for operation in write().into_iter().chain([Operation::Rollback]) {
        let name = operation.name();
        hold.run(Via::Transaction(1), operation, until()).await.map_err(|error| format!("{name}: {error:?}"))?;
    }
    Ok(())
}

async fn run(rig: Rig) -> bool {
    let hold = rig.acquire().await.unwrap();
    rig.cut(hold.run(Via::Connection, insert(), until())).await
}

async fn close(rig: Rig) -> bool {
    let _transaction = begin(&rig).await;
    let closing = rig.database.close(Instant::now() + PATIENCE);
    rig.cut(closing.map(|left| if left.sessions == 0 { Ok(()) } else { Err(left) })).await
}

async fn find_in_transaction(rig: Rig) -> bool {
    let transaction = begin(&rig).await;
    let notes = transaction.collection("notes").unwrap();
    rig.cut(notes.find(EMPTY.to_vec(), types::FindOptions::default())).await
}

/// The server has not heard of the transaction before.
async fn insert_in_transaction(rig: Rig) -> bool {
    let transaction = database(&rig).begin(types::TransactionOptions::default()).await.unwrap();
    let notes = transaction.collection("notes").unwrap();
    rig.cut(notes.insert(&EMPTY, insert_options())).await
}

async fn cursor_in_transaction(rig: Rig) -> bool {
    let transaction = begin(&rig).await;
    let notes = transaction.collection("notes").unwrap();
    rig.cut(notes.cursor(EMPTY.to_vec(), types::FindOptions::default())).await
}

/// Half read: what comes next has to be asked for.
async fn half_read(notes: &Collection) -> Cursor {
    let cursor = notes.cursor(EMPTY.to_vec(), types::FindOptions::default()).await.unwrap();
    cursor.next(2).await.unwrap();
    cursor
}

async fn next(rig: Rig, in_transaction: bool) -> bool {
    let transaction = if in_transaction { Some(begin(&rig).await) } else { None };
    let notes = match &transaction {
        Some(transaction) => transaction.collection("notes").unwrap(),
        None => notes(&rig),
    };
    let cursor = half_read(&notes).await;
    rig.cut(cursor.next(2)).await
}

async fn close_cursor(rig: Rig) -> bool {
    let cursor = half_read(&notes(&rig)).await;
    rig.cut(cursor.close()).await
}
