//! From Rust values to BSON.

use std::borrow::Borrow;

use bson::oid::ObjectId;
use bson::{Bson, Document, RawDocument};
use serde::Serialize;

use crate::error::{Error, Result};

/// The type of an element that is an ObjectId.
const OBJECT_ID: u8 = 0x07;

/// A value as a document.
///
/// # Errors
/// When it has no such form: a number, a sequence, a map whose keys are not text, an integer beyond an i64.
pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(bson::serialize_to_vec(value)?)
}

/// A document that may be left out.
pub(crate) fn optional(document: Option<&Document>) -> Result<Option<Vec<u8>>> {
    Ok(document.map(Document::to_vec).transpose()?)
}

/// Documents end to end.
pub(crate) fn all(documents: &[Document]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for document in documents {
        bytes.append(&mut document.to_vec()?);
    }
    Ok(bytes)
}

/// A document with an `_id` in front if it has none, and its `_id`.
///
/// Made here and not by the server, which would not tell it.
pub(crate) fn with_id(mut document: Vec<u8>) -> Result<(Vec<u8>, Bson)> {
    if let Some(id) = RawDocument::from_bytes(&document)?.get("_id")?.map(Bson::try_from).transpose()? {
        return Ok((document, id));
    }
    let id = ObjectId::new();
    let element = [&[OBJECT_ID][..], b"_id\0", &id.bytes()].concat();
    let length = i32::try_from(document.len() + element.len()).map_err(Error::other)?;
    document.splice(4..4, element);
    document[..4].copy_from_slice(&length.to_le_bytes());
    Ok((document, id.into()))
}

/// Documents end to end, each with an `_id`, and their `_id`s.
pub(crate) fn with_ids<T: Serialize>(documents: impl IntoIterator<Item = impl Borrow<T>>) -> Result<(Vec<u8>, Vec<Bson>)> {
    let (mut bytes, mut ids) = (Vec::new(), Vec::new());
    for document in documents {
        let document: &T = document.borrow();
        let (mut document, id) = with_id(encode(document)?)?;
        bytes.append(&mut document);
        ids.push(id);
    }
    Ok((bytes, ids))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use bson::spec::BinarySubtype;
    use bson::{Binary, DateTime, Decimal128, Timestamp, doc};
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::documents::decode::decode;

    /// A struct with what handlers have in theirs.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Account {
        #[serde(rename = "_id", skip_serializing_if = "Option::is_none")]
        id: Option<ObjectId>,
        email: String,
        visits: u32,
        balance: i64,
        ratio: f64,
        active: bool,
        seen: Option<DateTime>,
        role: Role,
        tags: Vec<String>,
        limits: BTreeMap<String, i32>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Role {
        Member,
        Guest { of: String },
        Owner(i32),
    }

    fn account() -> impl Strategy<Value = Account> {
        let role = prop_oneof![
            Just(Role::Member),
            any::<String>().prop_map(|of| Role::Guest { of }),
            any::<i32>().prop_map(Role::Owner),
        ];
        let id = proptest::option::of(any::<[u8; 12]>().prop_map(ObjectId::from_bytes));
        let seen = proptest::option::of(any::<i64>().prop_map(DateTime::from_millis));
        let numbers = (any::<u32>(), any::<i64>(), -1e300_f64..1e300, any::<bool>());
        let many = (vec(any::<String>(), 0..4), btree_map(name(), any::<i32>(), 0..4));
        (id, any::<String>(), numbers, seen, role, many).prop_map(|(id, email, numbers, seen, role, (tags, limits))| {
            let (visits, balance, ratio, active) = numbers;
            Account { id, email, visits, balance, ratio, active, seen, role, tags, limits }
        })
    }

    /// A name of a field: any text without a zero.
    fn name() -> impl Strategy<Value = String> {
        any::<String>().prop_map(|name| name.replace('\0', ""))
    }

    /// A document of any types, some levels deep.
    pub(crate) fn document() -> impl Strategy<Value = Document> {
        let leaf = prop_oneof![
            Just(Bson::Null),
            any::<bool>().prop_map(Bson::from),
            any::<i32>().prop_map(Bson::from),
            any::<i64>().prop_map(Bson::from),
            (-1e300_f64..1e300).prop_map(Bson::from),
            any::<String>().prop_map(Bson::from),
            any::<i64>().prop_map(|millis| Bson::from(DateTime::from_millis(millis))),
            any::<[u8; 12]>().prop_map(|bytes| Bson::from(ObjectId::from_bytes(bytes))),
            any::<[u8; 16]>().prop_map(|bytes| Bson::from(Decimal128::from_bytes(bytes))),
            any::<(u32, u32)>().prop_map(|(time, increment)| Bson::from(Timestamp { time, increment })),
            vec(any::<u8>(), 0..20).prop_map(|bytes| Bson::from(Binary { subtype: BinarySubtype::Generic, bytes })),
        ];
        let value = leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Bson::Array),
                btree_map(name(), inner, 0..4).prop_map(|fields| Bson::Document(fields.into_iter().collect())),
            ]
        });
        btree_map(name(), value, 0..6).prop_map(|fields| fields.into_iter().collect())
    }

    #[test]
    fn what_is_no_document_is_refused() {
        assert!(encode(&7).is_err() && encode(&[1, 2]).is_err() && encode(&"x").is_err() && encode(&None::<Account>).is_err());
        assert!(encode(&BTreeMap::from([("too large", u64::MAX)])).is_err());
        assert!(encode(&BTreeMap::from([("a\0b", 1)])).is_err());
        assert!(optional(Some(&doc! { "a\0b": 1 })).is_err());
    }

    #[test]
    fn an_id_is_kept_wherever_it_stands() {
        for given in [doc! { "_id": 7, "name": "x" }, doc! { "name": "x", "_id": 7 }] {
            let bytes = given.to_vec().unwrap();
            assert_eq!(with_id(bytes.clone()).unwrap(), (bytes, Bson::Int32(7)));
        }
        // Null is an `_id` like any other: at most one document of a collection can have it.
        let null = doc! { "_id": null }.to_vec().unwrap();
        assert_eq!(with_id(null.clone()).unwrap(), (null, Bson::Null));
    }

    #[test]
    fn an_id_that_is_missing_is_made_and_comes_first() {
        let (bytes, id) = with_id(doc! { "name": "x", "of": { "_id": 1 } }.to_vec().unwrap()).unwrap();
        let made = decode::<Document>(&bytes).unwrap();
        assert_eq!(made, doc! { "_id": id.clone(), "name": "x", "of": { "_id": 1 } });
        assert_eq!(made.keys().next().map(String::as_str), Some("_id"));
        assert!(id.as_object_id().is_some());
        let (_, other) = with_id(doc! {}.to_vec().unwrap()).unwrap();
        assert_ne!(id, other);
    }

    #[test]
    fn several_documents_lie_end_to_end_in_their_order() {
        let given = [doc! { "_id": 1 }, doc! { "_id": 2, "name": "x" }];
        let (bytes, ids) = with_ids::<Document>(&given).unwrap();
        assert_eq!((bytes, ids), (all(&given).unwrap(), vec![Bson::Int32(1), Bson::Int32(2)]));
        assert_eq!(with_ids::<Document>(Vec::<Document>::new()).unwrap(), (Vec::new(), Vec::new()));
    }

    proptest! {
        #[test]
        fn structs_come_back_as_they_were(account in account()) {
            prop_assert_eq!(decode::<Account>(&encode(&account).unwrap()).unwrap(), account);
        }

        #[test]
        fn documents_come_back_as_they_were(document in document()) {
            let bytes = encode(&document).unwrap();
            prop_assert_eq!(&bytes, &document.to_vec().unwrap());
            prop_assert_eq!(decode::<Document>(&bytes).unwrap(), document);
        }

        #[test]
        fn an_id_changes_nothing_else(document in document()) {
            let (bytes, id) = with_id(document.to_vec().unwrap()).unwrap();
            let mut made = decode::<Document>(&bytes).unwrap();
            prop_assert_eq!(made.get("_id"), Some(&id));
            if !document.contains_key("_id") {
                made.remove("_id");
            }
            prop_assert_eq!(made, document);
        }

        #[test]
        fn bytes_that_are_no_document_get_no_id(bytes: Vec<u8>) {
            let _ = with_id(bytes);
        }
    }
}
