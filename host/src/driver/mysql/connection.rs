//! A session: dispatches the operations, and knows whether it may be used again.

use std::{mem, sync::Arc};

use futures::future::BoxFuture;
use sqlx::{Connection as _, mysql::MySqlConnection};
use tokio::time::Instant;

use super::{
    Shared, catalog,
    cursor::Cursor,
    encode::ParameterTypes,
    error,
    residue::{Residue, Verdict},
    transaction::{State, Transaction},
};
use crate::driver::{Answer, Batch, Begin, Connection, Failure, FailureKind, Operation, ResultLimit, Session, Source};

/// Sets the last key to 0, ROW_COUNT() and FOUND_ROWS() to what is nobody's, and clears warnings, which only a statement with a table does.
pub(super) const FORGET: &str = "SELECT LAST_INSERT_ID(0) FROM (SELECT 1) AS anything";

/// Who has the connection.
pub(super) enum Line {
    /// Nobody; the next statement may be sent.
    Free(MySqlConnection),
    /// An open cursor, until it is closed.
    Cursor(Cursor),
    /// It is gone: a cursor was closed long before its end, or an operation panicked. Only closing is left.
    Gone,
}

impl Line {
    pub(super) fn connection(&mut self) -> Result<&mut MySqlConnection, Failure> {
        match self {
            Self::Free(connection) => Ok(connection),
            Self::Cursor(_) => Err(Failure::new(FailureKind::Busy, "an open cursor owns the connection")),
            Self::Gone => Err(given_up()),
        }
    }

    /// Takes the connection for a cursor, which [`Line::own`] must follow.
    pub(super) fn take(&mut self) -> Result<MySqlConnection, Failure> {
        self.connection()?;
        match mem::replace(self, Self::Gone) {
            Self::Free(connection) => Ok(connection),
            Self::Cursor(_) | Self::Gone => Err(given_up()),
        }
    }

    pub(super) fn own(&mut self, cursor: Cursor) {
        *self = Self::Cursor(cursor);
    }
}

/// One session with its server.
pub(super) struct MysqlConnection {
    pub(super) line: Line,
    pub(super) shared: Arc<Shared>,
    session: Session,
    pub(super) types: ParameterTypes,
    sees_triggers: bool,
    pub(super) transaction: Transaction,
    pub(super) residue: Residue,
    /// Warnings and counts are those of an earlier borrower's last statement, until one of this borrower's runs.
    pub(super) tells_of_another: bool,
    /// Since when sqlx caches statements.
    cached_since: Instant,
    /// Forget them with the next reset.
    pub(super) forget_statements: bool,
    /// Statements are cached that were described before a statement that may have changed tables.
    pub(super) described_before: bool,
    /// Nothing but closing is left.
    lost: bool,
}

fn given_up() -> Failure {
    let message = "the connection was given up with a cursor that was closed before its end; its transaction did not commit";
    Failure::new(FailureKind::Disconnected, message).lost()
}

/// Closed politely: nothing is wrong with the connection but that nobody knows what is in its session.
fn unclean(message: &str) -> Failure {
    Failure::new(FailureKind::Database, message)
}

impl MysqlConnection {
    pub(super) fn new(
        link: MySqlConnection,
        shared: Arc<Shared>,
        session: Session,
        types: ParameterTypes,
        sees_triggers: bool,
    ) -> Self {
        Self {
            line: Line::Free(link),
            shared,
            session,
            types,
            sees_triggers,
            transaction: Transaction::default(),
            residue: Residue::default(),
            tells_of_another: false,
            cached_since: Instant::now(),
            forget_statements: false,
            described_before: false,
            lost: false,
        }
    }

    async fn dispatch(&mut self, operation: Operation) -> Result<Answer, Failure> {
        let through =
            matches!(operation, Operation::Fetch(..) | Operation::CloseCursor(_) | Operation::Commit | Operation::Rollback);
        if !through {
            self.line.connection()?;
        }
        match operation {
            Operation::Query(statement, limit) => self.query(statement, limit).await.map(Answer::Rows),
            Operation::Execute(statement) => self.execute(statement).await.map(Answer::Executed),
            Operation::ExecuteMany(sql, lists) => self.execute_many(sql, lists).await.map(Answer::Executed),
            Operation::Begin(Begin::Sql(options)) => self.begin(options).await,
            Operation::Commit => self.commit().await,
            Operation::Rollback => self.rollback().await,
            Operation::Savepoint(name) => self.savepoint(name).await,
            Operation::RollbackTo(name) => self.rollback_to(&name).await,
            Operation::Release(name) => self.release(&name).await,
            Operation::OpenCursor(number, Source::Statement(statement)) => {
                self.open_cursor(number, statement).await.map(Answer::Columns)
            }
            Operation::Fetch(number, limit) => self.fetch(number, limit).await.map(Answer::Batch),
            Operation::CloseCursor(number) => {
                if matches!(&self.line, Line::Cursor(cursor) if cursor.number() == number) {
                    // A connection that is given up by it is noticed by whatever comes next.
                    _ = self.end_cursor().await;
                }
                Ok(Answer::Done)
            }
            Operation::Documents(..) | Operation::Begin(_) | Operation::OpenCursor(..) => Err(Failure::foreign()),
        }
    }

    async fn fetch(&mut self, number: u32, limit: ResultLimit) -> Result<Option<Batch>, Failure> {
        let result = match &mut self.line {
            Line::Cursor(cursor) if cursor.number() == number => {
                self.tells_of_another = false;
                cursor.fetch(limit).await
            }
            Line::Gone => return Err(given_up()),
            _ => return Err(Failure::new(FailureKind::Invalid, "the cursor is closed")),
        };
        if result.is_err() {
            _ = self.end_cursor().await;
            // Of several reasons to be rid of the transaction the first is told.
            self.residue.wrote = true;
            if self.transaction.state == State::Open {
                self.transaction.state = State::Aborted;
            }
        }
        result
    }

    /// Closes the cursor, if one is open.
    ///
    /// # Errors
    /// [`FailureKind::Disconnected`] when its rows were too many to be read over; the connection is gone then.
    pub(super) async fn end_cursor(&mut self) -> Result<(), Failure> {
        self.line = match mem::replace(&mut self.line, Line::Gone) {
            Line::Cursor(cursor) => cursor.close().await.map_or(Line::Gone, Line::Free),
            other => other,
        };
        self.line.connection().map(drop)
    }

    /// Whether the cached statements are due to be forgotten: they are too old, or one is too long to be kept.
    fn cache_is_due(&self) -> bool {
        let settings = &self.shared.settings.statement_cache;
        let cached = matches!(&self.line, Line::Free(link) if link.cached_statements_size() > 0);
        self.forget_statements || (cached && (settings.count == 0 || self.cached_since.elapsed() >= settings.max_age))
    }

    /// What a borrower leaves cannot be cleared here, for sqlx knows no `COM_RESET_CONNECTION`: it is proven to be nothing, or the
    /// session is not used again.
    async fn take_back(&mut self) -> Result<(), Failure> {
        if self.lost {
            return Err(given_up());
        }
        if self.transaction.state != State::None || matches!(self.line, Line::Cursor(_)) {
            self.rollback().await?;
        }
        self.line.connection()?;
        for pending in mem::take(&mut self.residue.pending) {
            let Some(conditions) = pending.conditions() else { continue };
            if self.residue.anything {
                break;
            }
            let verdict = match catalog::confirm(self.line.connection()?, conditions, self.sees_triggers).await {
                Ok(verdict) => verdict,
                Err(error) => match error::failure(error) {
                    failure if failure.lost => return Err(failure),
                    _ => Verdict::Unknown,
                },
            };
            self.shared.classifier.confirm(&pending, verdict);
            self.residue.add(verdict);
        }
        if self.residue.anything {
            return Err(unclean("the session may hold what its borrower has left"));
        }
        if self.residue.wrote {
            self.say(FORGET).await?;
        }
        if self.cache_is_due() {
            self.line.connection()?.clear_cached_statements().await.map_err(error::failure)?;
            self.cached_since = Instant::now();
            self.forget_statements = false;
        }
        self.residue = Residue::default();
        Ok(())
    }
}

impl Connection for MysqlConnection {
    fn session(&self) -> &Session {
        &self.session
    }

    fn run(&mut self, operation: Operation) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(async move {
            if self.lost {
                return Err(Failure::new(FailureKind::Disconnected, "the connection was lost").lost());
            }
            let result = self.dispatch(operation).await;
            if let Err(failure) = &result {
                self.lost |= failure.lost;
                // Only the server sends codes, and whatever it refuses dooms the transaction.
                if failure.code.is_some() && self.transaction.state == State::Open {
                    self.transaction.state = State::Aborted;
                }
            }
            result
        })
    }

    fn lent(&mut self) {
        self.tells_of_another = true;
    }

    fn needs_reset(&self) -> bool {
        self.lost
            || !matches!(self.line, Line::Free(_))
            || self.transaction.state != State::None
            || !self.residue.is_empty()
            || self.cache_is_due()
    }

    fn reset(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let result = self.take_back().await;
            // A session that was not proven clean is never used again.
            self.lost |= result.is_err();
            result
        })
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let result = match &mut self.line {
                Line::Free(link) => link.ping().await.map_err(error::failure),
                Line::Cursor(_) => Ok(()),
                Line::Gone => Err(given_up()),
            };
            self.lost |= result.is_err();
            result
        })
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move {
            match mem::replace(&mut self.line, Line::Gone) {
                Line::Free(link) => link.close().await.map_err(error::failure),
                // The socket is closed with the rows that still come.
                Line::Cursor(_) | Line::Gone => Ok(()),
            }
        })
    }
}
