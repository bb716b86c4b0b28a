//! How the cells of a column are read, told by the column's declared type.

use crate::driver::types::{Cells, Packed};

/// SQLite stores numbers, text and blobs; what a column is declared as decides what they stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Integers 0 and 1.
    Boolean,
    /// Text `YYYY-MM-DD`.
    Date,
    /// Text `HH:MM:SS`.
    Time,
    /// Text of a date and a time.
    Timestamp,
    /// The same, as an instant.
    TimestampTz,
    /// As each cell is stored; for a column without any, as the declared type would have them.
    Stored(Affinity),
}

/// What SQLite would rather store in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affinity {
    Integer,
    Real,
    Blob,
    /// Text, numeric, or not declared.
    Text,
}

impl Kind {
    /// Reads a declared type, such as `VARCHAR(20)` or `timestamp with time zone`; empty for an expression.
    pub(super) fn of(declared: &str) -> Self {
        let upper = declared.to_ascii_uppercase();
        let (name, rest) = upper.split_once('(').unwrap_or((&upper, ""));
        let suffix = rest.split_once(')').map_or("", |(_, suffix)| suffix);
        let words: Vec<&str> = name.split_ascii_whitespace().chain(suffix.split_ascii_whitespace()).collect();
        match words.as_slice() {
            ["BOOLEAN" | "BOOL"] => Self::Boolean,
            ["DATE"] => Self::Date,
            ["TIME"] | ["TIME", "WITHOUT", "TIME", "ZONE"] => Self::Time,
            ["TIMESTAMP" | "DATETIME"] | ["TIMESTAMP", "WITHOUT", "TIME", "ZONE"] => Self::Timestamp,
            ["TIMESTAMPTZ"] | ["TIMESTAMP" | "DATETIME", "WITH", "TIME", "ZONE"] => Self::TimestampTz,
            _ => Self::Stored(Affinity::of(&upper)),
        }
    }

    /// What a value must look like, for the message when it does not.
    pub(super) fn form(self) -> &'static str {
        match self {
            Self::Boolean => "0 or 1",
            Self::Date => "YYYY-MM-DD",
            Self::Time => "HH:MM:SS",
            Self::Timestamp | Self::TimestampTz => "YYYY-MM-DD HH:MM:SS",
            Self::Stored(_) => "UTF-8",
        }
    }

    /// The cells of a column that has no values to tell more.
    pub(super) fn cells(self) -> Cells {
        match self {
            Self::Boolean => Cells::Boolean(Vec::new()),
            Self::Date => Cells::Date(Vec::new()),
            Self::Time => Cells::Time(Vec::new()),
            Self::Timestamp => Cells::Timestamp(Vec::new()),
            Self::TimestampTz => Cells::TimestampTz(Vec::new()),
            Self::Stored(Affinity::Integer) => Cells::Signed(Vec::new()),
            Self::Stored(Affinity::Real) => Cells::Float64(Vec::new()),
            Self::Stored(Affinity::Blob) => Cells::Bytes(Packed::empty()),
            Self::Stored(Affinity::Text) => Cells::Text(Packed::empty()),
        }
    }
}

impl Affinity {
    /// The rules of <https://www.sqlite.org/datatype3.html#affname>, in their order.
    fn of(upper: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| upper.contains(word));
        if has(&["INT"]) {
            Self::Integer
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Self::Text
        } else if has(&["BLOB"]) {
            Self::Blob
        } else if has(&["REAL", "FLOA", "DOUB"]) {
            Self::Real
        } else {
            Self::Text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_are_read_as_people_write_them() {
        for (declared, kind) in [
            ("boolean", Kind::Boolean),
            ("DATE", Kind::Date),
            ("Time", Kind::Time),
            ("timestamp(6)", Kind::Timestamp),
            ("DATETIME", Kind::Timestamp),
            ("TIMESTAMP WITHOUT  TIME ZONE", Kind::Timestamp),
            ("timestamptz", Kind::TimestampTz),
            ("TIMESTAMP (3) WITH TIME ZONE", Kind::TimestampTz),
            ("BIGINT", Kind::Stored(Affinity::Integer)),
            ("VARCHAR(20)", Kind::Stored(Affinity::Text)),
            ("DOUBLE PRECISION", Kind::Stored(Affinity::Real)),
            ("BLOB", Kind::Stored(Affinity::Blob)),
            ("DECIMAL(10,2)", Kind::Stored(Affinity::Text)),
            ("uuid", Kind::Stored(Affinity::Text)),
            ("", Kind::Stored(Affinity::Text)),
        ] {
            assert_eq!(Kind::of(declared), kind, "{declared}");
        }
    }
}
