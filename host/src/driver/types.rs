//! The vocabulary of `wharf:sql`: values, columns, batches and descriptions, generated from the WIT.
//!
//! Drivers build these types straight from the wire and the interface hands them to the guest, so no row is converted twice.

#![expect(missing_docs, reason = "generated; documented in wit/sql/types.wit")]

wasmtime::component::bindgen!({
    path: "../wit/sql",
    inline: "
        package wharf:host;
        world vocabulary { import wharf:sql/types@0.1.0; }
    ",
    additional_derives: [Clone, PartialEq],
});

pub use self::wharf::sql::types::*;

impl Value {
    /// What kind of value it is, in a word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Signed(_) => "signed",
            Self::Unsigned(_) => "unsigned",
            Self::Float32(_) => "float32",
            Self::Float64(_) => "float64",
            Self::Decimal(_) => "decimal",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Date(_) => "date",
            Self::Time(_) => "time",
            Self::Timestamp(_) => "timestamp",
            Self::TimestampTz(_) => "timestamp-tz",
            Self::Interval(_) => "interval",
            Self::Uuid(_) => "uuid",
            Self::Json(_) => "json",
            Self::Network(_) => "network",
            Self::Array(_) => "array",
            Self::Other(_) => "other",
        }
    }

    /// Bytes that the value takes here, with all that it owns.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let owned = match self {
            Self::Decimal(text) | Self::Text(text) | Self::Json(text) | Self::Network(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Array(array) => array.elements.bytes() + array.nulls.len(),
            Self::Other(other) => other.type_name.len() + other.text.len(),
            _ => 0,
        };
        size_of::<Self>() + owned
    }
}
