//! The twin of `documents_matrix` for WASI 0.3: it can leave while a call of its own is in flight.

use futures::future::{self, Either};
use guests::{
    exits::{self, Left},
    target::Target,
};
use wharf_sdk::{
    Result,
    asynchronous::{
        self, Executor,
        documents::{Cursor, Database, Transaction},
    },
    documents::{Document, doc},
    params, raw_asynchronous,
    raw_asynchronous::{
        exports::wasi::http0_3_0::handler::{ErrorCode, Guest, Request, Response},
        wasi::{clocks0_3_0::monotonic_clock, http0_3_0::types::Fields},
        wit_future,
    },
};

struct DocumentsMatrixAsync;

impl Guest for DocumentsMatrixAsync {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = Target::new(request.get_path_with_query());
        let exit = target.parameter("exit").unwrap_or_default();
        let reaching = Box::pin(reach(target));
        let sign = Box::pin(until_told(request));
        match future::select(reaching, sign).await {
            Either::Left((held, sign)) => {
                sign.await;
                leave(&exit, held).await
            }
            Either::Right(((), in_flight)) => leave(&exit, in_flight).await,
        }
    }
}

raw_asynchronous::export_handler_async!(DocumentsMatrixAsync with_types_in raw_asynchronous);

/// What is in hand; children before their parents.
#[derive(Default)]
struct Held {
    cursor: Option<Cursor<Document>>,
    transactions: Vec<Transaction>,
}

/// What the test does to the database may make any of it fail; what is held is held all the same.
async fn reach(target: Target) -> Held {
    let mut held = Held::default();
    if held.try_reach(&target).await.is_ok()
        && let Ok(signal) = asynchronous::Database::open("signal")
    {
        let _ = signal.query("SELECT 1", params![]).await;
    }
    held
}

impl Held {
    async fn try_reach(&mut self, target: &Target) -> Result<()> {
        let database = Database::open(&target.database_name())?;
        let name = |text| target.parameter(text).unwrap_or_default();
        match target.variant() {
            "acquiring" | "ready" => {
                for _ in 0..target.number("connections", 1) {
                    let transaction = database.begin().await?;
                    let rows = transaction.collection::<Document>(&name("insert"))?;
                    self.transactions.push(transaction);
                    // Used once: the server knows of it.
                    rows.find(doc! {}).count().await?;
                }
                Ok(())
            }
            "statement-running" => {
                let notes = database.collection::<Document>(&name("slow"))?;
                notes.update_one(doc! {}, doc! { "$set": { "slow": true } }).run().await.map(drop)
            }
            "find-before-reply" | "cursor-half-read" => {
                let rows = database.collection::<Document>(&name("rows"))?;
                let cursor = rows.find(doc! {}).cursor().await?.batch_size(1);
                self.cursor.insert(cursor).next().await.map(drop)
            }
            state @ ("first-operation" | "in-transaction" | "commit-in-flight") => {
                let transaction = database.begin().await?;
                let notes = transaction.collection::<Document>(&name("insert"))?;
                self.transactions.push(transaction);
                notes.insert_many([doc! { "_id": "one" }, doc! { "_id": "other" }]).await?;
                match self.transactions.pop() {
                    Some(transaction) if state == "commit-in-flight" => transaction.commit().await,
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

async fn leave<T>(exit: &str, held: T) -> Result<Response, ErrorCode> {
    match exits::leave(exit, held) {
        Left::Answer => Ok(empty()),
        Left::Fail => Err(ErrorCode::InternalError(None)),
        Left::Wait(held) => {
            monotonic_clock::wait_for(600_000_000_000).await;
            drop(held);
            Ok(empty())
        }
    }
}

/// Nothing comes in the body but its end.
async fn until_told(request: Request) {
    let (done, result) = wit_future::new(|| Ok(()));
    let (stream, _trailers) = Request::consume_body(request, result);
    drop(done);
    stream.collect().await;
}

/// 200 with nothing.
fn empty() -> Response {
    // Dropped, it says that there are no trailers.
    let (_outcome, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), None, trailers);
    response
}
