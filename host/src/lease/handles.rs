//! What the handles of a guest stand for. Every operation waits at most until the call's deadline or the statement's time-out.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{
    Error,
    grant::Grant,
    scope::{Admitted, Counted, Purpose, Scope},
};
use crate::{
    driver::{Answer, Batch, ColumnInfo, Engine, Execution, Operation, ResultLimit, Rows, Statement, TransactionOptions, Value},
    pool::{Ended, Hold, OperationError, Via},
};

/// A name of a savepoint: as long as PostgreSQL keeps identifiers.
const MAX_NAME: usize = 63;

/// One leased connection; given back when its last handle is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) hold: Hold,
    counted: Counted,
}

impl Lease {
    pub(super) fn new(hold: Hold, counted: Counted) -> Self {
        Self { hold, counted }
    }

    /// Gives the connection back although handles to it exist still.
    fn give_back(&self) {
        self.counted.end();
        self.hold.release(Ended::Released);
    }

    fn grant(&self) -> &Grant {
        self.counted.scope.grant(self.counted.grant)
    }

    /// Counts an operation, and runs it.
    async fn run(&self, via: Via, operation: Operation) -> Result<Answer, Error> {
        self.run_admitted(via, self.counted.scope.admit(self.counted.grant, operation)?).await
    }

    async fn run_admitted(&self, via: Via, Admitted { operation, in_flight }: Admitted) -> Result<Answer, Error> {
        let until = self.counted.scope.statement_until(self.counted.grant);
        let answer = self.hold.run(via, operation, until).await.map_err(Error::Operation);
        drop(in_flight);
        answer
    }

    async fn query(&self, via: Via, statement: Statement) -> Result<Rows, Error> {
        rows(self.run(via, Operation::Query(statement, self.grant().max_result)).await?)
    }

    async fn execute(&self, via: Via, statement: Statement) -> Result<Execution, Error> {
        executed(self.run(via, Operation::Execute(statement)).await?)
    }

    async fn execute_many(&self, via: Via, sql: Arc<str>, params: Vec<Vec<Value>>) -> Result<Execution, Error> {
        executed(self.run(via, Operation::ExecuteMany(sql, params)).await?)
    }

    async fn begin(self: &Arc<Self>, options: TransactionOptions) -> Result<Transaction, Error> {
        let transaction = Transaction { number: self.counted.scope.number(), lease: Arc::clone(self), alone: false };
        self.run(Via::Transaction(transaction.number), Operation::Begin(options.into())).await?;
        Ok(transaction)
    }
}

fn rows(answer: Answer) -> Result<Rows, Error> {
    if let Answer::Rows(rows) = answer { Ok(rows) } else { Err(unexpected()) }
}

fn executed(answer: Answer) -> Result<Execution, Error> {
    if let Answer::Executed(execution) = answer { Ok(execution) } else { Err(unexpected()) }
}

/// A driver that answers with something else than was asked for is broken; its guest learns that much.
fn unexpected() -> Error {
    Error::Operation(OperationError::Invalid("the driver gave an answer of another kind"))
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

    /// Runs one statement on a connection that is leased for it; counted before it waits for one.
    async fn once(&self, operation: Operation) -> Result<Answer, Error> {
        let Admitted { operation, in_flight } = self.scope.admit(self.grant, operation)?;
        let lease = self.lease(Purpose::Statement).await?;
        let until = self.scope.statement_until(self.grant);
        let answer = lease.hold.run_last(Via::Connection, operation, until).await.map_err(Error::Operation);
        drop(in_flight);
        answer
    }

    /// What it speaks.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.scope.grant(self.grant).database.engine()
    }

    /// Leases a connection for one statement and returns its rows.
    ///
    /// # Errors
    /// See [`Error`]; the connection is given back either way.
    /// # Cancellation
    /// Dropping the future gives up the wait, or cancels the statement on the server.
    pub async fn query(&self, statement: Statement) -> Result<Rows, Error> {
        rows(self.once(Operation::Query(statement, self.scope.grant(self.grant).max_result)).await?)
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
        let mut transaction = self.lease(Purpose::Hold).await?.begin(options).await?;
        transaction.alone = true;
        Ok(transaction)
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
        let opening = Opening::new(&self.scope, self.grant, statement)?;
        let transaction = self.begin(TransactionOptions { isolation: None, read_only: true }).await?;
        let mut cursor = transaction.open(opening).await?;
        cursor.own = Some(transaction);
        Ok(cursor)
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
        self.lease()?.begin(options).await
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
pub struct Transaction {
    lease: Arc<Lease>,
    number: u32,
    /// The connection was leased for it alone, and goes back with its end.
    alone: bool,
}

impl Transaction {
    fn via(&self) -> Via {
        Via::Transaction(self.number)
    }

    /// Runs one statement and returns its rows.
    ///
    /// # Errors
    /// See [`Error`]; any failed statement dooms the transaction.
    pub async fn query(&self, statement: Statement) -> Result<Rows, Error> {
        self.lease.query(self.via(), statement).await
    }

    /// Runs one statement and counts its rows.
    ///
    /// # Errors
    /// As for `query`.
    pub async fn execute(&self, statement: Statement) -> Result<Execution, Error> {
        self.lease.execute(self.via(), statement).await
    }

    /// One statement with several lists of parameters.
    ///
    /// # Errors
    /// As for `query`.
    pub async fn execute_many(&self, sql: Arc<str>, params: Vec<Vec<Value>>) -> Result<Execution, Error> {
        self.lease.execute_many(self.via(), sql, params).await
    }

    /// Opens a cursor.
    ///
    /// # Errors
    /// As for `query`.
    pub async fn cursor(&self, statement: Statement) -> Result<Cursor, Error> {
        let Counted { scope, grant, .. } = &self.lease.counted;
        self.open(Opening::new(scope, *grant, statement)?).await
    }

    async fn open(&self, Opening { number, admitted }: Opening) -> Result<Cursor, Error> {
        // Made first, so that whatever was opened is closed when the answer is not awaited.
        let mut cursor = Cursor {
            columns: Vec::new(),
            number,
            transaction: self.number,
            lease: Arc::clone(&self.lease),
            streamed: AtomicBool::new(false),
            own: None,
        };
        let answer = self.lease.run_admitted(cursor.via(), admitted).await?;
        let Answer::Columns(columns) = answer else { return Err(unexpected()) };
        cursor.columns = columns;
        Ok(cursor)
    }

    /// Sets a savepoint.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is not 1 to 63 letters, digits and underscores.
    pub async fn savepoint(&self, name: &str) -> Result<(), Error> {
        self.lease.run(self.via(), Operation::Savepoint(checked(name)?)).await.map(drop)
    }

    /// Rolls back to a savepoint, which stays.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none of this name.
    pub async fn rollback_to(&self, name: &str) -> Result<(), Error> {
        self.lease.run(self.via(), Operation::RollbackTo(checked(name)?)).await.map(drop)
    }

    /// Forgets a savepoint.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none of this name.
    pub async fn release(&self, name: &str) -> Result<(), Error> {
        self.lease.run(self.via(), Operation::Release(checked(name)?)).await.map(drop)
    }

    /// Commits.
    ///
    /// # Errors
    /// `CommitUnknown` when the connection was lost before the answer came.
    pub async fn commit(&self) -> Result<(), Error> {
        self.end(Operation::Commit).await
    }

    /// Rolls back.
    ///
    /// # Errors
    /// See [`Error`]; the transaction has ended either way.
    pub async fn rollback(&self) -> Result<(), Error> {
        self.end(Operation::Rollback).await
    }

    async fn end(&self, operation: Operation) -> Result<(), Error> {
        let ended = self.lease.run(self.via(), operation).await;
        // An aborted one that was to commit is still open, and its holder may want to know what a savepoint holds.
        let open = ended == Err(Error::Operation(OperationError::Aborted));
        if self.alone && !open {
            self.lease.give_back();
        }
        ended.map(drop)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.alone {
            self.lease.give_back();
        } else {
            self.lease.hold.transaction_dropped(self.number);
        }
    }
}

fn checked(name: &str) -> Result<Arc<str>, Error> {
    let fine = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fine { Ok(name.into()) } else { Err(Error::Invalid("a savepoint's name is 1 to 63 letters, digits or underscores")) }
}

/// A cursor that is about to be opened; counted before it waits for a connection.
struct Opening {
    number: u32,
    admitted: Admitted,
}

impl Opening {
    fn new(scope: &Arc<Scope>, grant: usize, statement: Statement) -> Result<Self, Error> {
        let number = scope.number();
        Ok(Self { number, admitted: scope.admit(grant, Operation::OpenCursor(number, statement.into()))? })
    }
}

/// An open cursor; dropping it closes it.
#[derive(Debug)]
pub struct Cursor {
    columns: Vec<ColumnInfo>,
    number: u32,
    transaction: u32,
    lease: Arc<Lease>,
    /// Whether its batches were taken as a stream.
    streamed: AtomicBool,
    /// The transaction that was opened for this cursor alone; dropped after the cursor was closed.
    own: Option<Transaction>,
}

impl Cursor {
    fn via(&self) -> Via {
        Via::Cursor { transaction: self.transaction, cursor: self.number }
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
        let limit = self.lease.grant().max_result;
        let limit = ResultLimit { rows: limit.rows.min(max_rows), ..limit };
        let answer = self.lease.run(self.via(), Operation::Fetch(self.number, limit)).await?;
        if let Answer::Batch(batch) = answer { Ok(batch) } else { Err(unexpected()) }
    }

    /// Marks the batches as taken by a stream.
    ///
    /// # Errors
    /// [`Error::Invalid`] the second time.
    pub fn take_stream(&self) -> Result<(), Error> {
        if self.streamed.swap(true, Ordering::Relaxed) {
            return Err(Error::Invalid("the batches of this cursor were taken as a stream already"));
        }
        Ok(())
    }

    /// Closes the cursor without waiting, as dropping the last handle does.
    pub fn abandon(&self) {
        self.lease.hold.cursor_dropped(self.transaction, self.number);
        if self.own.is_some() {
            self.lease.give_back();
        }
    }

    /// Closes the cursor, and with it the transaction that was opened for it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn close(&self) -> Result<(), Error> {
        self.lease.run(self.via(), Operation::CloseCursor(self.number)).await?;
        match &self.own {
            Some(transaction) => transaction.rollback().await,
            None => Ok(()),
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.abandon();
    }
}
