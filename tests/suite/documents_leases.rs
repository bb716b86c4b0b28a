//! What the handles of documents stand for, on the scripted driver: what a guest sends is looked at before a connection is asked for, and what
//! it holds is taken back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::FutureExt;
use support::scripted::{Behaviour, Event, Kind, Outcome, Script, Step};
use tokio::time::{Instant, timeout};
use wharf::{
    driver::{Engine, FailureKind, ResultLimit, documents::types, settings::Access},
    lease::{
        CallInfo, End, Error, Grant, Grants, Scope,
        documents::{Collection, Database as Documents},
    },
    pool::{Counts, Database, Ended, HostCapacity, OperationError, PoolSpec, Quota, Settings},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// A document without a field.
const EMPTY: [u8; 5] = [5, 0, 0, 0, 0];

/// A call that was granted one connection of a scripted database.
struct Call {
    script: Script,
    pool: Database,
    scope: Arc<Scope>,
}

impl Call {
    async fn new(engine: Engine, access: Access) -> Self {
        let script = Script::new();
        script.speak(engine);
        let quota = Quota { pool: 0, max_connections: 1, reserved_connections: 0, max_transaction_time: PATIENCE };
        let pools = vec![PoolSpec { driver: Arc::new(script.clone()), shares_control_of: None }];
        let (pool, grants) = Database::new("scripted", Settings::default(), pools, vec![quota], Arc::new(HostCapacity::new(1)));
        pool.start(true).await.unwrap();
        let max_result = ResultLimit { rows: 10, bytes: 1000 };
        let database = pool.clone();
        let grant =
            Grant { database, granted: Arc::clone(&grants[0]), access, max_connections: 1, max_result, max_statements: 100 };
        let call =
            CallInfo { plugin: "plugin".into(), request_id: "request".into(), deadline: Instant::now() + PATIENCE, trail: None };
        let scope = Scope::new(call, Arc::new(Grants::new(BTreeMap::from([("db".into(), grant)]))));
        Self { script, pool, scope }
    }

    async fn of_documents() -> Self {
        Self::new(Engine::Mongodb, Access::ReadWrite).await
    }

    fn database(&self) -> Documents {
        self.scope.open("db").unwrap().documents().unwrap()
    }

    fn people(&self) -> Collection {
        self.database().collection("people").unwrap()
    }

    /// How often an operation has begun.
    fn ran(&self, kind: Kind) -> usize {
        self.script.count(|event| matches!(event, Event::Began(Step::Run(ran), _) if *ran == kind))
    }

    /// Waits until the only connection is free.
    async fn is_quiet(&self) {
        let seen = || self.pool.counts() == Counts { idle: 1, ..Counts::default() };
        timeout(PATIENCE, async {
            while !seen() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        assert_eq!(self.script.in_transaction(), 0);
    }
}

/// `{name: "x"}`.
fn document(name: &str) -> Vec<u8> {
    let length = u8::try_from(4 + 1 + name.len() + 1 + 4 + 2 + 1).unwrap();
    [&[length, 0, 0, 0, 2][..], name.as_bytes(), &[0, 2, 0, 0, 0, b'x', 0, 0][..]].concat()
}

fn insert_options() -> types::InsertOptions {
    types::InsertOptions { ordered: true, write_concern: None }
}

/// The kind of a failure of the request itself.
fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> FailureKind {
    match result {
        Err(Error::Operation(OperationError::Failed(failure))) => failure.kind,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_database_of_sql_has_no_documents() {
    let call = Call::new(Engine::Postgres, Access::ReadWrite).await;
    let refused = call.scope.open("db").unwrap().documents();
    assert!(matches!(refused, Err(Error::Invalid(why)) if why.contains("SQL")));
}

#[tokio::test]
async fn what_is_refused_has_cost_no_connection() {
    let call = Call::of_documents().await;
    let (database, people) = (call.database(), call.people());
    // Nobody waits for anything, so all of it is answered at the first poll.
    let find = people.find(vec![1, 2, 3], types::FindOptions::default()).now_or_never().unwrap();
    assert_eq!(kind(find), FailureKind::Invalid);
    let none = types::FindOptions { limit: Some(0), ..Default::default() };
    assert_eq!(kind(people.cursor(EMPTY.to_vec(), none).now_or_never().unwrap()), FailureKind::Invalid);
    let long = vec![0; (16 << 20) + 1];
    assert_eq!(kind(people.insert(&long, insert_options()).now_or_never().unwrap()), FailureKind::LimitExceeded);
    let other = people.aggregate(&document("$changeStream"), types::AggregateOptions::default()).now_or_never().unwrap();
    assert_eq!(kind(other), FailureKind::Denied);
    assert_eq!(kind(database.list_collections(Some(vec![0])).now_or_never().unwrap()), FailureKind::Invalid);
    assert_eq!(kind(people.drop_index("*".to_owned()).now_or_never().unwrap()), FailureKind::Invalid);
    assert!(matches!(people.create_indexes(Vec::new()).await, Err(Error::Invalid(_))));
    let available = types::TransactionOptions { read_concern: Some(types::ReadConcern::Available), ..Default::default() };
    assert_eq!(kind(database.begin(available).now_or_never().unwrap()), FailureKind::Invalid);
    for name in ["", "system.users", "a$b", "a\0b"] {
        assert_eq!(kind(database.collection(name)), FailureKind::Invalid);
    }
    assert_eq!((call.ran(Kind::Documents), call.ran(Kind::OpenCursor), call.ran(Kind::Begin)), (0, 0, 0));
    call.is_quiet().await;
}

#[tokio::test]
async fn a_grant_to_read_neither_writes_by_a_pipeline_nor_runs_scripts() {
    let reader = Call::new(Engine::Mongodb, Access::ReadOnly).await;
    let writer = Call::of_documents().await;
    for stage in ["$out", "$merge"] {
        let refused = reader.people().aggregate(&document(stage), types::AggregateOptions::default()).await;
        assert_eq!(kind(refused), FailureKind::Denied, "{stage}");
        writer.people().aggregate(&document(stage), types::AggregateOptions::default()).await.unwrap();
    }
    assert_eq!(kind(reader.people().count(document("$where"), types::CountOptions::default()).await), FailureKind::Denied);
    writer.people().count(document("$where"), types::CountOptions::default()).await.unwrap();
    let transaction = reader.database().begin(types::TransactionOptions::default()).await.unwrap();
    let people = transaction.collection("people").unwrap();
    assert_eq!(kind(people.find(document("$where"), types::FindOptions::default()).await), FailureKind::Denied);
    // It was looked at here, and has done nothing to the transaction.
    assert_eq!(people.find(EMPTY.to_vec(), types::FindOptions::default()).await.unwrap().count, 1);
}

#[tokio::test]
async fn every_function_has_its_answer_with_and_without_a_transaction() {
    let call = Call::of_documents().await;
    let transaction = call.database().begin(types::TransactionOptions::default()).await.unwrap();
    every_function(&transaction.collection("people").unwrap()).await;
    transaction.commit().await.unwrap();
    assert_eq!(call.ran(Kind::Commit), 1);
    every_function(&call.people()).await;
    assert_eq!(call.database().list_collections(None).await.unwrap(), EMPTY);
    assert_eq!(call.ran(Kind::Documents), 2 * 15 + 1);
    call.is_quiet().await;
}

pub(crate) async fn every_function(people: &Collection) {
    let all = || EMPTY.to_vec();
    assert_eq!(people.find(all(), types::FindOptions::default()).await.unwrap().count, 1);
    // Its limit is of no account.
    let none = types::FindOptions { limit: Some(0), ..Default::default() };
    assert_eq!(people.find_one(all(), none).await.unwrap(), Some(all()));
    assert_eq!(people.aggregate(&[], types::AggregateOptions::default()).await.unwrap().count, 1);
    assert_eq!(people.count(all(), types::CountOptions::default()).await.unwrap(), 1);
    assert_eq!(people.estimated_count().await.unwrap(), 1);
    assert_eq!(people.distinct("name".to_owned(), all(), types::DistinctOptions::default()).await.unwrap(), all());
    assert_eq!(people.insert(&EMPTY, insert_options()).await.unwrap().inserted, 1);
    assert_eq!(
        people.update(all(), types::Update::Operators(document("$set")), types::UpdateOptions::default()).await.unwrap().modified,
        1
    );
    assert_eq!(people.replace(all(), document("name"), types::ReplaceOptions::default()).await.unwrap().matched, 1);
    assert_eq!(people.delete(all(), types::DeleteOptions::default()).await.unwrap().deleted, 1);
    assert_eq!(
        people.find_and_modify(all(), types::Modification::Delete, types::FindAndModifyOptions::default()).await.unwrap(),
        Some(all())
    );
    let options = types::BulkOptions { ordered: true, variables: None, write_concern: None };
    assert_eq!(people.bulk_write(vec![types::Write::Insert(all())], options).await.unwrap().inserted, 1);
    let index = types::Index {
        keys: document("place"),
        name: None,
        unique: false,
        sparse: false,
        hidden: false,
        expire_after_seconds: None,
        partial_filter: None,
        collation: None,
    };
    assert_eq!(people.create_indexes(vec![index]).await.unwrap(), ["place_x"]);
    people.drop_index("place_x".to_owned()).await.unwrap();
    assert_eq!(people.list_indexes().await.unwrap(), EMPTY);
}

#[tokio::test]
async fn a_cursor_of_its_own_has_a_frame_that_ends_with_it() {
    let call = Call::of_documents().await;
    let cursor = call.people().cursor(EMPTY.to_vec(), types::FindOptions::default()).await.unwrap();
    assert_eq!((call.ran(Kind::Begin), call.script.in_transaction()), (1, 1));
    // It holds the only connection that the grant allows.
    let second = call.people().aggregate_cursor(&[], types::AggregateOptions::default()).await;
    assert!(matches!(second, Err(Error::Limit { limit: "max_connections", maximum: 1 })));
    assert!(matches!(cursor.next(0).await, Err(Error::Invalid(_))));
    for some in [true, true, false, false] {
        assert_eq!(cursor.next(1).await.unwrap().is_some(), some);
    }
    cursor.close().await.unwrap();
    assert_eq!((call.ran(Kind::CloseCursor), call.ran(Kind::Rollback)), (1, 1));
    call.is_quiet().await;
    drop(cursor);

    // Dropped half-read, it is closed all the same.
    let cursor = call.people().cursor(EMPTY.to_vec(), types::FindOptions::default()).await.unwrap();
    assert!(cursor.next(1).await.unwrap().is_some());
    drop(cursor);
    call.is_quiet().await;
    let closed = Event::Ended(Step::Run(Kind::Rollback), 1, Outcome::Ok);
    assert_eq!(call.script.count(|event| *event == closed), 2);
}

#[tokio::test]
async fn a_stream_is_taken_once() {
    let call = Call::of_documents().await;
    let cursor = call.people().cursor(EMPTY.to_vec(), types::FindOptions::default()).await.unwrap();
    cursor.take_stream().unwrap();
    assert!(matches!(cursor.take_stream(), Err(Error::Invalid(_))));
    cursor.abandon();
    call.is_quiet().await;
}

#[tokio::test]
async fn a_dropped_transaction_takes_its_collections_and_cursors_with_it() {
    let call = Call::of_documents().await;
    let transaction = call.database().begin(types::TransactionOptions::default()).await.unwrap();
    let people = transaction.collection("people").unwrap();
    let cursor = people.cursor(EMPTY.to_vec(), types::FindOptions::default()).await.unwrap();
    people.insert(&EMPTY, insert_options()).await.unwrap();
    drop(transaction);
    let over = Error::Operation(OperationError::Ended(Ended::Released));
    assert_eq!(people.insert(&EMPTY, insert_options()).await.unwrap_err(), over);
    assert_eq!(cursor.next(1).await.unwrap_err(), over);
    assert_eq!(call.ran(Kind::Commit), 0);
    call.is_quiet().await;
    drop((people, cursor));
    call.is_quiet().await;
}

#[tokio::test]
async fn a_failed_operation_leaves_only_the_abort() {
    let call = Call::of_documents().await;
    let transaction = call.database().begin(types::TransactionOptions::default()).await.unwrap();
    let people = transaction.collection("people").unwrap();
    call.script.once(Step::Run(Kind::Documents), Behaviour::Error(FailureKind::DuplicateKey));
    assert_eq!(kind(people.insert(&EMPTY, insert_options()).await), FailureKind::DuplicateKey);
    let aborted = Error::Operation(OperationError::Aborted);
    assert_eq!(people.find(EMPTY.to_vec(), types::FindOptions::default()).await.unwrap_err(), aborted);
    assert_eq!(transaction.commit().await.unwrap_err(), aborted);
    transaction.abort().await.unwrap();
    call.is_quiet().await;
}

#[tokio::test]
async fn a_call_that_ends_takes_everything_back() {
    let call = Call::of_documents().await;
    let people = call.people();
    let cursor = people.cursor(EMPTY.to_vec(), types::FindOptions::default()).await.unwrap();
    call.scope.end(End::Trapped);
    let ended = Error::Operation(OperationError::Ended(Ended::CallEnded(End::Trapped)));
    assert_eq!(cursor.next(1).await.unwrap_err(), ended);
    drop(cursor);
    assert_eq!(people.count(EMPTY.to_vec(), types::CountOptions::default()).await.unwrap_err(), Error::CallEnded(End::Trapped));
    call.is_quiet().await;
}
