//! Builds batches from SQLite's rows: each cell goes straight into the column that crosses to the guest.

use std::mem;

use sqlx::{
    Decode, Row, TypeInfo, ValueRef,
    sqlite::{SqliteRow, SqliteValueRef},
};

use super::{kind::Kind, statement, temporal};
use crate::driver::{
    Batch, Failure, FailureKind, Value,
    columns::{self, CellsBuilder},
    types::{Cells, Column, ColumnData, Packed},
};

/// Offsets within a column are 32 bits, so a batch ends before a column could pass them.
const MAX_BYTES: usize = u32::MAX as usize / 2;

/// Rows that become columns.
#[derive(Debug)]
pub(super) struct BatchBuilder {
    columns: Vec<ColumnBuilder>,
    rows: usize,
}

#[derive(Debug)]
struct ColumnBuilder {
    kind: Kind,
    /// Nulls before the first value, which decides what the cells are.
    leading_nulls: usize,
    cells: Option<CellsBuilder>,
    /// There once the cells differ in type, with the bytes that they take; `cells` is empty then.
    mixed: Option<(Vec<Value>, usize)>,
}

/// A cell as it is stored, not yet copied.
#[derive(Clone, Copy, Debug)]
enum Stored<'a> {
    Integer(i64),
    Real(f64),
    Text(&'a str),
    Blob(&'a [u8]),
}

impl BatchBuilder {
    pub(super) fn new(columns: &[statement::Column]) -> Self {
        let columns = columns.iter().map(|column| ColumnBuilder::new(column.kind)).collect();
        Self { columns, rows: 0 }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// What the columns take by now.
    pub(super) fn bytes(&self) -> usize {
        self.columns.iter().map(ColumnBuilder::bytes).sum()
    }

    /// Whether a row fits into `limit` bytes together with those before it.
    pub(super) fn fits(&self, row: &SqliteRow, limit: usize) -> bool {
        let more: usize = (0..row.len()).map(|index| row.try_get_raw(index).map_or(0, width)).sum();
        self.bytes() + more <= limit.min(MAX_BYTES)
    }

    /// Appends a row. `number` counts from 1, for the message.
    ///
    /// # Errors
    /// [`FailureKind::Conversion`] when a cell is not of its column's declared type, [`FailureKind::LimitExceeded`] when a batch cannot
    /// be so large.
    pub(super) fn push(&mut self, row: &SqliteRow, names: &[statement::Column], number: u64) -> Result<(), Failure> {
        if row.len() != self.columns.len() {
            let failure = Failure::new(FailureKind::Database, "the schema changed while the statement was compiled");
            return Err(failure.code(libsqlite3_sys::SQLITE_SCHEMA.to_string()));
        }
        for (index, column) in self.columns.iter_mut().enumerate() {
            let pushed = row.try_get_raw(index).ok().and_then(|value| column.push(value));
            if pushed.is_none() {
                return Err(unreadable(&names[index], number));
            }
        }
        self.rows += 1;
        match self.bytes() > MAX_BYTES {
            true => Err(exceeded("max_result_bytes", MAX_BYTES)),
            false => Ok(()),
        }
    }

    pub(super) fn finish(self) -> Batch {
        columns::batch(self.rows, self.columns.into_iter().map(ColumnBuilder::finish).collect())
    }
}

/// A result larger than its limit.
pub(super) fn exceeded(limit: &'static str, maximum: usize) -> Failure {
    let failure = Failure::new(FailureKind::LimitExceeded, format!("the result is larger than {limit}, which is {maximum}"));
    failure.with("limit", limit).with("maximum", maximum)
}

fn unreadable(column: &statement::Column, row: u64) -> Failure {
    let (name, declared, form) = (&column.name, &column.declared, column.kind.form());
    let told = match column.kind {
        Kind::Stored(_) => format!("row {row} of column {name} is text that is not {form}; cast it to BLOB to read it"),
        _ => {
            format!("row {row} of column {name} ({declared}) is not of the form {form}; CAST or an expression reads it as stored")
        }
    };
    Failure::new(FailureKind::Conversion, told).with("column", name).with("type", declared).with("row", row)
}

/// What a cell takes at most, whatever its column is.
fn width(value: SqliteValueRef<'_>) -> usize {
    let variable = matches!(value.type_info().name(), "TEXT" | "BLOB") && !value.is_null();
    mem::size_of::<Value>() + if variable { read::<&[u8]>(value).map_or(0, <[u8]>::len) } else { 0 }
}

fn read<'r, T: Decode<'r, sqlx::Sqlite>>(value: SqliteValueRef<'r>) -> Option<T> {
    T::decode(value).ok()
}

impl<'a> Stored<'a> {
    /// `None` for a null and for text that is not UTF-8.
    fn of(value: SqliteValueRef<'a>) -> Option<Self> {
        let info = value.type_info().into_owned();
        match info.name() {
            "INTEGER" => read(value).map(Self::Integer),
            "REAL" => read(value).map(Self::Real),
            "TEXT" => read(value).map(Self::Text),
            "BLOB" => read(value).map(Self::Blob),
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        match self {
            Self::Integer(value) => Value::Signed(value),
            Self::Real(value) => Value::Float64(value),
            Self::Text(value) => Value::Text(value.to_owned()),
            Self::Blob(value) => Value::Bytes(value.to_vec()),
        }
    }
}

impl ColumnBuilder {
    fn new(kind: Kind) -> Self {
        Self { kind, leading_nulls: 0, cells: None, mixed: None }
    }

    /// `None` when the value cannot be read as what the column is.
    fn push(&mut self, value: SqliteValueRef<'_>) -> Option<()> {
        if value.is_null() {
            self.push_null();
            return Some(());
        }
        let cell = Stored::of(value)?;
        match (self.kind, cell) {
            (Kind::Stored(_), cell) => {
                self.push_stored(cell);
                return Some(());
            }
            (Kind::Boolean, Stored::Integer(value)) => {
                let value = u8::try_from(value).ok().filter(|&value| value <= 1)? == 1;
                if let Cells::Boolean(cells) = self.typed() {
                    cells.push(value);
                }
            }
            (Kind::Date, Stored::Text(text)) => {
                let days = temporal::parse_date(text)?;
                if let Cells::Date(cells) = self.typed() {
                    cells.push(days);
                }
            }
            (Kind::Time, Stored::Text(text)) => {
                let micros = temporal::parse_time(text)?;
                if let Cells::Time(cells) = self.typed() {
                    cells.push(micros);
                }
            }
            (Kind::Timestamp | Kind::TimestampTz, Stored::Text(text)) => {
                let micros = temporal::parse_timestamp(text)?;
                if let Cells::Timestamp(cells) | Cells::TimestampTz(cells) = self.typed() {
                    cells.push(micros);
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn push_null(&mut self) {
        if let Some((values, bytes)) = &mut self.mixed {
            *bytes += mem::size_of::<Value>();
            values.push(Value::Null);
        } else if let Some(builder) = &mut self.cells {
            builder.push_null();
        } else {
            self.leading_nulls += 1;
        }
    }

    /// The cells of the column's own kind.
    fn typed(&mut self) -> &mut Cells {
        let kind = self.kind;
        &mut self.cells_or(|| kind.cells()).cells
    }

    /// The cells, started with `empty` and the nulls so far if there were only nulls.
    fn cells_or(&mut self, empty: impl FnOnce() -> Cells) -> &mut CellsBuilder {
        let nulls = mem::take(&mut self.leading_nulls);
        self.cells.get_or_insert_with(|| {
            let mut builder = CellsBuilder::new(empty());
            (0..nulls).for_each(|_| builder.push_null());
            builder
        })
    }

    fn push_stored(&mut self, cell: Stored<'_>) {
        if self.mixed.is_none() {
            let builder = self.cells_or(|| match cell {
                Stored::Integer(_) => Cells::Signed(Vec::new()),
                Stored::Real(_) => Cells::Float64(Vec::new()),
                Stored::Text(_) => Cells::Text(Packed::empty()),
                Stored::Blob(_) => Cells::Bytes(Packed::empty()),
            });
            match (&mut builder.cells, cell) {
                (Cells::Signed(cells), Stored::Integer(value)) => return cells.push(value),
                (Cells::Float64(cells), Stored::Real(value)) => return cells.push(value),
                (Cells::Text(cells), Stored::Text(value)) => return cells.push(value.as_bytes()),
                (Cells::Bytes(cells), Stored::Blob(value)) => return cells.push(value),
                _ => {}
            }
        }
        let earlier = &mut self.cells;
        let (values, bytes) = self.mixed.get_or_insert_with(|| {
            let values = earlier.take().map(into_values).unwrap_or_default();
            let bytes = values.iter().map(value_bytes).sum();
            (values, bytes)
        });
        let value = cell.into_value();
        *bytes += value_bytes(&value);
        values.push(value);
    }

    fn bytes(&self) -> usize {
        match (&self.mixed, &self.cells) {
            (Some((_, bytes)), _) => *bytes,
            (None, Some(builder)) => builder.cells.bytes(),
            (None, None) => self.leading_nulls * mem::size_of::<u64>(),
        }
    }

    fn finish(mut self) -> Column {
        if let Some((values, _)) = self.mixed {
            return columns::mixed(values);
        }
        let kind = self.kind;
        self.cells_or(|| kind.cells());
        match self.cells {
            Some(builder) => builder.finish(),
            None => CellsBuilder::new(kind.cells()).finish(),
        }
    }
}

/// Cells of one type as values of their own.
fn into_values(builder: CellsBuilder) -> Vec<Value> {
    let Column { data, nulls } = builder.finish();
    match data {
        ColumnData::Cells(cells) => {
            (0..cells.len()).map(|index| if columns::is_null(&nulls, index) { Value::Null } else { cells.value(index) }).collect()
        }
        ColumnData::Mixed(values) => values,
        ColumnData::Arrays(_) => Vec::new(),
    }
}

fn value_bytes(value: &Value) -> usize {
    let variable = match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    };
    mem::size_of::<Value>() + variable
}
