//! The twin of `matrix` for document databases. The texts of the query are names of collections.
//!
//! A connection is in hand for as long as a transaction or a cursor is. `look` is what the next borrower does: has all connections at once,
//! and sees whether each is as new.

use guests::{
    exits::{self, Left},
    target::Target,
};
use wharf_sdk::{
    Executor, Result,
    documents::{Cursor, Database, Document, DocumentsError, ErrorKind, Transaction, doc},
    params, raw,
    raw::{
        exports::wasi::http0_2_12::incoming_handler::Guest,
        wasi::{
            clocks0_2_12::monotonic_clock,
            http0_2_12::types::{ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
        },
    },
};

struct DocumentsMatrix;

impl Guest for DocumentsMatrix {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let target = Target::new(request.path_with_query());
        if target.variant() == "look" {
            let (status, text) = look(&target);
            return answer(outparam, status, &text);
        }
        // What the test does to the database may make any of it fail; what is held is held all the same.
        let mut held = Held::default();
        if held.reach(&target).is_ok() {
            let _ = wharf_sdk::Database::open("signal").and_then(|signal| signal.query("SELECT 1", params![]));
        }
        until_told(&request);
        match exits::leave(&target.parameter("exit").unwrap_or_default(), held) {
            Left::Answer => answer(outparam, 200, ""),
            Left::Fail => ResponseOutparam::set(outparam, Err(ErrorCode::InternalError(None))),
            Left::Wait(held) => {
                monotonic_clock::subscribe_duration(600_000_000_000).block();
                drop(held);
            }
        }
    }
}

raw::export_handler!(DocumentsMatrix with_types_in raw);

/// What is in hand; children before their parents.
#[derive(Default)]
struct Held {
    cursor: Option<Cursor<Document>>,
    transactions: Vec<Transaction>,
}

impl Held {
    /// Comes back when the state is reached; from a call that is in flight only when that has ended.
    fn reach(&mut self, target: &Target) -> Result<()> {
        let database = Database::open(&target.database_name())?;
        let name = |text| target.parameter(text).unwrap_or_default();
        match target.variant() {
            "acquiring" | "ready" => {
                for _ in 0..target.number("connections", 1) {
                    let transaction = database.begin()?;
                    let rows = transaction.collection::<Document>(&name("insert"))?;
                    self.transactions.push(transaction);
                    // Used once: the server knows of it.
                    rows.find(doc! {}).count()?;
                }
                Ok(())
            }
            "statement-running" => {
                let notes = database.collection::<Document>(&name("slow"))?;
                notes.update_one(doc! {}, doc! { "$set": { "slow": true } }).run().map(drop)
            }
            "find-before-reply" | "cursor-half-read" => {
                let rows = database.collection::<Document>(&name("rows"))?;
                let cursor = rows.find(doc! {}).cursor()?.batch_size(1);
                self.cursor.insert(cursor).next().transpose().map(drop)
            }
            state @ ("first-operation" | "in-transaction" | "commit-in-flight") => {
                let transaction = database.begin()?;
                let notes = transaction.collection::<Document>(&name("insert"))?;
                self.transactions.push(transaction);
                notes.insert_many([doc! { "_id": "one" }, doc! { "_id": "other" }])?;
                match self.transactions.pop() {
                    Some(transaction) if state == "commit-in-flight" => transaction.commit(),
                    transaction => {
                        self.transactions.extend(transaction);
                        Ok(())
                    }
                }
            }
            other => panic!("no state {other}"),
        }
    }
}

/// 503 when the connections cannot be had, or are lost; 500 when one is not as new. The text begins with the kind of the error.
fn look(target: &Target) -> (u16, String) {
    match try_look(target) {
        Ok(()) => (200, String::new()),
        Err(error) => match error.documents().map(DocumentsError::kind) {
            Some(kind @ (ErrorKind::PoolExhausted | ErrorKind::Disconnected | ErrorKind::NotPrimary)) => {
                (503, format!("{kind:?}: {error}"))
            }
            _ => (500, error.to_string()),
        },
    }
}

fn try_look(target: &Target) -> Result<()> {
    let database = Database::open(&target.database_name())?;
    let mut transactions = Vec::new();
    for _ in 0..target.number("connections", 1) {
        transactions.push(database.begin()?);
    }
    for transaction in &transactions {
        // In one that has a transaction open already this fails, or takes part in it.
        transaction.collection::<Document>("notes")?.find(doc! {}).count()?;
    }
    transactions.into_iter().try_for_each(Transaction::abort)
}

/// Nothing comes in the body but its end.
fn until_told(request: &IncomingRequest) {
    let body = request.consume().expect("the body was not taken before");
    let stream = body.stream().expect("the stream was not taken before");
    while stream.blocking_read(64 * 1024).is_ok() {}
}

/// An answer that is no longer than what a stream takes at once.
fn answer(outparam: ResponseOutparam, status: u16, text: &str) {
    let response = OutgoingResponse::new(Fields::new());
    response.set_status_code(status).expect("a valid status");
    let body = response.body().expect("the first body");
    let stream = body.write().expect("the first stream");
    ResponseOutparam::set(outparam, Ok(response));
    // A reader that went away is not this handler's business.
    let _ = stream.blocking_write_and_flush(&text.as_bytes()[..text.len().min(4096)]);
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}
