//! A session: dispatches the operations and keeps the state of the transaction, which only the host changes.

use std::{collections::HashMap, sync::Arc};

use futures::future::BoxFuture;
use sqlx::{Connection as _, postgres::PgConnection};
use tokio::time::Instant;

use super::{Shared, cursor::Cursor, error, reset::Baseline, residue::Residue, simple};
use crate::driver::{
    Answer, Begin, Connection, Failure, FailureKind, IsolationLevel, Operation, Session, Source, TransactionOptions,
    settings::Access,
};

/// The transaction, as the server sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transaction {
    /// To `Open` by BEGIN.
    None,
    /// To `None` by COMMIT or ROLLBACK, to `Aborted` by any error of the server.
    Open,
    /// To `None` by ROLLBACK, to `Open` by ROLLBACK TO.
    Aborted,
}

/// One session with its server.
pub(super) struct PostgresConnection {
    pub(super) link: PgConnection,
    pub(super) shared: Arc<Shared>,
    session: Session,
    pub(super) baseline: Baseline,
    pub(super) transaction: Transaction,
    pub(super) residue: Residue,
    pub(super) cursors: HashMap<u32, Cursor>,
    /// Since when sqlx caches statements.
    pub(super) cached_since: Instant,
    /// Forget them with the next reset.
    pub(super) forget_statements: bool,
    /// When the current statement came, an earlier one of the same borrower may have changed settings.
    pub(super) in_doubt: bool,
    /// A statement was parsed by the server while in doubt.
    pub(super) prepared_in_doubt: bool,
    /// Nothing but closing is left.
    pub(super) lost: bool,
}

impl PostgresConnection {
    pub(super) fn new(link: PgConnection, shared: Arc<Shared>, session: Session, baseline: Baseline) -> Self {
        Self {
            link,
            shared,
            session,
            baseline,
            transaction: Transaction::None,
            residue: Residue::default(),
            cursors: HashMap::new(),
            cached_since: Instant::now(),
            forget_statements: false,
            in_doubt: false,
            prepared_in_doubt: false,
            lost: false,
        }
    }

    async fn dispatch(&mut self, operation: Operation) -> Result<Answer, Failure> {
        match operation {
            Operation::Query(statement, limit) => self.query(statement, limit).await.map(Answer::Rows),
            Operation::Execute(statement) => self.execute(statement).await.map(Answer::Executed),
            Operation::ExecuteMany(sql, lists) => self.execute_many(sql, lists).await.map(Answer::Executed),
            Operation::Begin(Begin::Sql(options)) => self.begin(options).await,
            Operation::Commit => self.commit().await,
            Operation::Rollback => self.rollback().await,
            Operation::Savepoint(name) => self.in_transaction(format!("SAVEPOINT \"{name}\"")).await,
            Operation::RollbackTo(name) => self.rollback_to(&name).await,
            Operation::Release(name) => self.in_transaction(format!("RELEASE SAVEPOINT \"{name}\"")).await,
            Operation::OpenCursor(number, Source::Statement(statement)) => {
                self.open_cursor(number, statement).await.map(Answer::Columns)
            }
            Operation::Fetch(number, limit) => self.fetch(number, limit).await.map(Answer::Batch),
            Operation::CloseCursor(number) => self.close_cursor(number).await.map(|()| Answer::Done),
            Operation::Documents(..) | Operation::Begin(_) | Operation::OpenCursor(..) => Err(Failure::foreign()),
        }
    }

    async fn begin(&mut self, options: TransactionOptions) -> Result<Answer, Failure> {
        if self.transaction != Transaction::None {
            return Err(Failure::new(FailureKind::Invalid, "a transaction is open already"));
        }
        let isolation = match options.isolation {
            Some(IsolationLevel::ReadUncommitted) => " ISOLATION LEVEL READ UNCOMMITTED",
            Some(IsolationLevel::ReadCommitted) => " ISOLATION LEVEL READ COMMITTED",
            Some(IsolationLevel::RepeatableRead) => " ISOLATION LEVEL REPEATABLE READ",
            Some(IsolationLevel::Serializable) => " ISOLATION LEVEL SERIALIZABLE",
            None => "",
        };
        let read_only = options.read_only || self.shared.settings.access == Access::ReadOnly;
        let access = if read_only { " READ ONLY" } else { " READ WRITE" };
        simple::run(&mut self.link, format!("BEGIN{isolation}{access}")).await.map_err(error::failure)?;
        self.transaction = Transaction::Open;
        Ok(Answer::Done)
    }

    async fn commit(&mut self) -> Result<Answer, Failure> {
        match self.transaction {
            Transaction::None => return Err(Failure::new(FailureKind::Invalid, "there is no transaction")),
            Transaction::Aborted => return Err(self.not_committed(aborted()).await),
            Transaction::Open => {}
        }
        // The server answers ROLLBACK to the COMMIT of an aborted transaction, which sqlx takes for success; but in one it refuses the
        // SELECT, and then never gets to the COMMIT. What is open is a transaction for certain: guests cannot end one.
        match simple::run(&mut self.link, "SELECT 1; COMMIT").await {
            Ok(_) => {
                self.end_transaction();
                Ok(Answer::Done)
            }
            Err(error) => {
                let failure = error::commit_failure(error);
                let failure = if failure.kind == FailureKind::TransactionAborted { aborted() } else { failure };
                // A deferred constraint has ended the transaction, an aborted one is still there.
                Err(if failure.lost { failure } else { self.not_committed(failure).await })
            }
        }
    }

    /// Rolls back what certainly did not commit, which stays certain when the connection is lost over it.
    async fn not_committed(&mut self, failure: Failure) -> Failure {
        match self.rollback().await {
            Ok(_) => failure,
            Err(_) => failure.lost(),
        }
    }

    async fn rollback(&mut self) -> Result<Answer, Failure> {
        simple::run(&mut self.link, "ROLLBACK").await.map_err(error::failure)?;
        self.end_transaction();
        Ok(Answer::Done)
    }

    fn end_transaction(&mut self) {
        self.transaction = Transaction::None;
        self.cursors.clear();
    }

    /// A host statement that an aborted transaction refuses.
    async fn in_transaction(&mut self, sql: String) -> Result<Answer, Failure> {
        match self.transaction {
            Transaction::None => Err(Failure::new(FailureKind::Invalid, "there is no transaction")),
            Transaction::Aborted => Err(aborted()),
            Transaction::Open => {
                simple::run(&mut self.link, sql).await.map_err(error::failure)?;
                Ok(Answer::Done)
            }
        }
    }

    async fn rollback_to(&mut self, name: &str) -> Result<Answer, Failure> {
        if self.transaction == Transaction::None {
            return Err(Failure::new(FailureKind::Invalid, "there is no transaction"));
        }
        simple::run(&mut self.link, format!("ROLLBACK TO SAVEPOINT \"{name}\"")).await.map_err(error::failure)?;
        self.transaction = Transaction::Open;
        self.forget_closed_cursors().await?;
        Ok(Answer::Done)
    }
}

fn aborted() -> Failure {
    Failure::new(FailureKind::TransactionAborted, "an earlier statement of the transaction failed; it was rolled back")
        .code("25P02")
}

impl Connection for PostgresConnection {
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
                // Only the server sends codes, and whatever it refuses ends the transaction.
                if failure.code.is_some() && self.transaction == Transaction::Open {
                    self.transaction = Transaction::Aborted;
                }
            }
            result
        })
    }

    fn needs_reset(&self) -> bool {
        self.reset_is_due()
    }

    fn reset(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(self.take_back())
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let result = self.link.ping().await.map_err(error::failure);
            self.lost |= result.is_err();
            result
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move { self.link.close().await.map_err(error::failure) })
    }
}
