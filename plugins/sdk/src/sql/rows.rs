//! The rows of an answer or of one batch of it.

use std::rc::Rc;

use crate::error::{Result, RowError};
use crate::sql::from_cell::FromCell;
use crate::sql::row::{OwnedRow, Row};
use crate::wire;

/// Rows, held column by column as they came from the host. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Rows {
    pub(super) columns: Rc<[wire::ColumnInfo]>,
    pub(super) batch: Rc<wire::Batch>,
}

impl Rows {
    pub(crate) fn new(columns: Rc<[wire::ColumnInfo]>, batch: wire::Batch) -> Self {
        Self { columns, batch: Rc::new(batch) }
    }

    /// Names and types of the columns, known even when there are no rows.
    #[must_use]
    pub fn columns(&self) -> &[wire::ColumnInfo] {
        &self.columns
    }

    /// The columns as they came, for a handler that computes column by column.
    #[must_use]
    pub fn as_batch(&self) -> &wire::Batch {
        &self.batch
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.row_count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row at `index`, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Row<'_>> {
        (index < self.len()).then_some(Row { rows: self, index })
    }

    /// The rows in order, borrowed.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        (0..self.len()).map(|index| Row { rows: self, index })
    }

    /// The only row, or none.
    ///
    /// # Errors
    /// When there are two or more.
    pub fn one(self) -> Result<Option<OwnedRow>> {
        match self.len() {
            0 => Ok(None),
            1 => Ok(Some(OwnedRow { rows: self, index: 0 })),
            count => Err(RowError::RowCount(count).into()),
        }
    }

    /// The first cell of the only row: `SELECT count(*) …`.
    ///
    /// # Errors
    /// When there is not exactly one row, or its first cell is no `T`.
    pub fn scalar<T: for<'a> FromCell<'a>>(&self) -> Result<T> {
        match (self.len(), self.get(0)) {
            (1, Some(row)) => row.get(0),
            (count, _) => Err(RowError::RowCount(count).into()),
        }
    }

    /// Every row as a `T`, whose fields are named as the columns; see [`Row::decode`].
    ///
    /// # Errors
    /// At the first row that does not fit.
    pub fn decode<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<Vec<T>> {
        self.iter().map(Row::decode).collect()
    }
}

impl From<wire::Rows> for Rows {
    fn from(rows: wire::Rows) -> Self {
        Self::new(rows.columns.into(), rows.batch)
    }
}

impl<'a> IntoIterator for &'a Rows {
    type Item = Row<'a>;
    type IntoIter = Box<dyn Iterator<Item = Row<'a>> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl IntoIterator for Rows {
    type Item = OwnedRow;
    type IntoIter = OwnedRows;

    fn into_iter(self) -> OwnedRows {
        OwnedRows { rows: self, next: 0 }
    }
}

/// The rows in order, each of which keeps the batch alive.
#[derive(Clone, Debug)]
pub struct OwnedRows {
    rows: Rows,
    next: usize,
}

impl Iterator for OwnedRows {
    type Item = OwnedRow;

    fn next(&mut self) -> Option<OwnedRow> {
        let index = self.next;
        (index < self.rows.len()).then(|| {
            self.next += 1;
            OwnedRow { rows: self.rows.clone(), index }
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rows.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for OwnedRows {}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::error::Error;

    pub(crate) fn rows(columns: Vec<(&str, Vec<wire::Value>)>) -> Rows {
        let row_count = columns.first().map_or(0, |(_, cells)| u32::try_from(cells.len()).unwrap());
        let info = columns.iter().map(|(name, _)| wire::ColumnInfo { name: (*name).into(), type_name: String::new() }).collect();
        let columns =
            columns.into_iter().map(|(_, cells)| wire::Column { data: wire::ColumnData::Mixed(cells), nulls: Vec::new() });
        wire::Rows { columns: info, batch: wire::Batch { row_count, columns: columns.collect() } }.into()
    }

    fn numbers(count: i64) -> Rows {
        rows(vec![("n", (0..count).map(wire::Value::Signed).collect())])
    }

    #[test]
    fn one_takes_none_or_one_row_and_no_more() {
        assert!(numbers(0).one().unwrap().is_none());
        assert_eq!(numbers(1).one().unwrap().unwrap().get::<i64>("n").unwrap(), 0);
        assert!(matches!(numbers(2).one(), Err(Error::Row(RowError::RowCount(2)))));
        assert!(numbers(0).scalar::<i64>().is_err());
        assert_eq!(numbers(1).scalar::<i64>().unwrap(), 0);
    }

    #[test]
    fn rows_come_in_order_borrowed_and_owned() {
        let rows = numbers(3);
        let borrowed: Vec<i64> = rows.iter().map(|row| row.get(0).unwrap()).collect();
        let owned: Vec<i64> = rows.clone().into_iter().map(|row| row.get(0).unwrap()).collect();
        assert_eq!(borrowed, [0, 1, 2]);
        assert_eq!(owned, borrowed);
        assert!(rows.get(3).is_none());
    }
}
