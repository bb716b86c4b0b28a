//! The twin of `counts` for WASI 0.3, whose instances the component model would let several calls into at once.

use std::{
    mem::forget,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use guests::{
    concurrent::{self, ErrorCode, Fields, Guest, IncomingRequest, Request, Response, monotonic_clock},
    json,
};
use serde_json::Value as Json;

struct CountsAsync;

static CALLS: AtomicU32 = AtomicU32::new(0);
static BUSY: AtomicBool = AtomicBool::new(false);

impl Guest for CountsAsync {
    async fn handle(request: IncomingRequest) -> Result<Response, ErrorCode> {
        let request = Request::new(request);
        if BUSY.swap(true, Ordering::Relaxed) {
            return Ok(concurrent::text(500, "entered twice"));
        }
        let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        match request.variant() {
            "counts" => {}
            "waits" => monotonic_clock::wait_for(request.number("ms", 5) * 1_000_000).await,
            "keeps" => forget(Fields::new()),
            "leaks" => {
                forget(request.database().begin(json::transaction_options(&Json::Null)).await.expect("a transaction"));
            }
            // Goes on after its answer, with a statement that nobody waits for.
            "lingers" => {
                let database = request.database();
                wit_bindgen::spawn_local(async move {
                    monotonic_clock::wait_for(20_000_000).await;
                    drop(database.query("SELECT 1".to_owned(), Vec::new()).await);
                });
            }
            "prints" => println!("call {calls}"),
            "traps" => std::process::abort(),
            other => return Ok(concurrent::text(404, format!("no variant {other}"))),
        }
        BUSY.store(false, Ordering::Relaxed);
        Ok(concurrent::text(200, calls.to_string()))
    }
}

guests::concurrent::export!(CountsAsync);
