//! Values that Rust has no type for: dates, times, UUIDs, decimals, intervals, JSON.
//!
//! Each is a thin newtype over its form on the wire, with `Display`, `FromStr` and serde in ISO 8601 or the usual text form.

mod calendar;
mod date;
mod decimal;
mod interval;
mod json;
mod time;
mod timestamp;
mod uuid;

pub use self::date::Date;
pub use self::decimal::Decimal;
pub use self::interval::Interval;
pub use self::json::Json;
pub use self::time::Time;
pub use self::timestamp::{Timestamp, TimestampTz};
pub use self::uuid::Uuid;

/// A text that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    expected: &'static str,
}

impl ParseError {
    const fn new(expected: &'static str) -> Self {
        Self { expected }
    }

    /// What the text should have been, with an example.
    #[must_use]
    pub fn expected(&self) -> &'static str {
        self.expected
    }
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl std::error::Error for ParseError {}

/// The names that the types of this module give to serde, so that a row's decoder can tell them from text.
pub(crate) mod serde_name {
    pub(crate) const DATE: &str = "$wharf::Date";
    pub(crate) const DECIMAL: &str = "$wharf::Decimal";
    pub(crate) const INTERVAL: &str = "$wharf::Interval";
    pub(crate) const JSON: &str = "$wharf::Json";
    pub(crate) const TIME: &str = "$wharf::Time";
    pub(crate) const TIMESTAMP: &str = "$wharf::Timestamp";
    pub(crate) const TIMESTAMP_TZ: &str = "$wharf::TimestampTz";
    pub(crate) const UUID: &str = "$wharf::Uuid";
}

/// Serde through `Display` and `FromStr`.
macro_rules! serde_as_text {
    ($type:ty, $name:expr, $expected:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                        text.parse().map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
                    }

                    fn visit_newtype_struct<D: serde::Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
                        inner.deserialize_str(self)
                    }
                }
                deserializer.deserialize_newtype_struct($name, Visitor)
            }
        }
    };
}
use serde_as_text;
