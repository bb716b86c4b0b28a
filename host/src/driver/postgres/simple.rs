//! The host's own statements, by the simple protocol: no name of a prepared statement is involved, and several fit in one round trip.

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Either, Row, postgres::PgConnection};

/// The rows of all results, in order; each cell as text.
pub(super) type TextRows = Vec<Vec<Option<String>>>;

/// Sends statements that the host wrote and reads all they answer; stops at the first that fails. Whatever is put into `sql` must be
/// safe there.
pub(super) async fn run(link: &mut PgConnection, sql: impl Into<String>) -> Result<TextRows, sqlx::Error> {
    let mut stream = sqlx::raw_sql(AssertSqlSafe(sql.into())).fetch_many(link);
    let mut rows = Vec::new();
    while let Some(item) = stream.try_next().await? {
        let Either::Right(row) = item else { continue };
        let mut cells = Vec::with_capacity(row.len());
        for index in 0..row.len() {
            let value = row.try_get_raw(index)?;
            cells.push(value.as_str().ok().map(str::to_owned));
        }
        rows.push(cells);
    }
    Ok(rows)
}

/// A cell, or nothing where there is none or it is null.
pub(super) fn cell(rows: &TextRows, row: usize, column: usize) -> Option<&str> {
    rows.get(row)?.get(column)?.as_deref()
}

/// Whether a boolean cell is true.
pub(super) fn is_true(cell: &Option<String>) -> bool {
    cell.as_deref() == Some("t")
}
