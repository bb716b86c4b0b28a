//! One row: cells by name or position.

use crate::error::{Error, Result, RowError};
use crate::sql::cell::Cell;
use crate::sql::decode;
use crate::sql::from_cell::FromCell;
use crate::sql::rows::Rows;

/// A column by name or by position, counted from 0.
pub trait Column {
    /// Its position, if there is such a column. Names are compared as they are; the first of equal ones counts.
    fn position(&self, rows: &Rows) -> Option<usize>;
    /// How an error calls it.
    fn describe(&self) -> String;
}

impl Column for &str {
    fn position(&self, rows: &Rows) -> Option<usize> {
        rows.columns().iter().position(|column| column.name == *self)
    }

    fn describe(&self) -> String {
        format!("{self:?}")
    }
}

impl Column for usize {
    fn position(&self, rows: &Rows) -> Option<usize> {
        (*self < rows.columns().len()).then_some(*self)
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}

/// A row that borrows from its batch.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub(super) rows: &'a Rows,
    pub(super) index: usize,
}

impl<'a> Row<'a> {
    /// The cell of a column as a Rust type. `&str` and `&[u8]` borrow from the batch; `String` copies once.
    ///
    /// # Errors
    /// When there is no such column, or its cell is no `T`: see [`FromCell`]. The error names the column.
    pub fn get<T: FromCell<'a>>(self, column: impl Column) -> Result<T> {
        let position = column.position(self.rows).ok_or_else(|| RowError::NoSuchColumn {
            wanted: column.describe(),
            columns: self.rows.columns().iter().map(|column| column.name.clone()).collect(),
        })?;
        T::from_cell(self.cell(position)).map_err(|mismatch| {
            let column = self.rows.columns().get(position).map_or_else(|| position.to_string(), |column| column.name.clone());
            Error::Row(RowError::Mismatch { column, expected: mismatch.expected, found: mismatch.found })
        })
    }

    /// The whole row as a struct whose fields are named as the columns, or as a tuple in their order. Columns without a field are
    /// passed over, text fields may borrow.
    ///
    /// # Errors
    /// When a field has no column, or a cell does not fit its field.
    pub fn decode<T: serde::Deserialize<'a>>(self) -> Result<T> {
        decode::decode(self).map_err(|error| RowError::Decode(error.to_string()).into())
    }

    /// How many columns there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.rows.columns().len()
    }

    /// Whether there are no columns.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The cell at a position; null beyond the last column.
    #[must_use]
    pub fn cell(self, position: usize) -> Cell<'a> {
        self.rows.batch.columns.get(position).map_or(Cell::Null, |column| Cell::of_column(column, self.index))
    }

    /// The same row, keeping its batch alive.
    #[must_use]
    pub fn to_owned_row(self) -> OwnedRow {
        OwnedRow { rows: self.rows.clone(), index: self.index }
    }
}

/// A row that shares its batch with the other rows of it, so it can be kept.
#[derive(Clone, Debug)]
pub struct OwnedRow {
    pub(super) rows: Rows,
    pub(super) index: usize,
}

impl OwnedRow {
    /// The same row, borrowed.
    #[must_use]
    pub fn as_row(&self) -> Row<'_> {
        Row { rows: &self.rows, index: self.index }
    }

    /// As [`Row::get`].
    ///
    /// # Errors
    /// As there.
    pub fn get<'a, T: FromCell<'a>>(&'a self, column: impl Column) -> Result<T> {
        self.as_row().get(column)
    }

    /// As [`Row::decode`].
    ///
    /// # Errors
    /// As there.
    pub fn decode<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T> {
        self.as_row().decode()
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::rows::tests::rows;
    use crate::wire::Value;

    #[test]
    fn cells_come_by_name_and_position_and_errors_name_the_column() {
        let rows =
            rows(vec![("id", vec![Value::Signed(7)]), ("name", vec![Value::Text("Ada".into())]), ("gone", vec![Value::Null])]);
        let name: &str = {
            let row = rows.get(0).unwrap();
            row.get("name").unwrap()
        };
        assert_eq!(name, "Ada");
        let row = rows.one().unwrap().unwrap();
        assert_eq!(row.get::<i32>(0).unwrap(), 7);
        assert_eq!(row.get::<Option<&str>>("gone").unwrap(), None);
        let error = |result: crate::Result<String>| result.unwrap_err().to_string();
        assert_eq!(error(row.get("gone")), "column gone: expected text, found null");
        assert_eq!(error(row.get("nmae")), "no column \"nmae\"; there are: id, name, gone");
        assert_eq!(error(row.get(3)), "no column 3; there are: id, name, gone");
    }
}
