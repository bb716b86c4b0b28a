//! The collections of documents that the handlers of the benchmarks use, with the same documents in every run.
//!
//! `item` has documents to look up one by its `_id`, `big` has a thousand to read all of them, `entry` is written to. The fields are those of
//! the tables in [`crate::schema`].

use anyhow::Result;
use mongodb::bson;
use serde::{Deserialize, Serialize};

/// What the database is called where nobody else is.
pub(crate) const DATABASE: &str = "bench";

/// The `_id` that is looked up.
pub(crate) const KEY: i64 = 471;

/// How many documents `big` has.
pub(crate) const MANY: i64 = 1_000;

/// A document of `item` and of `big`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Item {
    #[serde(rename = "_id")]
    pub(crate) id: i64,
    a: String,
    b: i64,
    c: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    d: Option<String>,
}

/// A document of `entry`.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    item: i64,
    note: &'static str,
}

impl Item {
    fn of(id: i64) -> Self {
        let note = (id % 7 != 0).then(|| format!("note {}", id % 100));
        let eighths = (id * 31 % 1_000) as f64;
        Self { id, a: format!("item {id} of the benchmarks"), b: id * 7_919 % 1_000_003, c: eighths / 8.0, d: note }
    }
}

impl Entry {
    /// The one that is written, over and over.
    pub(crate) fn new() -> Self {
        Self { item: 4_711, note: "written by a benchmark" }
    }
}

/// The document of [`KEY`].
pub(crate) fn one() -> Vec<Item> {
    vec![Item::of(KEY)]
}

/// All of `big`, the document of [`KEY`] among them.
pub(crate) fn all() -> Vec<Item> {
    (1..=MANY).map(Item::of).collect()
}

/// One behind the other, as `mongodump` writes them.
///
/// # Errors
/// When one has no such form.
pub(crate) fn dump(items: &[Item]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for item in items {
        bytes.append(&mut bson::serialize_to_vec(item)?);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_its_documents_and_nothing_else() {
        let items = all();
        assert!(items.len() == 1_000 && items.contains(&one()[0]) && items.iter().any(|item| item.d.is_none()));
        let bytes = dump(&items).unwrap();
        let mut rest = &bytes[..];
        for item in &items {
            let document = bson::Document::from_reader(&mut rest).unwrap();
            assert_eq!(bson::deserialize_from_document::<Item>(document).unwrap(), *item);
        }
        assert!(rest.is_empty());
    }
}
