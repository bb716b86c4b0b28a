//! Every type, both directions.

use super::*;
use crate::driver::types::{ArrayValue, Cells, Interval, OtherValue, Packed, Uuid};

fn decimal(text: &str) -> Value {
    Value::Decimal(text.into())
}

fn network(text: &str) -> Value {
    Value::Network(text.into())
}

fn other(type_name: &str, text: &str) -> Value {
    Value::Other(OtherValue { type_name: type_name.into(), text: text.into() })
}

/// Type, value as the guest gives it, the same in the server's words.
fn all() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("bool", Value::Boolean(true), "true"),
        ("int2", Value::Signed(-32768), "-32768"),
        ("int4", Value::Signed(2_147_483_647), "2147483647"),
        ("int8", Value::Signed(i64::MIN), "-9223372036854775808"),
        ("oid", Value::Signed(4_294_967_295), "4294967295"),
        ("float4", Value::Float32(1.5), "1.5"),
        ("float8", Value::Float64(0.1), "0.1"),
        ("float8", Value::Float64(f64::INFINITY), "Infinity"),
        ("numeric", decimal("12345678901234567890.1230"), "12345678901234567890.1230"),
        ("numeric", decimal("-0.0001"), "-0.0001"),
        ("numeric", decimal("NaN"), "NaN"),
        ("numeric", decimal("-Infinity"), "-Infinity"),
        ("text", text("grüße"), "grüße"),
        ("varchar", text(""), ""),
        ("bpchar", text("x"), "x"),
        ("name", text("n"), "n"),
        ("\"char\"", text("c"), "c"),
        ("bytea", Value::Bytes(vec![0, 255]), "\\x00ff"),
        ("date", Value::Date(-1), "1969-12-31"),
        ("date", Value::Date(i32::MAX), "infinity"),
        ("time", Value::Time(86_399_999_999), "23:59:59.999999"),
        ("time", Value::Time(86_400_000_000), "24:00:00"),
        ("timestamp", Value::Timestamp(1), "1970-01-01 00:00:00.000001"),
        ("timestamp", Value::Timestamp(i64::MIN), "-infinity"),
        ("timestamptz", Value::TimestampTz(-1_000_000), "1969-12-31 23:59:59+00"),
        ("timestamptz", Value::TimestampTz(i64::MAX), "infinity"),
        (
            "interval",
            Value::Interval(Interval { months: 14, days: -3, microseconds: 1_500_000 }),
            "1 year 2 mons -3 days +00:00:01.5",
        ),
        (
            "uuid",
            Value::Uuid(Uuid { high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff }),
            "00112233-4455-6677-8899-aabbccddeeff",
        ),
        ("json", Value::Json("{\"a\": 1}".into()), "{\"a\": 1}"),
        ("jsonb", Value::Json("{\"a\": 1}".into()), "{\"a\": 1}"),
        ("inet", network("10.0.0.1/8"), "10.0.0.1/8"),
        ("cidr", network("fe80::/64"), "fe80::/64"),
        ("macaddr", network("08:00:2b:01:02:03"), "08:00:2b:01:02:03"),
        ("macaddr8", network("08:00:2b:01:02:03:04:05"), "08:00:2b:01:02:03:04:05"),
        ("timetz", other("timetz", "01:02:03.5+05:30"), "01:02:03.5+05:30"),
        ("varbit", other("varbit", "101100111"), "101100111"),
        ("xml", other("xml", "<a/>"), "<a/>"),
        ("pg_lsn", other("pg_lsn", "16/B374D848"), "16/B374D848"),
        ("jsonpath", other("jsonpath", "$.\"a\""), "$.\"a\""),
        ("xid8", other("xid8", "18446744073709551615"), "18446744073709551615"),
        ("mood", text("glad"), "glad"),
        ("positive", Value::Signed(7), "7"),
    ]
}

#[tokio::test]
async fn every_type_crosses_in_both_directions_and_null_everywhere() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN positive AS int CHECK (VALUE > 0)").await;
    let mut connection = connected(&fixture).await;
    for (type_name, value, written) in all() {
        // What went in comes out, is what the server takes it for, and what the server writes comes out as the same.
        let sql = format!("SELECT $1::{type_name}, $1::{type_name}::text, $2::text::{type_name}, NULL::{type_name}");
        let sql = if type_name == "xml" { sql.replace("$2::text::xml", "xmlparse(CONTENT $2::text)") } else { sql };
        let rows = query(&mut *connection, &sql, vec![value.clone(), text(written)]).await;
        let batch = rows.unwrap_or_else(|failure| panic!("{sql}: {failure:?}")).batch;
        assert_eq!(cell(&batch, 0, 0), value, "{type_name}");
        assert_eq!(cell(&batch, 1, 0), text(written), "{type_name}");
        assert_eq!(cell(&batch, 2, 0), value, "{type_name}");
        assert_eq!(cell(&batch, 3, 0), Value::Null, "{type_name}");
        assert_eq!(one(&mut *connection, &format!("SELECT $1::{type_name}"), vec![Value::Null]).await, Value::Null);
    }
}

#[tokio::test]
async fn arrays_cross_with_nulls_and_empty_but_not_with_more_dimensions() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE TYPE mood AS ENUM ('glad', 'sad')").await;
    let mut connection = connected(&fixture).await;
    for (type_name, value, _) in all() {
        if matches!(type_name, "\"char\"" | "positive" | "xid8") {
            continue;
        }
        let sql = format!("SELECT ARRAY[$1::{type_name}, NULL]");
        let rows =
            query(&mut *connection, &sql, vec![value.clone()]).await.unwrap_or_else(|failure| panic!("{sql}: {failure:?}"));
        let ColumnData::Arrays(arrays) = &rows.batch.columns[0].data else { panic!("{type_name} has no arrays") };
        assert_eq!((arrays.offsets.as_slice(), arrays.nulls.as_slice()), (&[0, 2][..], &[2][..]));
        assert_eq!(arrays.elements.value(0), value);
        // And back.
        let array = ArrayValue { elements: arrays.elements.clone(), nulls: arrays.nulls.clone() };
        let sql = format!("SELECT ($1::{type_name}[])[1], array_length($1, 1), ($1::{type_name}[])[2] IS NULL");
        let batch =
            query(&mut *connection, &sql, vec![Value::Array(array)]).await.unwrap_or_else(|f| panic!("{sql}: {f:?}")).batch;
        assert_eq!((cell(&batch, 0, 0), cell(&batch, 1, 0)), (value, Value::Signed(2)));
        assert_eq!(cell(&batch, 2, 0), Value::Boolean(true));
    }
    let rows = query(&mut *connection, "SELECT '{}'::int[] AS a UNION ALL SELECT NULL", vec![]).await.unwrap();
    let ColumnData::Arrays(arrays) = &rows.batch.columns[0].data else { panic!() };
    assert_eq!((arrays.offsets.as_slice(), rows.batch.columns[0].nulls.as_slice()), (&[0, 0, 0][..], &[2][..]));
    assert_eq!(rows.columns[0].type_name, "int4[]");
    let empty = Value::Array(ArrayValue { elements: Cells::Signed(vec![]), nulls: vec![] });
    assert_eq!(one(&mut *connection, "SELECT cardinality($1::int[])", vec![empty]).await, Value::Signed(0));
    let failure = query(&mut *connection, "SELECT ARRAY[[1, 2], [3, 4]] AS grid", vec![]).await.unwrap_err();
    assert_eq!((failure.kind, failure.lost), (FailureKind::Conversion, false));
    assert!(failure.details.contains(&("column", "grid".into())));
    // The session has survived it.
    assert_eq!(one(&mut *connection, "SELECT 1", vec![]).await, Value::Signed(1));
}

#[tokio::test]
async fn text_and_numbers_are_taken_where_nothing_is_lost() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    for (type_name, given, written) in [
        ("uuid", text("00112233-4455-6677-8899-AABBCCDDEEFF"), "00112233-4455-6677-8899-aabbccddeeff"),
        ("inet", text("::1"), "::1/128"),
        ("cidr", text("10.0.0.0/8"), "10.0.0.0/8"),
        ("date", text("2024-02-29"), "2024-02-29"),
        ("time", text("01:02"), "01:02:00"),
        ("timestamp", text("2024-02-29T01:02:03.5"), "2024-02-29 01:02:03.5"),
        ("timestamp", Value::Date(0), "1970-01-01 00:00:00"),
        ("date", Value::Timestamp(86_400_000_000), "1970-01-02"),
        ("timestamptz", text("2024-02-29T01:02:03+01:00"), "2024-02-29 00:02:03+00"),
        ("timestamptz", text("infinity"), "infinity"),
        ("interval", text("1 day 02:00:00"), "1 day 02:00:00"),
        ("numeric", text("1.50"), "1.50"),
        ("numeric", Value::Signed(-5), "-5"),
        ("numeric", Value::Unsigned(u64::MAX), "18446744073709551615"),
        ("numeric", Value::Float64(0.1), "0.1"),
        ("int8", Value::Unsigned(5), "5"),
        ("int4", text("42"), "42"),
        ("float8", Value::Signed(1 << 40), "1099511627776"),
        ("float8", Value::Float32(0.5), "0.5"),
        ("float4", Value::Float64(0.25), "0.25"),
        ("jsonb", text("[1]"), "[1]"),
        ("bool", text("yes"), "true"),
    ] {
        assert_eq!(
            one(&mut *connection, &format!("SELECT $1::{type_name}::text"), vec![given.clone()]).await,
            text(written),
            "{given:?}"
        );
    }
}

#[tokio::test]
async fn what_does_not_fit_is_a_conversion_error_before_anything_runs() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    begin(&mut *connection).await;
    for (type_name, given) in [
        ("int2", Value::Signed(32_768)),
        ("int4", Value::Signed(1 << 31)),
        ("int8", Value::Unsigned(1 << 63)),
        ("oid", Value::Signed(-1)),
        ("int4", Value::Float64(1.0)),
        ("int4", text("many")),
        ("float8", Value::Signed((1 << 53) + 1)),
        ("float4", Value::Float64(0.1)),
        ("bool", Value::Signed(1)),
        ("text", Value::Signed(1)),
        ("bytea", text("x")),
        ("uuid", text("no")),
        ("date", text("2023-02-29")),
        ("date", Value::Timestamp(1)),
        ("timestamp", Value::TimestampTz(0)),
        ("timestamptz", Value::Timestamp(0)),
        ("timestamptz", text("2024-01-01 00:00:00")),
        ("time", Value::Time(86_400_000_001)),
        ("numeric", text("one")),
        ("json", Value::Signed(1)),
        ("int4[]", Value::Signed(1)),
        ("int4", Value::Array(ArrayValue { elements: Cells::Signed(vec![1]), nulls: vec![] })),
        ("int4[]", Value::Array(ArrayValue { elements: Cells::Signed(vec![1 << 40]), nulls: vec![] })),
        ("tsvector", text("a")),
    ] {
        let failure = query(&mut *connection, &format!("SELECT ($1::{type_name})::text"), vec![given.clone()]).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Conversion, "{type_name} {given:?}");
        assert_eq!(failure.details, [("parameter", "1".to_owned()), ("type", type_name.to_owned())], "{failure:?}");
    }
    // Nothing reached the server, so the transaction goes on.
    assert_eq!(one(&mut *connection, "SELECT 1", vec![]).await, Value::Signed(1));
    let failure = query(&mut *connection, "SELECT $1::int", vec![]).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid);
    // The server's own opinion of a value.
    let failure = query(&mut *connection, "SELECT $1::json", vec![text("{")]).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conversion);
}

#[tokio::test]
async fn types_without_a_form_are_refused_by_name_and_text_of_another_encoding_too() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE TYPE pair AS (a int, b int); CREATE TYPE span AS RANGE (subtype = int4)").await;
    let mut connection = connected(&fixture).await;
    for (sql, type_name) in [
        ("SELECT 'a'::tsvector AS c", "tsvector"),
        ("SELECT int4range(1, 2) AS c", "int4range"),
        ("SELECT ROW(1, 2)::pair AS c", "pair"),
        ("SELECT point(1, 2) AS c", "point"),
        ("SELECT 1::text::money AS c", "money"),
        ("SELECT span(1, 2) AS c", "span"),
    ] {
        let failure = query(&mut *connection, sql, vec![]).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Conversion, "{sql}: {failure:?}");
        assert_eq!(failure.details, [("column", "c".to_owned()), ("type", type_name.to_owned())]);
    }
    execute(&mut *connection, "SET client_encoding = 'LATIN1'", vec![]).await.unwrap();
    let failure = query(&mut *connection, "SELECT chr(228) AS c", vec![]).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conversion);
    connection.reset().await.unwrap();
    assert_eq!(one(&mut *connection, "SELECT chr(228)", vec![]).await, text("ä"));
}

#[tokio::test]
async fn columns_are_described_without_rows_too() {
    let fixture = Fixture::new().await;
    fixture.run("CREATE TYPE mood AS ENUM ('glad'); CREATE TABLE t (id bigint, name text, feels mood, tags text[])").await;
    let mut connection = connected(&fixture).await;
    let rows = query(&mut *connection, "SELECT *, now() AS at FROM t", vec![]).await.unwrap();
    let described: Vec<_> = rows.columns.iter().map(|column| (column.name.as_str(), column.type_name.as_str())).collect();
    assert_eq!(described, [("id", "int8"), ("name", "text"), ("feels", "mood"), ("tags", "text[]"), ("at", "timestamptz")]);
    assert_eq!((rows.batch.row_count, rows.batch.columns.len()), (0, 5));
    let ColumnData::Cells(Cells::Text(cells)) = &rows.batch.columns[1].data else { panic!() };
    assert_eq!(*cells, Packed::empty());
    let rows = query(&mut *connection, "SELECT FROM generate_series(1, 3)", vec![]).await.unwrap();
    assert_eq!((rows.batch.row_count, rows.columns.len()), (3, 0));
}
