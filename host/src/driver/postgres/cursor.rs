//! Results in steps: DECLARE and FETCH inside the open transaction, with other statements in between.

use std::collections::VecDeque;

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Column as _, Either, Executor, Row, postgres::PgRow};

use super::{
    connection::{PostgresConnection, Transaction},
    error, simple,
    statement::{Columns, Filling, arguments, check_width},
    types::ServerType,
};
use crate::driver::{Batch, ColumnInfo, Failure, FailureKind, ResultLimit, Statement};

/// Rows of the first FETCH, when nothing is known of their size.
const FIRST_STEP: usize = 64;
/// Rows of one FETCH at most; they all have to be read before anything else can be said to the server.
const MAX_STEP: usize = 4096;

/// One open cursor.
pub(super) struct Cursor {
    name: String,
    types: Vec<ServerType>,
    /// Rows that were fetched but did not fit into the batch.
    read_over: VecDeque<PgRow>,
    /// The server has no more rows.
    ended: bool,
    /// The server's rows are not those of this cursor.
    replaced: bool,
    /// Rows and bytes of earlier batches, to guess how many rows fit.
    seen_rows: usize,
    seen_bytes: usize,
}

impl Cursor {
    /// How many rows to fetch next, when so many rows and bytes are still wanted; `filling` has those of this batch so far.
    fn step(&self, filling: &Filling<'_>, rows: usize, bytes: usize) -> usize {
        let fitting = match self.seen_rows + filling.rows() {
            0 => FIRST_STEP,
            seen => bytes / ((self.seen_bytes + filling.bytes()) / seen).max(1),
        };
        fitting.clamp(1, MAX_STEP).min(rows)
    }
}

impl PostgresConnection {
    pub(super) async fn open_cursor(&mut self, number: u32, statement: Statement) -> Result<Vec<ColumnInfo>, Failure> {
        self.admit(&statement.sql)?;
        if self.transaction != Transaction::Open {
            return Err(Failure::new(FailureKind::Invalid, "a cursor needs a transaction"));
        }
        if self.cursors.contains_key(&number) {
            return Err(Failure::new(FailureKind::Invalid, "the cursor is open already"));
        }
        let prepared = self.prepare(&statement.sql).await?;
        let columns = Columns::new(&prepared)?;
        let arguments = arguments(&prepared, &statement.params)?;
        // Nobody can guess it: a guest could have a FETCH of it cached, with the columns of another result.
        let name = format!("wharf_cursor_{:032x}", rand::random::<u128>());
        let declare = format!("DECLARE {name} NO SCROLL CURSOR WITHOUT HOLD FOR ");
        let query = sqlx::query_with(AssertSqlSafe(format!("{declare}{}", statement.sql)), arguments).persistent(false);
        (&mut self.link).execute(query).await.map_err(|error| shifted(error::failure(error), declare.len()))?;
        let Columns { infos, types } = columns;
        let cursor =
            Cursor { name, types, read_over: VecDeque::new(), ended: false, replaced: false, seen_rows: 0, seen_bytes: 0 };
        self.cursors.insert(number, cursor);
        Ok(infos)
    }

    pub(super) async fn fetch(&mut self, number: u32, limit: ResultLimit) -> Result<Option<Batch>, Failure> {
        if self.transaction == Transaction::Aborted {
            return Err(Failure::new(FailureKind::TransactionAborted, "an earlier statement of the transaction failed"));
        }
        let Some(cursor) = self.cursors.get_mut(&number) else {
            return Err(Failure::new(FailureKind::Invalid, "the cursor is closed"));
        };
        if cursor.replaced {
            return Err(replaced());
        }
        let types = std::mem::take(&mut cursor.types);
        let mut filling = Filling::new(&types);
        let result = fill(&mut self.link, cursor, &types, &mut filling, limit).await;
        cursor.seen_rows += filling.rows();
        cursor.seen_bytes += filling.bytes();
        let batch = (filling.rows() > 0).then(|| filling.finish());
        cursor.types = types;
        result.map(|()| batch)
    }

    pub(super) async fn close_cursor(&mut self, number: u32) -> Result<(), Failure> {
        // In an aborted transaction the cursor is gone for the server too.
        match self.cursors.remove(&number) {
            Some(cursor) if self.transaction == Transaction::Open => {
                simple::run(&mut self.link, format!("CLOSE {}", cursor.name)).await.map_err(error::failure)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Forgets the cursors that ROLLBACK TO has closed on the server.
    pub(super) async fn forget_closed_cursors(&mut self) -> Result<(), Failure> {
        if self.cursors.is_empty() {
            return Ok(());
        }
        let rows = simple::run(&mut self.link, "SELECT name FROM pg_catalog.pg_cursors").await.map_err(error::failure)?;
        self.cursors.retain(|_, cursor| rows.iter().any(|row| row.first().and_then(Option::as_deref) == Some(&cursor.name)));
        Ok(())
    }
}

/// Fetches until the batch is full or the rows end.
async fn fill(
    link: &mut sqlx::PgConnection,
    cursor: &mut Cursor,
    types: &[ServerType],
    filling: &mut Filling<'_>,
    limit: ResultLimit,
) -> Result<(), Failure> {
    let wanted = (limit.rows as usize).max(1);
    let take = |filling: &mut Filling<'_>, row: &PgRow| match filling.rows() < wanted {
        true => filling.push_within(row, limit.bytes),
        false => Ok(false),
    };
    while let Some(row) = cursor.read_over.front() {
        if !take(filling, row)? {
            return Ok(());
        }
        cursor.read_over.pop_front();
    }
    while cursor.read_over.is_empty() && !cursor.ended && filling.rows() < wanted {
        let bytes_left = limit.bytes.saturating_sub(filling.bytes());
        if filling.rows() > 0 && bytes_left == 0 {
            break;
        }
        let step = cursor.step(filling, wanted - filling.rows(), bytes_left);
        // Unnamed, for a cached FETCH would keep the description of the first cursor that it met.
        let fetch = sqlx::query(AssertSqlSafe(format!("FETCH FORWARD {step} FROM {}", cursor.name))).persistent(false);
        let mut stream = (&mut *link).fetch_many(fetch);
        let mut fetched = 0;
        let mut failed = None;
        // To its end: nothing else can be said to the server before. A row that cannot be read stays the next one.
        while let Some(item) = stream.try_next().await.map_err(error::failure)? {
            let Either::Right(row) = item else { continue };
            fetched += 1;
            if fetched == 1 && !has_types(&row, types) {
                cursor.replaced = true;
                failed = Some(replaced());
            } else if fetched == 1 {
                failed = check_width(&row, types.len()).err();
            }
            if cursor.replaced {
                continue;
            }
            let taken = cursor.read_over.is_empty()
                && failed.is_none()
                && take(filling, &row).unwrap_or_else(|failure| {
                    failed = Some(failure);
                    false
                });
            if !taken {
                cursor.read_over.push_back(row);
            }
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        cursor.ended = fetched < step;
    }
    Ok(())
}

/// A guest can close the cursor and declare another under its name.
fn has_types(row: &PgRow, types: &[ServerType]) -> bool {
    row.columns().len() == types.len()
        && row.columns().iter().zip(types).all(|(column, known)| column.type_info().oid().map_or(0, |oid| oid.0) == known.oid)
}

fn replaced() -> Failure {
    Failure::new(FailureKind::Invalid, "the cursor was replaced by another")
}

/// Counts positions from the start of the guest's own text.
fn shifted(mut failure: Failure, prefix: usize) -> Failure {
    for (key, value) in &mut failure.details {
        if let ("position", Ok(position)) = (*key, value.parse::<usize>()) {
            *value = position.saturating_sub(prefix).to_string();
        }
    }
    if failure.kind == FailureKind::Invalid && failure.code.as_deref() == Some("42601") {
        failure.message = format!("a cursor needs a SELECT or VALUES: {}", failure.message);
    }
    failure
}
