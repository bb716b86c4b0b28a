//! Document databases from a handler's side, end to end: every function with what it answers, what is refused and how, the limits of grants,
//! and two vocabularies in one call. Ground truth is what the server says on a connection of its own.

pub(crate) mod bed;

mod bad_input;
mod concurrent;
mod cursors;
mod errors;
mod functions;
mod limits;
mod operators;
mod random_input;
mod read_only;
mod transactions;
mod two_worlds;

pub(crate) use limits::slow;

use mongodb::bson::{Document, doc};
use serde_json::{Value as Json, json};

/// A document as guests take it: the hex digits of its bytes.
pub(crate) fn raw(document: Document) -> Json {
    hex(&document.to_vec().unwrap()).into()
}

/// Several end to end.
pub(crate) fn raws(documents: impl IntoIterator<Item = Document>) -> Json {
    documents.into_iter().map(raw).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A document as guests tell it.
pub(crate) fn read(digits: &Json) -> Document {
    let digits = digits.as_str().unwrap_or_else(|| panic!("no document: {digits}"));
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    Document::from_reader(bytes.as_slice()).unwrap()
}

/// The documents of an outcome that is a list of them.
pub(crate) fn found(outcome: &Json) -> Vec<Document> {
    let list = outcome["ok"].as_array().unwrap_or_else(|| panic!("no documents: {outcome}"));
    list.iter().map(read).collect()
}

/// The kind of an outcome's error; empty for success.
pub(crate) fn kind(outcome: &Json) -> &str {
    outcome["error"]["kind"].as_str().unwrap_or_default()
}

/// Fails unless an outcome is a success.
pub(crate) fn succeeded(outcomes: &[Json]) {
    let failed: Vec<&Json> = outcomes.iter().filter(|outcome| !outcome["error"].is_null()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// So many documents with a number each.
pub(crate) fn numbered(count: i32) -> Vec<Document> {
    (0..count).map(|number| doc! { "_id": number, "n": number * 10 }).collect()
}

/// A step that inserts.
pub(crate) fn insert(documents: impl IntoIterator<Item = Document>) -> Json {
    json!({ "do": "insert", "documents": raws(documents) })
}

/// Every function that takes documents, each with these bytes wherever it takes some and its other arguments as they should be.
pub(crate) fn everywhere(bytes: &Json) -> Vec<Json> {
    let nothing = raw(doc! {});
    let set = raw(doc! { "$set": { "x": 1 } });
    let mut steps = vec![json!({ "do": "list-collections", "filter": bytes })];
    for what in ["find", "find-one", "cursor"] {
        steps.push(json!({ "do": what, "filter": bytes }));
        for option in ["projection", "sort", "collation", "variables"] {
            steps.push(json!({ "do": what, option: bytes }));
        }
        steps.push(json!({ "do": what, "hint": { "keys": bytes } }));
    }
    for what in ["aggregate", "aggregate-cursor"] {
        steps.push(json!({ "do": what, "pipeline": bytes }));
        for option in ["collation", "variables"] {
            steps.push(json!({ "do": what, option: bytes }));
        }
        steps.push(json!({ "do": what, "hint": { "keys": bytes } }));
    }
    for what in ["count", "distinct"] {
        steps.push(json!({ "do": what, "name": "x", "filter": bytes }));
        steps.push(json!({ "do": what, "name": "x", "collation": bytes }));
    }
    steps.push(json!({ "do": "count", "hint": { "keys": bytes } }));
    steps.push(json!({ "do": "insert", "documents": bytes }));
    for what in ["update", "find-and-modify"] {
        steps.push(json!({ "do": what, "filter": bytes, "update": set }));
        steps.push(json!({ "do": what, "filter": nothing, "update": bytes }));
        steps.push(json!({ "do": what, "filter": nothing, "pipeline": bytes }));
        for option in ["array-filters", "collation", "variables"] {
            steps.push(json!({ "do": what, "filter": nothing, "update": set, option: bytes }));
        }
        steps.push(json!({ "do": what, "filter": nothing, "update": set, "hint": { "keys": bytes } }));
    }
    for option in ["projection", "sort", "replacement"] {
        steps.push(json!({ "do": "find-and-modify", "filter": nothing, "update": set, option: bytes }));
    }
    steps.push(json!({ "do": "replace", "filter": bytes, "replacement": nothing }));
    steps.push(json!({ "do": "replace", "filter": nothing, "replacement": bytes }));
    steps.push(json!({ "do": "delete", "filter": bytes }));
    for option in ["collation", "variables"] {
        steps.push(json!({ "do": "replace", "filter": nothing, "replacement": nothing, option: bytes }));
        steps.push(json!({ "do": "delete", "filter": raw(doc! { "_id": "nobody" }), option: bytes }));
    }
    for write in [
        json!({ "do": "insert", "document": bytes }),
        json!({ "do": "update", "filter": bytes, "update": set }),
        json!({ "do": "update", "filter": nothing, "update": bytes }),
        json!({ "do": "update", "filter": nothing, "pipeline": bytes }),
        json!({ "do": "update", "filter": nothing, "update": set, "array-filters": bytes }),
        json!({ "do": "replace", "filter": nothing, "replacement": bytes }),
        json!({ "do": "delete", "filter": bytes }),
    ] {
        steps.push(json!({ "do": "bulk-write", "writes": [write] }));
    }
    steps.push(json!({ "do": "bulk-write", "writes": [{ "do": "delete", "filter": raw(doc! { "_id": "nobody" }) }], "variables": bytes }));
    for index in [
        json!({ "keys": bytes }),
        json!({ "keys": raw(doc! { "x": 1 }), "name": "partial", "partial-filter": bytes }),
        json!({ "keys": raw(doc! { "x": 1 }), "name": "collated", "collation": bytes }),
    ] {
        steps.push(json!({ "do": "create-indexes", "indexes": [index] }));
    }
    steps
}
