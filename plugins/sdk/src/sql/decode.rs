//! Rows into structs through serde.

use std::fmt::Display;

use serde::de::value::{BorrowedStrDeserializer, Error, SeqDeserializer, StrDeserializer};
use serde::de::{self, Deserializer, IntoDeserializer, Visitor};

use crate::sql::cell::Cell;
use crate::sql::from_cell::FromCell;
use crate::sql::row::Row;
use crate::types::{Date, Decimal, Interval, Time, Timestamp, TimestampTz, Uuid, serde_name};

pub(super) fn decode<'a, T: de::Deserialize<'a>>(row: Row<'a>) -> Result<T, Error> {
    T::deserialize(RowDeserializer { row, next: 0 })
}

/// A row as a map from column names, or as a sequence.
struct RowDeserializer<'a> {
    row: Row<'a>,
    next: usize,
}

impl<'a> RowDeserializer<'a> {
    /// The next cell; an error of it names the column.
    fn cell<T: de::DeserializeSeed<'a>>(&self, position: usize, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(CellDeserializer(self.row.cell(position))).map_err(|error| {
            let name = self.row.rows.columns().get(position).map_or("", |column| column.name.as_str());
            de::Error::custom(format_args!("column {name}: {error}"))
        })
    }
}

impl<'de> Deserializer<'de> for RowDeserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(self)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, _: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct map struct enum identifier ignored_any
    }
}

impl<'a> de::MapAccess<'a> for RowDeserializer<'a> {
    type Error = Error;

    fn next_key_seed<K: de::DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let column = self.row.rows.columns().get(self.next);
        column.map(|column| seed.deserialize(BorrowedStrDeserializer::new(&column.name))).transpose()
    }

    fn next_value_seed<V: de::DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.next += 1;
        self.cell(self.next - 1, seed)
    }
}

impl<'a> de::SeqAccess<'a> for RowDeserializer<'a> {
    type Error = Error;

    fn next_element_seed<T: de::DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.next == self.row.len() {
            return Ok(None);
        }
        self.next += 1;
        self.cell(self.next - 1, seed).map(Some)
    }
}

/// One cell. Where the target names a scalar type, the conversion is that of [`FromCell`].
struct CellDeserializer<'a>(Cell<'a>);

fn convert<'a, T: FromCell<'a>>(cell: Cell<'a>) -> Result<T, Error> {
    T::from_cell(cell)
        .map_err(|mismatch| de::Error::custom(format_args!("expected {}, found {}", mismatch.expected, mismatch.found)))
}

macro_rules! scalars {
    ($($method:ident $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(convert(self.0)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for CellDeserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        fn text<'de, V: Visitor<'de>>(value: impl Display, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_string(value.to_string())
        }
        match self.0 {
            Cell::Null => visitor.visit_unit(),
            Cell::Boolean(value) => visitor.visit_bool(value),
            Cell::Signed(value) => visitor.visit_i64(value),
            Cell::Unsigned(value) => visitor.visit_u64(value),
            Cell::Float32(value) => visitor.visit_f32(value),
            Cell::Float64(value) => visitor.visit_f64(value),
            Cell::Decimal(value) | Cell::Text(value) | Cell::Network(value) | Cell::Other { text: value, .. } => {
                visitor.visit_borrowed_str(value)
            }
            Cell::Json(value) => serde_json::Deserializer::from_str(value).deserialize_any(visitor).map_err(de::Error::custom),
            Cell::Bytes(value) => visitor.visit_borrowed_bytes(value),
            Cell::Date(value) => text(value, visitor),
            Cell::Time(value) => text(value, visitor),
            Cell::Timestamp(value) => text(value, visitor),
            Cell::TimestampTz(value) => text(value, visitor),
            Cell::Interval(value) => text(value, visitor),
            Cell::Uuid(value) => text(value, visitor),
            Cell::Array(array) => visitor.visit_seq(SeqDeserializer::new(array.iter().map(CellDeserializer))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Cell::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// The types of this crate give their names, so that each converts as `get` would.
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        match name {
            serde_name::DATE => visitor.visit_string(convert::<Date>(self.0)?.to_string()),
            serde_name::DECIMAL => visitor.visit_string(convert::<Decimal>(self.0)?.into_string()),
            serde_name::INTERVAL => visitor.visit_string(convert::<Interval>(self.0)?.to_string()),
            serde_name::TIME => visitor.visit_string(convert::<Time>(self.0)?.to_string()),
            serde_name::TIMESTAMP => visitor.visit_string(convert::<Timestamp>(self.0)?.to_string()),
            serde_name::TIMESTAMP_TZ => visitor.visit_string(convert::<TimestampTz>(self.0)?.to_string()),
            serde_name::UUID => visitor.visit_string(convert::<Uuid>(self.0)?.to_string()),
            serde_name::JSON => match self.0 {
                Cell::Json(text) | Cell::Text(text) => {
                    visitor.visit_newtype_struct(&mut serde_json::Deserializer::from_str(text)).map_err(de::Error::custom)
                }
                other => Err(de::Error::custom(format_args!("expected JSON, found {}", other.describe()))),
            },
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Cell::Json(text) => visitor.visit_borrowed_str(text),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let text: StrDeserializer<'de, Error> = convert::<&str>(self.0)?.into_deserializer();
        text.deserialize_enum(name, variants, visitor)
    }

    scalars! {
        deserialize_bool visit_bool;
        deserialize_i16 visit_i16;
        deserialize_i32 visit_i32;
        deserialize_i64 visit_i64;
        deserialize_u16 visit_u16;
        deserialize_u32 visit_u32;
        deserialize_u64 visit_u64;
        deserialize_f32 visit_f32;
        deserialize_f64 visit_f64;
    }

    serde::forward_to_deserialize_any! {
        i8 i128 u8 u128 char bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'a> IntoDeserializer<'a, Error> for CellDeserializer<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::sql::rows::Rows;
    use crate::sql::rows::tests::rows;
    use crate::types::Json;
    use crate::wire::Value;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case")]
    enum Sex {
        Female,
        Male,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Patient<'a> {
        id: i64,
        name: &'a str,
        active: bool,
        sex: Sex,
        born: Date,
        last_seen: Option<TimestampTz>,
        balance: Decimal,
        extra: Json,
    }

    fn patient(last_seen: Value, active: Value) -> Rows {
        rows(vec![
            ("id", vec![Value::Signed(7)]),
            ("name", vec![Value::Text("Ada".into())]),
            ("active", vec![active]),
            ("sex", vec![Value::Text("female".into())]),
            ("born", vec![Value::Text("1984-06-02".into())]),
            ("last_seen", vec![last_seen]),
            ("balance", vec![Value::Signed(12)]),
            ("extra", vec![Value::Text("{\"a\":[1]}".into())]),
            ("not_asked_for", vec![Value::Bytes(vec![1])]),
        ])
    }

    #[test]
    fn a_row_becomes_a_struct_with_the_conversions_of_get() {
        let rows = patient(Value::Timestamp(0), Value::Signed(1));
        let found: Vec<Patient<'_>> = rows.decode().unwrap();
        assert_eq!(found[0].name, "Ada");
        assert_eq!((found[0].id, found[0].active, &found[0].sex), (7, true, &Sex::Female));
        assert_eq!((found[0].born, found[0].last_seen), (Date::new(1984, 6, 2).unwrap(), Some(TimestampTz::from_micros(0))));
        assert_eq!((found[0].balance.as_str(), &found[0].extra.0["a"][0]), ("12", &serde_json::json!(1)));
        let rows = patient(Value::Null, Value::Boolean(false));
        assert_eq!(rows.decode::<Patient<'_>>().unwrap()[0].last_seen, None);
    }

    #[test]
    fn errors_name_the_column() {
        let rows = patient(Value::Null, Value::Null);
        let error = rows.decode::<Patient<'_>>().unwrap_err();
        assert_eq!(error.to_string(), "column active: expected a boolean, found null");
        assert!(rows.decode::<Missing>().unwrap_err().to_string().contains("missing field `nowhere`"));
    }

    #[derive(Debug, Deserialize)]
    struct Missing {
        #[expect(dead_code, reason = "only its absence matters")]
        nowhere: i64,
    }

    #[test]
    fn a_row_becomes_a_tuple_in_order() {
        let rows = rows(vec![("month", vec![Value::Text("2024-01".into())]), ("visits", vec![Value::Decimal("12".into())])]);
        assert_eq!(rows.decode::<(String, i64)>().unwrap(), [("2024-01".to_owned(), 12)]);
    }
}
