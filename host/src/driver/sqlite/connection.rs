//! One session: its operations, its transaction, and what must be clean before another borrower gets it.

use std::{
    mem,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt};
use sqlx::{
    Connection as _, Executor,
    sqlite::{SqliteArguments, SqliteConnection},
};
use tokio::{runtime::Handle, task::spawn_blocking};

use super::{
    authorizer::{self, Compiled},
    cursor::Cursor,
    failure, params,
    rows::{Rows, abandon},
    shared::{Raised, Shared},
    statement::{Catalogue, Description},
    transaction::{Transaction, rolled_back},
};
use crate::driver::{
    Answer, Begin, Connection, Failure, FailureKind, Operation, ResultLimit, Session, Source, Statement, Value,
    settings::{Access, Settings},
    types::{self, Execution},
};

/// A session with an SQLite file.
pub(super) struct SqliteSession {
    session: Session,
    pub(super) access: Access,
    statement_timeout: Duration,
    pub(super) shared: Arc<Shared>,
    pub(super) line: Line,
    pub(super) transaction: Transaction,
    catalogue: Catalogue,
    /// Something ran since the last reset that may have written, or failed where it should not.
    pub(super) wrote: bool,
    /// Something ran that may have made temporary objects.
    changed_schema: bool,
}

/// Who has sqlx's connection.
pub(super) enum Line {
    Free(SqliteConnection),
    /// Until the cursor is closed.
    Cursor(Cursor),
    /// Closed.
    Gone,
}

impl SqliteSession {
    pub(super) fn new(id: i64, connection: SqliteConnection, shared: Arc<Shared>, settings: &Settings) -> Self {
        Self {
            session: Session { id, started: "".into() },
            access: settings.access,
            statement_timeout: settings.statement_timeout,
            shared,
            line: Line::Free(connection),
            transaction: Transaction::None,
            catalogue: Catalogue::new(settings.statement_cache),
            wrote: false,
            changed_schema: false,
        }
    }

    /// Reads the file for the first time.
    ///
    /// # Errors
    /// [`FailureKind::Disconnected`] when it is no database.
    pub(super) async fn verify(&mut self) -> Result<(), Failure> {
        let _host = Raised::new(&self.shared.host);
        let query = sqlx::raw_sql("SELECT 1 FROM sqlite_schema LIMIT 1");
        self.line.connection()?.execute(query).await.map_err(|error| failure::of_connect(&error))?;
        Ok(())
    }

    async fn perform(&mut self, operation: Operation) -> Result<Answer, Failure> {
        self.admit(&operation)?;
        self.shared.end_statement_after(self.statement_timeout);
        match operation {
            Operation::Query(statement, limit) => self.query(statement, limit).await.map(Answer::Rows),
            Operation::Execute(statement) => self.execute(statement).await.map(Answer::Executed),
            Operation::ExecuteMany(sql, lists) => self.execute_many(sql, lists).await.map(Answer::Executed),
            Operation::Begin(Begin::Sql(options)) => self.begin(options).await.map(|()| Answer::Done),
            Operation::Commit => self.commit().await.map(|()| Answer::Done),
            Operation::Rollback => self.roll_back().await.map(|()| Answer::Done),
            Operation::Savepoint(name) => self.savepoint("SAVEPOINT", &name).await,
            Operation::RollbackTo(name) => self.savepoint("ROLLBACK TO", &name).await,
            Operation::Release(name) => self.savepoint("RELEASE", &name).await,
            Operation::OpenCursor(number, Source::Statement(statement)) => self.open_cursor(number, statement).await,
            Operation::Fetch(number, limit) => self.fetch(number, limit).await,
            Operation::CloseCursor(number) => {
                if matches!(&self.line, Line::Cursor(cursor) if cursor.number() == number) {
                    self.close_cursor().await;
                }
                Ok(Answer::Done)
            }
            Operation::Documents(..) | Operation::Begin(_) | Operation::OpenCursor(..) => Err(Failure::foreign()),
        }
    }

    /// Whether the session is in a state for this operation.
    fn admit(&self, operation: &Operation) -> Result<(), Failure> {
        if self.shared.terminated.load(Ordering::Acquire) {
            return Err(failure::gone());
        }
        if matches!(operation, Operation::Rollback | Operation::CloseCursor(_)) {
            return Ok(());
        }
        if self.shared.cancelled.load(Ordering::Acquire) {
            return Err(Failure::new(FailureKind::Cancelled, "the session was cancelled"));
        }
        if self.transaction == Transaction::RolledBack && !matches!(operation, Operation::Commit) {
            return Err(rolled_back());
        }
        match (&self.line, operation) {
            (Line::Cursor(_), Operation::Fetch(..) | Operation::Commit) => Ok(()),
            (Line::Cursor(_), _) => Err(Failure::new(FailureKind::Busy, "an open cursor owns the connection")),
            (Line::Free(_) | Line::Gone, _) => Ok(()),
        }
    }

    async fn query(&mut self, statement: Statement, limit: ResultLimit) -> Result<types::Rows, Failure> {
        let (mut description, known) = self.describe(&statement.sql).await?;
        let arguments = params::encode(statement.params, description.parameters)?;
        self.admit_writing(&description)?;
        let own = self.begin_own(&description).await?;
        let mut result = self.rows(&statement.sql, arguments.clone(), &description, limit).await;
        // The engine compiled a kept statement again, so the schema may have changed, and with it the declared types.
        if known
            && self.compiled_again(&statement.sql)
            && description.read_only
            && let Ok((changed, _)) = self.describe(&statement.sql).await
            && changed.columns != description.columns
        {
            description = changed;
            result = self.rows(&statement.sql, arguments, &description, limit).await;
        }
        self.end_own(own, result.is_ok()).await?;
        Ok(types::Rows { columns: description.column_infos(), batch: result? })
    }

    async fn execute(&mut self, statement: Statement) -> Result<Execution, Failure> {
        let (description, known) = self.describe(&statement.sql).await?;
        let arguments = params::encode(statement.params, description.parameters)?;
        self.admit_writing(&description)?;
        let own = self.begin_own(&description).await?;
        let result = self.run_through(&statement.sql, arguments, &description).await;
        self.end_own(own, result.is_ok()).await?;
        if known {
            self.compiled_again(&statement.sql);
        }
        result
    }

    async fn execute_many(&mut self, sql: Arc<str>, lists: Vec<Vec<Value>>) -> Result<Execution, Failure> {
        let (description, _) = self.describe(&sql).await?;
        self.admit_writing(&description)?;
        if self.transaction == Transaction::None {
            return Err(Failure::new(FailureKind::Invalid, "no transaction is open"));
        }
        let mut sum = Execution { rows_affected: 0, last_insert_id: None };
        for (index, list) in lists.into_iter().enumerate() {
            // A short statement may never reach a check of the engine's.
            if self.shared.cancelled.load(Ordering::Acquire) {
                return Err(Failure::new(FailureKind::Cancelled, "the statement was cancelled"));
            }
            let arguments = params::encode(list, description.parameters).map_err(|failure| failure.with("row", index + 1))?;
            let done = self.run_through(&sql, arguments, &description).await?;
            sum.rows_affected = sum.rows_affected.saturating_add(done.rows_affected);
            sum.last_insert_id = done.last_insert_id.or(sum.last_insert_id);
        }
        Ok(sum)
    }

    async fn open_cursor(&mut self, number: u32, statement: Statement) -> Result<Answer, Failure> {
        if self.transaction == Transaction::None {
            return Err(Failure::new(FailureKind::Invalid, "no transaction is open"));
        }
        let (description, _) = self.describe_afresh(&statement.sql).await?;
        let arguments = params::encode(statement.params, description.parameters)?;
        self.admit_writing(&description)?;
        let connection = self.line.lend()?;
        let columns = description.column_infos();
        let shared = Arc::clone(&self.shared);
        self.line = Line::Cursor(Cursor::open(number, connection, shared, statement.sql, arguments, description));
        Ok(Answer::Columns(columns))
    }

    async fn fetch(&mut self, number: u32, limit: ResultLimit) -> Result<Answer, Failure> {
        let result = match &mut self.line {
            Line::Cursor(cursor) if cursor.number() == number => cursor.fetch(limit).await,
            _ => return Err(Failure::new(FailureKind::Invalid, "no open cursor of this number")),
        };
        if result.is_err() {
            self.close_cursor().await;
        }
        result.map(Answer::Batch)
    }

    pub(super) async fn close_cursor(&mut self) {
        self.line = match mem::replace(&mut self.line, Line::Gone) {
            Line::Cursor(cursor) => Line::Free(cursor.close().await),
            other => other,
        };
    }

    /// What a statement is, and whether that was known before.
    async fn describe(&mut self, sql: &Arc<str>) -> Result<(Arc<Description>, bool), Failure> {
        if self.catalogue.expired() {
            self.line.connection()?.clear_cached_statements().await.map_err(|error| failure::of(&error, &self.shared))?;
        }
        match self.catalogue.get(sql) {
            Some(description) => Ok((description, true)),
            None => self.describe_afresh(sql).await,
        }
    }

    async fn describe_afresh(&mut self, sql: &Arc<str>) -> Result<(Arc<Description>, bool), Failure> {
        let invalid = |told: &str| Err(Failure::new(FailureKind::Invalid, told));
        if sql.len() > authorizer::MAX_SQL_BYTES {
            return invalid("the statement is longer than 1 MiB");
        }
        if sql.contains('\0') {
            // The engine stops there, and sqlx would look for the rest for ever.
            return invalid("the statement contains a NUL character");
        }
        let compiled = self.compile(Arc::clone(sql)).await?;
        let description = Arc::new(Description::new(compiled, sql, self.catalogue.limits())?);
        if description.kept {
            self.catalogue.insert(sql, &description);
        }
        Ok((description, false))
    }

    /// Compiles a statement in another thread, to which the connection is lent: a short text may take long, when it names tables of its own
    /// over and over, and nothing interrupts it. When this is dropped, the session ends once the statement is compiled.
    async fn compile(&mut self, sql: Arc<str>) -> Result<Compiled, Failure> {
        let mut connection = self.line.lend()?;
        let (shared, runtime) = (Arc::clone(&self.shared), Handle::current());
        let compiling = spawn_blocking(move || {
            let compiled = runtime.block_on(async {
                let mut handle = connection.lock_handle().await.map_err(|error| failure::of(&error, &shared))?;
                authorizer::compile(&mut handle, &shared, &sql)
            });
            (connection, compiled)
        });
        // A panic takes the connection with it.
        let (connection, compiled) = compiling.await.map_err(|_| failure::gone())?;
        self.line = Line::Free(connection);
        compiled
    }

    /// Whether the statement that just ran was compiled again while it ran; forgets its description then.
    fn compiled_again(&mut self, sql: &str) -> bool {
        let again = self.shared.compiled.load(Ordering::Acquire);
        if again {
            self.catalogue.remove(sql);
        }
        again
    }

    /// Whether the statement may run here and now as far as writing goes. The authorizer and the file's own mode guard a read-only
    /// session besides.
    fn admit_writing(&mut self, description: &Description) -> Result<(), Failure> {
        if description.read_only {
            return Ok(());
        }
        if self.access == Access::ReadOnly {
            return Err(Failure::new(FailureKind::Denied, "writing is not allowed"));
        }
        if self.transaction == (Transaction::Open { read_only: true }) {
            return Err(Failure::new(FailureKind::Denied, "the transaction is read-only"));
        }
        self.wrote = true;
        self.changed_schema |= description.changes_schema;
        Ok(())
    }

    async fn rows(
        &mut self,
        sql: &Arc<str>,
        arguments: SqliteArguments,
        description: &Description,
        limit: ResultLimit,
    ) -> Result<types::Batch, Failure> {
        self.shared.compiled.store(false, Ordering::Release);
        let connection = self.line.connection()?;
        let mut rows = Rows::of(connection, &self.shared, sql, arguments, description, description.kept);
        let result = rows.all(limit).await;
        let ended = rows.ended();
        drop(rows);
        if !ended {
            abandon(connection, &self.shared).await?;
        }
        result
    }

    async fn run_through(
        &mut self,
        sql: &Arc<str>,
        arguments: SqliteArguments,
        description: &Description,
    ) -> Result<Execution, Failure> {
        self.shared.compiled.store(false, Ordering::Release);
        let connection = self.line.connection()?;
        let (changes, last_key) =
            Rows::of(connection, &self.shared, sql, arguments, description, description.kept).none().await?;
        Ok(description.execution(changes, last_key))
    }

    async fn clean(&mut self) -> Result<(), Failure> {
        let unclean = |told: &str| Err(Failure::new(FailureKind::Database, told).lost());
        self.roll_back().await?;
        if self.shared.terminated.load(Ordering::Acquire) || self.shared.cancelled.load(Ordering::Acquire) {
            // The cancel may still be on its way to a statement.
            return unclean("the session was cancelled");
        }
        let mut handle = self.line.connection()?.lock_handle().await.map_err(|error| failure::of(&error, &self.shared))?;
        if authorizer::in_transaction(&mut handle) {
            return unclean("the session has a transaction that nobody began");
        }
        if self.changed_schema && authorizer::has_temporary_objects(&mut handle) {
            return unclean("the session has temporary objects");
        }
        authorizer::forget_what_was_changed(&mut handle, &self.shared);
        drop(handle);
        (self.wrote, self.changed_schema) = (false, false);
        Ok(())
    }
}

impl Connection for SqliteSession {
    fn session(&self) -> &Session {
        &self.session
    }

    fn run(&mut self, operation: Operation) -> BoxFuture<'_, Result<Answer, Failure>> {
        async {
            let result = self.perform(operation).await;
            if result.is_err() {
                self.see_what_is_left().await;
            }
            result
        }
        .boxed()
    }

    fn needs_reset(&self) -> bool {
        self.wrote
            || self.transaction != Transaction::None
            || !matches!(self.line, Line::Free(_))
            || [&self.shared.cancelled, &self.shared.terminated].iter().any(|flag| flag.load(Ordering::Acquire))
    }

    fn reset(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        self.clean().boxed()
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        async {
            match &mut self.line {
                Line::Free(connection) => connection.ping().await.map_err(|error| failure::of(&error, &self.shared)),
                Line::Cursor(_) => Ok(()),
                Line::Gone => Err(failure::gone()),
            }
        }
        .boxed()
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        async move {
            self.close_cursor().await;
            match mem::replace(&mut self.line, Line::Gone) {
                // The engine closes its file in the worker or in whichever thread lets go of it last, and waits for the disk when it is the
                // last one of its file.
                Line::Free(connection) => {
                    let runtime = Handle::current();
                    let closing = spawn_blocking(move || runtime.block_on(connection.close()));
                    let closed = closing.await.map_err(|_| failure::gone())?;
                    closed.map_err(|error| failure::of(&error, &self.shared))
                }
                Line::Cursor(_) | Line::Gone => Ok(()),
            }
        }
        .boxed()
    }
}

impl Drop for SqliteSession {
    fn drop(&mut self) {
        // Whatever the worker is doing ends now, and so does its thread.
        self.shared.terminated.store(true, Ordering::Release);
    }
}

impl Line {
    /// Takes the connection out; whoever has it puts it back.
    fn lend(&mut self) -> Result<SqliteConnection, Failure> {
        self.connection()?;
        match mem::replace(self, Self::Gone) {
            Self::Free(connection) => Ok(connection),
            Self::Cursor(_) | Self::Gone => Err(failure::gone()),
        }
    }

    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, Failure> {
        match self {
            Self::Free(connection) => Ok(connection),
            Self::Cursor(_) => Err(Failure::new(FailureKind::Busy, "an open cursor owns the connection")),
            Self::Gone => Err(failure::gone()),
        }
    }
}
