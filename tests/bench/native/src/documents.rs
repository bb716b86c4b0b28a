//! What is asked of a document database: the routes of `bench_documents`, as an author of axum and MongoDB's driver would write them, with
//! collections of Rust types. But for the sizes of its pool, the driver does as it does by default.

use anyhow::{Context, Result};
use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::get,
};
use futures::TryStreamExt;
use mongodb::{Client, Collection, bson::doc, options::ClientOptions};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::item::{Failure, json};

const NOTE: &str = "written by a benchmark";

/// A document of `item` and of `big`.
#[derive(Debug, Serialize, Deserialize)]
struct Item {
    #[serde(rename = "_id")]
    id: i64,
    a: String,
    b: i64,
    c: f64,
    d: Option<String>,
}

/// A document of `entry`.
#[derive(Debug, Serialize)]
struct Entry {
    item: i64,
    note: &'static str,
}

/// What is asked, over one pool.
#[derive(Clone, Debug)]
struct Collections {
    item: Collection<Item>,
    big: Collection<Item>,
    entry: Collection<Entry>,
}

type Answer = Result<Response, Failure>;

/// The handlers, once the server has answered.
pub(crate) async fn router(url: &str, pool: u32) -> Result<Router> {
    let mut options = ClientOptions::parse(url).await?;
    options.min_pool_size = Some(pool);
    options.max_pool_size = Some(pool);
    let client = Client::with_options(options)?;
    let database = client.default_database().context("the URL names no database")?;
    database.run_command(doc! { "ping": 1 }).await?;
    client.warm_connection_pool().await;
    let [item, big] = ["item", "big"].map(|name| database.collection(name));
    let entry = database.collection("entry");
    Ok(Router::new()
        .route("/document/{id}", get(one))
        .route("/documents/{count}", get(many))
        .route("/batches/{count}", get(many_by_default))
        .route("/insert", get(insert))
        .with_state(Collections { item, big, entry }))
}

async fn one(State(collections): State<Collections>, Path(id): Path<i64>) -> Answer {
    let item = collections.item.find_one(doc! { "_id": id }).await?;
    json(&item.with_context(|| format!("there is no item {id}"))?)
}

/// All in one batch.
async fn many(State(collections): State<Collections>, Path(count): Path<u32>) -> Answer {
    let found = collections.big.find(doc! {}).sort(doc! { "_id": 1 }).limit(i64::from(count)).batch_size(count).await?;
    let items: Vec<Item> = found.try_collect().await?;
    json(&items)
}

/// In batches of which nobody says how large they are: a hundred and one, and the rest.
async fn many_by_default(State(collections): State<Collections>, Path(count): Path<u32>) -> Answer {
    let found = collections.big.find(doc! {}).sort(doc! { "_id": 1 }).limit(i64::from(count)).await?;
    let items: Vec<Item> = found.try_collect().await?;
    json(&items)
}

async fn insert(State(collections): State<Collections>) -> Answer {
    let inserted = collections.entry.insert_one(Entry { item: 4711, note: NOTE }).await?;
    let id = inserted.inserted_id.as_object_id().map(|id| id.to_hex());
    json(&json!({ "id": id }))
}
