//! Rows as JSON without a detour: a row is an object, rows are an array of them.

use std::fmt;

use serde::ser::{Error, Serialize, SerializeMap, Serializer};

use crate::sql::cell::Cell;
use crate::sql::row::{OwnedRow, Row};
use crate::sql::rows::Rows;

impl Serialize for Cell<'_> {
    /// Dates, times, UUIDs and decimals become text, JSON stays JSON, bytes become base64.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Null => serializer.serialize_unit(),
            Self::Boolean(value) => serializer.serialize_bool(value),
            Self::Signed(value) => serializer.serialize_i64(value),
            Self::Unsigned(value) => serializer.serialize_u64(value),
            Self::Float32(value) => serializer.serialize_f32(value),
            Self::Float64(value) => serializer.serialize_f64(value),
            Self::Decimal(text) | Self::Text(text) | Self::Network(text) | Self::Other { text, .. } => {
                serializer.serialize_str(text)
            }
            Self::Bytes(bytes) => serializer.collect_str(&Base64(bytes)),
            Self::Date(value) => value.serialize(serializer),
            Self::Time(value) => value.serialize(serializer),
            Self::Timestamp(value) => value.serialize(serializer),
            Self::TimestampTz(value) => value.serialize(serializer),
            Self::Interval(value) => value.serialize(serializer),
            Self::Uuid(value) => value.serialize(serializer),
            Self::Json(text) => serde_json::from_str::<serde_json::Value>(text).map_err(S::Error::custom)?.serialize(serializer),
            Self::Array(array) => serializer.collect_seq(array.iter()),
        }
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (position, column) in self.rows.columns().iter().enumerate() {
            map.serialize_entry(&column.name, &self.cell(position))?;
        }
        map.end()
    }
}

impl Serialize for OwnedRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_row().serialize(serializer)
    }
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// Bytes in the standard base64 alphabet, padded.
struct Base64<'a>(&'a [u8]);

impl fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for chunk in self.0.chunks(3) {
            let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for index in 0..4 {
                let character = ALPHABET[(bits >> (18 - 6 * index) & 63) as usize];
                f.write_char(if index <= chunk.len() { character.into() } else { '=' })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::rows::tests::rows;
    use crate::wire::Value;

    #[test]
    fn rows_become_objects() {
        let rows = rows(vec![
            ("id", vec![Value::Signed(7), Value::Null]),
            ("at", vec![Value::TimestampTz(0), Value::Json("[1, {}]".into())]),
            ("raw", vec![Value::Bytes(b"hi".to_vec()), Value::Decimal("1.50".into())]),
        ]);
        assert_eq!(
            serde_json::to_string(&rows).unwrap(),
            r#"[{"id":7,"at":"1970-01-01T00:00:00Z","raw":"aGk="},{"id":null,"at":[1,{}],"raw":"1.50"}]"#
        );
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(Base64(bytes.as_bytes()).to_string(), text);
        }
        assert_eq!(Base64(&[0xfb, 0xff]).to_string(), "+/8=");
    }
}
