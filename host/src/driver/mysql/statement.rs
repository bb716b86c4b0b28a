//! One guest statement: prepared, its parameters bound, run, its rows read into columns.

use std::sync::Arc;

use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Connection as _, Either, Executor, Row, SqlSafeStr, Statement as _,
    mysql::{MySqlArguments, MySqlStatement},
};

use super::{
    connection::{FORGET, MysqlConnection},
    cursor::Cursor,
    decode::Filling,
    encode::arguments,
    error,
    residue::Verdict,
    text::{self, Nature},
    transaction::State,
    types::Columns,
};
use crate::driver::{ColumnInfo, Execution, Failure, FailureKind, ResultLimit, Rows, Statement, Value};

/// Rows that are read and thrown away after one that could not be converted, to keep the session.
const MAX_DRAINED: usize = 1000;

fn over(limit: &'static str, maximum: usize) -> Failure {
    Failure::new(FailureKind::LimitExceeded, format!("the result has more than {maximum} {limit}"))
        .with("limit", limit)
        .with("maximum", maximum)
        // What is left of the result still comes: the session cannot be used for anything else.
        .lost()
}

/// A procedure has returned several results.
pub(super) fn second_result() -> Failure {
    Failure::new(FailureKind::Invalid, "the statement returns more than one result")
}

/// What a statement that was sent failed of. One that is a transaction by itself may have committed before its connection was lost.
fn lost_halfway(failure: Failure, uncertain: bool) -> Failure {
    if !uncertain || failure.kind != FailureKind::Disconnected {
        return failure;
    }
    let message = "the connection was lost while the statement ran; outside a transaction it may have taken effect";
    Failure { kind: FailureKind::CommitUnknown, message: message.to_owned(), ..failure }
}

fn count(statement: &MySqlStatement) -> usize {
    match statement.parameters() {
        Some(Either::Right(count)) => count,
        _ => 0,
    }
}

impl MysqlConnection {
    /// Refuses or classifies a guest's text. Nothing is sent.
    fn admit(&mut self, sql: &Arc<str>) -> Result<Nature, Failure> {
        if self.transaction.state == State::Aborted {
            self.must_be_open()?;
        }
        let nature = text::check(sql, self.shared.settings.access)?;
        if nature == Nature::Commits && self.transaction.state == State::Open {
            let message = "the statement commits the transaction by itself; run it outside of one";
            return Err(Failure::new(FailureKind::Denied, message));
        }
        self.residue.note(sql, &self.shared.classifier);
        self.described_before |= nature != Nature::Data;
        Ok(nature)
    }

    /// Whether a statement whose answer is lost may have taken effect for good.
    fn is_uncertain(&self, sql: &Arc<str>) -> bool {
        self.transaction.state == State::None && !self.shared.classifier.only_reads(sql)
    }

    /// Looks at the transaction after a statement that may have ended or begun one, whatever the statement came to.
    async fn after<T>(&mut self, nature: Nature, result: Result<T, Failure>) -> Result<T, Failure> {
        // A failure is remembered by the session too.
        self.residue.wrote |= result.is_err();
        if nature != Nature::Doubtful || result.as_ref().is_err_and(|failure| failure.lost) {
            return result;
        }
        let alone = self.transaction.state == State::None;
        match (result, self.look_after_doubt().await.map_err(|found| lost_halfway(found, alone))) {
            (Err(failure), Err(found)) if found.lost => Err(failure.lost()),
            (Err(failure), _) => Err(failure),
            (Ok(_), Err(found)) => Err(found),
            (result, Ok(())) => result,
        }
    }

    /// Lets the server parse and describe a statement, unless it is cached.
    async fn prepare(&mut self, sql: &Arc<str>) -> Result<MySqlStatement, Failure> {
        // A statement that is harmless still leaves its warnings, with data in them, and how many rows it found. To clear them after each
        // one would cost every borrower; so they are cleared before the first statement of the next, if that could show them or would not
        // make the server forget them once it runs.
        if self.tells_of_another && self.shared.classifier.may_show(sql) {
            self.say(FORGET).await?;
            self.tells_of_another = false;
        }
        if sql.len() > self.shared.settings.statement_cache.text_bytes {
            // sqlx caches whatever it prepares; it is forgotten when the session is taken back.
            self.forget_statements = true;
        }
        if std::mem::take(&mut self.described_before) {
            // Of a cached statement the columns would be told as they were, unless a row tells better.
            self.line.connection()?.clear_cached_statements().await.map_err(error::failure)?;
        }
        let sql = AssertSqlSafe(Arc::clone(sql)).into_sql_str();
        self.line.connection()?.prepare_with(sql, &[]).await.map_err(error::failure)
    }

    pub(super) async fn query(&mut self, statement: Statement, limit: ResultLimit) -> Result<Rows, Failure> {
        let nature = self.admit(&statement.sql)?;
        let result = self.rows(statement, limit).await;
        self.after(nature, result).await
    }

    async fn rows(&mut self, statement: Statement, limit: ResultLimit) -> Result<Rows, Failure> {
        let prepared = self.prepare(&statement.sql).await?;
        let arguments = arguments(&statement.params, count(&prepared), &self.types)?;
        let mut filling = Filling::new(Columns::new(prepared.columns()));
        let uncertain = self.is_uncertain(&statement.sql);
        self.tells_of_another = false;
        let query = sqlx::query_with(AssertSqlSafe(statement.sql), arguments);
        let mut stream = self.line.connection()?.fetch_many(query);
        let mut failed: Option<Failure> = None;
        let mut drained = 0;
        let mut ended = false;
        while let Some(item) = stream.try_next().await.map_err(|error| lost_halfway(error::failure(error), uncertain))? {
            let Either::Right(row) = item else {
                ended = filling.rows() > 0;
                continue;
            };
            if failed.is_none() && (ended || !filling.fits(row.columns())) {
                failed = Some(second_result());
            }
            if let Some(failure) = &failed {
                drained += 1;
                if failure.lost || drained > MAX_DRAINED {
                    return Err(failure.clone().lost());
                }
                continue;
            }
            if filling.rows() >= limit.rows as usize {
                return Err(over("rows", limit.rows as usize));
            }
            match filling.push(&row) {
                Ok(()) if filling.bytes() > limit.bytes => return Err(over("bytes", limit.bytes)),
                Ok(()) => {}
                Err(failure) => failed = Some(failure),
            }
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        let (columns, batch) = filling.finish();
        Ok(Rows { columns: columns.infos, batch })
    }

    pub(super) async fn execute(&mut self, statement: Statement) -> Result<Execution, Failure> {
        let nature = self.admit(&statement.sql)?;
        let result = self.once(statement).await;
        self.after(nature, result).await
    }

    async fn once(&mut self, statement: Statement) -> Result<Execution, Failure> {
        let prepared = self.prepare(&statement.sql).await?;
        let arguments = arguments(&statement.params, count(&prepared), &self.types)?;
        self.run_through(&statement.sql, arguments).await
    }

    pub(super) async fn execute_many(&mut self, sql: Arc<str>, lists: Vec<Vec<Value>>) -> Result<Execution, Failure> {
        self.must_be_open()?;
        let nature = self.admit(&sql)?;
        let result = self.each(&sql, &lists).await;
        self.after(nature, result).await
    }

    async fn each(&mut self, sql: &Arc<str>, lists: &[Vec<Value>]) -> Result<Execution, Failure> {
        let expected = count(&self.prepare(sql).await?);
        let mut sum = Execution { rows_affected: 0, last_insert_id: None };
        for (index, values) in lists.iter().enumerate() {
            let list = |failure: Failure| failure.with("list", index + 1);
            let arguments = arguments(values, expected, &self.types).map_err(list)?;
            let done = self.run_through(sql, arguments).await.map_err(list)?;
            sum.rows_affected = sum.rows_affected.saturating_add(done.rows_affected);
            sum.last_insert_id = done.last_insert_id.or(sum.last_insert_id);
        }
        Ok(sum)
    }

    /// Runs a prepared statement and counts; rows are read and thrown away.
    async fn run_through(&mut self, sql: &Arc<str>, arguments: MySqlArguments) -> Result<Execution, Failure> {
        let uncertain = self.is_uncertain(sql);
        self.tells_of_another = false;
        let query = sqlx::query_with(AssertSqlSafe(Arc::clone(sql)), arguments);
        let mut stream = self.line.connection()?.fetch_many(query);
        let mut sum = Execution { rows_affected: 0, last_insert_id: None };
        while let Some(item) = stream.try_next().await.map_err(|error| lost_halfway(error::failure(error), uncertain))? {
            let Either::Left(result) = item else { continue };
            sum.rows_affected = sum.rows_affected.saturating_add(result.rows_affected());
            let key = i64::try_from(result.last_insert_id()).ok().filter(|key| *key != 0);
            sum.last_insert_id = key.or(sum.last_insert_id);
        }
        drop(stream);
        if sum.last_insert_id.is_some() {
            self.residue.add(Verdict::Wrote);
        }
        Ok(sum)
    }

    /// Opens a cursor; from here on it owns the connection. The server runs the statement with the first fetch.
    pub(super) async fn open_cursor(&mut self, number: u32, statement: Statement) -> Result<Vec<ColumnInfo>, Failure> {
        self.must_be_open()?;
        let nature = self.admit(&statement.sql)?;
        if nature != Nature::Data {
            return Err(Failure::new(FailureKind::Invalid, "a cursor needs a SELECT or VALUES"));
        }
        let prepared = self.prepare(&statement.sql).await?;
        if prepared.columns().is_empty() {
            return Err(Failure::new(FailureKind::Invalid, "a cursor needs a statement that returns rows"));
        }
        let arguments = arguments(&statement.params, count(&prepared), &self.types)?;
        let columns = Columns::new(prepared.columns());
        let infos = columns.infos.clone();
        let connection = self.line.take()?;
        self.line.own(Cursor::open(number, connection, statement.sql, arguments, columns));
        Ok(infos)
    }
}
