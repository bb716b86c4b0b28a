//! What is accepted of a guest, and what is not.

use ::bson::{
    Bson as Value, DateTime, Decimal128, Document, JavaScriptCodeWithScope, Regex, Timestamp, doc,
    oid::ObjectId,
    raw::{RawBsonRef, RawDocument},
    spec::BinarySubtype,
};
use proptest::prelude::*;

use super::{scan::scan, types, *};
use crate::driver::{Failure, FailureKind, settings::Access};

const READER: Rules = Rules::Expression(Access::ReadOnly);
const WRITER: Rules = Rules::Expression(Access::ReadWrite);

fn bytes(document: &Document) -> Vec<u8> {
    document.to_vec().unwrap()
}

fn kind<T>(result: Result<T, Failure>) -> Option<FailureKind> {
    result.err().map(|failure| failure.kind)
}

/// A document of these elements.
fn with(elements: &[u8]) -> Vec<u8> {
    let mut document = i32::try_from(elements.len() + 5).unwrap().to_le_bytes().to_vec();
    document.extend_from_slice(elements);
    document.push(0);
    document
}

/// Documents in each other, so many of them: the innermost is empty.
fn nested(depth: usize, kind: u8) -> Vec<u8> {
    let (head, element) = (5 * (depth - 1), 3);
    let length = |inner: usize| i32::try_from(inner * (element + 5) + 5).unwrap().to_le_bytes();
    let mut document = Vec::with_capacity(head * 2);
    for inner in (1..depth).rev() {
        document.extend_from_slice(&length(inner));
        document.extend_from_slice(&[kind, b'0', 0]);
    }
    document.extend_from_slice(&length(0));
    document.extend(std::iter::repeat_n(0, depth));
    document
}

/// A document of every type.
fn of_every_type() -> Document {
    let binary = |subtype, bytes: &[u8]| ::bson::Binary { subtype, bytes: bytes.to_vec() };
    doc! {
        "double": 1.5,
        "string": "a\0b",
        "document": { "a": { "b": 1 } },
        "array": [1, [2, { "c": 3 }]],
        "binary": binary(BinarySubtype::Generic, b"abc"),
        "empty": binary(BinarySubtype::Uuid, b""),
        "old": binary(BinarySubtype::BinaryOld, b"abc"),
        "undefined": Value::Undefined,
        "id": ObjectId::new(),
        "yes": true,
        "no": false,
        "date": DateTime::MAX,
        "null": null,
        "regex": Value::RegularExpression(Regex { pattern: "a.b".try_into().unwrap(), options: "i".try_into().unwrap() }),
        "code": Value::JavaScriptCode("f()".to_owned()),
        "symbol": Value::Symbol("s".to_owned()),
        "scoped": Value::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: "f".to_owned(), scope: doc! { "x": { "y": 1 } } }),
        "short": 7,
        "time": Value::Timestamp(Timestamp { time: 1, increment: 2 }),
        "long": 7_i64,
        "decimal": Value::Decimal128(Decimal128::from_bytes([9; 16])),
        "least": Value::MinKey,
        "most": Value::MaxKey,
        "": "no name",
        "n\u{e4}me": "\u{1f980}",
    }
}

#[test]
fn every_type_is_known() {
    for rules in [Rules::Data, READER] {
        assert_eq!(kind(Bson::new(bytes(&of_every_type()), rules)), None);
        assert_eq!(kind(Bson::new(bytes(&doc! {}), rules)), None);
    }
    // A pointer into another collection, which the crate only reads.
    let pointer = [&[0x0C, b'a', 0, 2, 0, 0, 0, b'c', 0][..], &[7; 12]].concat();
    assert_eq!(kind(Bson::new(with(&pointer), Rules::Data)), None);
}

#[test]
fn every_byte_that_is_missing_is_missed() {
    let whole = bytes(&of_every_type());
    for length in 0..whole.len() {
        assert_eq!(kind(Bson::new(whole[..length].to_vec(), Rules::Data)), Some(FailureKind::Invalid), "{length} bytes");
        // With a length that is right, the end is missing all the same.
        let mut short = whole[..length].to_vec();
        if let Some(head) = short.first_chunk_mut() {
            *head = i32::try_from(length).unwrap().to_le_bytes();
            assert_eq!(kind(Bson::new(short, Rules::Data)), Some(FailureKind::Invalid), "a document of {length} bytes");
        }
    }
}

#[test]
fn malformed_shapes_are_refused() {
    let length = |length: i32| length.to_le_bytes();
    let head = |kind: u8| vec![kind, b'a', 0];
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("a length and nothing", length(4).to_vec()),
        ("a length of nothing", vec![0, 0, 0, 0, 0]),
        ("a negative length", [&length(-5)[..], &[0]].concat()),
        ("the least length", [&length(i32::MIN)[..], &[0]].concat()),
        ("the greatest length", [&length(i32::MAX)[..], &[0]].concat()),
        ("a length too short", [&length(4)[..], &[0]].concat()),
        ("an end that is none", [&length(5)[..], &[1]].concat()),
        ("something behind the end", [&length(5)[..], &[0, 0]].concat()),
        ("an end too early", [&length(7)[..], &[0, 0, 0]].concat()),
        ("an element instead of the end", [&length(6)[..], &[0x0A, 0]].concat()),
        ("a name without its end", with(&[0x0A, b'a'])),
        ("a name that is not UTF-8", with(&[0x0A, 0xFF, 0])),
        ("a type that there is not", with(&head(0x14))),
        ("a type of 0x80", with(&head(0x80))),
        ("half a double", with(&[head(0x01), vec![0; 4]].concat())),
        ("half a number", with(&[head(0x10), vec![0; 2]].concat())),
        ("half an id", with(&[head(0x07), vec![0; 11]].concat())),
        ("half a decimal", with(&[head(0x13), vec![0; 15]].concat())),
        ("no boolean", with(&head(0x08))),
        ("a boolean that is neither", with(&[head(0x08), vec![2]].concat())),
        ("a string without a length", with(&[head(0x02), vec![1, 0, 0]].concat())),
        ("a string of nothing", with(&[head(0x02), length(0).to_vec()].concat())),
        ("a negative string", with(&[head(0x02), length(-1).to_vec(), vec![0]].concat())),
        ("a string beyond the end", with(&[head(0x02), length(3).to_vec(), vec![b'a', 0]].concat())),
        ("a string that takes the document's end", with(&[head(0x02), length(2).to_vec(), vec![b'a']].concat())),
        ("a string of all there is", with(&[head(0x02), length(i32::MAX).to_vec(), vec![b'a', 0]].concat())),
        ("a string without its end", with(&[head(0x02), length(2).to_vec(), vec![b'a', b'b']].concat())),
        ("a string that is not UTF-8", with(&[head(0x02), length(2).to_vec(), vec![0xFF, 0]].concat())),
        ("code that is not UTF-8", with(&[head(0x0D), length(2).to_vec(), vec![0xFF, 0]].concat())),
        ("a symbol without its end", with(&[head(0x0E), length(2).to_vec(), vec![b'a', b'b']].concat())),
        ("a pointer without an id", with(&[head(0x0C), length(1).to_vec(), vec![0]].concat())),
        ("a pattern without its end", with(&[head(0x0B), vec![b'a']].concat())),
        ("a pattern without options", with(&[head(0x0B), vec![b'a', 0]].concat())),
        ("a pattern that is not UTF-8", with(&[head(0x0B), vec![0xFF, 0, 0]].concat())),
        ("binary without a type", with(&[head(0x05), length(0).to_vec()].concat())),
        ("negative binary", with(&[head(0x05), length(-1).to_vec(), vec![0]].concat())),
        ("binary beyond the end", with(&[head(0x05), length(2).to_vec(), vec![0, 1]].concat())),
        ("old binary without its length", with(&[head(0x05), length(3).to_vec(), vec![2, 1, 2, 3]].concat())),
        ("old binary of another length", with(&[head(0x05), length(5).to_vec(), vec![2, 2, 0, 0, 0, 9]].concat())),
        ("a document within that is none", with(&[head(0x03), vec![5, 0, 0]].concat())),
        ("a document within without its end", with(&[head(0x03), length(5).to_vec(), vec![1]].concat())),
        ("a document within that is too short", with(&[head(0x03), length(4).to_vec()].concat())),
        ("a document within beyond the end", with(&[head(0x03), length(6).to_vec(), vec![0]].concat())),
        ("a document within that ends too early", with(&[head(0x03), length(6).to_vec(), vec![0, 0]].concat())),
        ("an array that is none", with(&[head(0x04), length(5).to_vec(), vec![7]].concat())),
        ("scoped code without a scope", with(&[head(0x0F), length(9).to_vec(), length(1).to_vec(), vec![0]].concat())),
        (
            "scoped code that is longer than it says",
            with(&[head(0x0F), length(13).to_vec(), length(1).to_vec(), vec![0], length(5).to_vec(), vec![0]].concat()),
        ),
        (
            "scoped code that is shorter than it says",
            with(&[head(0x0F), length(15).to_vec(), length(1).to_vec(), vec![0], length(5).to_vec(), vec![0, 0]].concat()),
        ),
        ("scoped code beyond the end", with(&[head(0x0F), length(100).to_vec(), length(1).to_vec(), vec![0]].concat())),
    ];
    for (what, document) in rows {
        assert_eq!(kind(Bson::new(document.clone(), Rules::Data)), Some(FailureKind::Invalid), "{what}");
        // It says so before anything else sees it, also as one of several.
        let among = [bytes(&doc! { "a": 1 }), document.clone()].concat();
        if !document.is_empty() {
            assert_eq!(kind(BsonList::new(&among, Rules::Data)), Some(FailureKind::Invalid), "{what}, behind another");
        }
    }
}

#[test]
fn a_document_may_be_nested_a_hundred_deep() {
    for element in [0x03, 0x04] {
        for (depth, expected) in [
            (1, None),
            (2, None),
            (MAX_DEPTH - 1, None),
            (MAX_DEPTH, None),
            (MAX_DEPTH + 1, Some(FailureKind::Invalid)),
            (10_000, Some(FailureKind::Invalid)),
            (2_000_000, Some(FailureKind::Invalid)),
        ] {
            assert_eq!(kind(Bson::new(nested(depth, element), Rules::Data)), expected, "{depth}");
        }
        // Five million are longer than any document.
        assert_eq!(kind(Bson::new(nested(5_000_000, element), Rules::Data)), Some(FailureKind::LimitExceeded));
    }
    // What lies side by side is not deep, and a scope is as deep as a document.
    let wide: Document = (0..1000).map(|number| (number.to_string(), Value::Document(doc! { "a": [1] }))).collect();
    assert_eq!(kind(Bson::new(bytes(&wide), Rules::Data)), None);
    let scoped = |depth| {
        let scope = Document::from_reader(nested(depth, 0x03).as_slice()).unwrap();
        bytes(&doc! { "f": Value::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: String::new(), scope }) })
    };
    assert_eq!(kind(Bson::new(scoped(MAX_DEPTH - 1), Rules::Data)), None);
    assert_eq!(kind(Bson::new(scoped(MAX_DEPTH), Rules::Data)), Some(FailureKind::Invalid));
}

#[test]
fn a_document_may_have_sixteen_mebibytes() {
    let of = |length: usize| bytes(&doc! { "a": "x".repeat(length - bytes(&doc! { "a": "" }).len()) });
    assert_eq!(Bson::new(of(MAX_BYTES), Rules::Data).unwrap().bytes(), MAX_BYTES);
    assert_eq!(kind(Bson::new(of(MAX_BYTES + 1), Rules::Data)), Some(FailureKind::LimitExceeded));
    // Nothing of it is read.
    assert_eq!(kind(Bson::new(vec![0xFF; MAX_BYTES + 1], Rules::Data)), Some(FailureKind::LimitExceeded));
    let two = [of(MAX_BYTES / 2), of(MAX_BYTES / 2)].concat();
    assert_eq!(BsonList::new(&two, Rules::Data).unwrap().count(), 2);
    let three = [two, bytes(&doc! {})].concat();
    assert_eq!(kind(BsonList::new(&three, Rules::Data)), Some(FailureKind::LimitExceeded));
    let many = bytes(&doc! {}).repeat(100_001);
    let failure = BsonList::new(&many, Rules::Data).unwrap_err();
    assert_eq!(failure.details, [("limit", "documents".to_owned()), ("maximum", "100000".to_owned())]);
    assert_eq!(BsonList::new(&many[5..], Rules::Data).unwrap().count(), 100_000);
}

#[test]
fn names_are_refused_at_any_depth_where_they_would_be_evaluated() {
    let all = [
        "$changeStream",
        "$currentOp",
        "$listLocalSessions",
        "$listSessions",
        "$planCacheStats",
        "$queryStats",
        "$_internalJsEmit",
        "$_internalInhibitOptimization",
        "$internalSearchMongotRemote",
    ];
    let readers = ["$out", "$merge", "$where", "$function", "$accumulator"];
    let shapes: [fn(&str) -> Document; 6] = [
        |name| doc! { name: 1 },
        |name| doc! { "a": 1, "b": [{ "c": { name: {} } }] },
        |name| doc! { "$lookup": { "pipeline": [{ "$facet": { "x": [{ name: "y" }] } }] } },
        |name| doc! { "$literal": { name: 1 } },
        |name| doc! { "$expr": { "$and": [true, { "$not": { name: { "body": "f" } } }] } },
        |name| {
            let scope = doc! { name: 1 };
            doc! { "f": Value::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: "f".to_owned(), scope }) }
        },
    ];
    for shape in shapes {
        for name in all {
            assert_eq!(kind(Bson::new(bytes(&shape(name)), READER)), Some(FailureKind::Denied), "{name}");
            let failure = Bson::new(bytes(&shape(name)), WRITER).unwrap_err();
            assert_eq!((failure.kind, failure.details), (FailureKind::Denied, vec![("operator", name.to_owned())]));
            assert_eq!(kind(Bson::new(bytes(&shape(name)), Rules::Data)), None, "{name}");
        }
        for name in readers {
            assert_eq!(kind(Bson::new(bytes(&shape(name)), READER)), Some(FailureKind::Denied), "{name}");
            assert_eq!(kind(Bson::new(bytes(&shape(name)), WRITER)), None, "{name}");
            assert_eq!(kind(Bson::new(bytes(&shape(name)), Rules::Data)), None, "{name}");
            let list = BsonList::new(&bytes(&shape(name)), WRITER).unwrap();
            assert_eq!(list.writes(), ["$out", "$merge"].contains(&name), "{name}");
        }
    }
    // As text they are values; other names, and parts of names, are fine.
    let fine = doc! { "a": "$where", "where": "$out", "$outer": 1, "$MERGE": 1, "a.$out": 1, "a.$_internalJsEmit": 1, "internal": 1, "$match": { "$expr": { "$eq": ["$a", 1] } } };
    assert_eq!(kind(Bson::new(bytes(&fine), READER)), None);
    let deepest = {
        let mut document = doc! { "$out": "c" };
        for _ in 1..MAX_DEPTH {
            document = doc! { "a": document };
        }
        bytes(&document)
    };
    assert_eq!(kind(Bson::new(deepest, READER)), Some(FailureKind::Denied));
}

#[test]
fn values_are_not_shown() {
    let bson = Bson::new(bytes(&doc! { "a": "secret" }), Rules::Data).unwrap();
    let list = BsonList::new(&bytes(&doc! { "a": "secret" }), Rules::Data).unwrap();
    let shown = format!("{bson:?} {list:?}");
    assert_eq!(shown, "Bson(19 bytes) BsonList(1 documents, 27 bytes)");
}

#[test]
fn numbers_and_names_that_mean_something_else_are_refused() {
    let find =
        |skip, limit| Find::new(bytes(&doc! {}), types::FindOptions { skip, limit, ..Default::default() }, Access::ReadOnly);
    assert_eq!(kind(find(0, Some(0))), Some(FailureKind::Invalid));
    assert_eq!(kind(find(u64::MAX, None)), Some(FailureKind::Invalid));
    assert_eq!(kind(find(0, Some(1 << 63))), Some(FailureKind::Invalid));
    assert_eq!(find(3, Some(4)).map(|find| (find.skip, find.limit)), Ok((3, Some(4))));
    for (name, fine) in [
        ("people", true),
        ("a.b", true),
        ("systems", true),
        ("", false),
        ("system.users", false),
        ("a$b", false),
        ("a\0b", false),
        (&"x".repeat(190), true),
        (&"x".repeat(191), false),
    ] {
        assert_eq!(Collection::new(name).is_ok(), fine, "{name:?}");
    }
    let drop = |name: &str| kind(Request::drop_index(Collection::new("c").unwrap(), name.to_owned()));
    assert_eq!([drop("a_1"), drop("*"), drop("")], [None, Some(FailureKind::Invalid), Some(FailureKind::Invalid)]);
}

#[test]
fn updates_are_updates_and_replacements_are_replacements() {
    let update = |update| kind(Writes::update(bytes(&doc! {}), update, types::UpdateOptions::default(), Access::ReadWrite));
    assert_eq!(update(types::Update::Operators(bytes(&doc! { "$set": { "a": 1 } }))), None);
    for document in [doc! {}, doc! { "a": 1 }, doc! { "a": 1, "$set": { "b": 1 } }] {
        assert_eq!(update(types::Update::Operators(bytes(&document))), Some(FailureKind::Invalid), "{document}");
    }
    assert_eq!(update(types::Update::Pipeline(bytes(&doc! { "$set": { "a": 1 } }))), None);
    assert_eq!(update(types::Update::Pipeline(Vec::new())), Some(FailureKind::Invalid));
    let replace = |document: Document| {
        kind(Writes::replace(bytes(&doc! {}), bytes(&document), types::ReplaceOptions::default(), Access::ReadWrite))
    };
    assert_eq!([replace(doc! {}), replace(doc! { "a": { "$out": 1 } })], [None, None]);
    assert_eq!(replace(doc! { "$set": { "a": 1 } }), Some(FailureKind::Invalid));
    let nothing = types::BulkOptions { ordered: true, variables: None, write_concern: None };
    assert_eq!(kind(Writes::bulk(Vec::new(), nothing, Access::ReadWrite)), Some(FailureKind::Invalid));
}

#[test]
fn a_write_is_confirmed_by_somebody() {
    let with = |w| WriteConcern::new(types::WriteConcern { w, journal: Some(true), timeout_ms: Some(5) });
    assert_eq!(kind(with(Some(Acknowledgment::Nodes(0)))), Some(FailureKind::Invalid));
    assert_eq!(kind(with(Some(Acknowledgment::Tag(String::new())))), Some(FailureKind::Invalid));
    let fine = WriteConcern { w: None, journal: Some(true), timeout: Some(std::time::Duration::from_millis(5)) };
    assert_eq!(with(None), Ok(fine));
    let begin = |read_concern| Concerns::new(types::TransactionOptions { read_concern, ..Default::default() });
    for (concern, fine) in [
        (None, true),
        (Some(ReadConcern::Local), true),
        (Some(ReadConcern::Majority), true),
        (Some(ReadConcern::Snapshot), true),
        (Some(ReadConcern::Linearizable), false),
        (Some(ReadConcern::Available), false),
    ] {
        assert_eq!(begin(concern).is_ok(), fine, "{concern:?}");
    }
}

#[test]
fn an_index_is_named_for_its_keys() {
    let index = |keys: Document, name: Option<&str>| {
        let asked = types::Index {
            keys: bytes(&keys),
            name: name.map(str::to_owned),
            unique: true,
            sparse: false,
            hidden: false,
            expire_after_seconds: Some(7),
            partial_filter: None,
            collation: None,
        };
        Index::new(asked, Access::ReadWrite).map(|index| index.name)
    };
    for (keys, expected) in [
        (doc! { "email": 1 }, "email_1"),
        (doc! { "a.b": -1, "c": 1_i64 }, "a.b_-1_c_1"),
        (doc! { "place": "2dsphere", "n": 1.0 }, "place_2dsphere_n_1"),
    ] {
        assert_eq!(index(keys, None).unwrap(), expected);
    }
    assert_eq!(index(doc! { "a": 1 }, Some("mine")).unwrap(), "mine");
    for (keys, name) in [(doc! {}, None), (doc! { "a": [1] }, None), (doc! { "a": 1 }, Some("*")), (doc! { "a": 1 }, Some(""))] {
        assert_eq!(index(keys, name).map_err(|failure| failure.kind), Err(FailureKind::Invalid));
    }
}

/// Reads all of a document as the crate does.
fn walk(document: &RawDocument) -> Result<(), ::bson::error::Error> {
    for element in document {
        match element?.1 {
            RawBsonRef::Document(inner) => walk(inner)?,
            RawBsonRef::Array(inner) => inner.into_iter().try_for_each(|element| match element? {
                RawBsonRef::Document(inner) => walk(inner),
                _ => Ok(()),
            })?,
            RawBsonRef::JavaScriptCodeWithScope(code) => walk(code.scope)?,
            _ => {}
        }
    }
    Ok(())
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<f64>().prop_map(Value::Double),
        ".{0,12}".prop_map(Value::String),
        any::<bool>().prop_map(Value::Boolean),
        any::<i32>().prop_map(Value::Int32),
        any::<i64>().prop_map(Value::Int64),
        any::<i64>().prop_map(|millis| Value::DateTime(DateTime::from_millis(millis))),
        any::<[u8; 12]>().prop_map(|bytes| Value::ObjectId(ObjectId::from_bytes(bytes))),
        any::<[u8; 16]>().prop_map(|bytes| Value::Decimal128(Decimal128::from_bytes(bytes))),
        (any::<u8>(), any::<Vec<u8>>())
            .prop_map(|(subtype, bytes)| Value::Binary(::bson::Binary { subtype: subtype.into(), bytes })),
        r"[^\x00]{0,6}".prop_map(Value::Symbol),
        Just(Value::Null),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((r"[^\x00]{0,6}", inner), 0..6)
                .prop_map(|fields| Value::Document(fields.into_iter().collect())),
        ]
    })
}

fn documents() -> impl Strategy<Value = Document> {
    prop::collection::vec((r"[^\x00]{0,6}", values()), 0..8).prop_map(|fields| fields.into_iter().collect())
}

proptest! {
    #[test]
    fn random_bytes_never_panic_and_what_is_accepted_is_read(bytes in any::<Vec<u8>>()) {
        if scan(&bytes, WRITER).is_ok() {
            prop_assert!(walk(RawDocument::from_bytes(&bytes).unwrap()).is_ok());
        }
        let _ = BsonList::new(&bytes, READER);
    }

    #[test]
    fn what_is_written_is_accepted(document in documents()) {
        let written = document.to_vec().unwrap();
        prop_assert!(scan(&written, Rules::Data).is_ok());
        let list = BsonList::new(&written.repeat(3), Rules::Data).unwrap();
        prop_assert_eq!(list.count(), 3);
        for element in list.raw() {
            prop_assert_eq!(element.unwrap().as_document().unwrap().as_bytes(), &written);
        }
    }

    #[test]
    fn damage_is_refused_or_harmless(document in documents(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = document.to_vec().unwrap();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if scan(&bytes, Rules::Data).is_ok() {
            prop_assert!(walk(RawDocument::from_bytes(&bytes).unwrap()).is_ok());
        }
    }
}
