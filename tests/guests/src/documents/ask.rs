//! What a step says, as `wharf:documents` takes it. What a step does not say is what the WIT has as nothing.

use serde_json::Value as Json;

use super::{
    Acknowledgment, AggregateOptions, BulkOptions, CountOptions, DeleteOptions, DeleteWrite, DistinctOptions,
    FindAndModifyOptions, FindOptions, Hint, Index, InsertOptions, Modification, ReadConcern, ReplaceOptions, ReplaceWrite,
    TransactionOptions, Update, UpdateOptions, UpdateWrite, Write, WriteConcern,
};

/// The empty document.
const EMPTY: [u8; 5] = [5, 0, 0, 0, 0];

/// What a document within another costs besides itself: type, the name `a`, and the other's own length and end.
const AROUND: usize = 8;

/// What a text of the name `a` costs besides itself, with the document that it is in.
const AROUND_TEXT: usize = 13;

/// Bytes: hex digits; `{"nested": 100}`, a document that is nested so deep; `{"padded": 1000}`, one of so many bytes; a list of such, end to
/// end; none for null.
///
/// # Panics
/// When it is something else: the test is wrong then.
#[must_use]
pub fn bytes(json: &Json) -> Vec<u8> {
    match json {
        Json::Null => Vec::new(),
        Json::String(digits) => unhex(digits),
        Json::Array(parts) => parts.iter().flat_map(bytes).collect(),
        Json::Object(_) => match (number(json, "nested"), number(json, "padded")) {
            (Some(depth), _) => nested(depth),
            (None, Some(length)) => padded(length),
            (None, None) => panic!("no bytes: {json}"),
        },
        Json::Bool(_) | Json::Number(_) => panic!("no bytes: {json}"),
    }
}

/// Bytes, the empty document for null.
#[must_use]
pub fn document(json: &Json) -> Vec<u8> {
    if json.is_null() { EMPTY.to_vec() } else { bytes(json) }
}

/// Bytes, if there are any.
#[must_use]
pub fn optional(json: &Json) -> Option<Vec<u8>> {
    (!json.is_null()).then(|| bytes(json))
}

fn number(json: &Json, name: &str) -> Option<usize> {
    json[name].as_u64().map(|number| usize::try_from(number).expect("a size"))
}

fn unhex(digits: &str) -> Vec<u8> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        other => panic!("no hex digit: {other}"),
    };
    digits.as_bytes().chunks_exact(2).map(|pair| (digit(pair[0]) << 4) | digit(pair[1])).collect()
}

fn length(length: usize) -> [u8; 4] {
    i32::try_from(length).expect("a length of BSON").to_le_bytes()
}

fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for within in (1..depth).rev() {
        bytes.extend(length(EMPTY.len() + AROUND * within));
        bytes.extend(*b"\x03a\0");
    }
    bytes.extend(EMPTY);
    bytes.resize(bytes.len() + depth.saturating_sub(1), 0);
    bytes
}

fn padded(bytes: usize) -> Vec<u8> {
    let text = bytes.checked_sub(AROUND_TEXT).expect("room for a text");
    let mut document = Vec::with_capacity(bytes);
    document.extend(length(bytes));
    document.extend(*b"\x02a\0");
    document.extend(length(text + 1));
    document.resize(document.len() + text, b'x');
    // The end of the text, and that of the document.
    document.extend([0, 0]);
    document
}

fn flag(step: &Json, name: &str) -> bool {
    step[name].as_bool().unwrap_or_default()
}

fn ordered(step: &Json) -> bool {
    step["ordered"].as_bool().unwrap_or(true)
}

/// `{"name": "a_1"}`, or `{"keys": document}`.
fn hint(step: &Json) -> Option<Hint> {
    let hint = &step["hint"];
    if hint.is_null() {
        return None;
    }
    Some(hint["name"].as_str().map_or_else(|| Hint::Keys(document(&hint["keys"])), |name| Hint::Name(name.to_owned())))
}

fn read_concern(step: &Json) -> Option<ReadConcern> {
    step["read-concern"].as_str().map(|name| match name {
        "local" => ReadConcern::Local,
        "available" => ReadConcern::Available,
        "majority" => ReadConcern::Majority,
        "linearizable" => ReadConcern::Linearizable,
        "snapshot" => ReadConcern::Snapshot,
        other => panic!("no read concern {other}"),
    })
}

/// `{"w": 1, "journal": true, "timeout-ms": 1000}`; `w` may be `"majority"` or a tag as well.
fn write_concern(step: &Json) -> Option<WriteConcern> {
    let concern = &step["write-concern"];
    let small = |json: &Json| json.as_u64().map(|number| u32::try_from(number).expect("32 bits"));
    let w = match concern["w"].as_str() {
        Some("majority") => Some(Acknowledgment::Majority),
        Some(tag) => Some(Acknowledgment::Tag(tag.to_owned())),
        None => small(&concern["w"]).map(Acknowledgment::Nodes),
    };
    concern.is_object().then(|| WriteConcern {
        w,
        journal: concern["journal"].as_bool(),
        timeout_ms: small(&concern["timeout-ms"]),
    })
}

/// Of `find`, `find-one` and `cursor`.
#[must_use]
pub fn find_options(step: &Json) -> FindOptions {
    FindOptions {
        projection: optional(&step["projection"]),
        sort: optional(&step["sort"]),
        skip: step["skip"].as_u64().unwrap_or_default(),
        limit: step["limit"].as_u64(),
        hint: hint(step),
        collation: optional(&step["collation"]),
        variables: optional(&step["variables"]),
        read_concern: read_concern(step),
    }
}

/// Of `aggregate` and `aggregate-cursor`.
#[must_use]
pub fn aggregate_options(step: &Json) -> AggregateOptions {
    AggregateOptions {
        hint: hint(step),
        collation: optional(&step["collation"]),
        variables: optional(&step["variables"]),
        allow_disk_use: flag(step, "allow-disk-use"),
        read_concern: read_concern(step),
        write_concern: write_concern(step),
    }
}

/// Of `count`.
#[must_use]
pub fn count_options(step: &Json) -> CountOptions {
    CountOptions {
        skip: step["skip"].as_u64().unwrap_or_default(),
        limit: step["limit"].as_u64(),
        hint: hint(step),
        collation: optional(&step["collation"]),
        read_concern: read_concern(step),
    }
}

/// Of `distinct`.
#[must_use]
pub fn distinct_options(step: &Json) -> DistinctOptions {
    DistinctOptions { collation: optional(&step["collation"]), read_concern: read_concern(step) }
}

/// Of `insert`.
#[must_use]
pub fn insert_options(step: &Json) -> InsertOptions {
    InsertOptions { ordered: ordered(step), write_concern: write_concern(step) }
}

/// `"update": document of operators`, or `"pipeline": stages`.
#[must_use]
pub fn update(step: &Json) -> Update {
    if step["pipeline"].is_null() {
        Update::Operators(document(&step["update"]))
    } else {
        Update::Pipeline(bytes(&step["pipeline"]))
    }
}

/// Of `update`.
#[must_use]
pub fn update_options(step: &Json) -> UpdateOptions {
    UpdateOptions {
        many: flag(step, "many"),
        upsert: flag(step, "upsert"),
        array_filters: bytes(&step["array-filters"]),
        hint: hint(step),
        collation: optional(&step["collation"]),
        variables: optional(&step["variables"]),
        write_concern: write_concern(step),
    }
}

/// Of `replace`.
#[must_use]
pub fn replace_options(step: &Json) -> ReplaceOptions {
    ReplaceOptions {
        upsert: flag(step, "upsert"),
        hint: hint(step),
        collation: optional(&step["collation"]),
        variables: optional(&step["variables"]),
        write_concern: write_concern(step),
    }
}

/// Of `delete`.
#[must_use]
pub fn delete_options(step: &Json) -> DeleteOptions {
    DeleteOptions {
        many: flag(step, "many"),
        hint: hint(step),
        collation: optional(&step["collation"]),
        variables: optional(&step["variables"]),
        write_concern: write_concern(step),
    }
}

/// An update, or `"replacement": document`; with neither, the document is deleted.
#[must_use]
pub fn modification(step: &Json) -> Modification {
    if !step["replacement"].is_null() {
        return Modification::Replace(document(&step["replacement"]));
    }
    if step["update"].is_null() && step["pipeline"].is_null() { Modification::Delete } else { Modification::Update(update(step)) }
}

/// Of `find-and-modify`.
#[must_use]
pub fn find_and_modify_options(step: &Json) -> FindAndModifyOptions {
    FindAndModifyOptions {
        projection: optional(&step["projection"]),
        sort: optional(&step["sort"]),
        upsert: flag(step, "upsert"),
        return_new: flag(step, "return-new"),
        array_filters: bytes(&step["array-filters"]),
        hint: hint(step),
        collation: optional(&step["collation"]),
        variables: optional(&step["variables"]),
        write_concern: write_concern(step),
    }
}

/// `"writes"`: steps `insert` (with one `document`), `update`, `replace` and `delete`.
///
/// # Panics
/// When one is something else.
#[must_use]
pub fn writes(step: &Json) -> Vec<Write> {
    step["writes"].as_array().into_iter().flatten().map(write).collect()
}

fn write(step: &Json) -> Write {
    let filter = document(&step["filter"]);
    match step["do"].as_str().expect("a write says what to do") {
        "insert" => Write::Insert(document(&step["document"])),
        "update" => Write::Update(UpdateWrite {
            filter,
            update: update(step),
            many: flag(step, "many"),
            upsert: flag(step, "upsert"),
            array_filters: bytes(&step["array-filters"]),
            hint: hint(step),
            collation: optional(&step["collation"]),
        }),
        "replace" => Write::Replace(ReplaceWrite {
            filter,
            replacement: document(&step["replacement"]),
            upsert: flag(step, "upsert"),
            hint: hint(step),
            collation: optional(&step["collation"]),
        }),
        "delete" => Write::Delete(DeleteWrite {
            filter,
            many: flag(step, "many"),
            hint: hint(step),
            collation: optional(&step["collation"]),
        }),
        other => panic!("no write {other}"),
    }
}

/// Of `bulk-write`.
#[must_use]
pub fn bulk_options(step: &Json) -> BulkOptions {
    BulkOptions { ordered: ordered(step), variables: optional(&step["variables"]), write_concern: write_concern(step) }
}

/// `"indexes"`, each with `keys` and what the WIT has besides.
#[must_use]
pub fn indexes(step: &Json) -> Vec<Index> {
    let index = |json: &Json| Index {
        keys: document(&json["keys"]),
        name: json["name"].as_str().map(str::to_owned),
        unique: flag(json, "unique"),
        sparse: flag(json, "sparse"),
        hidden: flag(json, "hidden"),
        expire_after_seconds: json["expire-after-seconds"].as_u64(),
        partial_filter: optional(&json["partial-filter"]),
        collation: optional(&json["collation"]),
    };
    step["indexes"].as_array().into_iter().flatten().map(index).collect()
}

/// Of `begin`.
#[must_use]
pub fn transaction_options(step: &Json) -> TransactionOptions {
    TransactionOptions { read_concern: read_concern(step), write_concern: write_concern(step) }
}

/// `"max"`, the most documents of a batch; 100 unless said.
///
/// # Panics
/// When it has more than 32 bits.
#[must_use]
pub fn max_documents(step: &Json) -> u32 {
    u32::try_from(step["max"].as_u64().unwrap_or(100)).expect("32 bits")
}
