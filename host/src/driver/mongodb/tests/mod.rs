//! Behaviour against a server that speaks MongoDB's protocol, and against a stand-in that does what that one cannot.

mod connect;
mod control;
mod cursors;
mod errors;
mod migrations;
mod reads;
mod server;
mod stand_in;
mod transactions;
mod writes;

use std::time::Duration;

use bson::{Document, doc};

use self::server::Fixture;
use super::Mongodb;
use crate::driver::{
    Answer, Begin, Connection, Driver, Failure, FailureKind, Operation, ResultLimit, Source,
    documents::{
        Aggregate, Batch, Collection, Concerns, Count, Find, Index, Insert, Query, Reply, Request, WriteOutcome, Writes,
        types::{
            self, AggregateOptions, BulkOptions, CountOptions, DeleteOptions, FindAndModifyOptions, FindOptions, InsertOptions,
            ReplaceOptions, UpdateOptions,
        },
    },
    settings::{Access, Settings},
};

const LIMIT: ResultLimit = ResultLimit { rows: 10_000, bytes: 32 << 20 };

/// Longer than anything lasts.
const LEFT: Duration = Duration::from_secs(10);

fn bytes(documents: &[Document]) -> Vec<u8> {
    documents.iter().flat_map(|document| document.to_vec().unwrap()).collect()
}

fn documents(mut bytes: &[u8]) -> Vec<Document> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        found.push(Document::from_reader(&mut bytes).unwrap());
    }
    found
}

fn people() -> Collection {
    Collection::new("people").unwrap()
}

fn find(filter: Document, options: FindOptions) -> Find {
    Find::new(bytes(&[filter]), options, Access::ReadWrite).unwrap()
}

fn insert(documents: &[Document]) -> Request {
    let options = InsertOptions { ordered: true, write_concern: None };
    Request::Insert(people(), Insert::new(&bytes(documents), options).unwrap())
}

fn update(filter: Document, change: Document) -> Request {
    let options = UpdateOptions { many: true, ..Default::default() };
    let change = types::Update::Operators(bytes(&[change]));
    Request::Update(people(), Writes::update(bytes(&[filter]), change, options, Access::ReadWrite).unwrap())
}

fn delete(filter: Document) -> Request {
    let options = DeleteOptions { many: true, ..Default::default() };
    Request::Delete(people(), Writes::delete(bytes(&[filter]), options, Access::ReadWrite).unwrap())
}

fn aggregate(pipeline: &[Document]) -> Aggregate {
    Aggregate::new(&bytes(pipeline), AggregateOptions::default(), Access::ReadWrite).unwrap()
}

async fn say(connection: &mut dyn Connection, operation: Operation) -> Result<(), Failure> {
    connection.run_within(operation, LEFT).await.map(drop)
}

async fn ask(connection: &mut dyn Connection, request: Request) -> Result<Reply, Failure> {
    match connection.run_within(Operation::Documents(Box::new(request), LIMIT), LEFT).await? {
        Answer::Documents(reply) => Ok(reply),
        other => panic!("{other:?}"),
    }
}

async fn write(connection: &mut dyn Connection, request: Request) -> Result<WriteOutcome, Failure> {
    match ask(connection, request).await? {
        Reply::Written(outcome) => Ok(outcome),
        other => panic!("{other:?}"),
    }
}

async fn read(connection: &mut dyn Connection, request: Request) -> Result<Vec<Document>, Failure> {
    match ask(connection, request).await? {
        Reply::Batch(batch) => {
            let found = documents(&batch.documents);
            assert_eq!(found.len(), batch.count as usize);
            Ok(found)
        }
        other => panic!("{other:?}"),
    }
}

async fn all(connection: &mut dyn Connection) -> Result<Vec<Document>, Failure> {
    let sorted = FindOptions { sort: Some(bytes(&[doc! { "_id": 1 }])), ..Default::default() };
    read(connection, Request::Find(people(), find(doc! {}, sorted))).await
}

fn counting(filter: Document) -> Request {
    Request::Count(people(), Count::new(bytes(&[filter]), CountOptions::default(), Access::ReadOnly).unwrap())
}

async fn count(connection: &mut dyn Connection, filter: Document) -> Result<u64, Failure> {
    match ask(connection, counting(filter)).await? {
        Reply::Count(count) => Ok(count),
        other => panic!("{other:?}"),
    }
}

/// Creates an index of a field whose values are there once.
fn unique(field: &str) -> Request {
    let index = types::Index {
        keys: bytes(&[doc! { field: 1 }]),
        name: None,
        unique: true,
        sparse: false,
        hidden: false,
        expire_after_seconds: None,
        partial_filter: None,
        collation: None,
    };
    Request::CreateIndexes(people(), vec![Index::new(index, Access::ReadWrite).unwrap()])
}

async fn open(connection: &mut dyn Connection, number: u32, query: Query) -> Result<(), Failure> {
    say(connection, Operation::OpenCursor(number, Source::Documents(Box::new(query)))).await
}

async fn fetch(connection: &mut dyn Connection, number: u32, limit: ResultLimit) -> Result<Option<Batch>, Failure> {
    match connection.run_within(Operation::Fetch(number, limit), LEFT).await? {
        Answer::Documents(Reply::Next(batch)) => Ok(batch),
        other => panic!("{other:?}"),
    }
}

async fn begin(connection: &mut dyn Connection) {
    say(connection, Operation::Begin(Begin::Documents(Concerns::default()))).await.unwrap();
}

async fn frame(connection: &mut dyn Connection) {
    say(connection, Operation::Begin(Begin::Frame)).await.unwrap();
}

/// How something failed.
fn failure<T: std::fmt::Debug>(result: Result<T, Failure>) -> Failure {
    result.unwrap_err()
}

async fn connected(fixture: &Fixture) -> Box<dyn Connection> {
    Mongodb::new(&fixture.url, Settings::default()).unwrap().connect().await.unwrap()
}

fn numbered(count: i32) -> Vec<Document> {
    (0..count).map(|number| doc! { "_id": number, "name": format!("name {number}") }).collect()
}
