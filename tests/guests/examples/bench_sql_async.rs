//! The twin of `bench_sql` for WASI 0.3: what can be done at the same time.

use futures::future;
use serde::{Deserialize, Serialize};
use wharf_sdk::{OwnedRow, asynchronous::prelude::*, raw_asynchronous::wasi::clocks0_3_0::monotonic_clock};

wharf_sdk::async_handler!(Router::new().get("/row/{id}", row).get("/eight", eight).get("/trap-asleep", trap_asleep));

/// How long a statement runs before the handler traps, so that the server has surely begun with it.
const ASLEEP: u64 = 50_000_000;

/// A row of `item`. Texts borrow from the rows.
#[derive(Serialize, Deserialize)]
struct Item<'a> {
    id: i64,
    a: &'a str,
    b: i64,
    c: f64,
    d: Option<&'a str>,
}

/// `GET /row/4711`: one row by its key.
async fn row(request: &Request) -> Result<Response> {
    let id: i64 = request.path("id")?;
    let row = item(id).await?;
    Response::json(&row.decode::<Item<'_>>()?)
}

/// `GET /eight`: eight rows by their keys, all statements at the same time.
async fn eight(_: &Request) -> Result<Response> {
    let rows = future::try_join_all((1..=8).map(|part| item(part * 1_000))).await?;
    let items = rows.iter().map(|row| row.decode::<Item<'_>>()).collect::<Result<Vec<_>>>()?;
    Response::json(&items)
}

/// `GET /trap-asleep`: traps while a statement of a minute runs.
async fn trap_asleep(_: &Request) -> Result<Response> {
    let database = Database::open("main")?;
    let asleep = std::pin::pin!(database.query("SELECT pg_sleep(60)", params![]));
    let clock = std::pin::pin!(monotonic_clock::wait_for(ASLEEP));
    // Both are still there when it traps: dropping the statement would already cancel it.
    let _both = future::select(asleep, clock).await;
    std::process::abort()
}

async fn item(id: i64) -> Result<OwnedRow> {
    Database::open("main")?
        .query("SELECT id, a, b, c, d FROM item WHERE id = $1", params![id])
        .await?
        .one()?
        .ok_or_else(|| Error::not_found(format!("there is no item {id}")))
}
