//! Builds column-major batches cell by cell: every text is appended once, to the buffer that crosses to the guest.

use super::types::{
    ArrayCells, ArrayValue, Batch, Cells, Column, ColumnData, Interval, OtherCells, OtherValue, Packed, Uuid, Value,
};

/// A null bitmap that stays empty until the first null.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nulls {
    bits: Vec<u8>,
}

impl Nulls {
    /// Marks cell `index`, counted from 0; indexes must grow.
    pub fn set(&mut self, index: usize) {
        self.bits.resize(index / 8 + 1, 0);
        self.bits[index / 8] |= 1 << (index % 8);
    }

    /// The bitmap for `len` cells; empty when nothing is null.
    #[must_use]
    pub fn finish(mut self, len: usize) -> Vec<u8> {
        if !self.bits.is_empty() {
            self.bits.resize(len.div_ceil(8), 0);
        }
        self.bits
    }
}

/// Whether cell `index` is null in a bitmap as [`Nulls::finish`] makes it.
#[must_use]
pub fn is_null(bitmap: &[u8], index: usize) -> bool {
    bitmap.get(index / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
}

impl Packed {
    /// No cells.
    #[must_use]
    pub fn empty() -> Self {
        Self { offsets: vec![0], data: Vec::new() }
    }

    /// Appends one cell. The caller keeps the whole below 4 GiB.
    pub fn push(&mut self, cell: &[u8]) {
        self.push_with(|data| data.extend_from_slice(cell));
    }

    /// Appends one cell that `write` produces in place.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.data);
        self.offsets.push(u32::try_from(self.data.len()).unwrap_or(u32::MAX));
    }

    /// How many cells there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no cells.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cell `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> &[u8] {
        &self.data[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }
}

impl Cells {
    /// Appends the placeholder that stands where a cell is null.
    pub fn push_placeholder(&mut self) {
        match self {
            Self::Boolean(cells) => cells.push(false),
            Self::Signed(cells) => cells.push(0),
            Self::Unsigned(cells) => cells.push(0),
            Self::Float32(cells) => cells.push(0.0),
            Self::Float64(cells) => cells.push(0.0),
            Self::Date(cells) => cells.push(0),
            Self::Time(cells) => cells.push(0),
            Self::Timestamp(cells) | Self::TimestampTz(cells) => cells.push(0),
            Self::Interval(cells) => cells.push(Interval { months: 0, days: 0, microseconds: 0 }),
            Self::Uuid(cells) => cells.push(Uuid { high: 0, low: 0 }),
            Self::Decimal(cells) | Self::Text(cells) | Self::Bytes(cells) | Self::Json(cells) | Self::Network(cells) => {
                cells.push(&[]);
            }
            Self::Other(other) => other.cells.push(&[]),
        }
    }

    /// How many cells there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Boolean(cells) => cells.len(),
            Self::Signed(cells) => cells.len(),
            Self::Unsigned(cells) => cells.len(),
            Self::Float32(cells) => cells.len(),
            Self::Float64(cells) => cells.len(),
            Self::Date(cells) => cells.len(),
            Self::Time(cells) => cells.len(),
            Self::Timestamp(cells) | Self::TimestampTz(cells) => cells.len(),
            Self::Interval(cells) => cells.len(),
            Self::Uuid(cells) => cells.len(),
            Self::Decimal(cells) | Self::Text(cells) | Self::Bytes(cells) | Self::Json(cells) | Self::Network(cells) => {
                cells.len()
            }
            Self::Other(other) => other.cells.len(),
        }
    }

    /// Whether there are no cells.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the cells take, placeholders included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Boolean(cells) => cells.len(),
            Self::Float32(cells) => cells.len() * 4,
            Self::Date(cells) => cells.len() * 4,
            Self::Interval(cells) => cells.len() * 16,
            Self::Uuid(cells) => cells.len() * 16,
            Self::Signed(_)
            | Self::Unsigned(_)
            | Self::Float64(_)
            | Self::Time(_)
            | Self::Timestamp(_)
            | Self::TimestampTz(_) => self.len() * 8,
            Self::Decimal(cells) | Self::Text(cells) | Self::Bytes(cells) | Self::Json(cells) | Self::Network(cells) => {
                cells.data.len() + cells.offsets.len() * 4
            }
            Self::Other(other) => other.cells.data.len() + other.cells.offsets.len() * 4,
        }
    }

    /// Cell `index` as a value of its own. The caller has looked at the null bitmap.
    ///
    /// Text is taken as UTF-8, which the drivers have checked; what is not is replaced.
    #[must_use]
    pub fn value(&self, index: usize) -> Value {
        let text = |cells: &Packed| String::from_utf8_lossy(cells.get(index)).into_owned();
        match self {
            Self::Boolean(cells) => Value::Boolean(cells[index]),
            Self::Signed(cells) => Value::Signed(cells[index]),
            Self::Unsigned(cells) => Value::Unsigned(cells[index]),
            Self::Float32(cells) => Value::Float32(cells[index]),
            Self::Float64(cells) => Value::Float64(cells[index]),
            Self::Date(cells) => Value::Date(cells[index]),
            Self::Time(cells) => Value::Time(cells[index]),
            Self::Timestamp(cells) => Value::Timestamp(cells[index]),
            Self::TimestampTz(cells) => Value::TimestampTz(cells[index]),
            Self::Interval(cells) => Value::Interval(cells[index]),
            Self::Uuid(cells) => Value::Uuid(cells[index]),
            Self::Decimal(cells) => Value::Decimal(text(cells)),
            Self::Text(cells) => Value::Text(text(cells)),
            Self::Json(cells) => Value::Json(text(cells)),
            Self::Network(cells) => Value::Network(text(cells)),
            Self::Bytes(cells) => Value::Bytes(cells.get(index).to_vec()),
            Self::Other(other) => Value::Other(OtherValue { type_name: other.type_name.clone(), text: text(&other.cells) }),
        }
    }

    /// Cells of the "other" kind, none yet.
    #[must_use]
    pub fn other(type_name: impl Into<String>) -> Self {
        Self::Other(OtherCells { type_name: type_name.into(), cells: Packed::empty() })
    }
}

/// A column of one type of cell that grows row by row.
#[derive(Clone, Debug)]
pub struct CellsBuilder {
    /// Append non-null cells here.
    pub cells: Cells,
    nulls: Nulls,
}

impl CellsBuilder {
    /// Starts from empty cells of the wanted kind.
    #[must_use]
    pub fn new(cells: Cells) -> Self {
        Self { cells, nulls: Nulls::default() }
    }

    /// Appends a null.
    pub fn push_null(&mut self) {
        self.nulls.set(self.cells.len());
        self.cells.push_placeholder();
    }

    /// The finished column.
    #[must_use]
    pub fn finish(self) -> Column {
        let nulls = self.nulls.finish(self.cells.len());
        Column { data: ColumnData::Cells(self.cells), nulls }
    }

    /// The finished array.
    #[must_use]
    pub fn finish_array(self) -> ArrayValue {
        let nulls = self.nulls.finish(self.cells.len());
        ArrayValue { elements: self.cells, nulls }
    }
}

/// A column of one-dimensional arrays that grows row by row.
#[derive(Clone, Debug)]
pub struct ArraysBuilder {
    /// Append the elements of the current array here, then call [`ArraysBuilder::end_array`].
    pub elements: CellsBuilder,
    offsets: Vec<u32>,
    nulls: Nulls,
}

impl ArraysBuilder {
    /// Starts from empty elements of the wanted kind.
    #[must_use]
    pub fn new(elements: Cells) -> Self {
        Self { elements: CellsBuilder::new(elements), offsets: vec![0], nulls: Nulls::default() }
    }

    /// Ends the current array.
    pub fn end_array(&mut self) {
        self.offsets.push(u32::try_from(self.elements.cells.len()).unwrap_or(u32::MAX));
    }

    /// Appends a null array.
    pub fn push_null(&mut self) {
        self.nulls.set(self.offsets.len() - 1);
        self.end_array();
    }

    /// How many arrays there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no arrays.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The finished column.
    #[must_use]
    pub fn finish(self) -> Column {
        let nulls = self.nulls.clone().finish(self.len());
        let ArrayValue { elements, nulls: element_nulls } = self.elements.finish_array();
        Column { data: ColumnData::Arrays(ArrayCells { offsets: self.offsets, elements, nulls: element_nulls }), nulls }
    }
}

/// A column whose cells differ in type.
#[must_use]
pub fn mixed(values: Vec<Value>) -> Column {
    let mut nulls = Nulls::default();
    for (index, _) in values.iter().enumerate().filter(|(_, value)| matches!(value, Value::Null)) {
        nulls.set(index);
    }
    let nulls = nulls.finish(values.len());
    Column { data: ColumnData::Mixed(values), nulls }
}

/// A batch of finished columns. A statement may return rows without columns, so the count is given.
#[must_use]
pub fn batch(row_count: usize, columns: Vec<Column>) -> Batch {
    Batch { row_count: u32::try_from(row_count).unwrap_or(u32::MAX), columns }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_bitmap_is_empty_without_nulls_and_whole_with_one() {
        let mut builder = CellsBuilder::new(Cells::Signed(Vec::new()));
        for row in 0..9 {
            if row == 2 {
                builder.push_null();
            } else if let Cells::Signed(cells) = &mut builder.cells {
                cells.push(row);
            }
        }
        let column = builder.finish();
        assert_eq!(column.nulls, [0b100, 0]);
        assert!(is_null(&column.nulls, 2) && !is_null(&column.nulls, 8) && !is_null(&[], 2));
        assert_eq!(CellsBuilder::new(Cells::Boolean(vec![true])).finish().nulls, Vec::<u8>::new());
    }

    #[test]
    fn packed_cells_come_back_as_they_went_in() {
        let mut packed = Packed::empty();
        packed.push(b"ab");
        packed.push(b"");
        packed.push_with(|data| data.extend(b"c"));
        assert_eq!((packed.get(0), packed.get(1), packed.get(2), packed.len()), (&b"ab"[..], &b""[..], &b"c"[..], 3));
    }

    #[test]
    fn arrays_keep_empty_null_and_null_elements_apart() {
        let mut builder = ArraysBuilder::new(Cells::Text(Packed::empty()));
        builder.end_array();
        builder.push_null();
        if let Cells::Text(cells) = &mut builder.elements.cells {
            cells.push(b"x");
        }
        builder.elements.push_null();
        builder.end_array();
        let column = builder.finish();
        assert_eq!(column.nulls, [0b010]);
        let ColumnData::Arrays(arrays) = column.data else { panic!("an array column") };
        assert_eq!(arrays.offsets, [0, 0, 0, 2]);
        assert_eq!(arrays.nulls, [0b10]);
    }
}
