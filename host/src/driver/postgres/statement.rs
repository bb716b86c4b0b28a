//! One guest statement: prepared, its parameters fitted to the server's types, run, its rows read into columns.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use futures::TryStreamExt;
use sqlx::{
    Arguments, AssertSqlSafe, Column as _, Connection as _, Either, Executor, Row, SqlSafeStr, Statement as _,
    postgres::{PgArguments, PgDatabaseError, PgRow, PgStatement, PgTypeInfo},
};

use super::{
    connection::{PostgresConnection, Transaction},
    encode::Argument,
    error,
    residue::Verdict,
    types::{ColumnBuilder, ServerType},
};
use crate::driver::{
    ColumnInfo, Execution, Failure, FailureKind, ResultLimit, Rows, Statement, Value, columns::batch, sql::leading,
};

/// Rows that are read and thrown away after one that could not be converted, to keep the session.
const MAX_DRAINED: usize = 1000;

/// The parameter types of a prepared statement.
fn parameters(statement: &PgStatement) -> &[PgTypeInfo] {
    match statement.parameters() {
        Some(Either::Left(types)) => types,
        _ => &[],
    }
}

/// Fits the values to what the server expects.
pub(super) fn arguments(statement: &PgStatement, values: &[Value]) -> Result<PgArguments, Failure> {
    let infos = parameters(statement);
    if infos.len() != values.len() {
        let message = format!("the statement has {} parameters, but {} values were given", infos.len(), values.len());
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    let mut arguments = PgArguments::default();
    arguments.reserve(values.len(), values.len() * 16);
    for (index, (value, info)) in values.iter().zip(infos).enumerate() {
        let server_type = ServerType::new(info);
        arguments.add(Argument { value, server_type: &server_type, info }).map_err(|misfit| {
            let message = format!("parameter {} does not fit {}: {misfit}", index + 1, server_type.name);
            Failure::new(FailureKind::Conversion, message).with("parameter", index + 1).with("type", &server_type.name)
        })?;
    }
    Ok(arguments)
}

/// Names and types of the columns of a result.
pub(super) struct Columns {
    pub(super) infos: Vec<ColumnInfo>,
    pub(super) types: Vec<ServerType>,
}

impl Columns {
    /// # Errors
    /// [`FailureKind::Conversion`] when values of a column could not be read, before anything runs.
    pub(super) fn new(statement: &PgStatement) -> Result<Self, Failure> {
        let mut columns = Self { infos: Vec::new(), types: Vec::new() };
        for column in statement.columns() {
            let server_type = ServerType::new(column.type_info());
            if server_type.column().is_none() {
                let message = format!(
                    "column \"{}\" has type {}, which has no form here; cast it to text in SQL",
                    column.name(),
                    server_type.name
                );
                return Err(Failure::new(FailureKind::Conversion, message)
                    .with("column", column.name())
                    .with("type", &server_type.name));
            }
            columns.infos.push(ColumnInfo { name: column.name().to_owned(), type_name: server_type.name.clone().into_owned() });
            columns.types.push(server_type);
        }
        Ok(columns)
    }
}

/// Columns that are being filled row by row.
pub(super) struct Filling<'a> {
    types: &'a [ServerType],
    columns: Vec<ColumnBuilder>,
    rows: usize,
}

impl<'a> Filling<'a> {
    pub(super) fn new(types: &'a [ServerType]) -> Self {
        Self { types, columns: types.iter().filter_map(ServerType::column).collect(), rows: 0 }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that the columns take so far.
    pub(super) fn bytes(&self) -> usize {
        self.columns.iter().map(ColumnBuilder::bytes).sum()
    }

    /// Appends one row. After an error the columns are of no further use.
    pub(super) fn push(&mut self, row: &PgRow) -> Result<(), Failure> {
        for index in 0..self.columns.len() {
            self.push_cell(row, index, raw(row, index)?)?;
        }
        self.rows += 1;
        Ok(())
    }

    /// The same, if the columns take no more than about `limit` bytes then, or have no row yet. Whether it was.
    pub(super) fn push_within(&mut self, row: &PgRow, limit: usize) -> Result<bool, Failure> {
        let cells = (0..self.columns.len()).map(|index| raw(row, index)).collect::<Result<Vec<_>, _>>()?;
        let more: usize = cells.iter().map(|cell| cell.map_or(8, <[u8]>::len)).sum();
        if self.rows > 0 && self.bytes() + more > limit {
            return Ok(false);
        }
        for (index, cell) in cells.into_iter().enumerate() {
            self.push_cell(row, index, cell)?;
        }
        self.rows += 1;
        Ok(true)
    }

    #[inline]
    fn push_cell(&mut self, row: &PgRow, index: usize, cell: Option<&[u8]>) -> Result<(), Failure> {
        self.columns[index].push(cell).map_err(|misfit| {
            let type_name = &self.types[index].name;
            let name = row.columns().get(index).map_or("", |column| column.name());
            let message = format!("a value of column \"{name}\" cannot be read as {type_name}: {misfit}");
            Failure::new(FailureKind::Conversion, message).with("column", name).with("type", type_name)
        })
    }

    pub(super) fn finish(self) -> crate::driver::Batch {
        batch(self.rows, self.columns.into_iter().map(ColumnBuilder::finish).collect())
    }
}

#[inline]
fn raw(row: &PgRow, index: usize) -> Result<Option<&[u8]>, Failure> {
    Ok(row.try_get_raw(index).map_err(error::failure)?.as_bytes().ok())
}

/// To be asked of the first row of each answer: all others have as many columns.
///
/// A guest can make its own cached statement answer with fewer columns than were described, by preparing another under its name; sqlx
/// would index beyond the end.
pub(super) fn check_width(row: &PgRow, width: usize) -> Result<(), Failure> {
    let whole = match width.checked_sub(1) {
        Some(last) => row.len() == width && catch_unwind(AssertUnwindSafe(|| row.try_get_raw(last).is_ok())).unwrap_or(false),
        None => true,
    };
    if whole {
        return Ok(());
    }
    Err(Failure::new(FailureKind::Disconnected, "the server answers with other columns than it described").lost())
}

fn over(limit: &'static str, maximum: usize) -> Failure {
    Failure::new(FailureKind::LimitExceeded, format!("the result has more than {maximum} {limit}"))
        .with("limit", limit)
        .with("maximum", maximum)
        // What is left of the result still comes: the session cannot be used for anything else.
        .lost()
}

/// Whether the server refuses a cached statement only because a table has changed since it was prepared.
fn is_stale(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    error.is_some_and(|error| error.code() == "0A000" && error.routine() == Some("RevalidateCachedQuery"))
}

impl PostgresConnection {
    /// Refuses or classifies a guest's text. Nothing is sent.
    pub(super) fn admit(&mut self, sql: &Arc<str>) -> Result<(), Failure> {
        if self.transaction == Transaction::Aborted {
            return Err(Failure::new(
                FailureKind::TransactionAborted,
                "an earlier statement of the transaction failed; only rolling back is left",
            ));
        }
        leading::check(sql, self.shared.settings.access)?;
        self.in_doubt |= self.residue.may_change_settings();
        self.residue.note(sql, &self.shared.classifier);
        Ok(())
    }

    /// How many statements sqlx caches.
    fn cache_places(&self) -> usize {
        self.shared.settings.statement_cache.count.max(1)
    }

    /// Lets the server parse and describe a statement, unless it is cached.
    pub(super) async fn prepare(&mut self, sql: &Arc<str>) -> Result<PgStatement, Failure> {
        if sql.len() > self.shared.settings.statement_cache.text_bytes {
            // sqlx caches whatever it prepares; it is forgotten when the session is taken back.
            self.forget_statements = true;
        }
        let sql = AssertSqlSafe(Arc::clone(sql)).into_sql_str();
        let before = self.link.cached_statements_size();
        match (&mut self.link).prepare_with(sql, &[]).await {
            Ok(statement) => {
                // A full cache does not grow.
                let cached_before = self.link.cached_statements_size() == before && before < self.cache_places();
                self.prepared_in_doubt |= self.in_doubt && !cached_before;
                Ok(statement)
            }
            Err(error) => {
                // Parsed but not described: the server may have a statement now that sqlx does not know. The check will tell.
                self.residue.add(Verdict::SchemaCode);
                Err(error::failure(error))
            }
        }
    }

    /// Forgets all cached statements when one is stale and nothing is lost by trying again.
    async fn forget_stale(&mut self, error: &sqlx::Error) -> Result<bool, Failure> {
        if !is_stale(error) {
            return Ok(false);
        }
        self.forget_statements = true;
        if self.transaction != Transaction::None {
            return Ok(false);
        }
        self.link.clear_cached_statements().await.map_err(error::failure)?;
        Ok(true)
    }

    /// What a statement that was sent failed of. One that is a transaction by itself may have committed before its connection was lost.
    fn failed(&self, sql: &Arc<str>, error: sqlx::Error) -> Failure {
        let failure = error::failure(error);
        let is_uncertain = failure.kind == FailureKind::Disconnected
            && self.transaction == Transaction::None
            && !self.shared.classifier.only_reads(sql);
        if !is_uncertain {
            return failure;
        }
        let message = "the connection was lost while the statement ran; outside a transaction it may have taken effect";
        Failure { kind: FailureKind::CommitUnknown, message: message.to_owned(), ..failure }
    }

    pub(super) async fn query(&mut self, statement: Statement, limit: ResultLimit) -> Result<Rows, Failure> {
        self.admit(&statement.sql)?;
        let mut retried = false;
        loop {
            let prepared = self.prepare(&statement.sql).await?;
            let columns = Columns::new(&prepared)?;
            let arguments = arguments(&prepared, &statement.params)?;
            match self.read(&prepared, arguments, &columns, limit).await {
                Ok(result) => return result.map(|batch| Rows { columns: columns.infos, batch }),
                Err(error) if !retried && self.forget_stale(&error).await? => retried = true,
                Err(error) => return Err(self.failed(&statement.sql, error)),
            }
        }
    }

    /// Runs a prepared statement and reads its rows. The outer result is the server's.
    async fn read(
        &mut self,
        prepared: &PgStatement,
        arguments: PgArguments,
        columns: &Columns,
        limit: ResultLimit,
    ) -> Result<Result<crate::driver::Batch, Failure>, sqlx::Error> {
        let mut stream = (&mut self.link).fetch_many(prepared.query_with(arguments));
        let mut filling = Filling::new(&columns.types);
        let mut failed: Option<Failure> = None;
        let mut drained = 0;
        while let Some(item) = stream.try_next().await? {
            let Either::Right(row) = item else { continue };
            if let Some(failure) = &failed {
                drained += 1;
                if failure.lost || drained > MAX_DRAINED {
                    return Ok(Err(failure.clone().lost()));
                }
                continue;
            }
            if filling.rows() >= limit.rows as usize {
                return Ok(Err(over("rows", limit.rows as usize)));
            }
            let width = if filling.rows() == 0 { check_width(&row, columns.types.len()) } else { Ok(()) };
            match width.and_then(|()| filling.push(&row)) {
                Ok(()) if filling.bytes() > limit.bytes => return Ok(Err(over("bytes", limit.bytes))),
                Ok(()) => {}
                Err(failure) if failure.lost => return Ok(Err(failure)),
                Err(failure) => failed = Some(failure),
            }
        }
        Ok(match failed {
            Some(failure) => Err(failure),
            None => Ok(filling.finish()),
        })
    }

    pub(super) async fn execute(&mut self, statement: Statement) -> Result<Execution, Failure> {
        self.admit(&statement.sql)?;
        let mut retried = false;
        loop {
            let prepared = self.prepare(&statement.sql).await?;
            let arguments = arguments(&prepared, &statement.params)?;
            match self.count(&prepared, arguments).await {
                Ok(rows_affected) => return Ok(Execution { rows_affected, last_insert_id: None }),
                Err(error) if !retried && self.forget_stale(&error).await? => retried = true,
                Err(error) => return Err(self.failed(&statement.sql, error)),
            }
        }
    }

    pub(super) async fn execute_many(&mut self, sql: Arc<str>, lists: Vec<Vec<Value>>) -> Result<Execution, Failure> {
        self.admit(&sql)?;
        let prepared = self.prepare(&sql).await?;
        let mut rows_affected = 0_u64;
        for (index, values) in lists.iter().enumerate() {
            let list = |failure: Failure| failure.with("list", index + 1);
            let arguments = arguments(&prepared, values).map_err(list)?;
            let count = match self.count(&prepared, arguments).await {
                Ok(count) => count,
                Err(error) => {
                    self.forget_statements |= is_stale(&error);
                    return Err(list(error::failure(error)));
                }
            };
            rows_affected = rows_affected.saturating_add(count);
        }
        Ok(Execution { rows_affected, last_insert_id: None })
    }

    /// Runs a prepared statement and counts; rows are read and thrown away.
    async fn count(&mut self, prepared: &PgStatement, arguments: PgArguments) -> Result<u64, sqlx::Error> {
        let mut stream = (&mut self.link).fetch_many(prepared.query_with(arguments));
        let mut affected = 0_u64;
        while let Some(item) = stream.try_next().await? {
            if let Either::Left(result) = item {
                affected = affected.saturating_add(result.rows_affected());
            }
        }
        Ok(affected)
    }
}
