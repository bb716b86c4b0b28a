//! What the benchmarks ask of a document database, written as an author would, on the collections that the package `bench` describes.

use serde::{Deserialize, Serialize};
use wharf_sdk::documents::prelude::*;

// All by GET, since that is what load generators send.
wharf_sdk::handler!(
    Router::new().get("/document/{id}", one).get("/documents/{count}", many).get("/batches/{count}", many).get("/insert", insert)
);

/// A document of `item` and of `big`.
#[derive(Serialize, Deserialize)]
struct Item<Text> {
    #[serde(rename = "_id")]
    id: i64,
    a: Text,
    b: i64,
    c: f64,
    d: Option<Text>,
}

/// A document of `entry`.
#[derive(Serialize)]
struct Entry {
    item: i64,
    note: &'static str,
}

/// `GET /document/471`: one document by its `_id`.
fn one(request: &Request) -> Result<Response> {
    let id: i64 = request.path("id")?;
    let item = items("item")?.find(doc! { "_id": id }).one()?;
    Response::json(&item.ok_or_else(|| Error::not_found(format!("there is no item {id}")))?)
}

/// `GET /documents/1000`, and `/batches/1000`, where the native server leaves the sizes of batches to its driver: so many documents in one
/// answer. Texts borrow from the documents.
fn many(request: &Request) -> Result<Response> {
    let count: u64 = request.path("count")?;
    let documents = items("big")?.find(doc! {}).sort(doc! { "_id": 1 }).limit(count).documents()?;
    Response::json(&documents.decode::<Item<&str>>()?)
}

/// `GET /insert`: one document more.
fn insert(_: &Request) -> Result<Response> {
    let entries: Collection<Entry> = Database::open("main")?.collection("entry")?;
    let id = entries.insert_one(&Entry { item: 4711, note: "written by a benchmark" })?;
    Response::json(&serde_json::json!({ "id": id.as_object_id().map(ObjectId::to_hex) }))
}

fn items(collection: &str) -> Result<Collection<Item<String>>> {
    Database::open("main")?.collection(collection)
}
