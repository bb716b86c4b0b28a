//! Random bytes, and documents that were damaged at random, as every document of every function: a typed error or an answer, the connection
//! stays what it was, and the host lives.

use mongodb::bson::{Binary, Bson, DateTime, Decimal128, doc, oid::ObjectId, spec::BinarySubtype};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::json;

use super::{
    bed::{Bed, with},
    everywhere, hex, insert, kind, succeeded,
};

/// Calls, of some seventy steps each.
const CASES: u32 = 48;

/// Kinds by which bytes may be refused; every other one would mean that something was lost.
const REFUSALS: [&str; 9] = [
    "",
    "invalid",
    "limit-exceeded",
    "denied",
    "conversion",
    "duplicate-key",
    "validation",
    "database",
    // A transaction or two that a damaged document was harmless to.
    "write-conflict",
];

/// A document with one of everything.
fn whole() -> Vec<u8> {
    let document = doc! {
        "double": 1.5,
        "text": "é",
        "document": { "array": [1, 2_i64, Bson::Null] },
        "binary": Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] }),
        "id": ObjectId::from_bytes([7; 12]),
        "truth": true,
        "date": DateTime::from_millis(0),
        "decimal": Decimal128::from_bytes([0; 16]),
        "$set": { "x": 1 },
        "$match": { "$expr": { "$gt": ["$x", 1] } },
    };
    document.to_vec().unwrap()
}

/// Random bytes, as they are or with their own length in front and an end behind; or a document with some of its bytes changed.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let random = proptest::collection::vec(any::<u8>(), 0..200);
    let framed = proptest::collection::vec(any::<u8>(), 0..60).prop_map(|inner| {
        let length = i32::try_from(inner.len() + 5).unwrap();
        [&length.to_le_bytes()[..], &inner, &[0]].concat()
    });
    let damaged = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4).prop_map(|changes| {
        let mut bytes = whole();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    });
    prop_oneof![random, framed, damaged]
}

async fn survives(bed: &Bed, bytes: &[u8]) -> Result<(), TestCaseError> {
    let sent = hex(bytes).into();
    let mut steps = everywhere(&sent);
    steps.push(json!({ "do": "find-one" }));
    let reply = bed.client().post("/it/run", &steps.clone().into()).await;
    prop_assert_eq!(reply.status.as_u16(), 200, "{:?}", reply);
    let outcomes = super::bed::outcomes(&reply);
    for (step, outcome) in steps.iter().zip(&outcomes) {
        prop_assert!(REFUSALS.contains(&kind(outcome)), "{}: {}", step, outcome);
    }
    prop_assert_eq!(outcomes.len(), steps.len());
    prop_assert!(outcomes[steps.len() - 1]["error"].is_null(), "{}", outcomes[steps.len() - 1]);
    Ok(())
}

#[test]
fn random_bytes_as_documents_lose_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut bed = runtime.block_on(async {
        let bed = with("documents_probe").pool(1).start().await;
        succeeded(&[bed.one(insert([doc! { "_id": 1 }])).await]);
        bed
    });
    let ids = |bed: &Bed| -> Vec<i64> { runtime.block_on(bed.sockets()).iter().map(|socket| socket.id).collect() };
    let before = ids(&bed);
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&bytes(), |bytes| runtime.block_on(survives(&bed, &bytes)));
    assert!(result.is_ok(), "{}\n{}", result.unwrap_err(), bed.host.log());
    assert_eq!(ids(&bed), before);
    runtime.block_on(async {
        bed.recovers().await;
        bed.ends_well().await;
    });
}
