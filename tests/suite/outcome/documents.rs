//! The same of documents, on a server of MongoDB's protocol: a commit, or a write by itself, whose answer is lost is unknown, and what was
//! part of a transaction that has failed is certainly not done. What only a server does that ends commits is tried on the stand-in.

use std::{sync::Arc, time::Duration};

use mongodb::bson::{Bson, Document, doc};
use serde_json::json;
use support::{
    cut::{At, Cut, Wire as Messages},
    host::Setup,
    mongodb::MongodbDatabase,
    wire::{Wire, error},
};
use tokio::time::Instant;
use wharf::{
    driver::{
        Begin, FailureKind, Operation, ResultLimit,
        documents::{Aggregate, Collection, Concerns, Count, Find, FindAndModify, Insert, Request, Writes, types},
        mongodb::Mongodb,
        settings::{Access, Settings},
    },
    pool::{Hold, Limit, OperationError, Until, Via},
};

use super::{PATIENCE, Pool, TRANSACTION, failure, run};

const LIMIT: ResultLimit = ResultLimit { rows: 100, bytes: 100_000 };

/// In the host's own commit, and nowhere else.
const COMMIT: &str = "commitTransaction";

/// In what is cut off, wherever a guest's words go.
const MARKER: &str = "the note itself";

/// Where a connection is cut, and whether what was sent took effect: nobody knows of what the host's killing of the session may overtake.
const CUTS: [(At, Option<bool>); 3] = [(At::Sending, Some(false)), (At::Sent, None), (At::Answered, Some(true))];

/// A database with the collection `notes`.
struct Ground(MongodbDatabase);

impl Ground {
    async fn new() -> Self {
        let ground = Self(MongodbDatabase::create().await);
        ground.begin_anew().await;
        ground
    }

    /// One note is there.
    async fn begin_anew(&self) {
        self.0.run(doc! { "delete": "notes", "deletes": [{ "q": {}, "limit": 0 }] }).await;
        self.0.run(doc! { "insert": "notes", "documents": [{ "_id": "old" }] }).await;
    }

    fn driver(&self) -> Arc<Mongodb> {
        self.driver_at(&self.0.url(&self.0.owner))
    }

    /// One whose control path goes past whatever is in between.
    fn driver_at(&self, url: &str) -> Arc<Mongodb> {
        let driver = Mongodb::new(url, Settings::default()).unwrap();
        Arc::new(driver.control_with(&self.0.url(&self.0.control)).unwrap())
    }

    /// A proxy that cuts what contains `marker`, and the URL that leads through it.
    async fn cut(&self, marker: &'static str, at: At) -> (Cut, String) {
        let cut = Cut::new(self.0.address(), Messages::Mongodb, marker, at).await;
        let url = self.0.url_at(&self.0.owner, cut.address());
        (cut, url)
    }

    /// All notes in order, once nobody has a socket in the database and no transaction is open any more, so that nothing can change.
    async fn settled(&self) -> Vec<Bson> {
        self.0.until_quiet(0, PATIENCE).await;
        for id in ["old", "mine", MARKER] {
            assert!(!self.0.is_locked("notes", id).await, "{id}");
        }
        let found = self.0.run(doc! { "find": "notes", "sort": { "_id": 1 } }).await;
        found.get_document("cursor").unwrap().get_array("firstBatch").unwrap().clone()
    }
}

/// Notes of these names.
fn these(ids: &[&str]) -> Vec<Bson> {
    ids.iter().map(|id| Bson::from(doc! { "_id": *id })).collect()
}

fn bytes(document: &Document) -> Vec<u8> {
    document.to_vec().unwrap()
}

fn notes() -> Collection {
    Collection::new("notes").unwrap()
}

fn operation(request: Request) -> Operation {
    Operation::Documents(Box::new(request), LIMIT)
}

fn insert(ids: &[&str], ordered: bool) -> Operation {
    let documents: Vec<u8> = ids.iter().flat_map(|id| bytes(&doc! { "_id": *id })).collect();
    let insert = Insert::new(&documents, types::InsertOptions { ordered, write_concern: None }).unwrap();
    operation(Request::Insert(notes(), insert))
}

fn update(change: &Document) -> Operation {
    let change = types::Update::Operators(bytes(change));
    let update =
        Writes::update(bytes(&doc! { "_id": "old" }), change, types::UpdateOptions::default(), Access::ReadWrite).unwrap();
    operation(Request::Update(notes(), update))
}

fn delete(filter: &Document) -> Operation {
    let options = types::DeleteOptions { many: true, ..Default::default() };
    operation(Request::Delete(notes(), Writes::delete(bytes(filter), options, Access::ReadWrite).unwrap()))
}

fn bulk(id: &str) -> Operation {
    let options = types::BulkOptions { ordered: true, variables: None, write_concern: None };
    let writes = vec![types::Write::Insert(bytes(&doc! { "_id": id }))];
    operation(Request::BulkWrite(notes(), Writes::bulk(writes, options, Access::ReadWrite).unwrap()))
}

fn find_and_modify(change: &Document) -> Operation {
    let change = types::Modification::Update(types::Update::Operators(bytes(change)));
    let modify =
        FindAndModify::new(bytes(&doc! { "_id": "old" }), change, types::FindAndModifyOptions::default(), Access::ReadWrite)
            .unwrap();
    operation(Request::FindAndModify(notes(), Box::new(modify)))
}

fn aggregate(stages: &[Document]) -> Operation {
    let pipeline: Vec<u8> = stages.iter().flat_map(bytes).collect();
    operation(Request::Aggregate(
        notes(),
        Aggregate::new(&pipeline, types::AggregateOptions::default(), Access::ReadWrite).unwrap(),
    ))
}

fn find(filter: &Document) -> Operation {
    operation(Request::Find(notes(), Find::new(bytes(filter), types::FindOptions::default(), Access::ReadWrite).unwrap()))
}

fn count(filter: &Document) -> Operation {
    operation(Request::Count(notes(), Count::new(bytes(filter), types::CountOptions::default(), Access::ReadWrite).unwrap()))
}

/// Everything that changes notes, with the marker in it.
fn writing() -> [(&'static str, Operation); 6] {
    let set = doc! { "$set": { "text": MARKER } };
    let merge = [doc! { "$addFields": { "text": MARKER } }, doc! { "$merge": { "into": "notes" } }];
    [
        ("insert", insert(&[MARKER], true)),
        ("update", update(&set)),
        ("delete", delete(&doc! { "_id": { "$in": ["old", MARKER] } })),
        ("bulk write", bulk(MARKER)),
        ("find and modify", find_and_modify(&set)),
        ("aggregate", aggregate(&merge)),
    ]
}

/// What changes none.
fn reading() -> [(&'static str, Operation); 3] {
    let filter = doc! { "_id": MARKER };
    [
        ("find", find(&filter)),
        ("count", count(&filter)),
        ("aggregate to read", aggregate(&[doc! { "$match": { "text": MARKER } }])),
    ]
}

/// A transaction that the server has not heard of.
async fn begun(pool: &Pool) -> Hold {
    let hold = pool.borrow_it().await;
    run(&hold, TRANSACTION, Operation::Begin(Begin::Documents(Concerns::default()))).await.unwrap();
    hold
}

#[tokio::test]
async fn a_connection_lost_during_commit_leaves_the_outcome_unknown() {
    let ground = Ground::new().await;
    for (at, committed) in CUTS {
        ground.begin_anew().await;
        let (_cut, url) = ground.cut(COMMIT, at).await;
        let pool = Pool::new(ground.driver_at(&url)).await;
        let hold = begun(&pool).await;
        run(&hold, TRANSACTION, insert(&["mine"], true)).await.unwrap();
        run(&hold, TRANSACTION, insert(&["mine too"], true)).await.unwrap();
        let failed = failure(run(&hold, TRANSACTION, Operation::Commit).await);
        assert_eq!((failed.kind, failed.lost), (FailureKind::CommitUnknown, true), "{at:?}: {failed:?}");
        // It is told once: what follows cannot repair it.
        run(&hold, TRANSACTION, Operation::Commit).await.unwrap_err();
        drop(hold);
        // The next borrower has another connection.
        let next = pool.borrow_it().await;
        run(&next, Via::Connection, find(&doc! {})).await.unwrap();
        drop(next);
        pool.close().await;
        let (written, whole) = (ground.settled().await, these(&["mine", "mine too", "old"]));
        assert!(written == whole || written == these(&["old"]), "{at:?}: {written:?}");
        if let Some(committed) = committed {
            assert_eq!(written == whole, committed, "{at:?}: {written:?}");
        }
    }
}

#[tokio::test]
async fn a_request_by_itself_is_unknown_where_it_may_have_written() {
    let ground = Ground::new().await;
    let written = writing().map(|(name, operation)| (name, operation, FailureKind::CommitUnknown));
    let read = reading().map(|(name, operation)| (name, operation, FailureKind::Disconnected));
    for (name, operation, kind) in written.into_iter().chain(read) {
        for (at, took_effect) in CUTS {
            ground.begin_anew().await;
            let (_cut, url) = ground.cut(MARKER, at).await;
            let pool = Pool::new(ground.driver_at(&url)).await;
            let hold = pool.borrow_it().await;
            let failed = failure(run(&hold, Via::Connection, operation.clone()).await);
            assert_eq!((failed.kind, failed.lost), (kind, true), "{name} {at:?}: {failed:?}");
            drop(hold);
            pool.close().await;
            let is_as_before = ground.settled().await == these(&["old"]);
            if kind == FailureKind::Disconnected {
                assert!(is_as_before, "{name} {at:?}");
            } else if let Some(took_effect) = took_effect {
                assert_eq!(!is_as_before, took_effect, "{name} {at:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_in_a_transaction_has_certainly_not_taken_effect() {
    let ground = Ground::new().await;
    for (name, operation) in writing().into_iter().chain(reading()) {
        for (at, _) in CUTS {
            let (_cut, url) = ground.cut(MARKER, at).await;
            let pool = Pool::new(ground.driver_at(&url)).await;
            let hold = begun(&pool).await;
            // Both as its first operation, and as one that follows.
            if at != At::Sent {
                run(&hold, TRANSACTION, insert(&["mine"], true)).await.unwrap();
            }
            let failed = failure(run(&hold, TRANSACTION, operation.clone()).await);
            assert_eq!((failed.kind, failed.lost), (FailureKind::Disconnected, true), "{name} {at:?}: {failed:?}");
            drop(hold);
            pool.close().await;
            assert_eq!(ground.settled().await, these(&["old"]), "{name} {at:?}");
        }
    }
}

#[tokio::test]
async fn a_write_that_fails_in_a_transaction_takes_all_of_it_along() {
    let ground = Ground::new().await;
    let pool = Pool::new(ground.driver()).await;
    for (name, fails, kind) in [
        ("one that is there", insert(&["old"], true), FailureKind::DuplicateKey),
        ("one of two", insert(&["new", "old"], true), FailureKind::DuplicateKey),
        ("one of two, in any order", insert(&["old", "new"], false), FailureKind::DuplicateKey),
        ("in bulk", bulk("old"), FailureKind::DuplicateKey),
        ("an unknown operator", update(&doc! { "$nope": { "n": 1 } }), FailureKind::Invalid),
        ("an unknown stage", aggregate(&[doc! { "$nope": {} }]), FailureKind::Invalid),
    ] {
        let hold = begun(&pool).await;
        run(&hold, TRANSACTION, insert(&["before"], true)).await.unwrap();
        let failed = failure(run(&hold, TRANSACTION, fails).await);
        assert_eq!((failed.kind, failed.lost), (kind, false), "{name}: {failed:?}");
        for after in [insert(&["after"], true), Operation::Commit] {
            assert_eq!(run(&hold, TRANSACTION, after).await.unwrap_err(), OperationError::Aborted, "{name}");
        }
    }
    // By itself it says how much of it is done.
    let hold = pool.borrow_it().await;
    let failed = failure(run(&hold, Via::Connection, insert(&["new", "old"], true)).await);
    let done = failed.documents.and_then(|details| details.done).map(|done| done.inserted);
    assert_eq!((failed.kind, done), (FailureKind::DuplicateKey, Some(1)));
    drop(hold);
    pool.close().await;
    assert_eq!(ground.settled().await, these(&["new", "old"]));
}

#[tokio::test]
async fn a_commit_that_is_ended_or_takes_too_long_is_unknown_and_one_that_is_refused_has_failed() {
    let wire = Wire::start();
    let pool = Pool::new(Arc::new(Mongodb::new(&wire.url("app"), Settings::default()).unwrap())).await;
    for (code, name, kind) in [
        (50, "MaxTimeMSExpired", FailureKind::CommitUnknown),
        (91, "ShutdownInProgress", FailureKind::CommitUnknown),
        (11601, "Interrupted", FailureKind::CommitUnknown),
        (251, "NoSuchTransaction", FailureKind::TransactionAborted),
        (112, "WriteConflict", FailureKind::WriteConflict),
    ] {
        let hold = begun(&pool).await;
        run(&hold, TRANSACTION, insert(&["mine"], true)).await.unwrap();
        wire.answer_next(COMMIT, &error(code, name));
        assert_eq!(failure(run(&hold, TRANSACTION, Operation::Commit).await).kind, kind, "{name}");
        drop(hold);
        drop(pool.borrow_it().await);
    }
    let hold = begun(&pool).await;
    run(&hold, TRANSACTION, insert(&["late"], true)).await.unwrap();
    wire.block(COMMIT);
    let soon = Until { at: Instant::now() + Duration::from_millis(100), limit: Limit::Statement };
    let late = hold.run(TRANSACTION, Operation::Commit, soon).await;
    assert_eq!(failure(late).kind, FailureKind::CommitUnknown);
    drop(hold);
    drop(pool.borrow_it().await);
    wire.release();
    pool.close().await;
    assert_eq!((wire.waiting(), wire.transactions(), wire.cursors()), (Vec::new(), 0, 0));
}

#[tokio::test]
async fn a_guest_is_told_that_the_outcome_is_unknown() {
    let ground = Ground::new().await;
    for (at, expected) in [(At::Sending, &["old"][..]), (At::Answered, &["mine", "old"][..])] {
        ground.begin_anew().await;
        let (_cut, url) = ground.cut(COMMIT, at).await;
        let settings = format!("control_url = {:?}\nmax_pool_size = 1", ground.0.url(&ground.0.control));
        let host = Setup::new()
            .database("main", &url, &settings)
            .plugin("probe", "documents_probe", "databases.main = { access = \"read-write\" }")
            .start()
            .await;
        let steps = json!([
            { "do": "begin", "as": "t" },
            { "do": "insert", "on": "t", "documents": [crate::documents::raw(doc! { "_id": "mine" })] },
            { "do": "commit", "on": "t" },
        ]);
        let outcomes = host.client().post("/probe/run", &steps).await.json();
        assert_eq!(outcomes[2]["error"]["kind"], "commit-unknown", "{at:?}: {outcomes:#?}");
        assert!(!outcomes.to_string().contains("127.0.0.1"), "{outcomes:#?}");
        let reply = host.client().post("/probe/run", &json!([{ "do": "find-one" }])).await.json();
        assert_eq!(reply[0]["error"], serde_json::Value::Null, "{at:?}: {reply:#?}");
        assert_eq!(host.stop().await.code, Some(0), "{at:?}");
        assert_eq!(ground.settled().await, these(expected), "{at:?}");
    }
}
