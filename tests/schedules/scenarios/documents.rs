//! What calls may hold of documents: transactions, collections that outlive them, and cursors, of a transaction or of their own.

use std::{fmt::Debug, sync::Arc};

use futures::future::{BoxFuture, FutureExt, join_all};
use support::scripted::{Event, Kind, Step};
use wharf::driver::{Engine, documents::types};

use super::leases::{MAX, bed, call, end_at_any_moment};
use crate::{
    bed::{Server, draw, left_nothing},
    borrower::{meanwhile, perhaps, task},
    explore::{Patience, explore},
    lease::{
        Error, Scope,
        documents::{Collection, Cursor, Database, Transaction},
    },
    pool::{Ended, OperationError},
};

/// A document without a field.
const EMPTY: [u8; 5] = [5, 0, 0, 0, 0];

const INSERT: types::InsertOptions = types::InsertOptions { ordered: true, write_concern: None };

fn database(scope: &Arc<Scope>) -> Database {
    scope.open("db").unwrap().documents().unwrap()
}

/// What a guest has in hand.
enum Handle {
    Collection(Collection),
    Transaction(Transaction),
    Cursor(Cursor),
}

/// Takes, uses and drops handles by chance; what it has in the end.
async fn guest(scope: Arc<Scope>) -> Vec<Handle> {
    let mut held: Vec<Handle> = Vec::new();
    let database = database(&scope);
    for _ in 0..8 {
        let place = draw(held.len() + 1);
        // Whatever it comes to: the call may have ended, or hold all it may.
        match (draw(4), held.get(place)) {
            (0, None) => held.push(Handle::Collection(database.collection("notes").unwrap())),
            (1, None) => drop(perhaps(database.list_collections(None)).await),
            (_, None) => held.extend(database.begin(types::TransactionOptions::default()).await.ok().map(Handle::Transaction)),
            (0, Some(_)) => drop(held.swap_remove(place)),
            (1, Some(Handle::Collection(notes))) => drop(perhaps(notes.insert(&EMPTY, INSERT)).await),
            (_, Some(Handle::Collection(notes))) => {
                let opened = notes.cursor(EMPTY.to_vec(), types::FindOptions::default()).await;
                held.extend(opened.ok().map(Handle::Cursor));
            }
            (1, Some(Handle::Transaction(transaction))) => drop(transaction.commit().await),
            (2, Some(Handle::Transaction(transaction))) => {
                let notes = transaction.collection("notes").unwrap();
                held.push(Handle::Collection(notes));
            }
            (_, Some(Handle::Transaction(transaction))) => {
                let notes = transaction.collection("notes").unwrap();
                let dropped = held.swap_remove(place);
                drop(perhaps(meanwhile(notes.insert(&EMPTY, INSERT), || drop(dropped))).await);
            }
            (1, Some(Handle::Cursor(cursor))) => drop(cursor.close().await),
            // As a stream of its batches does that is dropped while it reads.
            (2, Some(Handle::Cursor(cursor))) => drop(perhaps(meanwhile(cursor.next(1), || cursor.abandon())).await),
            (_, Some(Handle::Cursor(cursor))) => drop(perhaps(cursor.next(1)).await),
        }
    }
    held
}

fn calls(_patience: Patience) -> BoxFuture<'static, ()> {
    end_at_any_moment(Engine::Mongodb, guest)
}

#[test]
fn a_call_of_documents_that_ends_at_any_moment_holds_nothing() {
    explore("a_call_of_documents_that_ends_at_any_moment_holds_nothing", calls);
}

/// Of what has ended nothing can be asked.
fn is_over<T: Debug>(asked: &Result<T, Error>) {
    assert!(matches!(asked, Err(Error::Operation(OperationError::Ended(_)))), "{asked:?}");
}

/// What was under way when its handle was dropped has been done or was given up.
fn is_settled<T: Debug>(asked: &Result<T, Error>) {
    let given_up = |error: &OperationError| matches!(error, OperationError::Ended(Ended::Released) | OperationError::Invalid(_));
    assert!(asked.is_ok() || matches!(asked, Err(Error::Operation(error)) if given_up(error)), "{asked:?}");
}

/// Ends a transaction in every way, while its first operation is under way, too, with a collection and a cursor of it in hand. How many
/// requests it has made before.
async fn outlive_a_transaction(database: Database, goes_well: bool) -> usize {
    let begun = database.begin(types::TransactionOptions::default()).await;
    assert!(begun.is_ok() || !goes_well, "{begun:?}");
    let Ok(transaction) = begun else { return 0 };
    let notes = transaction.collection("notes").unwrap();
    let mut made = 0;
    let cursor = if draw(2) == 0 { notes.cursor(EMPTY.to_vec(), types::FindOptions::default()).await.ok() } else { None };
    if let Some(cursor) = &cursor
        && draw(2) == 0
    {
        let read = meanwhile(cursor.next(1), || cursor.abandon()).await;
        made += 1;
        let listed = notes.list_indexes().await;
        if goes_well {
            is_settled(&read);
            // The transaction goes on without it.
            assert!(listed.is_ok(), "{listed:?}");
        }
    }
    match draw(4) {
        0 => {
            // Where something of it has failed, it is still open.
            if transaction.commit().await == Err(Error::Operation(OperationError::Aborted)) {
                drop(transaction.abort().await);
            }
        }
        1 => drop(transaction.abort().await),
        2 => drop(transaction),
        _ => {
            made += 1;
            let inserted = meanwhile(notes.insert(&EMPTY, INSERT), || drop(transaction)).await;
            if goes_well {
                is_settled(&inserted);
            }
        }
    }
    is_over(&notes.insert(&EMPTY, INSERT).await);
    if let Some(cursor) = &cursor {
        is_over(&cursor.next(1).await);
        is_over(&cursor.close().await);
    }
    made
}

/// Drops a cursor of its own while its next batch is under way.
async fn drop_a_cursor(database: Database, goes_well: bool) {
    let opened = database.collection("notes").unwrap().cursor(EMPTY.to_vec(), types::FindOptions::default()).await;
    assert!(opened.is_ok() || !goes_well, "{opened:?}");
    let Ok(cursor) = opened else { return };
    let read = meanwhile(cursor.next(1), || cursor.abandon()).await;
    if goes_well {
        is_settled(&read);
    }
    is_over(&cursor.next(1).await);
}

fn outlived(patience: Patience) -> BoxFuture<'static, ()> {
    async move {
        let is_healthy = draw(2) == 0;
        let goes_well = is_healthy && patience == Patience::Patient;
        let bed = bed(Engine::Mongodb, if is_healthy { Server::HEALTHY } else { Server::SICK });
        drop(bed.database.start(false).await);
        let guests = (0..4).map(|number| {
            let database = database(&call(&bed));
            task(async move {
                if number == 0 {
                    drop_a_cursor(database, goes_well).await;
                    0
                } else {
                    outlive_a_transaction(database, goes_well).await
                }
            })
        });
        let made: usize = join_all(guests).await.into_iter().map(Result::unwrap).sum();
        // What was asked of a transaction that had ended was done in no other's either.
        let ran = bed.script.count(|event| matches!(event, Event::Began(Step::Run(Kind::Documents), _)));
        assert!(ran <= made, "{ran} requests of {made} were run");
        let script = bed.script.clone();
        bed.settles().await;
        left_nothing(&script, MAX);
    }
    .boxed()
}

#[test]
fn what_outlives_its_transaction_reaches_nothing() {
    explore("what_outlives_its_transaction_reaches_nothing", outlived);
}
