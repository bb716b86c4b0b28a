//! The twin of `probe` for WASI 0.3: many things at once, batches as a stream, calls that are given up half-way.

use futures::{
    FutureExt,
    future::{self, Either},
};
use guests::{
    concurrent::{self, Database, ErrorCode, Guest, IncomingRequest, Request, Response, monotonic_clock},
    json,
};
use serde_json::{Value as Json, json};
use wit_bindgen::StreamWriter;

struct ProbeAsync;

impl Guest for ProbeAsync {
    async fn handle(request: IncomingRequest) -> Result<Response, ErrorCode> {
        let request = Request::new(request);
        Ok(match request.variant() {
            "hello" => concurrent::text(200, "hello"),
            "echo" => echo(request),
            "query" => {
                let outcome = request.database().query(request.sql(), Vec::new()).await;
                concurrent::json(&json::outcome(outcome, json::rows_to_json))
            }
            "concurrent" => concurrent::json(&concurrent_queries(&request).await),
            "stream" => stream(&request).await,
            "transaction" => concurrent::json(&transaction(&request).await),
            "cancel" => concurrent::json(&cancel(&request).await),
            "cancel-in-transaction" => concurrent::json(&cancel_in_transaction(&request).await),
            // Answers while statements are still running that nobody will ever wait for.
            "abandons" => abandons(&request).await,
            "waits" => {
                monotonic_clock::wait_for(request.number("seconds", 60) * 1_000_000_000).await;
                concurrent::text(200, "awake")
            }
            "traps" => {
                let transaction = request.database().begin(json::transaction_options(&Json::Null)).await.expect("a transaction");
                transaction.execute(request.sql(), Vec::new()).await.expect("executed");
                std::process::abort()
            }
            "refuses" => return Err(ErrorCode::InternalError(Some("the secret of the handler".to_owned()))),
            "panics" => panic!("the secret of the handler"),
            "spins" => loop {
                std::hint::black_box(());
            },
            other => concurrent::text(404, format!("no variant {other}")),
        })
    }
}

guests::concurrent::export!(ProbeAsync);

/// Sends back what comes, chunk by chunk.
fn echo(request: Request) -> Response {
    let mut stream = request.stream();
    concurrent::stream(200, "application/octet-stream", async move |mut body: StreamWriter<u8>| {
        loop {
            let (result, chunk) = stream.read(Vec::with_capacity(16 * 1024)).await;
            let ended = !matches!(result, wit_bindgen::StreamResult::Complete(_));
            if (!chunk.is_empty() && !body.write_all(chunk).await.is_empty()) || ended {
                break;
            }
        }
    })
}

/// `?count=` (8) times `?sql=` at the same time; the list of their outcomes.
async fn concurrent_queries(request: &Request) -> Json {
    let database = request.database();
    let queries = (0..request.number("count", 8)).map(|_| database.query(request.sql(), Vec::new()));
    let outcomes = future::join_all(queries).await;
    outcomes.into_iter().map(|outcome| json::outcome(outcome, json::rows_to_json)).collect()
}

/// The rows of `?sql=` as a stream of batches, `?batch=` (100) rows each, one JSON text a line, the error last if there was one.
async fn stream(request: &Request) -> Response {
    let size = u32::try_from(request.number("batch", 100)).unwrap_or(u32::MAX);
    // The cursor lives as long as its batches are read.
    let opened = request.database().cursor(request.sql(), Vec::new()).await;
    let opened = opened.and_then(|cursor| cursor.batches(size).map(|batches| (cursor, batches)));
    let (cursor, (mut batches, ended)) = match opened {
        Ok(opened) => opened,
        Err(error) => return concurrent::json(&json!({ "error": json::error_to_json(&error) })),
    };
    concurrent::stream(200, "application/x-ndjson", async move |mut body: StreamWriter<u8>| {
        while let Some(batch) = batches.next().await {
            let line = format!("{}\n", json::batch_to_json(&batch));
            if !body.write_all(line.into_bytes()).await.is_empty() {
                return;
            }
        }
        if let Err(error) = ended.await {
            let line = format!("{}\n", json!({ "error": json::error_to_json(&error) }));
            body.write_all(line.into_bytes()).await;
        }
        drop(cursor);
    })
}

/// `?sql=` in a transaction, then `commit` or, with `?end=rollback`, not.
async fn transaction(request: &Request) -> Json {
    let transaction = match request.database().begin(json::transaction_options(&Json::Null)).await {
        Ok(transaction) => transaction,
        Err(error) => return json!({ "begin": { "error": json::error_to_json(&error) } }),
    };
    let executed = json::outcome(transaction.execute(request.sql(), Vec::new()).await, json::execution_to_json);
    let end = match request.parameter("end").as_deref() {
        Some("rollback") => transaction.rollback().await,
        _ => transaction.commit().await,
    };
    json!({ "execute": executed, "end": json::outcome(end, |()| Json::Null) })
}

/// Gives up on `?sql=` after `?ms=` (100); then the database answers as before.
async fn cancel(request: &Request) -> Json {
    let database = request.database();
    let given_up = give_up(request, database.query(request.sql(), Vec::new())).await;
    json!({ "given up": given_up, "after": after(&database).await })
}

/// The same in a transaction, which is doomed by it.
async fn cancel_in_transaction(request: &Request) -> Json {
    let database = request.database();
    let transaction = database.begin(json::transaction_options(&Json::Null)).await.expect("a transaction");
    let given_up = give_up(request, transaction.query(request.sql(), Vec::new())).await;
    let query = json::outcome(transaction.query("SELECT 1".to_owned(), Vec::new()).await, json::rows_to_json);
    let commit = json::outcome(transaction.commit().await, |()| Json::Null);
    json!({ "given up": given_up, "query": query, "commit": commit, "after": after(&database).await })
}

/// Whether the clock was faster, which drops the call.
async fn give_up<T>(request: &Request, call: impl Future<Output = T>) -> bool {
    let clock = monotonic_clock::wait_for(request.number("ms", 100) * 1_000_000).boxed_local();
    matches!(future::select(call.boxed_local(), clock).await, Either::Right(_))
}

async fn after(database: &Database) -> Json {
    json::outcome(database.query("SELECT 1".to_owned(), Vec::new()).await, json::rows_to_json)
}

/// Starts `?sql=` in a task of its own, and answers without it.
async fn abandons(request: &Request) -> Response {
    let (database, sql) = (request.database(), request.sql());
    let mut query = Box::pin(async move { database.query(sql, Vec::new()).await });
    // Once, so that the host has begun with it.
    let _ = future::poll_immediate(&mut query).await;
    std::mem::forget(query);
    concurrent::text(200, "abandoned")
}
