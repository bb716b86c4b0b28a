//! Residue on MongoDB, where a session keeps cursors and a transaction, and nothing besides.

use ::mongodb::bson::{Document, doc};
use support::mongodb::MongodbDatabase;
use wharf::driver::{
    Begin, Source,
    documents::{
        Collection, Concerns, Find, Insert, Query, Request,
        types::{FindOptions, InsertOptions},
    },
    mongodb::Mongodb,
    settings::{Access, Settings as DriverSettings},
};

use super::{Bed, LIMIT, Operation, ResultLimit, Settings, TRANSACTION, Via, run};

/// Of the only transaction, or frame.
const CURSOR: Via = Via::Cursor { transaction: 1, cursor: 1 };

fn bytes(document: &Document) -> Vec<u8> {
    document.to_vec().unwrap()
}

fn insert() -> Operation {
    let options = InsertOptions { ordered: true, write_concern: None };
    let insert = Insert::new(&bytes(&doc! { "_id": "left" }), options).unwrap();
    Operation::Documents(Box::new(Request::Insert(Collection::new("notes").unwrap(), insert)), LIMIT)
}

fn find(limit: Option<u64>) -> Find {
    Find::new(bytes(&doc! {}), FindOptions { limit, ..Default::default() }, Access::ReadWrite).unwrap()
}

fn read() -> Operation {
    Operation::Documents(Box::new(Request::Find(Collection::new("many").unwrap(), find(Some(1)))), LIMIT)
}

/// Opens a cursor, and reads less of it than there is.
fn half() -> [(Via, Operation); 2] {
    let query = Query::Find(Collection::new("many").unwrap(), find(None));
    let open = Operation::OpenCursor(1, Source::Documents(Box::new(query)));
    [(CURSOR, open), (CURSOR, Operation::Fetch(1, ResultLimit { rows: 1, bytes: 100 }))]
}

#[tokio::test]
async fn what_was_left_open_is_gone_and_the_connection_comes_back() {
    let database = MongodbDatabase::create().await;
    database.run(doc! { "create": "notes" }).await;
    // More than is asked for at a time.
    let many: Vec<Document> = (0_i32..1_500).map(|number| doc! { "_id": number }).collect();
    database.run(doc! { "insert": "many", "documents": many }).await;
    let driver = Mongodb::new(&database.url(&database.owner), DriverSettings::default()).unwrap();
    let driver = driver.control_with(&database.url(&database.control)).unwrap();
    let bed = Bed::new(driver, Settings::default()).await;
    let transaction = || Begin::Documents(Concerns::default());
    let [opened_alone, fetched_alone] = half();
    let [opened_within, fetched_within] = half();
    // What is left, and how many cursors and whether a lock the server sees of it.
    let table = [
        ("a cursor", Begin::Frame, vec![opened_alone, fetched_alone], (1, false)),
        ("a transaction that sent nothing", transaction(), vec![], (0, false)),
        ("a transaction that has read", transaction(), vec![(TRANSACTION, read())], (0, false)),
        ("a transaction that has written", transaction(), vec![(TRANSACTION, insert())], (0, true)),
        ("a transaction with a cursor", transaction(), vec![(TRANSACTION, insert()), opened_within, fetched_within], (1, true)),
    ];
    let seen = async || (database.cursors().await.len(), database.is_locked("notes", "left").await);
    for (name, begin, operations, expected) in table {
        let hold = bed.borrow_it().await;
        let opened = bed.opened();
        run(&hold, TRANSACTION, Operation::Begin(begin)).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        for (via, operation) in operations {
            run(&hold, via, operation).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        }
        assert_eq!(seen().await, expected, "{name}");
        drop(hold);
        let next = bed.borrow_it().await;
        assert_eq!((seen().await, bed.opened()), ((0, false), opened), "{name}");
        // Nothing is open in it.
        let begun = run(&next, TRANSACTION, Operation::Begin(transaction())).await;
        begun.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        run(&next, TRANSACTION, read()).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    assert_eq!(database.count("notes").await, 0);
    bed.close().await;
    database.nothing_left().await;
}
