//! Every type, both ways.

use super::*;
use crate::driver::types::{ArrayValue, Cells, ColumnData, Interval, OtherValue, Packed, Uuid};

const DAY: i64 = 86_400_000_000;

async fn echo(session: &mut Box<dyn Connection>, declared: &str, value: Value) -> Result<Value, Failure> {
    execute(session, "DROP TABLE IF EXISTS echo", []).await?;
    execute(session, &format!("CREATE TABLE echo (it {declared})"), []).await?;
    execute(session, "INSERT INTO echo VALUES (?)", [value]).await?;
    let rows = query(session, "SELECT it FROM echo", []).await?;
    assert_eq!(rows.columns[0].type_name, declared);
    Ok(cell(&rows, 0, 0))
}

#[tokio::test]
async fn every_type_comes_back() {
    let file = File::new().await;
    let mut session = file.writer().await;
    let uuid = Uuid { high: 0x0123_4567_89ab_cdef, low: 0x0fed_cba9_8765_4321 };
    for (declared, given, back) in [
        ("BOOLEAN", Value::Boolean(true), None),
        ("BOOLEAN", Value::Boolean(false), None),
        ("INTEGER", Value::Signed(i64::MIN), None),
        ("INTEGER", Value::Signed(i64::MAX), None),
        ("INTEGER", Value::Unsigned(7), Some(Value::Signed(7))),
        ("REAL", Value::Float64(-0.5), None),
        ("REAL", Value::Float64(f64::INFINITY), None),
        ("REAL", Value::Float64(f64::NEG_INFINITY), None),
        ("REAL", Value::Float32(0.5), Some(Value::Float64(0.5))),
        ("TEXT", Value::Decimal("12.340".into()), Some(text("12.340"))),
        ("TEXT", text("Grüße\0 \u{1f600}"), None),
        ("TEXT", text(""), None),
        ("BLOB", Value::Bytes(vec![0, 255, 128]), None),
        ("BLOB", Value::Bytes(Vec::new()), None),
        ("DATE", Value::Date(0), None),
        ("DATE", Value::Date(-719_528), None),
        ("DATE", Value::Date(2_932_896), None),
        ("TIME", Value::Time(0), None),
        ("TIME", Value::Time(86_400_000_000), None),
        ("TIME", Value::Time(1), None),
        ("TIMESTAMP", Value::Timestamp(-1), None),
        ("DATETIME", Value::Timestamp(DAY), None),
        ("TIMESTAMPTZ", Value::TimestampTz(1_700_000_000_123_456), None),
        ("TIMESTAMP WITH TIME ZONE", Value::TimestampTz(0), None),
        ("UUID", Value::Uuid(uuid), Some(text("01234567-89ab-cdef-0fed-cba987654321"))),
        ("JSON", Value::Json(r#"{"a":[1]}"#.into()), Some(text(r#"{"a":[1]}"#))),
        ("TEXT", Value::Network("10.0.0.0/8".into()), Some(text("10.0.0.0/8"))),
        ("INTEGER", Value::Null, None),
        ("DATE", Value::Null, None),
    ] {
        let back = back.unwrap_or_else(|| given.clone());
        assert_eq!(echo(&mut session, declared, given.clone()).await, Ok(back), "{declared} {given:?}");
    }
}

#[tokio::test]
async fn what_sqlite_cannot_hold_is_refused_by_parameter() {
    let file = File::new().await;
    let mut session = file.writer().await;
    let array = ArrayValue { elements: Cells::Signed(vec![1]), nulls: Vec::new() };
    for value in [
        Value::Unsigned(1 << 63),
        Value::Float32(f32::NAN),
        Value::Float64(f64::NAN),
        Value::Date(i32::MIN),
        Value::Date(i32::MAX),
        Value::Date(2_932_897),
        Value::Time(86_400_000_001),
        Value::Timestamp(i64::MIN),
        Value::Timestamp(i64::MAX),
        Value::TimestampTz(i64::MAX),
        Value::Interval(Interval { months: 0, days: 1, microseconds: 0 }),
        Value::Array(array),
        Value::Other(OtherValue { type_name: "point".into(), text: "(0,0)".into() }),
    ] {
        let told = format!("{value:?}");
        let failure = query(&mut session, "SELECT ?, ?", [Value::Null, value]).await.unwrap_err();
        assert_eq!((failure.kind, failure.lost), (FailureKind::Conversion, false), "{told}");
        assert_eq!(failure.details[0], ("parameter", "2".to_owned()), "{told}");
    }
}

#[tokio::test]
async fn dates_are_read_in_all_usual_forms_and_nothing_else_is() {
    let file = File::new().await;
    let mut session = file.writer().await;
    for (declared, stored, value) in [
        ("TIMESTAMP", text("1970-01-02T00:00:00Z"), Value::Timestamp(DAY)),
        ("DATETIME", text("1970-01-02 01:00:00+01:00"), Value::Timestamp(DAY)),
        ("TIMESTAMPTZ", text("1970-01-01T19:00-05:00"), Value::TimestampTz(DAY)),
        ("TIMESTAMPTZ", text("1970-01-02"), Value::TimestampTz(DAY)),
        ("TIME", text("00:01"), Value::Time(60_000_000)),
    ] {
        assert_eq!(echo(&mut session, declared, stored.clone()).await, Ok(value), "{declared} {stored:?}");
    }
    for (declared, stored) in [
        ("DATE", text("yesterday")),
        ("DATE", text("2023-02-29")),
        ("DATE", Value::Signed(19_000)),
        ("TIME", text("25:00:00")),
        ("TIMESTAMP", Value::Signed(1_700_000_000)),
        ("TIMESTAMP", text("2023-02-28 00:00:00.0000001")),
        ("TIMESTAMPTZ", Value::Float64(2_460_000.5)),
        ("BOOLEAN", Value::Signed(2)),
        ("BOOLEAN", text("yes")),
    ] {
        let failure = echo(&mut session, declared, stored.clone()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Conversion, "{declared} {stored:?}");
        let details = [("column", "it".to_owned()), ("type", declared.to_owned()), ("row", "1".to_owned())];
        assert_eq!(failure.details, details, "{declared} {stored:?}");
        let stored_as_is = query(&mut session, "SELECT +it FROM echo", []).await.unwrap();
        assert_eq!(cell(&stored_as_is, 0, 0), stored);
    }
}

#[tokio::test]
async fn columns_of_one_type_are_typed_and_others_are_mixed() {
    let file = File::new().await;
    let mut session = file.writer().await;
    let sql = "SELECT column1 AS a, column2 AS b, column3 AS c, column4 AS d \
               FROM (VALUES (NULL, 1, 'x', NULL), (2, 2.5, NULL, NULL), (NULL, NULL, x'01', NULL))";
    let rows = query(&mut session, sql, []).await.unwrap();
    let names: Vec<&str> = rows.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!((names, rows.batch.row_count), (vec!["a", "b", "c", "d"], 3));
    let [a, b, c, d] = &rows.batch.columns[..] else { panic!("four columns") };
    assert_eq!((&a.data, &a.nulls[..]), (&ColumnData::Cells(Cells::Signed(vec![0, 2, 0])), &[0b101][..]));
    let mixed = ColumnData::Mixed(vec![Value::Signed(1), Value::Float64(2.5), Value::Null]);
    assert_eq!((&b.data, &b.nulls[..]), (&mixed, &[0b100][..]));
    assert_eq!(c.data, ColumnData::Mixed(vec![text("x"), Value::Null, Value::Bytes(vec![1])]));
    let empty = ColumnData::Cells(Cells::Text(Packed { offsets: vec![0; 4], data: Vec::new() }));
    assert_eq!((&d.data, &d.nulls[..]), (&empty, &[0b111][..]));
}

#[tokio::test]
async fn columns_without_rows_have_names_and_types() {
    let file = File::new().await;
    let mut session = file.reader().await;
    let rows = query(&mut session, "SELECT id, name, born, id + 1 AS next FROM patients", []).await.unwrap();
    let infos: Vec<_> = rows.columns.iter().map(|column| (column.name.as_str(), column.type_name.as_str())).collect();
    assert_eq!(infos, [("id", "INTEGER"), ("name", "TEXT"), ("born", "DATE"), ("next", "")]);
    assert_eq!(rows.batch.row_count, 0);
    assert_eq!(rows.batch.columns[0].data, ColumnData::Cells(Cells::Signed(Vec::new())));
    assert_eq!(rows.batch.columns[2].data, ColumnData::Cells(Cells::Date(Vec::new())));
}

#[tokio::test]
async fn text_that_is_not_utf8_is_an_error() {
    let file = File::new().await;
    let mut session = file.reader().await;
    let failure = query(&mut session, "SELECT 1, CAST(x'ff' AS TEXT) AS odd", []).await.unwrap_err();
    assert_eq!((failure.kind, &failure.details[0]), (FailureKind::Conversion, &("column", "odd".to_owned())));
    assert_eq!(number(&mut session, "SELECT 1").await, 1);
}
