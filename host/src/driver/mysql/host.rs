//! The host's own statements, by the text protocol: several fit in one message, and the server stops at the first that fails.

use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Either, MySql, Row,
    mysql::{MySqlConnection, MySqlDatabaseError},
};

/// The rows of all results, in order; each cell as text.
pub(super) type TextRows = Vec<Vec<Option<String>>>;

/// Sends statements that the host wrote and reads all they answer. Whatever is put into `sql` must be safe there.
pub(super) async fn run(link: &mut MySqlConnection, sql: impl Into<String>) -> Result<TextRows, sqlx::Error> {
    let mut stream = sqlx::raw_sql(AssertSqlSafe(sql.into())).fetch_many(link);
    let mut rows = Vec::new();
    while let Some(item) = stream.try_next().await? {
        let Either::Right(row) = item else { continue };
        let mut cells = Vec::with_capacity(row.len());
        for index in 0..row.len() {
            // A null is an error of the decoder.
            let bytes = <&[u8] as sqlx::Decode<MySql>>::decode(row.try_get_raw(index)?).ok();
            cells.push(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
        }
        rows.push(cells);
    }
    Ok(rows)
}

/// A cell, or nothing where there is none or it is null.
pub(super) fn cell(rows: &TextRows, row: usize, column: usize) -> Option<&str> {
    rows.get(row)?.get(column)?.as_deref()
}

/// The server's own number of an error.
pub(super) fn number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(error.number())
}

/// A string literal, whatever it holds and whatever `sql_mode` says of quotes. The catalog looks up by a literal, and by no function.
pub(super) fn literal(text: &str) -> String {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("_utf8mb4 X'{hex}'")
}
