//! Bytes that are no document, and documents that are too long or too deep: refused with a typed error wherever documents are taken, before
//! the server hears of them.

use mongodb::bson::doc;
use serde_json::{Value as Json, json};

use super::{
    bed::{Bed, with},
    everywhere, hex, insert, kind, raw, succeeded,
};

/// Room and time for documents of the greatest length, sent in every place.
const LIMITS: &str = "fuel = 20_000_000_000, deadline = \"60s\", memory = \"256MiB\"";

const GREATEST: usize = 16 << 20;

/// No documents, nor several end to end.
const MALFORMED: [(&str, &[u8]); 20] = [
    ("a length that is cut off", &[5, 0]),
    ("nothing but a length", &[5, 0, 0, 0]),
    ("a length of nothing", &[0, 0, 0, 0, 0]),
    ("a length of four", &[4, 0, 0, 0, 0]),
    ("a negative length", &[0xFB, 0xFF, 0xFF, 0xFF, 0]),
    ("the least length there is", &[0, 0, 0, 0x80, 0]),
    ("more than there is", &[6, 0, 0, 0, 0]),
    ("less than there is", &[5, 0, 0, 0, 0, 7, 7]),
    ("no end", &[5, 0, 0, 0, 1]),
    ("a type that there is not", &[8, 0, 0, 0, 0x20, b'a', 0, 0]),
    ("a name without its end", &[7, 0, 0, 0, 0x0A, b'a', 0]),
    ("a name that is not UTF-8", &[8, 0, 0, 0, 0x0A, 0xFF, 0, 0]),
    ("a number that is cut off", &[10, 0, 0, 0, 0x10, b'a', 0, 1, 0, 0]),
    ("a boolean that is neither", &[9, 0, 0, 0, 0x08, b'a', 0, 2, 0]),
    ("a text without its end", &[13, 0, 0, 0, 0x02, b'a', 0, 1, 0, 0, 0, b'x', 0]),
    ("a text of no length", &[12, 0, 0, 0, 0x02, b'a', 0, 0, 0, 0, 0, 0]),
    ("a text that is not UTF-8", &[14, 0, 0, 0, 0x02, b'a', 0, 2, 0, 0, 0, 0xFF, 0, 0]),
    ("a text longer than the document", &[13, 0, 0, 0, 0x02, b'a', 0, 0xFF, 0xFF, 0, 0, 0, 0]),
    ("a document longer than the one it is in", &[13, 0, 0, 0, 0x03, b'a', 0, 9, 0, 0, 0, 0, 0]),
    ("binary of a negative length", &[14, 0, 0, 0, 0x05, b'a', 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0]),
];

/// Sends a document everywhere in one call: every outcome is of this kind, the next operation works, and no connection is lost.
async fn refused_everywhere(bed: &Bed, what: &str, document: &Json, expected: &str) {
    let before = ids(bed).await;
    let mut steps = everywhere(document);
    steps.push(json!({ "do": "find-one" }));
    let outcomes = bed.run(steps.clone().into()).await;
    let (last, refused) = outcomes.split_last().unwrap();
    for (step, outcome) in steps.iter().zip(refused) {
        assert_eq!(kind(outcome), expected, "{what}: {step}: {outcome}");
    }
    assert!(last["error"].is_null(), "{what}: {last}");
    assert_eq!(ids(bed).await, before, "{what}");
}

/// The numbers of the pool's sockets: the same as before if no connection was lost.
async fn ids(bed: &Bed) -> Vec<i64> {
    bed.sockets().await.iter().map(|socket| socket.id).collect()
}

#[tokio::test]
async fn what_is_no_document_is_invalid_in_every_place() {
    for guest in ["documents_probe", "documents_probe_async"] {
        let mut bed = with(guest).pool(1).start().await;
        succeeded(&[bed.one(insert([doc! { "_id": 1 }])).await]);
        for (what, bytes) in MALFORMED {
            refused_everywhere(&bed, what, &hex(bytes).into(), "invalid").await;
        }
        assert_eq!(bed.database.count("notes").await, 1);
        bed.recovers().await;
        bed.ends_well().await;
    }
}

#[tokio::test]
async fn what_is_nested_too_deep_is_invalid_in_every_place() {
    let mut bed = with("documents_probe").pool(1).limits(LIMITS).start().await;
    succeeded(&[bed.one(insert([doc! { "_id": 1 }])).await]);
    for depth in [101, 10_000, 100_000] {
        refused_everywhere(&bed, &format!("{depth} deep"), &json!({ "nested": depth }), "invalid").await;
    }
    // A hundred are a document.
    succeeded(&[bed.one(json!({ "do": "insert", "documents": { "nested": 100 } })).await]);
    assert_eq!(bed.database.count("notes").await, 2);
    bed.recovers().await;
    bed.ends_well().await;
}

#[tokio::test]
async fn what_is_too_long_is_over_a_limit_in_every_place() {
    let mut bed = with("documents_probe").pool(1).limits(LIMITS).start().await;
    succeeded(&[bed.one(insert([doc! { "_id": 1 }])).await]);
    refused_everywhere(&bed, "a byte too long", &json!({ "padded": GREATEST + 1 }), "limit-exceeded").await;
    let outcome = bed.one(json!({ "do": "insert", "documents": { "padded": GREATEST + 1 } })).await;
    let details = &outcome["error"]["details"];
    assert!(details["limit"].is_string() && details["maximum"].is_string(), "{outcome}");
    // Together they are too long as well.
    let half = json!({ "padded": GREATEST / 2 + 1 });
    let outcome = bed.one(json!({ "do": "insert", "documents": [half, half] })).await;
    assert_eq!(kind(&outcome), "limit-exceeded", "{outcome}");
    // A long one is written; the server adds an `_id`.
    succeeded(&[bed.one(json!({ "do": "insert", "documents": { "padded": GREATEST - 100 } })).await]);
    assert_eq!(bed.database.count("notes").await, 2);
    bed.recovers().await;
    bed.ends_well().await;
}

#[tokio::test]
async fn more_documents_than_a_command_takes_are_over_a_limit() {
    let mut bed = with("documents_probe").limits(LIMITS).start().await;
    // Five bytes each.
    let outcome = bed.one(json!({ "do": "insert", "documents": hex(&[5_u8, 0, 0, 0, 0].repeat(100_001)) })).await;
    assert_eq!(kind(&outcome), "limit-exceeded", "{outcome}");
    assert_eq!(bed.database.count("notes").await, 0);
    bed.recovers().await;
    bed.ends_well().await;
}

#[tokio::test]
async fn bad_input_in_a_transaction_is_refused_and_nothing_is_lost() {
    let mut bed = with("documents_probe").pool(1).start().await;
    succeeded(&[bed.one(insert([doc! { "_id": 1 }])).await]);
    let before = ids(&bed).await;
    let outcomes = bed
        .run(json!([
            { "do": "begin", "as": "t" },
            { "do": "insert", "on": "t", "documents": raw(doc! { "_id": 2 }) },
            { "do": "find", "on": "t", "filter": "0600000000" },
            { "do": "insert", "on": "t", "documents": { "nested": 10_000 } },
            { "do": "abort", "on": "t" },
            { "do": "find-one" },
        ]))
        .await;
    let kinds: Vec<&str> = outcomes.iter().map(kind).collect();
    assert_eq!(&kinds[..3], ["", "", "invalid"], "{outcomes:#?}");
    // Whether the transaction goes on is the host's; that it can be given up is promised.
    assert!(["invalid", "transaction-aborted"].contains(&kinds[3]) && kinds[4..] == ["", ""], "{outcomes:#?}");
    assert_eq!(ids(&bed).await, before);
    assert_eq!(bed.database.count("notes").await, 1);
    bed.recovers().await;
    bed.ends_well().await;
}
