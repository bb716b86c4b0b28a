//! One leased connection, and what is open on it, whatever its database speaks.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{
    Error,
    grant::Grant,
    scope::{Admitted, Counted, Scope},
    traced::Traced,
};
use crate::{
    driver::{Answer, Begin, Operation, ResultLimit, Source},
    pool::{Ended, Hold, LeaseView, OperationError, Via},
    telemetry::timing::Part,
};

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

    /// The same error, once the audit log says that a request about this collection is refused for it.
    pub(super) async fn refuse(&self, collection: &str, error: Error) -> Error {
        self.counted.scope.refuse(self.counted.grant, collection, error).await
    }

    /// How it is seen from outside; `None` once it is over.
    pub(super) fn view(&self) -> Option<LeaseView> {
        self.hold.view(&self.grant().database)
    }

    /// Gives the connection back although handles to it exist still.
    pub(super) fn give_back(&self) {
        self.counted.end();
        self.hold.release(Ended::Released);
    }

    pub(super) fn grant(&self) -> &Grant {
        self.counted.scope.grant(self.counted.grant)
    }

    /// Counts an operation, and runs it.
    pub(super) async fn run(&self, via: Via, operation: Operation) -> Result<Answer, Error> {
        let admitted = self.counted.scope.admit(self.counted.grant, &operation).await?;
        self.run_admitted(via, operation, admitted).await
    }

    async fn run_admitted(&self, via: Via, operation: Operation, admitted: Admitted) -> Result<Answer, Error> {
        let Admitted { in_flight, line } = admitted;
        let Counted { scope, grant, .. } = &self.counted;
        let traced = Traced::begin(scope, *grant, &operation);
        let until = scope.statement_until(*grant);
        let timed = scope.life().time(Part::Database);
        let answer = self.hold.run(via, operation, until).await.map_err(Error::Operation);
        traced.end(&answer);
        drop((timed, in_flight));
        line.end(answer.as_ref()).await;
        answer
    }

    /// Opens a transaction, or a frame for cursors.
    pub(super) async fn begin(self: &Arc<Self>, begin: Begin) -> Result<Span, Error> {
        let operation = Operation::Begin(begin);
        let admitted = self.counted.scope.admit(self.counted.grant, &operation).await?;
        self.begin_admitted(operation, admitted).await
    }

    pub(super) async fn begin_admitted(self: &Arc<Self>, operation: Operation, admitted: Admitted) -> Result<Span, Error> {
        let span = Span { number: self.counted.scope.number(), lease: Arc::clone(self), alone: false };
        self.run_admitted(span.via(), operation, admitted).await?;
        Ok(span)
    }

    /// Opens a cursor in a transaction; also what it was answered with.
    pub(super) async fn read(self: &Arc<Self>, transaction: u32, source: Source) -> Result<(Reader, Answer), Error> {
        let Counted { scope, grant, .. } = &self.counted;
        self.open(transaction, Opening::new(scope, *grant, source).await?).await
    }

    async fn open(self: &Arc<Self>, transaction: u32, opening: Opening) -> Result<(Reader, Answer), Error> {
        let Opening { number, operation, admitted } = opening;
        // Made first, so that whatever was opened is closed when the answer is not awaited.
        let reader = Reader { number, transaction, lease: Arc::clone(self), streamed: AtomicBool::new(false), own: None };
        let answer = self.run_admitted(reader.via(), operation, admitted).await?;
        Ok((reader, answer))
    }
}

/// A driver that answers with something else than was asked for is broken; its guest learns that much.
pub(super) fn unexpected() -> Error {
    Error::Operation(OperationError::Invalid("the driver gave an answer of another kind"))
}

/// An open transaction, or a frame; dropping it rolls it back unless it has ended.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) lease: Arc<Lease>,
    pub(super) number: u32,
    /// The connection was leased for it alone, and goes back with its end.
    alone: bool,
}

impl Span {
    /// The same, for which alone the connection was leased.
    pub(super) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    pub(super) fn via(&self) -> Via {
        Via::Transaction(self.number)
    }

    /// Counts an operation, and runs it within.
    pub(super) async fn run(&self, operation: Operation) -> Result<Answer, Error> {
        self.lease.run(self.via(), operation).await
    }

    /// Opens the cursor for which alone it was begun, and with which it ends.
    pub(super) async fn read_alone(self, opening: Opening) -> Result<(Reader, Answer), Error> {
        let (mut reader, answer) = self.lease.open(self.number, opening).await?;
        reader.own = Some(self);
        Ok((reader, answer))
    }

    /// Commits or rolls back.
    pub(super) async fn end(&self, operation: Operation) -> Result<(), Error> {
        let ended = self.run(operation).await;
        // An aborted one that was to commit is still open, and its holder may want to know what a savepoint holds.
        let open = ended == Err(Error::Operation(OperationError::Aborted));
        if self.alone && !open {
            self.lease.give_back();
        }
        ended.map(drop)
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if self.alone {
            self.lease.give_back();
        } else {
            self.lease.hold.transaction_dropped(self.number);
        }
    }
}

/// A cursor that is about to be opened; counted before it waits for a connection.
pub(super) struct Opening {
    number: u32,
    operation: Operation,
    pub(super) admitted: Admitted,
}

impl Opening {
    pub(super) async fn new(scope: &Arc<Scope>, grant: usize, source: Source) -> Result<Self, Error> {
        let number = scope.number();
        let operation = Operation::OpenCursor(number, source);
        let admitted = scope.admit(grant, &operation).await?;
        Ok(Self { number, operation, admitted })
    }
}

/// An open cursor; dropping it closes it.
#[derive(Debug)]
pub(super) struct Reader {
    number: u32,
    transaction: u32,
    lease: Arc<Lease>,
    /// Whether its batches were taken as a stream.
    streamed: AtomicBool,
    /// What was begun for this cursor alone; dropped after the cursor was closed.
    own: Option<Span>,
}

impl Reader {
    fn via(&self) -> Via {
        Via::Cursor { transaction: self.transaction, cursor: self.number }
    }

    /// Asks for so many rows or documents more, or for what the grant allows, whichever is less.
    pub(super) async fn fetch(&self, max: u32) -> Result<Answer, Error> {
        let limit = self.lease.grant().max_result;
        let limit = ResultLimit { rows: limit.rows.min(max), ..limit };
        self.lease.run(self.via(), Operation::Fetch(self.number, limit)).await
    }

    /// Marks the batches as taken by a stream; [`Error::Invalid`] the second time.
    pub(super) fn take_stream(&self) -> Result<(), Error> {
        if self.streamed.swap(true, Ordering::Relaxed) {
            return Err(Error::Invalid("the batches of this cursor were taken as a stream already"));
        }
        Ok(())
    }

    /// Closes the cursor without waiting, as dropping the last handle does.
    pub(super) fn abandon(&self) {
        self.lease.hold.cursor_dropped(self.transaction, self.number);
        if self.own.is_some() {
            self.lease.give_back();
        }
    }

    /// Closes the cursor, and with it what was begun for it.
    pub(super) async fn close(&self) -> Result<(), Error> {
        self.lease.run(self.via(), Operation::CloseCursor(self.number)).await?;
        match &self.own {
            Some(span) => span.end(Operation::Rollback).await,
            None => Ok(()),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.abandon();
    }
}
