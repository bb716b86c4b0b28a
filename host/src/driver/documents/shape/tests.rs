//! What is shown of requests.

use std::slice;

use ::bson::{Document, doc};
use proptest::prelude::*;

use super::*;
use crate::driver::{
    documents::{
        Aggregate, Count, Distinct, Index, Insert,
        types::{self, BulkOptions, CountOptions, DistinctOptions, FindOptions, InsertOptions},
    },
    settings::Access,
};

const WRITER: Access = Access::ReadWrite;

fn bytes(documents: &[Document]) -> Vec<u8> {
    documents.iter().flat_map(|document| document.to_vec().unwrap()).collect()
}

fn people() -> Collection {
    Collection::new("people").unwrap()
}

fn find(filter: Document, sort: Option<Document>) -> Find {
    let options = FindOptions {
        projection: None,
        sort: sort.map(|sort| bytes(&[sort])),
        skip: 3,
        limit: Some(7),
        hint: None,
        collation: None,
        variables: None,
        read_concern: None,
    };
    Find::new(bytes(&[filter]), options, WRITER).unwrap()
}

fn of_filter(filter: Document) -> String {
    of_request(&Request::Find(people(), find(filter, None)))
}

fn insert(documents: &[Document]) -> String {
    let options = InsertOptions { ordered: true, write_concern: None };
    of_request(&Request::Insert(people(), Insert::new(&bytes(documents), options).unwrap()))
}

fn update(filter: Document, change: Document) -> types::UpdateWrite {
    types::UpdateWrite {
        filter: bytes(&[filter]),
        update: types::Update::Operators(bytes(&[change])),
        many: true,
        upsert: false,
        array_filters: bytes(&[doc! { "x.grade": { "$gt": 85 } }]),
        hint: None,
        collation: None,
    }
}

fn aggregate(stages: &[Document]) -> Aggregate {
    let options = types::AggregateOptions {
        hint: None,
        collation: None,
        variables: None,
        allow_disk_use: false,
        read_concern: None,
        write_concern: None,
    };
    Aggregate::new(&bytes(stages), options, WRITER).unwrap()
}

#[test]
fn names_and_operators_stay_and_values_go() {
    let filter = doc! { "name": "secret", "age": { "$gt": 65 }, "$or": [{ "a": 1 }, { "a": 2 }, { "b": null }], "": true };
    let shape = "{name: ?, age: {$gt: ?}, $or: [{a: ?}, {b: ?}], \"\": ?}";
    assert_eq!(of_filter(filter.clone()), format!("find people {shape}"));
    let sorted = find(doc! {}, Some(doc! { "born": -1, "a.b": 1 }));
    assert_eq!(of_query(&Query::Find(people(), sorted)), "find people {} sort: {born: ?, a.b: ?}");
    let options = CountOptions { skip: 0, limit: None, hint: None, collation: None, read_concern: None };
    let count = Count::new(bytes(slice::from_ref(&filter)), options, WRITER).unwrap();
    assert_eq!(of_request(&Request::Count(people(), count)), format!("count people {shape}"));
    let options = DistinctOptions { collation: None, read_concern: None };
    let distinct = Distinct::new("city".to_owned(), bytes(slice::from_ref(&filter)), options, WRITER).unwrap();
    assert_eq!(of_request(&Request::Distinct(people(), distinct)), format!("distinct people city {shape}"));
    let stages = [doc! { "$match": filter }, doc! { "$group": { "_id": "$city", "n": { "$sum": 1 } } }];
    let expected = format!("aggregate people [{{$match: {shape}}}, {{$group: {{_id: ?, n: {{$sum: ?}}}}}}]");
    assert_eq!(of_request(&Request::Aggregate(people(), aggregate(&stages))), expected);
    assert_eq!(of_query(&Query::Aggregate(people(), aggregate(&[]))), "aggregate people []");
    assert_eq!(of_request(&Request::EstimatedCount(Collection::new("it's 5").unwrap())), "estimated-count \"it's 5\"");
    assert_eq!(of_request(&Request::ListCollections(None)), "list-collections");
    let dropped = Request::drop_index(people(), "city_1".to_owned()).unwrap();
    assert_eq!(of_request(&dropped), "drop-index people city_1");
    let index = types::Index {
        keys: bytes(&[doc! { "email": 1, "place": "2dsphere" }]),
        name: None,
        unique: true,
        sparse: false,
        hidden: false,
        expire_after_seconds: Some(60),
        partial_filter: None,
        collation: None,
    };
    let created = Request::CreateIndexes(people(), vec![Index::new(index, WRITER).unwrap()]);
    assert_eq!(of_request(&created), "create-indexes people [{email: ?, place: ?}]");
}

#[test]
fn writes_are_told_apart() {
    let writes = vec![
        types::Write::Insert(bytes(&[doc! { "name": "secret", "tags": ["secret", 2] }])),
        types::Write::Update(update(doc! { "a": 1 }, doc! { "$set": { "b.$[x].c": 2 } })),
        types::Write::Update(update(doc! { "a": 2 }, doc! { "$set": { "b.$[x].c": 3 } })),
        types::Write::Delete(types::DeleteWrite { filter: bytes(&[doc! { "a": 1 }]), many: false, hint: None, collation: None }),
    ];
    let options = BulkOptions { ordered: true, variables: None, write_concern: None };
    let writes = Writes::bulk(writes, options, WRITER).unwrap();
    let expected = "[insert {name: ?, tags: [?, …]}, \
                    update {a: ?} {$set: {\"b.$[x].c\": ?}} array-filters: [{x.grade: {$gt: ?}}] many, delete {a: ?}]";
    assert_eq!(of_request(&Request::BulkWrite(people(), writes.clone())), format!("bulk-write people {expected}"));
    let one = Writes { list: writes.list[3..].to_vec(), ..writes };
    assert_eq!(of_request(&Request::Delete(people(), one)), "delete people {a: ?}");
}

#[test]
fn lengths_of_lists_do_not_show() {
    let one = insert(&[doc! { "a": [1], "b": { "$in": [] } }]);
    assert_eq!(one, "insert people [{a: [?, …], b: {$in: [?, …]}}]");
    let many: Vec<Document> = (0..1000).map(|number| doc! { "a": [number, "x", 5], "b": { "$in": vec![1; 100] } }).collect();
    assert_eq!(insert(&many), one);
    assert_eq!(of_filter(doc! { "a": [1, [2, 3], [4], { "b": 1 }, 5] }), "find people {a: [?, …, [?, …], {b: ?}, ?, …]}");
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = (0..50).fold(doc! { "secret": 1 }, |inner, _| doc! { "d": inner });
    let shape = of_filter(deep);
    assert!(shape.ends_with(&format!("{{d: {{…}}{}", "}".repeat(MAX_DEPTH))), "{shape}");
    let listed = (0..50).fold(::bson::Bson::from(1), |inner, _| ::bson::Bson::Array(vec![inner]));
    assert!(of_filter(doc! { "a": listed }).contains("[…]"));
    let wide: Document = (0..10_000).map(|number| (format!("f{number}"), 1.into())).collect();
    let long: Document = (0..200).map(|number| (format!("{number}{}", "x".repeat(200)), 1.into())).collect();
    for document in [wide, long] {
        let shape = of_filter(document);
        assert!(shape.len() <= MAX_BYTES + '…'.len_utf8() && shape.ends_with('…'), "{} bytes", shape.len());
    }
    // Few bytes, many fields.
    let fields: Document = (0..100).map(|number| (format!("f{number}"), 1.into())).collect();
    let lists: Document = (0..100).map(|number| (format!("l{number}"), vec![fields.clone(); 16].into())).collect();
    assert!(of_filter(lists).ends_with('…'));
}

proptest! {
    /// Whatever its type, a value does not show.
    #[test]
    fn no_value_is_told(names in prop::collection::vec("[a-z]{1,8}", 1..6), nested in any::<bool>()) {
        let marker = "731846257";
        let values: Vec<::bson::Bson> = vec![
            marker.into(),
            731_846_257_i32.into(),
            731_846_257_i64.into(),
            731_846_257_f64.into(),
            ::bson::Bson::JavaScriptCode(marker.to_owned()),
            ::bson::Bson::Symbol(marker.to_owned()),
            ::bson::Bson::RegularExpression(::bson::Regex { pattern: marker.try_into().unwrap(), options: "".try_into().unwrap() }),
            doc! { "$literal": marker }.into(),
            vec![::bson::Bson::from(marker), 731_846_257_i32.into()].into(),
        ];
        let mut document = Document::new();
        for (index, name) in names.iter().enumerate() {
            for (number, value) in values.iter().enumerate() {
                document.insert(format!("{name}{index}x{number}"), value.clone());
            }
        }
        let document = if nested { doc! { "$set": document } } else { document };
        prop_assert!(!of_filter(document.clone()).contains(marker));
        let nested = doc! { "a": [document.clone()] };
        prop_assert!(!insert(&[document.clone(), nested]).contains(marker));
        let writes = types::Write::Update(update(document.clone(), doc! { "$set": document }));
        let options = BulkOptions { ordered: true, variables: None, write_concern: None };
        let writes = Writes::bulk(vec![writes], options, WRITER).unwrap();
        prop_assert!(!of_request(&Request::BulkWrite(people(), writes)).contains(marker));
    }
}
