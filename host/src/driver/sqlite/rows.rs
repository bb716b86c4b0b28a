//! Reads the rows of one running statement.

use std::{sync::Arc, task::Poll};

use futures::{TryStreamExt, poll, stream::BoxStream};
use sqlx::{
    AssertSqlSafe, Connection as _, Either, Executor,
    sqlite::{SqliteArguments, SqliteConnection, SqliteQueryResult, SqliteRow},
};
use tokio::task::yield_now;

use super::{
    batch::{BatchBuilder, exceeded},
    failure,
    shared::{Raised, Shared},
    statement::Description,
};
use crate::driver::{Batch, Failure, ResultLimit};

type Steps<'c> = BoxStream<'c, Result<Either<SqliteQueryResult, SqliteRow>, sqlx::Error>>;

/// A statement that runs, and its rows so far.
pub(super) struct Rows<'c> {
    steps: Steps<'c>,
    shared: &'c Shared,
    description: &'c Description,
    /// Read, but too large for the batch before.
    held: Option<SqliteRow>,
    /// How many were handed out.
    count: u64,
    outcome: SqliteQueryResult,
    ended: bool,
}

impl<'c> Rows<'c> {
    pub(super) fn of(
        connection: &'c mut SqliteConnection,
        shared: &'c Shared,
        sql: &Arc<str>,
        arguments: SqliteArguments,
        description: &'c Description,
        kept: bool,
    ) -> Self {
        let query = sqlx::query_with(AssertSqlSafe(Arc::clone(sql)), arguments).persistent(kept);
        let steps = connection.fetch_many(query);
        Self { steps, shared, description, held: None, count: 0, outcome: SqliteQueryResult::default(), ended: false }
    }

    /// Whether the engine is done with the statement. If not, [`abandon`] ends it.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// All rows, or a failure when there are more than `limit`.
    pub(super) async fn all(&mut self, limit: ResultLimit) -> Result<Batch, Failure> {
        let mut builder = BatchBuilder::new(&self.description.columns);
        let most = usize::try_from(limit.rows).unwrap_or(usize::MAX);
        while let Some(row) = self.next().await? {
            if builder.rows() == most {
                return Err(exceeded("max_rows", most));
            }
            self.push(&mut builder, &row)?;
            if builder.bytes() > limit.bytes {
                return Err(exceeded("max_result_bytes", limit.bytes));
            }
        }
        Ok(builder.finish())
    }

    /// The next rows, one at least and more where they fit into `limit`; `None` after the last.
    pub(super) async fn some(&mut self, limit: ResultLimit) -> Result<Option<Batch>, Failure> {
        let mut builder = BatchBuilder::new(&self.description.columns);
        let most = usize::try_from(limit.rows).unwrap_or(usize::MAX).max(1);
        while builder.rows() < most {
            let Some(row) = self.next().await? else { break };
            if builder.rows() > 0 && !builder.fits(&row, limit.bytes) {
                self.held = Some(row);
                break;
            }
            self.push(&mut builder, &row)?;
        }
        Ok((builder.rows() > 0).then(|| builder.finish()))
    }

    /// Runs to the end without keeping any row: changes and the last key, as the engine counts them.
    pub(super) async fn none(&mut self) -> Result<(u64, i64), Failure> {
        while self.next().await?.is_some() {}
        Ok((self.outcome.rows_affected(), self.outcome.last_insert_rowid()))
    }

    fn push(&mut self, builder: &mut BatchBuilder, row: &SqliteRow) -> Result<(), Failure> {
        self.count += 1;
        builder.push(row, &self.description.columns, self.count)
    }

    async fn next(&mut self) -> Result<Option<SqliteRow>, Failure> {
        if let Some(row) = self.held.take() {
            return Ok(Some(row));
        }
        while !self.ended {
            match self.step().await {
                Ok(Some(Either::Right(row))) => return Ok(Some(row)),
                Ok(Some(Either::Left(outcome))) => self.outcome = outcome,
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Err(failure::of(&error, self.shared));
                }
            }
        }
        Ok(None)
    }

    /// The next message of the worker, which wakes this task for every one: after a wait others go first, and more may have come.
    async fn step(&mut self) -> Result<Option<Either<SqliteQueryResult, SqliteRow>>, sqlx::Error> {
        let mut next = self.steps.try_next();
        if let Poll::Ready(step) = poll!(&mut next) {
            return step;
        }
        let step = next.await;
        yield_now().await;
        step
    }
}

/// Ends a statement whose [`Rows`] were dropped early, and waits until the worker is free. The worker would else go on until the next
/// row, however far that is.
pub(super) async fn abandon(connection: &mut SqliteConnection, shared: &Shared) -> Result<(), Failure> {
    let _raised = Raised::new(&shared.abandoned);
    connection.ping().await.map_err(|error| failure::of(&error, shared))
}
