//! What the handles of a guest of `wharf:sql` stand for. Every operation waits at most until the call's deadline or the statement's time-out.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{
    Error, documents,
    grant::Grant,
    held::{Lease, Opening, Reader, Span, unexpected},
    scope::{Admitted, Purpose, Scope},
    traced::Traced,
};
use crate::{
    driver::{
        Answer, Batch, Begin, ColumnInfo, Engine, Execution, Operation, Rows, Source, Statement, TransactionOptions, Value,
    },
    pool::Via,
    telemetry::timing::Part,
};

/// A name of a savepoint: as long as PostgreSQL keeps identifiers.
const MAX_NAME: usize = 63;

impl Lease {
    async fn query(&self, via: Via, statement: Statement) -> Result<Rows, Error> {
        rows(self.run(via, Operation::Query(statement, self.grant().max_result)).await?)
    }

    async fn execute(&self, via: Via, statement: Statement) -> Result<Execution, Error> {
        executed(self.run(via, Operation::Execute(statement)).await?)
    }

    async fn execute_many(&self, via: Via, sql: Arc<str>, params: Vec<Vec<Value>>) -> Result<Execution, Error> {
        executed(self.run(via, Operation::ExecuteMany(sql, params)).await?)
    }
}

fn rows(answer: Answer) -> Result<Rows, Error> {
    if let Answer::Rows(rows) = answer { Ok(rows) } else { Err(unexpected()) }
}

fn executed(answer: Answer) -> Result<Execution, Error> {
    if let Answer::Executed(execution) = answer { Ok(execution) } else { Err(unexpected()) }
}

/// A granted database; holds nothing.
#[derive(Clone, Debug)]
pub struct Database {
    scope: Arc<Scope>,
    grant: usize,
}

impl Database {
    pub(super) fn new(scope: Arc<Scope>, grant: usize) -> Self {
        Self { scope, grant }
    }

    async fn lease(&self, purpose: Purpose) -> Result<Arc<Lease>, Error> {
        self.scope.lease(self.grant, purpose).await
    }

    /// Runs one statement or request on a connection that is leased for it; counted before it waits for one.
    pub(super) async fn once(&self, operation: Operation) -> Result<Answer, Error> {
        let Admitted { in_flight, line } = self.scope.admit(self.grant, &operation).await?;
        let timed = self.scope.life().time(Part::Database);
        let mut traced = Traced::begin(&self.scope, self.grant, &operation);
        let answer = match self.lease(Purpose::Statement).await {
            Ok(lease) => {
                traced.leased();
                let until = self.scope.statement_until(self.grant);
                lease.hold.run_last(Via::Connection, operation, until).await.map_err(Error::Operation)
            }
            Err(error) => Err(error),
        };
        traced.end(&answer);
        drop((timed, in_flight));
        line.end(answer.as_ref()).await;
        answer
    }

    /// Begins on a connection that is leased for it.
    pub(super) async fn begin_alone(&self, begin: Begin) -> Result<Span, Error> {
        let operation = Operation::Begin(begin);
        let admitted = self.scope.admit(self.grant, &operation).await?;
        match self.lease(Purpose::Hold).await {
            Ok(lease) => Ok(lease.begin_admitted(operation, admitted).await?.alone()),
            Err(error) => Err(admitted.fail(error).await),
        }
    }

    /// Opens a cursor on a connection that is leased for it, in what is begun for it.
    pub(super) async fn read_alone(&self, begin: Begin, source: Source) -> Result<(Reader, Answer), Error> {
        let opening = Opening::new(&self.scope, self.grant, source).await?;
        match self.begin_alone(begin).await {
            Ok(span) => span.read_alone(opening).await,
            Err(error) => Err(opening.admitted.fail(error).await),
        }
    }

    /// The same error, once the audit log says that a request about this collection is refused for it.
    pub(super) async fn refuse(&self, collection: &str, error: Error) -> Error {
        self.scope.refuse(self.grant, collection, error).await
    }

    pub(super) fn grant(&self) -> &Grant {
        self.scope.grant(self.grant)
    }

    /// What it speaks.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.grant().database.engine()
    }

    /// The same, for documents.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one that speaks SQL.
    pub fn documents(self) -> Result<documents::Database, Error> {
        if self.engine() == Engine::Mongodb {
            Ok(documents::Database::new(self))
        } else {
            Err(Error::Invalid("this is an SQL database, which `wharf:documents` does not reach"))
        }
    }

    /// Leases a connection for one statement and returns its rows.
    ///
    /// # Errors
    /// See [`Error`]; the connection is given back either way.
    /// # Cancellation
    /// Dropping the future gives up the wait, or cancels the statement on the server.
    pub async fn query(&self, statement: Statement) -> Result<Rows, Error> {
        rows(self.once(Operation::Query(statement, self.grant().max_result)).await?)
    }

    /// As [`Database::query`], counting rows instead of returning them.
    ///
    /// # Errors
    /// As for `query`.
    pub async fn execute(&self, statement: Statement) -> Result<Execution, Error> {
        executed(self.once(Operation::Execute(statement)).await?)
    }

    /// One statement with several lists of parameters, all or nothing.
    ///
    /// # Errors
    /// As for `query`.
    pub async fn execute_many(&self, sql: Arc<str>, params: Vec<Vec<Value>>) -> Result<Execution, Error> {
        executed(self.once(Operation::ExecuteMany(sql, params)).await?)
    }

    /// Starts a transaction on a connection of its own.
    ///
    /// # Errors
    /// As for `query`.
    pub async fn begin(&self, options: TransactionOptions) -> Result<Transaction, Error> {
        Ok(Transaction(self.begin_alone(options.into()).await?))
    }

    /// Leases a connection until the handle is dropped.
    ///
    /// # Errors
    /// As for `query`.
    pub async fn connect(&self) -> Result<Connection, Error> {
        Ok(Connection { lease: self.lease(Purpose::Hold).await?, closed: AtomicBool::new(false) })
    }

    /// Opens a cursor in a read-only transaction of its own.
    ///
    /// # Errors
    /// As for `query`.
    pub async fn cursor(&self, statement: Statement) -> Result<Cursor, Error> {
        let begin = TransactionOptions { isolation: None, read_only: true }.into();
        Cursor::new(self.read_alone(begin, statement.into()).await?)
    }
}

/// A leased connection; dropping it gives it back, whatever handles to it exist still.
#[derive(Debug)]
pub struct Connection {
    lease: Arc<Lease>,
    closed: AtomicBool,
}

impl Connection {
    fn lease(&self) -> Result<&Arc<Lease>, Error> {
        if self.closed.load(Ordering::Relaxed) { Err(Error::Invalid("the connection is closed")) } else { Ok(&self.lease) }
    }

    /// Runs one statement and returns its rows.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn query(&self, statement: Statement) -> Result<Rows, Error> {
        self.lease()?.query(Via::Connection, statement).await
    }

    /// Runs one statement and counts its rows.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn execute(&self, statement: Statement) -> Result<Execution, Error> {
        self.lease()?.execute(Via::Connection, statement).await
    }

    /// One statement with several lists of parameters, all or nothing.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn execute_many(&self, sql: Arc<str>, params: Vec<Vec<Value>>) -> Result<Execution, Error> {
        self.lease()?.execute_many(Via::Connection, sql, params).await
    }

    /// Starts a transaction on this connection.
    ///
    /// # Errors
    /// See [`Error`]; `Busy` while another one is open.
    pub async fn begin(&self, options: TransactionOptions) -> Result<Transaction, Error> {
        Ok(Transaction(self.lease()?.begin(options.into()).await?))
    }

    /// Gives the connection back, whatever handles to it exist still.
    ///
    /// # Errors
    /// [`Error::Invalid`] the second time.
    pub fn close(&self) -> Result<(), Error> {
        if self.closed.swap(true, Ordering::Relaxed) {
            return Err(Error::Invalid("the connection is closed"));
        }
        self.lease.give_back();
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.lease.give_back();
    }
}

/// An open transaction; dropping it rolls it back unless it has ended.
#[derive(Debug)]
pub struct Transaction(Span);

impl Transaction {
    /// Runs one statement and returns its rows.
    ///
    /// # Errors
    /// See [`Error`]; any failed statement dooms the transaction.
    pub async fn query(&self, statement: Statement) -> Result<Rows, Error> {
        self.0.lease.query(self.0.via(), statement).await
    }

    /// Runs one statement and counts its rows.
    ///
    /// # Errors
    /// As for `query`.
    pub async fn execute(&self, statement: Statement) -> Result<Execution, Error> {
        self.0.lease.execute(self.0.via(), statement).await
    }

    /// One statement with several lists of parameters.
    ///
    /// # Errors
    /// As for `query`.
    pub async fn execute_many(&self, sql: Arc<str>, params: Vec<Vec<Value>>) -> Result<Execution, Error> {
        self.0.lease.execute_many(self.0.via(), sql, params).await
    }

    /// Opens a cursor.
    ///
    /// # Errors
    /// As for `query`.
    pub async fn cursor(&self, statement: Statement) -> Result<Cursor, Error> {
        Cursor::new(self.0.lease.read(self.0.number, statement.into()).await?)
    }

    /// Sets a savepoint.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is not 1 to 63 letters, digits and underscores.
    pub async fn savepoint(&self, name: &str) -> Result<(), Error> {
        self.0.run(Operation::Savepoint(checked(name)?)).await.map(drop)
    }

    /// Rolls back to a savepoint, which stays.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none of this name.
    pub async fn rollback_to(&self, name: &str) -> Result<(), Error> {
        self.0.run(Operation::RollbackTo(checked(name)?)).await.map(drop)
    }

    /// Forgets a savepoint.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none of this name.
    pub async fn release(&self, name: &str) -> Result<(), Error> {
        self.0.run(Operation::Release(checked(name)?)).await.map(drop)
    }

    /// Commits.
    ///
    /// # Errors
    /// `CommitUnknown` when the connection was lost before the answer came.
    pub async fn commit(&self) -> Result<(), Error> {
        self.0.end(Operation::Commit).await
    }

    /// Rolls back.
    ///
    /// # Errors
    /// See [`Error`]; the transaction has ended either way.
    pub async fn rollback(&self) -> Result<(), Error> {
        self.0.end(Operation::Rollback).await
    }
}

fn checked(name: &str) -> Result<Arc<str>, Error> {
    let fine = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fine { Ok(name.into()) } else { Err(Error::Invalid("a savepoint's name is 1 to 63 letters, digits or underscores")) }
}

/// An open cursor; dropping it closes it.
#[derive(Debug)]
pub struct Cursor {
    columns: Vec<ColumnInfo>,
    reader: Reader,
}

impl Cursor {
    fn new((reader, answer): (Reader, Answer)) -> Result<Self, Error> {
        let Answer::Columns(columns) = answer else { return Err(unexpected()) };
        Ok(Self { columns, reader })
    }

    /// The columns.
    #[must_use]
    pub fn columns(&self) -> &[ColumnInfo] {
        &self.columns
    }

    /// The next rows, `None` after the last.
    ///
    /// # Bounds
    /// `max_rows` and the grant's `max_rows` and `max_result_bytes`, whichever is less; at least one row.
    /// # Errors
    /// See [`Error`]; [`Error::Invalid`] for no rows at all.
    pub async fn next(&self, max_rows: u32) -> Result<Option<Batch>, Error> {
        if max_rows == 0 {
            return Err(Error::Invalid("a batch has at least one row"));
        }
        let answer = self.reader.fetch(max_rows).await?;
        if let Answer::Batch(batch) = answer { Ok(batch) } else { Err(unexpected()) }
    }

    /// Marks the batches as taken by a stream.
    ///
    /// # Errors
    /// [`Error::Invalid`] the second time.
    pub fn take_stream(&self) -> Result<(), Error> {
        self.reader.take_stream()
    }

    /// Closes the cursor without waiting, as dropping the last handle does.
    pub fn abandon(&self) {
        self.reader.abandon();
    }

    /// Closes the cursor, and with it the transaction that was opened for it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn close(&self) -> Result<(), Error> {
        self.reader.close().await
    }
}
