//! The transaction of a session: begun, committed and aborted by the host alone.
//!
//! The crate's own would hide how an abort ended, retry a commit behind our back, and forget a transaction whose first operation was given
//! up. So the crate knows of none: the fields are put into each command here, and the number tells which transaction is meant.

use bson::{Document, raw::cstr};
use mongodb::error::Error;

use super::{
    command::{Body, confirmed, level},
    connection::MongodbConnection,
    error::{self, Stakes},
    link::Link,
};
use crate::driver::{
    Answer, Begin, Failure, FailureKind,
    documents::{Concerns, Details, ReadConcern},
};

/// The server's number for "there is no such transaction".
const NO_SUCH_TRANSACTION: i32 = 251;

/// The server's number for "that transaction has been committed".
const TRANSACTION_COMMITTED: i32 = 256;

/// After these, besides a lost connection, a commit may have been done: time limits, interruptions, changes of the primary, and networks
/// between servers.
const UNKNOWN: [i32; 16] = [6, 7, 50, 64, 89, 91, 189, 262, 9001, 10058, 10107, 11600, 11601, 11602, 13435, 13436];

/// The transaction, as far as is known without asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// To `Open` or `Frame` by what is begun.
    #[default]
    None,
    /// Only cursors are open, of which the server knows no transaction. To `None` by rolling back.
    Frame,
    /// To `None` by committing or rolling back, to `Aborted` by any error of the server.
    Open,
    /// To `None` by rolling back.
    Aborted,
}

/// The host's view of the transaction.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) state: State,
    /// Of the one that is open, or was last; grows with each.
    number: i64,
    /// An operation was sent, so that the server may know of it.
    begun: bool,
    concerns: Concerns,
}

impl Transaction {
    /// Whether operations belong to one.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// The server has given it up.
    pub(super) fn abort(&mut self) {
        if self.is_open() {
            self.state = State::Aborted;
        }
    }

    fn end(&mut self) {
        self.state = State::None;
        self.begun = false;
    }

    /// Puts a command into the transaction. The first one begins it.
    pub(super) fn fields(&mut self, body: Body) -> Body {
        if !self.is_open() {
            return body;
        }
        let body = self.envelope(body);
        if std::mem::replace(&mut self.begun, true) {
            return body;
        }
        let body = body.with(cstr!("startTransaction"), true);
        match self.concerns.read {
            Some(concern) => body.with(cstr!("readConcern"), level(concern)),
            None => body,
        }
    }

    fn envelope(&self, body: Body) -> Body {
        body.with(cstr!("txnNumber"), self.number).with(cstr!("autocommit"), false)
    }
}

fn aborted() -> Failure {
    let message = "the transaction has failed or was ended by the server; only aborting is left";
    Failure::new(FailureKind::TransactionAborted, message)
}

impl MongodbConnection {
    /// # Errors
    /// [`FailureKind::TransactionAborted`] when only rolling back is left.
    pub(super) fn must_not_be_aborted(&self) -> Result<(), Failure> {
        if self.transaction.state == State::Aborted { Err(aborted()) } else { Ok(()) }
    }

    /// Sends nothing: the server hears of a transaction with its first operation.
    pub(super) fn begin(&mut self, begin: Begin) -> Result<Answer, Failure> {
        if self.transaction.state != State::None {
            return Err(Failure::new(FailureKind::Invalid, "a transaction is open already"));
        }
        match begin {
            Begin::Documents(mut concerns) => {
                let location = &self.shared.location;
                let outside = |concern: &ReadConcern| [ReadConcern::Linearizable, ReadConcern::Available].contains(concern);
                concerns.read = concerns.read.or(location.read_concern.filter(|concern| !outside(concern)));
                concerns.write = concerns.write.or_else(|| location.write_concern.clone());
                let number = self.transaction.number + 1;
                self.transaction = Transaction { state: State::Open, number, begun: false, concerns };
            }
            Begin::Frame => self.transaction.state = State::Frame,
            Begin::Sql(_) => return Err(Failure::foreign()),
        }
        Ok(Answer::Done)
    }

    pub(super) async fn commit(&mut self) -> Result<Answer, Failure> {
        match self.transaction.state {
            State::None => return Err(Failure::new(FailureKind::Invalid, "there is no transaction")),
            State::Frame => return self.rollback().await,
            State::Aborted => return Err(self.not_committed(aborted()).await),
            State::Open => {}
        }
        self.close_cursors().await?;
        if !self.transaction.begun {
            self.transaction.end();
            return Ok(Answer::Done);
        }
        let body = self.transaction.envelope(Body::of(cstr!("commitTransaction"), 1)).max_time(self.until);
        let body = match &self.transaction.concerns.write {
            Some(concern) => body.with(cstr!("writeConcern"), confirmed(concern, self.until)),
            None => body,
        };
        let Link { admin, session, .. } = self.kept.get()?;
        match admin.run_raw_command(body.into_raw()).session(session).await {
            Ok(reply) => self.committed(&reply),
            Err(error) => Err(self.refused(&error).await),
        }
    }

    /// Done, and confirmed as was asked or not.
    fn committed(&mut self, reply: &Document) -> Result<Answer, Failure> {
        self.transaction.end();
        match reply.get_document("writeConcernError") {
            Ok(concern) => Err(unknown(error::said(concern))),
            Err(_) => Ok(Answer::Done),
        }
    }

    /// What became of a commit that failed.
    async fn refused(&mut self, error: &Error) -> Failure {
        let failure = error::failure(error, Stakes::Commit);
        let Some(code) = error::code(error) else { return failure };
        if UNKNOWN.contains(&code) || error.contains_label("UnknownTransactionCommitResult") {
            // It may still go on in the session, which is not used again.
            self.transaction.end();
            self.in_doubt = true;
            return unknown(failure);
        }
        let failure = if code == NO_SUCH_TRANSACTION { Failure { documents: failure.documents, ..aborted() } } else { failure };
        self.not_committed(failure).await
    }

    /// Rolls back what did not commit, which stays certain when the connection is lost over it, but not when the server knows better.
    async fn not_committed(&mut self, failure: Failure) -> Failure {
        match self.rollback().await {
            Ok(_) => failure,
            Err(committed) if committed.kind == FailureKind::CommitUnknown => committed,
            Err(_) => failure.lost(),
        }
    }

    /// Closes all cursors, and aborts the transaction if the server may know of it.
    pub(super) async fn rollback(&mut self) -> Result<Answer, Failure> {
        self.close_cursors().await?;
        if self.transaction.begun {
            let body = self.transaction.envelope(Body::of(cstr!("abortTransaction"), 1));
            let Link { admin, session, .. } = self.kept.get()?;
            match admin.run_raw_command(body.into_raw()).session(session).await {
                Ok(_) => {}
                Err(error) if error::code(&error) == Some(NO_SUCH_TRANSACTION) => {}
                // A commit that seemed to have failed has taken effect.
                Err(error) if error::code(&error) == Some(TRANSACTION_COMMITTED) => {
                    return Err(unknown(error::failure(&error, Stakes::Commit)).lost());
                }
                Err(error) => return Err(error::failure(&error, Stakes::Nothing).lost()),
            }
        }
        self.transaction.end();
        Ok(Answer::Done)
    }
}

/// The same failure, of a commit whose outcome is not known.
fn unknown(failure: Failure) -> Failure {
    let message = format!("the transaction may have committed: {}", failure.message);
    let details = failure.documents.map_or_else(Details::default, |details| *details);
    let documents = Some(Box::new(Details { transient: false, ..details }));
    Failure { kind: FailureKind::CommitUnknown, message, documents, ..failure }
}
