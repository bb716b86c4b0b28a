//! What the benchmarks ask of a database, written as an author would, on the tables that the package `bench` describes.

use std::io::Write;

use serde::{Deserialize, Serialize};
use wharf_sdk::{prelude::*, raw::wasi::clocks0_2_12::monotonic_clock};

// All by GET, since that is what load generators send.
wharf_sdk::handler!(
    Router::new()
        .get("/row/{id}", row)
        .get("/rows/{count}", rows)
        .get("/stream", stream)
        .get("/insert", insert)
        .get("/batch", batch)
        .get("/eight", eight)
        .get("/trap", trap)
        .get("/hold", hold)
        .get("/sleep", sleep)
);

/// How many inserts are one batch.
const BATCH: i64 = 100;

/// How many rows of the stream are in memory at a time.
const STREAM_BATCH: u32 = 1_000;

/// Longer than any call may last.
const MINUTE: u64 = 60_000_000_000;

/// A row of `item` and of `big`. Texts borrow from the rows.
#[derive(Serialize, Deserialize)]
struct Item<'a> {
    id: i64,
    a: &'a str,
    b: i64,
    c: f64,
    d: Option<&'a str>,
}

/// `GET /row/4711`: one row by its key.
fn row(request: &Request) -> Result<Response> {
    let id: i64 = request.path("id")?;
    let row = item(id)?;
    Response::json(&row.decode::<Item<'_>>()?)
}

/// `GET /rows/1000`: so many rows in one answer.
fn rows(request: &Request) -> Result<Response> {
    let count: i64 = request.path("count")?;
    let rows = main()?.query("SELECT id, a, b, c, d FROM big ORDER BY id LIMIT $1", params![count])?;
    Response::json(&rows.decode::<Item<'_>>()?)
}

/// `GET /stream`: all of `big`, a line of JSON a row, through a cursor.
fn stream(_: &Request) -> Result<Response> {
    let cursor = main()?.cursor("SELECT id, a, b, c, d FROM big ORDER BY id", params![])?.batch_size(STREAM_BATCH);
    Ok(Response::stream("application/x-ndjson", move |body| {
        for row in cursor {
            serde_json::to_writer(&mut *body, &row?.decode::<Item<'_>>()?)?;
            body.write_all(b"\n")?;
        }
        Ok(())
    }))
}

/// `GET /insert`: one row in a transaction.
fn insert(_: &Request) -> Result<Response> {
    let transaction = main()?.begin()?;
    let id: i64 = transaction
        .query("INSERT INTO entry (item, note) VALUES ($1, $2) RETURNING id", params![4711, "written by a benchmark"])?
        .scalar()?;
    transaction.commit()?;
    Response::json(&serde_json::json!({ "id": id }))
}

/// `GET /batch`: a hundred rows, all or nothing.
fn batch(_: &Request) -> Result<Response> {
    let entries = (1..=BATCH).map(|item| params![item, "written by a benchmark"]);
    let execution = main()?.execute_many("INSERT INTO entry (item, note) VALUES ($1, $2)", entries)?;
    Response::json(&serde_json::json!({ "rows": execution.rows_affected }))
}

/// `GET /eight`: eight rows by their keys, one statement after the other.
fn eight(_: &Request) -> Result<Response> {
    let rows = (1..=8).map(|part| item(part * 1_000)).collect::<Result<Vec<_>>>()?;
    let items = rows.iter().map(|row| row.decode::<Item<'_>>()).collect::<Result<Vec<_>>>()?;
    Response::json(&items)
}

/// `GET /trap`: leaves a transaction open that holds a lock.
fn trap(_: &Request) -> Result<Response> {
    let _transaction = change()?;
    std::process::abort()
}

/// `GET /hold`: the same, and waits until somebody ends the call.
fn hold(_: &Request) -> Result<Response> {
    let transaction = change()?;
    monotonic_clock::subscribe_duration(MINUTE).block();
    transaction.rollback()?;
    Ok(Response::text("nobody ended it"))
}

/// `GET /sleep`: waits for a statement of a minute until somebody ends the call.
fn sleep(_: &Request) -> Result<Response> {
    main()?.query("SELECT pg_sleep(60)", params![])?;
    Ok(Response::text("nobody ended it"))
}

fn main() -> Result<Database> {
    Database::open("main")
}

fn item(id: i64) -> Result<wharf_sdk::OwnedRow> {
    main()?
        .query("SELECT id, a, b, c, d FROM item WHERE id = $1", params![id])?
        .one()?
        .ok_or_else(|| Error::not_found(format!("there is no item {id}")))
}

fn change() -> Result<Transaction> {
    let transaction = main()?.begin()?;
    transaction.execute("UPDATE item SET b = b + 1 WHERE id = $1", params![1])?;
    Ok(transaction)
}
