//! From cells to Rust types: strict, but for what lets one binary run on every engine.

use crate::sql::cell::Cell;
use crate::types::{Date, Decimal, Interval, Json, Time, Timestamp, TimestampTz, Uuid};

/// Why a cell does not become the wanted type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What was wanted.
    pub expected: &'static str,
    /// What was there.
    pub found: String,
}

impl Mismatch {
    /// For a cell of the wrong type.
    #[must_use]
    pub fn new(expected: &'static str, cell: Cell<'_>) -> Self {
        Self { expected, found: cell.describe().to_owned() }
    }

    /// For a cell of a right type whose value does not fit.
    #[must_use]
    pub fn value(expected: &'static str, found: impl std::fmt::Display) -> Self {
        Self { expected, found: found.to_string() }
    }
}

/// A Rust type that a cell can become.
///
/// Where engines differ in the type they give for the same column or expression, each way is accepted: SQLite keeps a boolean in an
/// integer and a UUID in text, PostgreSQL sums integers as a decimal. A number that would be changed is an error.
pub trait FromCell<'a>: Sized {
    /// Converts the cell.
    ///
    /// # Errors
    /// When the type is another, the value does not fit, or the cell is null and `Self` is not an `Option`.
    fn from_cell(cell: Cell<'a>) -> Result<Self, Mismatch>;
}

impl<'a> FromCell<'a> for Cell<'a> {
    fn from_cell(cell: Cell<'a>) -> Result<Self, Mismatch> {
        Ok(cell)
    }
}

impl<'a, T: FromCell<'a>> FromCell<'a> for Option<T> {
    fn from_cell(cell: Cell<'a>) -> Result<Self, Mismatch> {
        match cell {
            Cell::Null => Ok(None),
            cell => T::from_cell(cell).map(Some),
        }
    }
}

impl FromCell<'_> for bool {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        match cell {
            Cell::Boolean(value) => Ok(value),
            Cell::Signed(0) | Cell::Unsigned(0) => Ok(false),
            Cell::Signed(1) | Cell::Unsigned(1) => Ok(true),
            Cell::Signed(other) => Err(Mismatch::value("a boolean", other)),
            other => Err(Mismatch::new("a boolean", other)),
        }
    }
}

/// The integer that a cell holds exactly, whatever its type.
fn integer(expected: &'static str, cell: Cell<'_>) -> Result<i128, Mismatch> {
    match cell {
        Cell::Signed(value) => Ok(value.into()),
        Cell::Unsigned(value) => Ok(value.into()),
        Cell::Decimal(text) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            let exact = fraction.bytes().all(|digit| digit == b'0');
            whole.parse().ok().filter(|_| exact).ok_or_else(|| Mismatch::value(expected, text))
        }
        Cell::Float64(value) => exact_integer(value).ok_or_else(|| Mismatch::value(expected, value)),
        Cell::Float32(value) => exact_integer(value.into()).ok_or_else(|| Mismatch::value(expected, value)),
        other => Err(Mismatch::new(expected, other)),
    }
}

/// Beyond 2^53 neighbouring integers share a float, so none is exact there.
#[expect(clippy::cast_possible_truncation, reason = "checked to be an integer below 2^53")]
fn exact_integer(value: f64) -> Option<i128> {
    (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i128)
}

macro_rules! integers {
    ($($type:ty: $expected:literal;)*) => {$(
        impl FromCell<'_> for $type {
            fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
                let value = integer($expected, cell)?;
                Self::try_from(value).map_err(|_| Mismatch::value($expected, value))
            }
        }
    )*};
}

integers! {
    i16: "a 16-bit integer";
    i32: "a 32-bit integer";
    i64: "a 64-bit integer";
    u16: "an unsigned 16-bit integer";
    u32: "an unsigned 32-bit integer";
    u64: "an unsigned 64-bit integer";
    usize: "an unsigned integer";
}

impl FromCell<'_> for f64 {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "what was lost is found by converting back")]
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        const EXPECTED: &str = "a number";
        match cell {
            Cell::Float64(value) => Ok(value),
            Cell::Float32(value) => Ok(value.into()),
            Cell::Signed(_) | Cell::Unsigned(_) => {
                let integer = integer(EXPECTED, cell)?;
                let value = integer as f64;
                if value as i128 == integer { Ok(value) } else { Err(Mismatch::value("an integer that a float holds", integer)) }
            }
            // PostgreSQL averages integers as a decimal with more digits than any float.
            Cell::Decimal(text) => text.parse().map_err(|_| Mismatch::value(EXPECTED, text)),
            other => Err(Mismatch::new(EXPECTED, other)),
        }
    }
}

impl FromCell<'_> for f32 {
    /// SQLite keeps every float in double precision, so it is rounded to the nearest; only what overflows is refused.
    #[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        if let Cell::Float32(value) = cell {
            return Ok(value);
        }
        let wide = f64::from_cell(cell)?;
        let value = wide as Self;
        if value.is_infinite() && wide.is_finite() {
            Err(Mismatch::value("a number of single precision", wide))
        } else {
            Ok(value)
        }
    }
}

impl<'a> FromCell<'a> for &'a str {
    fn from_cell(cell: Cell<'a>) -> Result<Self, Mismatch> {
        match cell {
            Cell::Text(text) | Cell::Decimal(text) | Cell::Json(text) | Cell::Network(text) | Cell::Other { text, .. } => {
                Ok(text)
            }
            other => Err(Mismatch::new("text", other)),
        }
    }
}

impl FromCell<'_> for String {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        <&str>::from_cell(cell).map(str::to_owned)
    }
}

impl<'a> FromCell<'a> for &'a [u8] {
    fn from_cell(cell: Cell<'a>) -> Result<Self, Mismatch> {
        match cell {
            Cell::Bytes(bytes) => Ok(bytes),
            other => Err(Mismatch::new("bytes", other)),
        }
    }
}

impl FromCell<'_> for Vec<u8> {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        <&[u8]>::from_cell(cell).map(<[u8]>::to_vec)
    }
}

/// A type that a column has of itself, or that SQLite keeps as text.
macro_rules! typed_or_text {
    ($($type:ident: $expected:literal $(, $other:pat => $value:expr)*;)*) => {$(
        impl FromCell<'_> for $type {
            fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
                match cell {
                    Cell::$type(value) => Ok(value),
                    Cell::Text(text) => text.parse().map_err(|_| Mismatch::value($expected, format_args!("{text:?}"))),
                    $($other => $value,)*
                    other => Err(Mismatch::new($expected, other)),
                }
            }
        }
    )*};
}

typed_or_text! {
    Date: "a date";
    Time: "a time";
    Timestamp: "a timestamp";
    Interval: "an interval";
    Uuid: "a UUID", Cell::Bytes(bytes) => bytes
        .try_into()
        .map(Self::from_bytes)
        .map_err(|_| Mismatch::value("a UUID of 16 bytes", format_args!("{} bytes", bytes.len())));
}

impl FromCell<'_> for TimestampTz {
    /// SQLite's timestamps have no zone; its functions give UTC, and so does the host.
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        const EXPECTED: &str = "a timestamp with zone";
        match cell {
            Cell::TimestampTz(value) => Ok(value),
            Cell::Timestamp(value) => Ok(Self::from_micros(value.micros())),
            Cell::Text(text) => {
                let without_zone = || text.parse::<Timestamp>().map(|value| Self::from_micros(value.micros()));
                text.parse().or_else(|_| without_zone()).map_err(|_| Mismatch::value(EXPECTED, format_args!("{text:?}")))
            }
            other => Err(Mismatch::new(EXPECTED, other)),
        }
    }
}

impl FromCell<'_> for Decimal {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        const EXPECTED: &str = "a decimal";
        match cell {
            Cell::Decimal(text) => Ok(Self::trusted(text)),
            Cell::Signed(value) => Ok(value.into()),
            Cell::Unsigned(value) => Ok(value.into()),
            // SQLite keeps what it calls numeric as the shortest float, which prints as it was written.
            Cell::Float64(value) if value.is_finite() => Ok(Self::trusted(value.to_string())),
            Cell::Text(text) => text.parse().map_err(|_| Mismatch::value(EXPECTED, format_args!("{text:?}"))),
            other => Err(Mismatch::new(EXPECTED, other)),
        }
    }
}

impl<'a, T: serde::Deserialize<'a>> FromCell<'a> for Json<T> {
    fn from_cell(cell: Cell<'a>) -> Result<Self, Mismatch> {
        match cell {
            Cell::Json(text) | Cell::Text(text) => {
                serde_json::from_str(text).map(Json).map_err(|error| Mismatch::value("JSON of the wanted shape", error))
            }
            other => Err(Mismatch::new("JSON", other)),
        }
    }
}

/// An element of an array: every convertible type but `u8`, since `Vec<u8>` means bytes.
pub trait Element<'a>: FromCell<'a> {}

macro_rules! elements {
    ($($type:ty),*) => {$(impl Element<'_> for $type {})*};
}

elements!(bool, i16, i32, i64, u16, u32, u64, usize, f32, f64, String, Vec<u8>);
elements!(Date, Decimal, Interval, Time, Timestamp, TimestampTz, Uuid);
impl<'a> Element<'a> for &'a str {}
impl<'a> Element<'a> for &'a [u8] {}
impl<'a, T: serde::Deserialize<'a>> Element<'a> for Json<T> {}
impl<'a, T: Element<'a>> Element<'a> for Option<T> {}

impl<'a, T: Element<'a>> FromCell<'a> for Vec<T> {
    fn from_cell(cell: Cell<'a>) -> Result<Self, Mismatch> {
        match cell {
            Cell::Array(array) => array.iter().map(T::from_cell).collect(),
            other => Err(Mismatch::new("an array", other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a, T: FromCell<'a>>(cell: Cell<'a>) -> Option<T> {
        T::from_cell(cell).ok()
    }

    #[test]
    fn null_is_an_option_or_an_error() {
        assert_eq!(read::<Option<i64>>(Cell::Null), Some(None));
        assert_eq!(i64::from_cell(Cell::Null), Err(Mismatch { expected: "a 64-bit integer", found: "null".into() }));
        assert_eq!(read::<String>(Cell::Null), None);
    }

    #[test]
    fn integers_are_range_checked() {
        assert_eq!(read::<i16>(Cell::Signed(-32_768)), Some(-32_768));
        assert_eq!(read::<i16>(Cell::Signed(32_768)), None);
        assert_eq!(read::<u32>(Cell::Signed(-1)), None);
        assert_eq!(read::<u64>(Cell::Unsigned(u64::MAX)), Some(u64::MAX));
        assert_eq!(read::<i64>(Cell::Unsigned(u64::MAX)), None);
        assert_eq!(read::<i64>(Cell::Text("1")), None);
        assert_eq!(read::<i64>(Cell::Boolean(true)), None);
    }

    #[test]
    fn sums_and_averages_read_alike_on_every_engine() {
        assert_eq!(read::<i64>(Cell::Decimal("5000")), Some(5_000));
        assert_eq!(read::<i64>(Cell::Decimal("12.00")), Some(12));
        assert_eq!(read::<i64>(Cell::Decimal("12.5")), None);
        assert_eq!(read::<i64>(Cell::Float64(12.0)), Some(12));
        assert_eq!(read::<i64>(Cell::Float64(12.5)), None);
        assert_eq!(read::<i64>(Cell::Float64(1e300)), None);
        assert_eq!(read::<f64>(Cell::Decimal("2.5000000000000000")), Some(2.5));
        assert_eq!(read::<f64>(Cell::Signed(1 << 53)), Some(9_007_199_254_740_992.0));
        assert_eq!(read::<f64>(Cell::Signed((1 << 53) + 1)), None);
        assert_eq!(read::<f32>(Cell::Float64(0.1)), Some(0.1));
        assert_eq!(read::<f32>(Cell::Float64(1e300)), None);
    }

    #[test]
    fn sqlite_storage_reads_as_the_richer_type() {
        assert_eq!(read::<bool>(Cell::Signed(1)), Some(true));
        assert_eq!(read::<bool>(Cell::Signed(2)), None);
        assert_eq!(read::<Date>(Cell::Text("1984-06-02")), Date::new(1984, 6, 2));
        assert_eq!(read::<Date>(Cell::Text("June")), None);
        assert_eq!(read::<Time>(Cell::Text("13:05:00")), Time::new(13, 5, 0));
        assert_eq!(read::<Timestamp>(Cell::Text("1970-01-01 00:00:01")), Some(Timestamp::from_micros(1_000_000)));
        for text in ["1970-01-01 00:00:01", "1970-01-01 01:00:01+01:00"] {
            assert_eq!(read::<TimestampTz>(Cell::Text(text)), Some(TimestampTz::from_micros(1_000_000)));
        }
        assert_eq!(read::<TimestampTz>(Cell::Timestamp(Timestamp::from_micros(7))), Some(TimestampTz::from_micros(7)));
        assert_eq!(read::<Timestamp>(Cell::TimestampTz(TimestampTz::from_micros(7))), None);
        assert_eq!(read::<Uuid>(Cell::Bytes(&[0; 16])), Some(Uuid::from_u128(0)));
        assert_eq!(read::<Uuid>(Cell::Bytes(&[0; 15])), None);
        assert_eq!(read::<Decimal>(Cell::Float64(12.5)).unwrap().as_str(), "12.5");
        assert_eq!(read::<Decimal>(Cell::Text("12,5")), None);
    }

    #[test]
    fn json_reads_into_trees_and_structs() {
        assert_eq!(read::<Json>(Cell::Json("{\"a\":1}")).unwrap().0["a"], 1);
        assert_eq!(read::<Json<Vec<i32>>>(Cell::Text("[1,2]")), Some(Json(vec![1, 2])));
        assert_eq!(read::<Json<Vec<i32>>>(Cell::Json("{}")), None);
    }

    #[test]
    fn a_mismatch_names_both_sides() {
        let mismatch = bool::from_cell(Cell::Text("yes")).unwrap_err();
        assert_eq!((mismatch.expected, mismatch.found.as_str()), ("a boolean", "text"));
    }
}
