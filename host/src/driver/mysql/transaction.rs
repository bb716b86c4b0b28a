//! The transaction of a session: begun, committed and rolled back by the host, never by the guest's SQL.
//!
//! A statement can end a transaction behind the host's back: one that commits implicitly, a procedure, a deadlock. sqlx hides the
//! server's status flag, and a flag would not tell a transaction from the next one. So each has a *marker*, a savepoint of a random name
//! that is always the newest: it ends with its transaction, and releasing it fails when it is gone. COMMIT is sent behind such a release
//! in one message, of which the server runs nothing after an error.

use std::sync::Arc;

use super::{
    connection::MysqlConnection,
    error::{self, NO_SUCH_SAVEPOINT},
    host,
};
use crate::driver::{Answer, Failure, FailureKind, IsolationLevel, TransactionOptions, settings::Access};

/// Under `completion_type = CHAIN` a plain ROLLBACK would begin the next transaction.
const ROLLBACK: &str = "ROLLBACK AND NO CHAIN NO RELEASE";

/// The transaction, as far as is known without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// To `Open` by BEGIN.
    None,
    /// To `None` by COMMIT or ROLLBACK, to `Aborted` by any error of the server.
    Open,
    /// To `None` by ROLLBACK, to `Open` by ROLLBACK TO, unless the server has rolled all of it back.
    Aborted,
}

/// The host's view of the transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) state: State,
    marker: String,
    /// The guest's names, in order. Setting a name again shadows the earlier one, which the server would forget.
    savepoints: Vec<(Arc<str>, u32)>,
    next: u32,
}

impl Default for Transaction {
    fn default() -> Self {
        Self { state: State::None, marker: format!("wharf_{:032x}", rand::random::<u128>()), savepoints: Vec::new(), next: 0 }
    }
}

impl Transaction {
    fn end(&mut self) {
        self.state = State::None;
        self.savepoints.clear();
    }

    fn name(&self, number: u32) -> String {
        format!("{}_{number}", self.marker)
    }

    fn place(&self, name: &str) -> Result<usize, Failure> {
        let place = self.savepoints.iter().rposition(|(known, _)| **known == *name);
        place.ok_or_else(|| Failure::new(FailureKind::Invalid, "there is no savepoint of this name"))
    }
}

fn aborted() -> Failure {
    let message = "the transaction has failed or was ended by the server; only rolling back is left";
    Failure::new(FailureKind::TransactionAborted, message)
}

fn none() -> Failure {
    Failure::new(FailureKind::Invalid, "there is no transaction")
}

impl MysqlConnection {
    /// Sends statements of the host's own.
    pub(super) async fn say(&mut self, sql: impl Into<String>) -> Result<(), Failure> {
        let said = host::run(self.line.connection()?, sql).await;
        said.map(drop).map_err(error::failure)
    }

    pub(super) async fn begin(&mut self, options: TransactionOptions) -> Result<Answer, Failure> {
        if self.transaction.state != State::None {
            return Err(Failure::new(FailureKind::Invalid, "a transaction is open already"));
        }
        let isolation = match options.isolation {
            Some(IsolationLevel::ReadUncommitted) => "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; ",
            Some(IsolationLevel::ReadCommitted) => "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; ",
            Some(IsolationLevel::RepeatableRead) => "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; ",
            Some(IsolationLevel::Serializable) => "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; ",
            None => "",
        };
        let read_only = options.read_only || self.shared.settings.access == Access::ReadOnly;
        let access = if read_only { "READ ONLY" } else { "READ WRITE" };
        let marker = &self.transaction.marker;
        let begun = self.say(format!("{isolation}START TRANSACTION {access}; SAVEPOINT {marker}")).await;
        // What of it took effect is not known; the isolation level would meet the next transaction.
        self.residue.anything |= begun.is_err();
        begun?;
        self.transaction.state = State::Open;
        Ok(Answer::Done)
    }

    pub(super) async fn commit(&mut self) -> Result<Answer, Failure> {
        match self.transaction.state {
            State::None => return Err(none()),
            State::Aborted => return Err(self.not_committed(aborted()).await),
            State::Open => {}
        }
        self.end_cursor().await?;
        let sql = format!("RELEASE SAVEPOINT {}; COMMIT AND NO CHAIN NO RELEASE", self.transaction.marker);
        let Err(error) = host::run(self.line.connection()?, sql).await else {
            self.transaction.end();
            return Ok(Answer::Done);
        };
        let gone = host::number(&error) == Some(NO_SUCH_SAVEPOINT);
        let failure = error::commit_failure(error);
        let failure = if gone { aborted() } else { failure };
        Err(if failure.lost { failure } else { self.not_committed(failure).await })
    }

    /// Rolls back what certainly did not commit, which stays certain when the connection is lost over it.
    async fn not_committed(&mut self, failure: Failure) -> Failure {
        match self.rollback().await {
            Ok(_) => failure,
            Err(_) => failure.lost(),
        }
    }

    pub(super) async fn rollback(&mut self) -> Result<Answer, Failure> {
        if self.end_cursor().await.is_err() {
            // The server rolls back when the connection is closed, which is all that is left to do with it.
            self.transaction.end();
            return Ok(Answer::Done);
        }
        self.say(ROLLBACK).await?;
        self.transaction.end();
        Ok(Answer::Done)
    }

    pub(super) async fn savepoint(&mut self, name: Arc<str>) -> Result<Answer, Failure> {
        self.must_be_open()?;
        let transaction = &mut self.transaction;
        let number = transaction.next;
        transaction.next = transaction.next.wrapping_add(1);
        let (marker, exact) = (&transaction.marker, transaction.name(number));
        let sql = format!("RELEASE SAVEPOINT {marker}; SAVEPOINT {exact}; SAVEPOINT {marker}");
        self.mark(sql).await?;
        self.transaction.savepoints.push((name, number));
        Ok(Answer::Done)
    }

    pub(super) async fn rollback_to(&mut self, name: &str) -> Result<Answer, Failure> {
        if self.transaction.state == State::None {
            return Err(none());
        }
        let place = self.transaction.place(name)?;
        let (marker, exact) = (&self.transaction.marker, self.transaction.name(self.transaction.savepoints[place].1));
        self.mark(format!("ROLLBACK TO SAVEPOINT {exact}; SAVEPOINT {marker}")).await?;
        self.transaction.savepoints.truncate(place + 1);
        self.transaction.state = State::Open;
        Ok(Answer::Done)
    }

    pub(super) async fn release(&mut self, name: &str) -> Result<Answer, Failure> {
        self.must_be_open()?;
        let place = self.transaction.place(name)?;
        let (marker, exact) = (&self.transaction.marker, self.transaction.name(self.transaction.savepoints[place].1));
        self.mark(format!("RELEASE SAVEPOINT {exact}; SAVEPOINT {marker}")).await?;
        self.transaction.savepoints.truncate(place);
        Ok(Answer::Done)
    }

    pub(super) fn must_be_open(&self) -> Result<(), Failure> {
        match self.transaction.state {
            State::None => Err(none()),
            State::Aborted => Err(aborted()),
            State::Open => Ok(()),
        }
    }

    /// Moves savepoints; that one is missing tells that the transaction is gone.
    async fn mark(&mut self, sql: String) -> Result<(), Failure> {
        match host::run(self.line.connection()?, sql).await {
            Ok(_) => Ok(()),
            Err(error) if host::number(&error) == Some(NO_SUCH_SAVEPOINT) => {
                self.transaction.state = State::Aborted;
                Err(aborted())
            }
            Err(error) => Err(error::failure(error)),
        }
    }

    /// Looks, after a statement that may have done anything, whether the transaction is what it was before.
    pub(super) async fn look_after_doubt(&mut self) -> Result<(), Failure> {
        let marker = self.transaction.marker.clone();
        match self.transaction.state {
            State::Open | State::Aborted => self.mark(format!("RELEASE SAVEPOINT {marker}; SAVEPOINT {marker}")).await,
            // Outside of a transaction a savepoint is not kept.
            State::None => {
                match host::run(self.line.connection()?, format!("SAVEPOINT {marker}; RELEASE SAVEPOINT {marker}")).await {
                    Err(error) if host::number(&error) == Some(NO_SUCH_SAVEPOINT) => Ok(()),
                    Err(error) => Err(error::failure(error)),
                    Ok(_) => {
                        let message =
                            "the statement began a transaction, or switched autocommit off; use the functions of `transaction`";
                        Err(Failure::new(FailureKind::Denied, message).lost())
                    }
                }
            }
        }
    }
}
