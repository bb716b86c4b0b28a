//! Every function of `wharf:documents`, with what it answers, on either line of WASI.

use mongodb::bson::{Bson, Document, doc};
use serde_json::json;

use super::{
    bed::{Bed, with},
    found, insert, numbered, raw, raws, read, succeeded,
};

/// Runs each test on WASI 0.2 and on 0.3.
macro_rules! on_both {
    ($(async fn $name:ident($bed:ident) $body:block)*) => {
        $(async fn $name($bed: &Bed) $body)*

        mod plain {
            $(#[tokio::test] async fn $name() {
                let mut bed = super::with("documents_probe").start().await;
                super::$name(&bed).await;
                bed.recovers().await;
                bed.ends_well().await;
            })*
        }

        mod asynchronous {
            $(#[tokio::test] async fn $name() {
                let mut bed = super::with("documents_probe_async").start().await;
                super::$name(&bed).await;
                bed.recovers().await;
                bed.ends_well().await;
            })*
        }
    };
}

on_both! {
    async fn what_is_read_is_what_was_written(bed) {
        let outcomes = bed.run(json!([
            insert(numbered(5)),
            { "do": "find" , "filter": raw(doc! { "n": { "$gte": 10 } }), "sort": raw(doc! { "_id": -1 }), "skip": 1, "limit": 2 },
            { "do": "find", "projection": raw(doc! { "_id": 0 }), "limit": 1, "sort": raw(doc! { "_id": 1 }), "hint": { "keys": raw(doc! { "_id": 1 }) } },
            { "do": "find-one", "filter": raw(doc! { "$expr": { "$eq": ["$n", "$$wanted"] } }), "variables": raw(doc! { "wanted": 30 }) },
            { "do": "find-one", "filter": raw(doc! { "_id": "nobody" }) },
            { "do": "find", "in": "empty" },
            { "do": "count", "filter": raw(doc! { "n": { "$lt": 30 } }) },
            { "do": "count", "skip": 1, "limit": 2 },
            { "do": "estimated-count" },
            { "do": "distinct", "name": "n", "filter": raw(doc! { "_id": { "$lt": 2 } }) },
            { "do": "aggregate", "pipeline": raws([doc! { "$match": { "_id": { "$gt": 0 } } }, doc! { "$group": { "_id": Bson::Null, "sum": { "$sum": "$n" } } }]) },
        ])).await;
        succeeded(&outcomes);
        assert_eq!(outcomes[0]["ok"]["inserted"], 5);
        assert_eq!(found(&outcomes[1]), [doc! { "_id": 3, "n": 30 }, doc! { "_id": 2, "n": 20 }]);
        assert_eq!(found(&outcomes[2]), [doc! { "n": 0 }]);
        assert_eq!(read(&outcomes[3]["ok"]), doc! { "_id": 3, "n": 30 });
        assert!(outcomes[4]["ok"].is_null(), "{}", outcomes[4]);
        assert_eq!(found(&outcomes[5]), Vec::<Document>::new());
        let counts: Vec<u64> = outcomes[6..9].iter().map(|outcome| outcome["ok"].as_u64().unwrap()).collect();
        assert_eq!(counts, [3, 2, 5]);
        assert_eq!(read(&outcomes[9]["ok"]), doc! { "values": [0, 10] });
        assert_eq!(found(&outcomes[10]), [doc! { "_id": Bson::Null, "sum": 100 }]);
    }

    async fn writes_count_what_they_did(bed) {
        let set = |name: &str, value: i32| raw(doc! { "$set": { name: value } });
        let outcomes = bed.run(json!([
            insert([doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 2 }, doc! { "_id": 3, "marks": [1, 5, 9] }]),
            { "do": "update", "filter": raw(doc! { "_id": { "$lt": 3 } }), "update": set("n", 1), "many": true },
            { "do": "update", "filter": raw(doc! { "_id": 7 }), "update": set("n", 7), "upsert": true },
            { "do": "update", "filter": raw(doc! { "_id": 3 }), "update": raw(doc! { "$set": { "marks.$[low]": 0 } }), "array-filters": raws([doc! { "low": { "$lt": 6 } }]) },
            { "do": "update", "filter": raw(doc! { "_id": 3 }), "pipeline": raws([doc! { "$set": { "most": { "$max": "$marks" } } }]) },
            { "do": "replace", "filter": raw(doc! { "_id": 2 }), "replacement": raw(doc! { "new": true }) },
            { "do": "delete", "filter": raw(doc! { "_id": { "$in": [1, 7] } }), "many": true },
            { "do": "delete", "filter": raw(doc! {}) , "write-concern": { "w": "majority", "timeout-ms": 1000 } },
            { "do": "find", "sort": raw(doc! { "_id": 1 }) },
        ])).await;
        succeeded(&outcomes);
        let did = |place: usize| {
            let done = &outcomes[place]["ok"];
            ["inserted", "matched", "modified", "deleted"].map(|what| done[what].as_u64().unwrap())
        };
        assert_eq!([did(0), did(1), did(2), did(3)], [[3, 0, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0], [0, 1, 1, 0]], "{outcomes:#?}");
        assert_eq!([did(4), did(5), did(6), did(7)], [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 2], [0, 0, 0, 1]], "{outcomes:#?}");
        assert_eq!(read(&outcomes[2]["ok"]["upserted"][0]), doc! { "index": 0_i64, "_id": 7 });
        // The first of the two that were left is gone.
        assert_eq!(found(&outcomes[8]).len(), 1);
    }

    async fn documents_are_changed_and_returned(bed) {
        let more = raw(doc! { "$inc": { "n": 1 } });
        let one = raw(doc! { "_id": 1 });
        let outcomes = bed.run(json!([
            insert([doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 5 }]),
            { "do": "find-and-modify", "filter": one, "update": more },
            { "do": "find-and-modify", "filter": one, "update": more, "return-new": true, "projection": raw(doc! { "_id": 0 }) },
            { "do": "find-and-modify", "filter": raw(doc! {}), "sort": raw(doc! { "n": -1 }), "pipeline": raws([doc! { "$set": { "n": 0 } }]) },
            { "do": "find-and-modify", "filter": one, "replacement": raw(doc! { "r": 1 }), "return-new": true },
            { "do": "find-and-modify", "filter": one },
            { "do": "find-and-modify", "filter": one, "update": more },
            { "do": "find-and-modify", "filter": one, "update": more, "upsert": true },
            { "do": "find", "sort": raw(doc! { "_id": 1 }) },
        ])).await;
        succeeded(&outcomes);
        let returned: Vec<_> = outcomes[1..6].iter().map(|outcome| read(&outcome["ok"])).collect();
        let expected =
            [doc! { "_id": 1, "n": 1 }, doc! { "n": 3 }, doc! { "_id": 2, "n": 5 }, doc! { "_id": 1, "r": 1 }, doc! { "_id": 1, "r": 1 }];
        assert_eq!(returned, expected);
        assert!(outcomes[6]["ok"].is_null() && outcomes[7]["ok"].is_null(), "{outcomes:#?}");
        assert_eq!(found(&outcomes[8]), [doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 0 }]);
    }

    async fn a_bulk_goes_in_order(bed) {
        let seen = raw(doc! { "$set": { "seen": true } });
        let writes = json!([
            { "do": "insert", "document": raw(doc! { "_id": 1 }) },
            { "do": "insert", "document": raw(doc! { "_id": 2 }) },
            { "do": "update", "filter": raw(doc! { "_id": 1 }), "update": seen },
            { "do": "update", "filter": raw(doc! { "_id": 5 }), "update": seen, "upsert": true },
            { "do": "replace", "filter": raw(doc! { "_id": 2 }), "replacement": raw(doc! { "replaced": true }) },
            { "do": "delete", "filter": raw(doc! { "_id": 1 }) },
        ]);
        let outcomes = bed.run(json!([{ "do": "bulk-write", "writes": writes }, { "do": "find", "sort": raw(doc! { "_id": 1 }) }])).await;
        succeeded(&outcomes);
        let done = &outcomes[0]["ok"];
        let counts = ["inserted", "matched", "modified", "deleted"].map(|what| done[what].as_u64().unwrap());
        assert_eq!(counts, [2, 2, 2, 1], "{done}");
        assert_eq!(read(&done["upserted"][0]), doc! { "index": 3_i64, "_id": 5 });
        assert_eq!(found(&outcomes[1]), [doc! { "_id": 2, "replaced": true }, doc! { "_id": 5, "seen": true }]);
    }

    async fn indexes_and_collections_are_listed(bed) {
        let indexes = json!([
            { "keys": raw(doc! { "email": 1 }), "unique": true },
            { "keys": raw(doc! { "until": 1 }), "name": "ttl", "expire-after-seconds": 60 },
            { "keys": raw(doc! { "a": 1, "b": -1 }), "sparse": true },
        ]);
        let outcomes = bed.run(json!([
            { "do": "create-indexes", "indexes": indexes },
            { "do": "list-indexes" },
            { "do": "drop-index", "name": "ttl" },
            { "do": "list-indexes" },
            { "do": "list-collections", "filter": raw(doc! { "name": "notes" }) },
            { "do": "list-collections" },
        ])).await;
        succeeded(&outcomes);
        assert_eq!(outcomes[0]["ok"], json!(["email_1", "ttl", "a_1_b_-1"]));
        let names = |place: usize| -> Vec<String> {
            let mut names: Vec<String> = found(&outcomes[place]).iter().map(|document| document.get_str("name").unwrap().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names(1), ["_id_", "a_1_b_-1", "email_1", "ttl"]);
        assert_eq!(names(3), ["_id_", "a_1_b_-1", "email_1"]);
        assert_eq!((names(4), names(5)), (vec!["notes".to_owned()], vec!["notes".to_owned()]));
        let unique = found(&outcomes[1]).into_iter().find(|index| index.get_str("name").is_ok_and(|name| name == "email_1")).unwrap();
        assert_eq!((unique.get_bool("unique").unwrap(), unique.get_document("key").unwrap()), (true, &doc! { "email": 1 }));
    }
}

#[tokio::test]
async fn names_that_are_no_collections_or_databases_are_invalid() {
    let bed = with("documents_probe").start().await;
    for name in ["", "system.users", "a$b", "a\0b"] {
        let outcome = bed.one(json!({ "do": "find-one", "in": name })).await;
        assert_eq!(super::kind(&outcome), "invalid", "{name:?}: {outcome}");
    }
    for name in ["", "other", "admin", "Main"] {
        let outcome = bed.one(json!({ "do": "open", "database": name, "as": "d" })).await;
        assert_eq!(super::kind(&outcome), "invalid", "{name:?}: {outcome}");
    }
    bed.ends_well().await;
}
