//! Values go in and come out without loss, or not at all.

use super::*;
use crate::driver::types::{Cells, Interval, OtherValue, Uuid};

const DAY: i64 = 86_400_000_000;

#[tokio::test]
async fn every_type_comes_back_as_it_went_in() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    let interval = |microseconds| Value::Interval(Interval { months: 0, days: 0, microseconds });
    let uuid = Uuid { high: 0x1122_3344_5566_7788, low: 0x99aa_bbcc_ddee_ff00 };
    let cases: Vec<(&str, &str, Value, Value)> = vec![
        ("BOOLEAN", "BOOLEAN", Value::Boolean(true), Value::Boolean(true)),
        ("TINYINT", "TINYINT", Value::Signed(-128), Value::Signed(-128)),
        ("TINYINT(1) UNSIGNED", "TINYINT UNSIGNED", Value::Signed(255), Value::Unsigned(255)),
        ("SMALLINT", "SMALLINT", Value::Signed(-32768), Value::Signed(-32768)),
        ("MEDIUMINT", "MEDIUMINT", Value::Signed(-8_388_608), Value::Signed(-8_388_608)),
        ("MEDIUMINT UNSIGNED", "MEDIUMINT UNSIGNED", Value::Unsigned(16_777_215), Value::Unsigned(16_777_215)),
        ("INT", "INT", Value::Signed(i32::MIN.into()), Value::Signed(i32::MIN.into())),
        ("BIGINT", "BIGINT", Value::Signed(i64::MIN), Value::Signed(i64::MIN)),
        ("BIGINT UNSIGNED", "BIGINT UNSIGNED", Value::Unsigned(u64::MAX), Value::Unsigned(u64::MAX)),
        ("FLOAT", "FLOAT", Value::Float32(1.1), Value::Float32(1.1)),
        ("DOUBLE", "DOUBLE", Value::Float64(0.1), Value::Float64(0.1)),
        (
            "DECIMAL(65, 30)",
            "DECIMAL",
            Value::Decimal("12345678901234567890123456789012345.678901234567890123456789012345".into()),
            Value::Decimal("12345678901234567890123456789012345.678901234567890123456789012345".into()),
        ),
        ("DECIMAL(10, 2)", "DECIMAL", Value::Decimal("-1e3".into()), Value::Decimal("-1000.00".into())),
        ("VARCHAR(20)", "VARCHAR", text("grüße 🦀"), text("grüße 🦀")),
        ("VARCHAR(20) COLLATE utf8mb4_bin", "VARCHAR", text("Bin"), text("Bin")),
        ("CHAR(5) CHARACTER SET latin1", "CHAR", text("é"), text("é")),
        ("LONGTEXT", "TEXT", text(""), text("")),
        ("VARBINARY(9)", "VARBINARY", Value::Bytes(vec![0, 255, 10]), Value::Bytes(vec![0, 255, 10])),
        ("BINARY(3)", "BINARY", Value::Bytes(vec![1]), Value::Bytes(vec![1, 0, 0])),
        ("LONGBLOB", "BLOB", Value::Bytes(vec![7; 70_000]), Value::Bytes(vec![7; 70_000])),
        ("DATE", "DATE", Value::Date(-1), Value::Date(-1)),
        ("DATE", "DATE", Value::Date(2_932_896), Value::Date(2_932_896)),
        ("DATE", "DATE", text("2024-02-29"), Value::Date(19_782)),
        ("TIME(6)", "TIME", Value::Time(86_399_999_999), interval(86_399_999_999)),
        ("TIME(6)", "TIME", interval(-3_020_399_000_001), interval(-3_020_399_000_001)),
        ("TIME", "TIME", interval(0), interval(0)),
        ("DATETIME(6)", "DATETIME", Value::Timestamp(-1), Value::Timestamp(-1)),
        ("DATETIME", "DATETIME", Value::Timestamp(19_782 * DAY), Value::Timestamp(19_782 * DAY)),
        ("TIMESTAMP(6)", "TIMESTAMP", Value::TimestampTz(1_700_000_000_123_456), Value::TimestampTz(1_700_000_000_123_456)),
        ("YEAR", "YEAR", Value::Signed(2155), Value::Unsigned(2155)),
        ("BIT(64)", "BIT", Value::Unsigned(u64::MAX), Value::Unsigned(u64::MAX)),
        ("BIT(1)", "BIT", Value::Boolean(true), Value::Unsigned(1)),
        // MariaDB has no binary form of these: JSON is a LONGTEXT, UUID and INET6 are sent as text.
        ("JSON", "TEXT", Value::Json("{\"a\": [1]}".into()), text("{\"a\": [1]}")),
        ("UUID", "CHAR", Value::Uuid(uuid), text("11223344-5566-7788-99aa-bbccddeeff00")),
        ("INET6", "CHAR", Value::Network("::1".into()), text("::1")),
        ("ENUM('a', 'b')", "ENUM", text("b"), text("b")),
        ("SET('a', 'b')", "CHAR", text("a,b"), text("a,b")),
        ("VARCHAR(5)", "VARCHAR", Value::Other(OtherValue { type_name: "x".into(), text: "abc".into() }), text("abc")),
        ("INT", "INT", Value::Null, Value::Null),
        ("DATETIME(6)", "DATETIME", Value::Null, Value::Null),
    ];
    for (declared, type_name, value, expected) in cases {
        all(&mut *connection, &["DROP TABLE IF EXISTS v", &format!("CREATE TABLE v (a {declared})")]).await;
        let described = query(&mut *connection, "SELECT a FROM v", vec![]).await.unwrap();
        assert_eq!((&*described.columns[0].name, &*described.columns[0].type_name), ("a", type_name), "{declared}");
        execute(&mut *connection, "INSERT INTO v VALUES (?)", vec![value.clone()])
            .await
            .unwrap_or_else(|failure| panic!("{declared}: {failure:?}"));
        assert_eq!(one(&mut *connection, "SELECT a FROM v", vec![]).await, expected, "{declared}");
        if value != Value::Null && !declared.starts_with("FLOAT") && !declared.starts_with("BINARY") {
            let found = one(&mut *connection, "SELECT COUNT(*) FROM v WHERE a = ?", vec![value]).await;
            assert_eq!(found, Value::Signed(1), "{declared}");
        }
    }
}

#[tokio::test]
async fn what_does_not_fit_is_an_error_on_both_ways() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    all(&mut *connection, &["CREATE TABLE t (n TINYINT, s VARCHAR(3), d DATE, e ENUM('a'), k DECIMAL(4, 1))"]).await;
    for (sql, value, column) in [
        ("INSERT INTO t (n) VALUES (?)", Value::Signed(128), Some("n")),
        ("INSERT INTO t (n) VALUES (?)", text("many"), Some("n")),
        ("INSERT INTO t (s) VALUES (?)", text("long"), Some("s")),
        ("INSERT INTO t (d) VALUES (?)", text("2023-02-29"), Some("d")),
        ("INSERT INTO t (e) VALUES (?)", text("b"), Some("e")),
        ("INSERT INTO t (k) VALUES (?)", Value::Decimal("1000".into()), Some("k")),
        ("SELECT ?", Value::Float64(f64::NAN), None),
        ("SELECT ?", Value::Decimal("9".repeat(66)), None),
        ("SELECT ?", Value::Date(i32::MAX), None),
        ("SELECT ?", Value::Timestamp(i64::MIN), None),
        ("SELECT ?", Value::Interval(Interval { months: 1, days: 0, microseconds: 0 }), None),
        ("SELECT ?", Value::Time(839 * 3_600_000_000), None),
    ] {
        let failure = failure(&mut *connection, sql, vec![value]).await;
        assert_eq!((failure.kind, failure.lost), (FailureKind::Conversion, false), "{sql}: {failure:?}");
        let told = failure.details.iter().find(|(key, _)| *key == "column").map(|(_, value)| value.as_str());
        assert_eq!(told, column, "{sql}: {failure:?}");
    }
    assert_eq!(one(&mut *connection, "SELECT COUNT(*) FROM t", vec![]).await, Value::Signed(0));
}

#[tokio::test]
async fn zero_dates_are_errors_and_never_null() {
    let fixture = Fixture::new().await;
    fixture
        .run(
            "SET sql_mode = ''; CREATE TABLE z (a DATE, b DATETIME, c TIMESTAMP NULL); \
             INSERT INTO z VALUES ('0000-00-00', '0000-00-00', '0000-00-00'), ('2024-00-10', '2024-01-00', NULL)",
        )
        .await;
    let mut connection = connected(&fixture).await;
    for (column, rows) in [("a", 2), ("b", 2), ("c", 1)] {
        for row in 0..rows {
            let sql = format!("SELECT {column} FROM z LIMIT 1 OFFSET {row}");
            let failure = query(&mut *connection, &sql, vec![]).await.unwrap_err();
            assert_eq!((failure.kind, failure.lost), (FailureKind::Conversion, false), "{sql}: {failure:?}");
        }
    }
    assert_eq!(one(&mut *connection, "SELECT c FROM z LIMIT 1 OFFSET 1", vec![]).await, Value::Null);
    assert_eq!(one(&mut *connection, "SELECT CAST(a AS CHAR) FROM z LIMIT 1", vec![]).await, text("0000-00-00"));
}

#[tokio::test]
async fn tiny_integers_are_booleans_only_while_they_are() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    all(&mut *connection, &["CREATE TABLE b (a TINYINT(1))", "INSERT INTO b VALUES (1), (NULL), (0)"]).await;
    let of = |rows: Rows| match rows.batch.columns.into_iter().next().unwrap().data {
        ColumnData::Cells(cells) => cells,
        other => panic!("{other:?}"),
    };
    let rows = query(&mut *connection, "SELECT a FROM b", vec![]).await.unwrap();
    assert_eq!(of(rows), Cells::Boolean(vec![true, false, false]));
    all(&mut *connection, &["INSERT INTO b VALUES (-7)"]).await;
    let rows = query(&mut *connection, "SELECT a FROM b", vec![]).await.unwrap();
    assert_eq!(of(rows), Cells::Signed(vec![1, 0, 0, -7]));
}

#[tokio::test]
async fn columns_are_told_without_rows_and_follow_parameters() {
    let fixture = Fixture::new().await;
    let mut connection = connected(&fixture).await;
    let sql = "SELECT 1 AS a, 'x' AS b, NOW(6) AS `c c`, CAST(1 AS UNSIGNED) AS d FROM DUAL WHERE 1 = 0";
    let rows = query(&mut *connection, sql, vec![]).await.unwrap();
    let told: Vec<(&str, &str)> = rows.columns.iter().map(|column| (&*column.name, &*column.type_name)).collect();
    assert_eq!(told, [("a", "INT"), ("b", "VARCHAR"), ("c c", "DATETIME"), ("d", "INT UNSIGNED")]);
    assert_eq!((rows.batch.row_count, rows.batch.columns.len()), (0, 4));
    for value in [Value::Signed(-5), Value::Float64(1.5), text("x"), Value::Date(5), Value::Timestamp(7), Value::Bytes(vec![1])] {
        assert_eq!(one(&mut *connection, "SELECT ?", vec![value.clone()]).await, value);
    }
    assert_eq!(one(&mut *connection, "SELECT NULL", vec![]).await, Value::Null);
    assert_eq!(
        one(&mut *connection, "SELECT a FROM (SELECT ? AS a) s LIMIT ?", vec![Value::Signed(3), Value::Signed(1)]).await,
        Value::Signed(3)
    );
}
