//! Writes into an SQL database and into a document database in one call, and ends it in every way.

use guests::{
    documents::{self, ask, tell},
    json,
    plain::{Answer, Database, Request, TransactionOptions, monotonic_clock},
};
use serde_json::{Value as Json, json};

guests::handler!(answer);

const ANY: TransactionOptions = TransactionOptions { isolation: None, read_only: false };
const NONE: documents::TransactionOptions = documents::TransactionOptions { read_concern: None, write_concern: None };

/// Longer than any call may last.
const MINUTE: u64 = 60_000_000_000;

/// `?sql=` is executed in a transaction of the database `sql`, and `?document=` (hex digits) goes into the collection `notes` of the database
/// `documents` in one of its own, where a cursor over the collection is half read as well.
fn answer(request: Request) -> Answer {
    let (sql, documents) = (Database::open("sql").expect("granted"), documents::Database::open("documents").expect("granted"));
    let (one, other) = (sql.begin(ANY).expect("a transaction"), documents.begin(&NONE).expect("a transaction"));
    let executed = json::outcome(one.execute(&request.sql(), &[]), json::execution_to_json);
    let notes = other.collection("notes").expect("a collection");
    let document = ask::bytes(&request.parameter("document").map_or(Json::Null, Json::from));
    let inserted = notes.insert(&document, &ask::insert_options(&Json::Null));
    let inserted = tell::outcome(inserted, |done| tell::done(&done));
    let cursor = notes.cursor(&ask::document(&Json::Null), &ask::find_options(&Json::Null)).expect("a cursor");
    cursor.next(1).expect("a batch");
    match request.variant() {
        "commits" => {
            drop(cursor);
            let one = json::outcome(one.commit(), |()| Json::Null);
            let other = tell::outcome(other.commit(), tell::nothing);
            Answer::json(&json!({ "executed": executed, "inserted": inserted, "sql": one, "documents": other }))
        }
        "drops" => Answer::json(&json!({ "executed": executed, "inserted": inserted })),
        "leaks" => {
            std::mem::forget((one, other, notes, cursor));
            Answer::json(&json!({ "executed": executed, "inserted": inserted }))
        }
        "traps" => std::process::abort(),
        "spins" => loop {
            std::hint::black_box(());
        },
        "waits" => {
            monotonic_clock::subscribe_duration(MINUTE).block();
            Answer::text("awake")
        }
        other => Answer::unknown(other),
    }
}
