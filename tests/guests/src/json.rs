//! Values, rows and errors of `wharf:sql` as JSON and back, without loss, so that a test sees what a handler sees.
//!
//! A value is `null` or an object of one key, the case of the WIT: `{"signed": 5}`, `{"timestamp-tz": 0}`, `{"bytes": "00ff"}` (hex),
//! `{"uuid": "…32 hex digits…"}`, `{"array": {"of": "text", "elements": ["a", null]}}`.

use serde_json::{Value as Json, json};

use crate::plain::{
    ArrayValue, Batch, Cells, Column, ColumnData, ColumnInfo, Error, ErrorKind, Execution, Interval, IsolationLevel, OtherCells,
    OtherValue, Packed, Rows, TransactionOptions, Uuid, Value,
};

/// `{"ok": …}` or `{"error": …}`.
pub fn outcome<T>(result: Result<T, Error>, to_json: impl FnOnce(T) -> Json) -> Json {
    match result {
        Ok(value) => json!({ "ok": to_json(value) }),
        Err(error) => json!({ "error": error_to_json(&error) }),
    }
}

/// Kind, code, message, and the details as an object.
#[must_use]
pub fn error_to_json(error: &Error) -> Json {
    let details: serde_json::Map<_, _> =
        error.details.iter().map(|detail| (detail.key.clone(), Json::from(detail.value.as_str()))).collect();
    json!({ "kind": kind_name(error.kind), "code": error.code, "message": error.message, "details": details })
}

/// The name of the kind, as in the WIT.
#[must_use]
pub fn kind_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PoolExhausted => "pool-exhausted",
        ErrorKind::DeadlineExceeded => "deadline-exceeded",
        ErrorKind::Denied => "denied",
        ErrorKind::LimitExceeded => "limit-exceeded",
        ErrorKind::Busy => "busy",
        ErrorKind::Disconnected => "disconnected",
        ErrorKind::CommitUnknown => "commit-unknown",
        ErrorKind::TransactionAborted => "transaction-aborted",
        ErrorKind::ConstraintViolation => "constraint-violation",
        ErrorKind::Conversion => "conversion",
        ErrorKind::Invalid => "invalid",
        ErrorKind::Database => "database",
        ErrorKind::ShuttingDown => "shutting-down",
        ErrorKind::Other => "other",
    }
}

/// Counts of a statement.
#[must_use]
pub fn execution_to_json(execution: Execution) -> Json {
    json!({ "rows-affected": execution.rows_affected, "last-insert-id": execution.last_insert_id })
}

/// Columns, and rows as lists of values.
#[must_use]
pub fn rows_to_json(rows: Rows) -> Json {
    json!({ "columns": columns_to_json(rows.columns), "rows": batch_to_json(&rows.batch) })
}

/// Names and types.
#[must_use]
pub fn columns_to_json(columns: Vec<ColumnInfo>) -> Json {
    columns.into_iter().map(|column| json!({ "name": column.name, "type": column.type_name })).collect()
}

/// Rows as lists of values.
#[must_use]
pub fn batch_to_json(batch: &Batch) -> Json {
    let rows = 0..batch.row_count as usize;
    rows.map(|row| batch.columns.iter().map(|column| cell(column, row)).collect::<Json>()).collect()
}

fn is_null(bitmap: &[u8], index: usize) -> bool {
    bitmap.get(index / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
}

fn cell(column: &Column, row: usize) -> Json {
    if is_null(&column.nulls, row) {
        return Json::Null;
    }
    match &column.data {
        ColumnData::Cells(cells) => tagged(cells_name(cells), element(cells, row)),
        ColumnData::Arrays(arrays) => {
            let range = arrays.offsets[row] as usize..arrays.offsets[row + 1] as usize;
            array(&arrays.elements, &arrays.nulls, range)
        }
        ColumnData::Mixed(values) => value_to_json(&values[row]),
    }
}

fn tagged(tag: &str, content: Json) -> Json {
    json!({ tag: content })
}

fn array(elements: &Cells, nulls: &[u8], range: std::ops::Range<usize>) -> Json {
    let cells: Json = range.map(|index| if is_null(nulls, index) { Json::Null } else { element(elements, index) }).collect();
    json!({ "array": { "of": cells_name(elements), "elements": cells } })
}

fn cells_name(cells: &Cells) -> &'static str {
    match cells {
        Cells::Boolean(_) => "boolean",
        Cells::Signed(_) => "signed",
        Cells::Unsigned(_) => "unsigned",
        Cells::Float32(_) => "float32",
        Cells::Float64(_) => "float64",
        Cells::Decimal(_) => "decimal",
        Cells::Text(_) => "text",
        Cells::Bytes(_) => "bytes",
        Cells::Date(_) => "date",
        Cells::Time(_) => "time",
        Cells::Timestamp(_) => "timestamp",
        Cells::TimestampTz(_) => "timestamp-tz",
        Cells::Interval(_) => "interval",
        Cells::Uuid(_) => "uuid",
        Cells::Json(_) => "json",
        Cells::Network(_) => "network",
        Cells::Other(_) => "other",
    }
}

fn element(cells: &Cells, index: usize) -> Json {
    match cells {
        Cells::Boolean(cells) => cells[index].into(),
        Cells::Signed(cells) => cells[index].into(),
        Cells::Unsigned(cells) => cells[index].into(),
        Cells::Float32(cells) => float(f64::from(cells[index])),
        Cells::Float64(cells) => float(cells[index]),
        Cells::Date(cells) => cells[index].into(),
        Cells::Time(cells) => cells[index].into(),
        Cells::Timestamp(cells) | Cells::TimestampTz(cells) => cells[index].into(),
        Cells::Interval(cells) => interval_to_json(cells[index]),
        Cells::Uuid(cells) => uuid_to_json(cells[index]),
        Cells::Bytes(cells) => hex(packed(cells, index)).into(),
        Cells::Decimal(cells) | Cells::Text(cells) | Cells::Json(cells) | Cells::Network(cells) => text(cells, index).into(),
        Cells::Other(other) => other_to_json(&other.type_name, text(&other.cells, index)),
    }
}

fn packed(cells: &Packed, index: usize) -> &[u8] {
    &cells.data[cells.offsets[index] as usize..cells.offsets[index + 1] as usize]
}

fn text(cells: &Packed, index: usize) -> &str {
    std::str::from_utf8(packed(cells, index)).expect("the host promises UTF-8")
}

/// JSON has no words for what is not finite, so those are strings.
fn float(value: f64) -> Json {
    if value.is_finite() { value.into() } else { value.to_string().into() }
}

fn interval_to_json(interval: Interval) -> Json {
    json!({ "months": interval.months, "days": interval.days, "microseconds": interval.microseconds })
}

fn uuid_to_json(uuid: Uuid) -> Json {
    format!("{:016x}{:016x}", uuid.high, uuid.low).into()
}

fn other_to_json(type_name: &str, text: &str) -> Json {
    json!({ "type": type_name, "text": text })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One value.
#[must_use]
pub fn value_to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => tagged("boolean", (*value).into()),
        Value::Signed(value) => tagged("signed", (*value).into()),
        Value::Unsigned(value) => tagged("unsigned", (*value).into()),
        Value::Float32(value) => tagged("float32", float(f64::from(*value))),
        Value::Float64(value) => tagged("float64", float(*value)),
        Value::Decimal(value) => tagged("decimal", value.as_str().into()),
        Value::Text(value) => tagged("text", value.as_str().into()),
        Value::Bytes(value) => tagged("bytes", hex(value).into()),
        Value::Date(value) => tagged("date", (*value).into()),
        Value::Time(value) => tagged("time", (*value).into()),
        Value::Timestamp(value) => tagged("timestamp", (*value).into()),
        Value::TimestampTz(value) => tagged("timestamp-tz", (*value).into()),
        Value::Interval(value) => tagged("interval", interval_to_json(*value)),
        Value::Uuid(value) => tagged("uuid", uuid_to_json(*value)),
        Value::Json(value) => tagged("json", value.as_str().into()),
        Value::Network(value) => tagged("network", value.as_str().into()),
        Value::Array(value) => array(&value.elements, &value.nulls, 0..cells_len(&value.elements)),
        Value::Other(value) => tagged("other", other_to_json(&value.type_name, &value.text)),
    }
}

fn cells_len(cells: &Cells) -> usize {
    match cells {
        Cells::Boolean(cells) => cells.len(),
        Cells::Signed(cells) => cells.len(),
        Cells::Unsigned(cells) => cells.len(),
        Cells::Float32(cells) => cells.len(),
        Cells::Float64(cells) => cells.len(),
        Cells::Date(cells) => cells.len(),
        Cells::Time(cells) => cells.len(),
        Cells::Timestamp(cells) | Cells::TimestampTz(cells) => cells.len(),
        Cells::Interval(cells) => cells.len(),
        Cells::Uuid(cells) => cells.len(),
        Cells::Decimal(cells) | Cells::Text(cells) | Cells::Bytes(cells) | Cells::Json(cells) | Cells::Network(cells) => {
            cells.offsets.len() - 1
        }
        Cells::Other(other) => other.cells.offsets.len() - 1,
    }
}

/// A list of values; anything that is no list is an empty one.
///
/// # Panics
/// When one is not as the module describes: the test is wrong then.
#[must_use]
pub fn values(json: &Json) -> Vec<Value> {
    json.as_array().into_iter().flatten().map(value).collect()
}

/// One value.
///
/// # Panics
/// When it is not as the module describes.
#[must_use]
pub fn value(json: &Json) -> Value {
    let Some((tag, content)) = json.as_object().and_then(|object| object.iter().next()) else {
        assert!(json.is_null(), "not a value: {json}");
        return Value::Null;
    };
    match tag.as_str() {
        "boolean" => Value::Boolean(boolean(content)),
        "signed" => Value::Signed(signed(content)),
        "unsigned" => Value::Unsigned(unsigned(content)),
        "float32" => Value::Float32(float32(content)),
        "float64" => Value::Float64(float64(content)),
        "decimal" => Value::Decimal(string(content)),
        "text" => Value::Text(string(content)),
        "bytes" => Value::Bytes(unhex(content)),
        "date" => Value::Date(date(content)),
        "time" => Value::Time(unsigned(content)),
        "timestamp" => Value::Timestamp(signed(content)),
        "timestamp-tz" => Value::TimestampTz(signed(content)),
        "interval" => Value::Interval(interval(content)),
        "uuid" => Value::Uuid(uuid(content)),
        "json" => Value::Json(string(content)),
        "network" => Value::Network(string(content)),
        "array" => Value::Array(array_value(content)),
        "other" => Value::Other(OtherValue { type_name: string(&content["type"]), text: string(&content["text"]) }),
        other => panic!("no case {other}"),
    }
}

fn boolean(json: &Json) -> bool {
    json.as_bool().expect("a boolean")
}

fn signed(json: &Json) -> i64 {
    json.as_i64().expect("a signed number")
}

fn unsigned(json: &Json) -> u64 {
    json.as_u64().expect("an unsigned number")
}

fn date(json: &Json) -> i32 {
    i32::try_from(signed(json)).expect("a day")
}

fn float64(json: &Json) -> f64 {
    json.as_f64().or_else(|| json.as_str()?.parse().ok()).expect("a float")
}

#[expect(clippy::cast_possible_truncation, reason = "tests send what fits")]
fn float32(json: &Json) -> f32 {
    float64(json) as f32
}

fn string(json: &Json) -> String {
    json.as_str().expect("a string").to_owned()
}

fn unhex(json: &Json) -> Vec<u8> {
    let digits = string(json);
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex digits")).collect()
}

fn uuid(json: &Json) -> Uuid {
    let number = u128::from_str_radix(&string(json).replace('-', ""), 16).expect("hex digits");
    Uuid { high: (number >> 64) as u64, low: u64::try_from(number & u128::from(u64::MAX)).expect("64 bits") }
}

fn interval(json: &Json) -> Interval {
    let number = |key: &str| i32::try_from(json[key].as_i64().unwrap_or(0)).expect("32 bits");
    Interval { months: number("months"), days: number("days"), microseconds: json["microseconds"].as_i64().unwrap_or(0) }
}

fn array_value(json: &Json) -> ArrayValue {
    let elements = json["elements"].as_array().expect("elements");
    let mut nulls = Vec::new();
    for (index, _) in elements.iter().enumerate().filter(|(_, element)| element.is_null()) {
        nulls.resize(elements.len().div_ceil(8), 0);
        nulls[index / 8] |= 1 << (index % 8);
    }
    ArrayValue { elements: cells(&string(&json["of"]), elements), nulls }
}

fn cells(of: &str, elements: &[Json]) -> Cells {
    /// One cell an element, a placeholder for nulls.
    fn list<T: Default>(elements: &[Json], one: fn(&Json) -> T) -> Vec<T> {
        elements.iter().map(|element| if element.is_null() { T::default() } else { one(element) }).collect()
    }
    let pack = |bytes: fn(&Json) -> Vec<u8>| {
        let mut packed = Packed { offsets: vec![0], data: Vec::new() };
        for cell in list(elements, bytes) {
            packed.data.extend(cell);
            packed.offsets.push(u32::try_from(packed.data.len()).expect("tests send little"));
        }
        packed
    };
    let texts = || pack(|json| string(json).into_bytes());
    match of {
        "boolean" => Cells::Boolean(list(elements, boolean)),
        "signed" => Cells::Signed(list(elements, signed)),
        "unsigned" => Cells::Unsigned(list(elements, unsigned)),
        "float32" => Cells::Float32(list(elements, float32)),
        "float64" => Cells::Float64(list(elements, float64)),
        "date" => Cells::Date(list(elements, date)),
        "time" => Cells::Time(list(elements, unsigned)),
        "timestamp" => Cells::Timestamp(list(elements, signed)),
        "timestamp-tz" => Cells::TimestampTz(list(elements, signed)),
        "interval" => Cells::Interval(elements.iter().map(interval).collect()),
        "uuid" => {
            Cells::Uuid(elements.iter().map(|json| if json.is_null() { Uuid { high: 0, low: 0 } } else { uuid(json) }).collect())
        }
        "decimal" => Cells::Decimal(texts()),
        "text" => Cells::Text(texts()),
        "json" => Cells::Json(texts()),
        "network" => Cells::Network(texts()),
        "bytes" => Cells::Bytes(pack(unhex)),
        "other" => {
            let type_name = elements.iter().find_map(|element| element["type"].as_str()).unwrap_or_default().to_owned();
            Cells::Other(OtherCells { type_name, cells: pack(|json| string(&json["text"]).into_bytes()) })
        }
        other => panic!("no cells {other}"),
    }
}

/// `{"isolation": "serializable", "read-only": true}`, both optional.
#[must_use]
pub fn transaction_options(json: &Json) -> TransactionOptions {
    let isolation = json["isolation"].as_str().map(|name| match name {
        "read-uncommitted" => IsolationLevel::ReadUncommitted,
        "read-committed" => IsolationLevel::ReadCommitted,
        "repeatable-read" => IsolationLevel::RepeatableRead,
        "serializable" => IsolationLevel::Serializable,
        other => panic!("no isolation {other}"),
    });
    TransactionOptions { isolation, read_only: json["read-only"].as_bool().unwrap_or(false) }
}
