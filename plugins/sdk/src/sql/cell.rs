//! One cell of a column, borrowed from the batch it came in.

use crate::types::{Date, Interval, Time, Timestamp, TimestampTz, Uuid};
use crate::wire;

/// A cell as the database typed it. Text and bytes are borrowed; nothing has been copied.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cell<'a> {
    /// SQL's NULL.
    Null,
    /// true or false.
    Boolean(bool),
    /// An integer.
    Signed(i64),
    /// An unsigned integer (MySQL).
    Unsigned(u64),
    /// A number of single precision.
    Float32(f32),
    /// A number of double precision.
    Float64(f64),
    /// A decimal number in text form.
    Decimal(&'a str),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A calendar date.
    Date(Date),
    /// A time of day.
    Time(Time),
    /// A date and time without zone.
    Timestamp(Timestamp),
    /// An instant.
    TimestampTz(TimestampTz),
    /// A span of time.
    Interval(Interval),
    /// A UUID.
    Uuid(Uuid),
    /// A JSON document in text form.
    Json(&'a str),
    /// A network address in text form.
    Network(&'a str),
    /// An array.
    Array(Array<'a>),
    /// A value of a type the interface has no case for.
    Other {
        /// The engine's name of the type.
        type_name: &'a str,
        /// The engine's text form.
        text: &'a str,
    },
}

impl<'a> Cell<'a> {
    /// What the cell holds, in words for an error.
    #[must_use]
    pub fn describe(self) -> &'a str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Signed(_) => "an integer",
            Self::Unsigned(_) => "an unsigned integer",
            Self::Float32(_) | Self::Float64(_) => "a floating-point number",
            Self::Decimal(_) => "a decimal",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Date(_) => "a date",
            Self::Time(_) => "a time",
            Self::Timestamp(_) => "a timestamp",
            Self::TimestampTz(_) => "a timestamp with zone",
            Self::Interval(_) => "an interval",
            Self::Uuid(_) => "a UUID",
            Self::Json(_) => "JSON",
            Self::Network(_) => "a network address",
            Self::Array(_) => "an array",
            Self::Other { type_name, .. } => type_name,
        }
    }

    /// Cell `row` of a column; null beyond its end.
    pub(crate) fn of_column(column: &'a wire::Column, row: usize) -> Self {
        if is_null(&column.nulls, row) {
            return Self::Null;
        }
        match &column.data {
            wire::ColumnData::Cells(cells) => Self::of_cells(cells, row),
            wire::ColumnData::Mixed(values) => values.get(row).map_or(Self::Null, Self::of_value),
            wire::ColumnData::Arrays(arrays) => match (arrays.offsets.get(row), arrays.offsets.get(row + 1)) {
                (Some(&start), Some(&end)) => Self::Array(Array {
                    elements: &arrays.elements,
                    nulls: &arrays.nulls,
                    start: start as usize,
                    end: (end as usize).max(start as usize),
                }),
                _ => Self::Null,
            },
        }
    }

    /// A value that travels alone.
    pub(crate) fn of_value(value: &'a wire::Value) -> Self {
        match value {
            wire::Value::Null => Self::Null,
            wire::Value::Boolean(value) => Self::Boolean(*value),
            wire::Value::Signed(value) => Self::Signed(*value),
            wire::Value::Unsigned(value) => Self::Unsigned(*value),
            wire::Value::Float32(value) => Self::Float32(*value),
            wire::Value::Float64(value) => Self::Float64(*value),
            wire::Value::Decimal(text) => Self::Decimal(text),
            wire::Value::Text(text) => Self::Text(text),
            wire::Value::Bytes(bytes) => Self::Bytes(bytes),
            wire::Value::Date(days) => Self::Date(Date::from_days(*days)),
            wire::Value::Time(micros) => Self::Time(Time::from_micros(*micros).unwrap_or(Time::MIDNIGHT)),
            wire::Value::Timestamp(micros) => Self::Timestamp(Timestamp::from_micros(*micros)),
            wire::Value::TimestampTz(micros) => Self::TimestampTz(TimestampTz::from_micros(*micros)),
            wire::Value::Interval(interval) => Self::Interval((*interval).into()),
            wire::Value::Uuid(uuid) => Self::Uuid((*uuid).into()),
            wire::Value::Json(text) => Self::Json(text),
            wire::Value::Network(text) => Self::Network(text),
            wire::Value::Array(array) => Self::Array(Array {
                elements: &array.elements,
                nulls: &array.nulls,
                start: 0,
                end: len_of_cells(&array.elements),
            }),
            wire::Value::Other(other) => Self::Other { type_name: &other.type_name, text: &other.text },
        }
    }

    fn of_cells(cells: &'a wire::Cells, index: usize) -> Self {
        match cells {
            wire::Cells::Boolean(cells) => cells.get(index).copied().map(Self::Boolean),
            wire::Cells::Signed(cells) => cells.get(index).copied().map(Self::Signed),
            wire::Cells::Unsigned(cells) => cells.get(index).copied().map(Self::Unsigned),
            wire::Cells::Float32(cells) => cells.get(index).copied().map(Self::Float32),
            wire::Cells::Float64(cells) => cells.get(index).copied().map(Self::Float64),
            wire::Cells::Decimal(cells) => text(cells, index).map(Self::Decimal),
            wire::Cells::Text(cells) => text(cells, index).map(Self::Text),
            wire::Cells::Bytes(cells) => packed(cells, index).map(Self::Bytes),
            wire::Cells::Date(cells) => cells.get(index).map(|days| Self::Date(Date::from_days(*days))),
            wire::Cells::Time(cells) => {
                cells.get(index).map(|micros| Self::Time(Time::from_micros(*micros).unwrap_or(Time::MIDNIGHT)))
            }
            wire::Cells::Timestamp(cells) => cells.get(index).map(|micros| Self::Timestamp(Timestamp::from_micros(*micros))),
            wire::Cells::TimestampTz(cells) => {
                cells.get(index).map(|micros| Self::TimestampTz(TimestampTz::from_micros(*micros)))
            }
            wire::Cells::Interval(cells) => cells.get(index).map(|interval| Self::Interval((*interval).into())),
            wire::Cells::Uuid(cells) => cells.get(index).map(|uuid| Self::Uuid((*uuid).into())),
            wire::Cells::Json(cells) => text(cells, index).map(Self::Json),
            wire::Cells::Network(cells) => text(cells, index).map(Self::Network),
            wire::Cells::Other(other) => text(&other.cells, index).map(|text| Self::Other { type_name: &other.type_name, text }),
        }
        .unwrap_or(Self::Null)
    }
}

/// A one-dimensional array, borrowed from its batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array<'a> {
    elements: &'a wire::Cells,
    nulls: &'a [u8],
    start: usize,
    end: usize,
}

impl<'a> Array<'a> {
    /// How many elements there are, nulls included.
    #[must_use]
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The elements in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Cell<'a>> {
        (self.start..self.end).map(move |index| match is_null(self.nulls, index) {
            true => Cell::Null,
            false => Cell::of_cells(self.elements, index),
        })
    }
}

fn is_null(bitmap: &[u8], index: usize) -> bool {
    bitmap.get(index / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
}

fn packed(cells: &wire::Packed, index: usize) -> Option<&[u8]> {
    let (start, end) = (*cells.offsets.get(index)?, *cells.offsets.get(index + 1)?);
    cells.data.get(start as usize..end as usize)
}

/// Only the cells that are read are checked. The host sends UTF-8, so a failure here is its fault and reads as the empty text.
fn text(cells: &wire::Packed, index: usize) -> Option<&str> {
    packed(cells, index).map(|bytes| std::str::from_utf8(bytes).unwrap_or_default())
}

fn len_of_cells(cells: &wire::Cells) -> usize {
    match cells {
        wire::Cells::Boolean(cells) => cells.len(),
        wire::Cells::Signed(cells) => cells.len(),
        wire::Cells::Unsigned(cells) => cells.len(),
        wire::Cells::Float32(cells) => cells.len(),
        wire::Cells::Float64(cells) => cells.len(),
        wire::Cells::Date(cells) => cells.len(),
        wire::Cells::Time(cells) => cells.len(),
        wire::Cells::Timestamp(cells) | wire::Cells::TimestampTz(cells) => cells.len(),
        wire::Cells::Interval(cells) => cells.len(),
        wire::Cells::Uuid(cells) => cells.len(),
        wire::Cells::Decimal(cells)
        | wire::Cells::Text(cells)
        | wire::Cells::Bytes(cells)
        | wire::Cells::Json(cells)
        | wire::Cells::Network(cells)
        | wire::Cells::Other(wire::OtherCells { cells, .. }) => cells.offsets.len().saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(cells: &[&[u8]]) -> wire::Packed {
        let mut packed = wire::Packed { offsets: vec![0], data: Vec::new() };
        for cell in cells {
            packed.data.extend_from_slice(cell);
            packed.offsets.push(u32::try_from(packed.data.len()).unwrap());
        }
        packed
    }

    #[test]
    fn bitmap_decides_over_placeholders() {
        let cells = wire::Cells::Signed((0..10).collect());
        let column = wire::Column { data: wire::ColumnData::Cells(cells), nulls: vec![0b100, 0b10] };
        let read: Vec<_> = (0..11).map(|row| Cell::of_column(&column, row)).collect();
        for (row, cell) in read.iter().enumerate() {
            match row {
                2 | 9 | 10 => assert_eq!(*cell, Cell::Null),
                _ => assert_eq!(*cell, Cell::Signed(i64::try_from(row).unwrap())),
            }
        }
    }

    #[test]
    fn text_is_borrowed_from_the_batch() {
        let column = wire::Column {
            data: wire::ColumnData::Cells(wire::Cells::Text(pack(&[b"Ada", b"", "Zoë".as_bytes()]))),
            nulls: Vec::new(),
        };
        let Cell::Text(name) = Cell::of_column(&column, 2) else { panic!("text") };
        assert_eq!(name, "Zoë");
        let wire::ColumnData::Cells(wire::Cells::Text(packed)) = &column.data else { panic!("text") };
        assert!(packed.data.as_ptr_range().contains(&name.as_ptr()));
        assert_eq!(Cell::of_column(&column, 1), Cell::Text(""));
    }

    #[test]
    fn arrays_keep_empty_null_and_null_elements_apart() {
        let column = wire::Column {
            data: wire::ColumnData::Arrays(wire::ArrayCells {
                offsets: vec![0, 0, 0, 2],
                elements: wire::Cells::Text(pack(&[b"x", b""])),
                nulls: vec![0b10],
            }),
            nulls: vec![0b010],
        };
        assert!(matches!(Cell::of_column(&column, 0), Cell::Array(array) if array.is_empty()));
        assert_eq!(Cell::of_column(&column, 1), Cell::Null);
        let Cell::Array(array) = Cell::of_column(&column, 2) else { panic!("an array") };
        assert_eq!(array.iter().collect::<Vec<_>>(), [Cell::Text("x"), Cell::Null]);
    }

    #[test]
    fn mixed_columns_give_each_cell_its_type() {
        let values = vec![wire::Value::Signed(1), wire::Value::Text("two".into()), wire::Value::Null];
        let column = wire::Column { data: wire::ColumnData::Mixed(values), nulls: vec![0b100] };
        let read: Vec<_> = (0..3).map(|row| Cell::of_column(&column, row)).collect();
        assert_eq!(read, [Cell::Signed(1), Cell::Text("two"), Cell::Null]);
    }
}
