//! A borrowed connection, as its borrower has it.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{
    Database, Ended, Limit, OperationError,
    slot::{Command, Notice, Slot, Work},
    tenancy::{Doing, Tenancy},
};
use crate::{
    driver::{Answer, Operation, Session},
    telemetry::trace::Trace,
};

/// Until when an operation may run, and the limit that says so.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    /// The point in time.
    pub at: Instant,
    /// Whose it is.
    pub limit: Limit,
}

/// On whose behalf an operation runs; the slot refuses what that handle may not do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The connection itself.
    Connection,
    /// The transaction of this number; `Begin` opens it.
    Transaction(u32),
    /// The cursor of this number in the transaction of that number.
    Cursor {
        /// The transaction.
        transaction: u32,
        /// The cursor.
        cursor: u32,
    },
}

impl Via {
    /// The transaction that an operation belongs to.
    pub(super) fn transaction(self) -> Option<u32> {
        match self {
            Self::Connection => None,
            Self::Transaction(transaction) | Self::Cursor { transaction, .. } => Some(transaction),
        }
    }
}

/// A lent connection, as it was when somebody looked.
#[derive(Clone, Debug)]
pub struct LeaseView {
    /// The database's name in the configuration.
    pub database: Arc<str>,
    /// Who the connection is on the server.
    pub session: Option<Session>,
    /// `ready`, `idle in transaction`, or the operation that runs.
    pub state: &'static str,
    /// The last statement without its values, or the collection that the last request was about.
    pub statement: Option<String>,
    /// Since it was lent.
    pub age: Duration,
}

/// A lent connection. Dropping it gives the connection back: a message to the slot, nothing else.
#[derive(Debug)]
pub struct Hold {
    slot: Arc<Slot>,
    tenancy: Arc<Tenancy>,
}

impl Hold {
    pub(super) fn new(slot: Arc<Slot>, tenancy: Arc<Tenancy>) -> Self {
        Self { slot, tenancy }
    }

    /// Has its reclaim told in a trace. Only the first one counts.
    pub fn trace(&self, trace: Trace) {
        let _already_traced = self.tenancy.trace.set(trace);
    }

    /// Runs one operation on the lent connection.
    ///
    /// # Bounds
    /// A command waits for those before it (at most eight wait, more wait for a place) and runs until `until` at the longest.
    /// # Errors
    /// See [`OperationError`]. After `TimedOut` and `Ended` the connection is no longer lent.
    /// # Cancellation
    /// Dropping the future cancels the operation on the server if it has started, and ends the lease; the driver's future is not
    /// dropped with it.
    pub async fn run(&self, via: Via, operation: Operation, until: Until) -> Result<Answer, OperationError> {
        self.send(Work::Run(via, operation), until).await
    }

    /// Runs the only operation that the connection is lent for: unless it leaves a transaction open, the connection is given back with the
    /// answer, and this can do nothing more.
    ///
    /// # Bounds
    /// As for [`Hold::run`].
    /// # Errors
    /// As for [`Hold::run`].
    /// # Cancellation
    /// As for [`Hold::run`].
    pub async fn run_last(&self, via: Via, operation: Operation, until: Until) -> Result<Answer, OperationError> {
        self.send(Work::RunLast(via, operation), until).await
    }

    /// One round trip to the database; when it fails, the connection is discarded.
    pub(super) async fn test(&self, until: Until) -> Result<(), OperationError> {
        self.send(Work::Test, until).await.map(drop)
    }

    async fn send(&self, work: Work, until: Until) -> Result<Answer, OperationError> {
        let (answer, reply) = oneshot::channel();
        let command = Command { generation: self.tenancy.generation, work, until, answer };
        if let Some(why) = self.tenancy.ended.get() {
            return Err(OperationError::Ended(*why));
        }
        if self.slot.commands.send(command).await.is_err() {
            return Err(self.why_ended());
        }
        match reply.await {
            // Queued behind what ended the lease: the reason is that one's.
            Ok(Err(OperationError::Ended(_))) | Err(_) => Err(self.why_ended()),
            Ok(answer) => answer,
        }
    }

    fn why_ended(&self) -> OperationError {
        OperationError::Ended(self.tenancy.ended.get().copied().unwrap_or(Ended::Panicked))
    }

    /// Tells the slot that a transaction's handle is gone; it is rolled back if it is open still.
    pub fn transaction_dropped(&self, transaction: u32) {
        self.notify(Notice::TransactionDropped { generation: self.tenancy.generation, transaction });
    }

    /// Tells the slot that a cursor's handle is gone.
    pub fn cursor_dropped(&self, transaction: u32, cursor: u32) {
        self.notify(Notice::CursorDropped { generation: self.tenancy.generation, transaction, cursor });
    }

    /// Whether the slot has ended the lease, and why.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.tenancy.ended.get().copied()
    }

    /// How a connection of that database is seen from outside; `None` once it is not lent any more.
    #[must_use]
    pub fn view(&self, Database(database): &Database) -> Option<LeaseView> {
        if self.ended().is_some() {
            return None;
        }
        let session = {
            let state = database.state();
            let entry = state.slots().find(|entry| Arc::ptr_eq(&entry.slot, &self.slot));
            entry.and_then(|entry| entry.session.clone())
        };
        let Doing { state, text } = self.tenancy.doing();
        let statement = text.map(|text| database.without_values(&text));
        Some(LeaseView { database: Arc::clone(&database.name), session, state, statement, age: self.tenancy.since.elapsed() })
    }

    /// Takes the connection back although handles to it exist still; their operations fail from now on. Does not wait.
    pub fn release(&self, why: Ended) {
        // The slot knows already, and would only be woken.
        if self.tenancy.ended.get().is_some() {
            return;
        }
        self.notify(Notice::Released { generation: self.tenancy.generation, why });
    }

    /// A handle sends its notice when it is closed and when it is dropped, and a lease may be released once more from outside, so the
    /// channel is bounded by the handles that a call may have.
    fn notify(&self, notice: Notice) {
        // The slot is gone when nobody receives, and with it all that the notice is about.
        let _ = self.slot.notices.send(notice);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release(Ended::Released);
    }
}
