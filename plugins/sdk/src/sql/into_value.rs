//! From Rust types to parameters.

use crate::types::{Date, Decimal, Interval, Json, Time, Timestamp, TimestampTz, Uuid};
use crate::wire::{self, Value};

/// A Rust type that can be a parameter. Owned text moves, borrowed text is copied once.
pub trait IntoValue {
    /// The value on the wire.
    fn into_value(self) -> Value;
}

impl IntoValue for Value {
    fn into_value(self) -> Value {
        self
    }
}

impl<T: IntoValue> IntoValue for Option<T> {
    fn into_value(self) -> Value {
        self.map_or(Value::Null, T::into_value)
    }
}

impl<T: IntoValue + Clone> IntoValue for &T {
    fn into_value(self) -> Value {
        self.clone().into_value()
    }
}

macro_rules! into_value {
    ($($type:ty: $value:ident => $wire:expr;)*) => {$(
        impl IntoValue for $type {
            fn into_value(self) -> Value {
                let $value = self;
                $wire
            }
        }
    )*};
}

into_value! {
    bool: value => Value::Boolean(value);
    i16: value => Value::Signed(value.into());
    i32: value => Value::Signed(value.into());
    i64: value => Value::Signed(value);
    u16: value => Value::Signed(value.into());
    u32: value => Value::Signed(value.into());
    u64: value => i64::try_from(value).map_or(Value::Unsigned(value), Value::Signed);
    usize: value => (value as u64).into_value();
    f32: value => Value::Float32(value);
    f64: value => Value::Float64(value);
    String: value => Value::Text(value);
    &str: value => Value::Text(value.to_owned());
    Vec<u8>: value => Value::Bytes(value);
    &[u8]: value => Value::Bytes(value.to_owned());
    Decimal: value => Value::Decimal(value.into_string());
    Date: value => Value::Date(value.days());
    Time: value => Value::Time(value.micros());
    Timestamp: value => Value::Timestamp(value.micros());
    TimestampTz: value => Value::TimestampTz(value.micros());
    Interval: value => Value::Interval(value.into());
    Uuid: value => Value::Uuid(value.into());
    serde_json::Value: value => Value::Json(value.to_string());
}

impl<T: serde::Serialize> IntoValue for Json<T> {
    /// # Panics
    /// When `T` has no JSON form, such as a map whose keys are not text.
    fn into_value(self) -> Value {
        match serde_json::to_string(&self.0) {
            Ok(text) => Value::Json(text),
            Err(error) => panic!("a parameter has no JSON form: {error}"),
        }
    }
}

/// A type whose `Vec` is an array parameter.
pub trait IntoElement: Sized {
    /// The elements, end to end as everywhere on the wire; `None` gets a placeholder, which the null bitmap hides.
    fn into_cells(elements: impl Iterator<Item = Option<Self>>) -> wire::Cells;
}

macro_rules! into_element {
    ($($type:ty: $case:ident($placeholder:expr), $value:ident => $wire:expr;)*) => {$(
        impl IntoElement for $type {
            fn into_cells(elements: impl Iterator<Item = Option<Self>>) -> wire::Cells {
                wire::Cells::$case(elements.map(|element| element.map_or($placeholder, |$value| $wire)).collect())
            }
        }
    )*};
}

into_element! {
    bool: Boolean(false), value => value;
    i16: Signed(0), value => value.into();
    i32: Signed(0), value => value.into();
    i64: Signed(0), value => value;
    u16: Signed(0), value => value.into();
    u32: Signed(0), value => value.into();
    f32: Float32(0.0), value => value;
    f64: Float64(0.0), value => value;
    Date: Date(0), value => value.days();
    Time: Time(0), value => value.micros();
    Timestamp: Timestamp(0), value => value.micros();
    TimestampTz: TimestampTz(0), value => value.micros();
    Interval: Interval(Self::default().into()), value => value.into();
    Uuid: Uuid(Self::from_u128(0).into()), value => value.into();
}

macro_rules! into_packed_element {
    ($($type:ty: $case:ident, $value:ident => $bytes:expr;)*) => {$(
        impl IntoElement for $type {
            fn into_cells(elements: impl Iterator<Item = Option<Self>>) -> wire::Cells {
                let mut packed = wire::Packed { offsets: vec![0], data: Vec::new() };
                for element in elements {
                    if let Some($value) = element {
                        packed.data.extend_from_slice($bytes);
                    }
                    // The memory of a handler is smaller than 4 GiB.
                    packed.offsets.push(u32::try_from(packed.data.len()).unwrap_or(u32::MAX));
                }
                wire::Cells::$case(packed)
            }
        }
    )*};
}

into_packed_element! {
    String: Text, value => value.as_bytes();
    &str: Text, value => value.as_bytes();
    Decimal: Decimal, value => value.as_str().as_bytes();
}

impl<T: IntoElement> IntoValue for Vec<T> {
    fn into_value(self) -> Value {
        Value::Array(wire::ArrayValue { elements: T::into_cells(self.into_iter().map(Some)), nulls: Vec::new() })
    }
}

impl<T: IntoElement> IntoValue for Vec<Option<T>> {
    fn into_value(self) -> Value {
        let mut nulls = Vec::new();
        for (index, _) in self.iter().enumerate().filter(|(_, element)| element.is_none()) {
            nulls.resize(self.len().div_ceil(8), 0_u8);
            nulls[index / 8] |= 1 << (index % 8);
        }
        Value::Array(wire::ArrayValue { elements: T::into_cells(self.into_iter()), nulls })
    }
}

/// The parameters of a statement, in order: `params![id, &name, None::<i64>]`.
///
/// Each is moved in; borrow what is needed again.
#[macro_export]
macro_rules! params {
    () => {
        [] as [$crate::Value; 0]
    };
    ($($value:expr),+ $(,)?) => {
        [$($crate::IntoValue::into_value($value)),+]
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_take_what_a_statement_needs() {
        let name = String::from("Ada");
        let values = params![7_i64, &name, "x", None::<bool>, u64::MAX, Date::from_days(1), vec![1_u8]];
        assert_eq!(
            values,
            [
                Value::Signed(7),
                Value::Text("Ada".into()),
                Value::Text("x".into()),
                Value::Null,
                Value::Unsigned(u64::MAX),
                Value::Date(1),
                Value::Bytes(vec![1])
            ]
        );
        assert_eq!(params![].len(), 0);
    }

    #[test]
    fn arrays_carry_their_nulls_in_a_bitmap() {
        let Value::Array(array) = vec![Some("a".to_owned()), None].into_value() else { panic!("an array") };
        assert_eq!(array.nulls, [0b10]);
        let wire::Cells::Text(packed) = array.elements else { panic!("text") };
        assert_eq!((packed.offsets, packed.data), (vec![0, 1, 1], b"a".to_vec()));
        let Value::Array(array) = vec![1_i32, 2].into_value() else { panic!("an array") };
        assert_eq!((array.nulls, array.elements), (vec![], wire::Cells::Signed(vec![1, 2])));
    }
}
