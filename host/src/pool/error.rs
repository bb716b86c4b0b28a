//! Why a connection could not be lent, and why an operation on a lent one failed.

use std::time::Duration;

use crate::driver::Failure;

/// Why nothing was lent. None of these has touched a connection.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AcquireError {
    /// `max_waiters` calls wait already.
    #[error("{max_waiters} calls are waiting for a connection already")]
    QueueFull {
        /// The limit.
        max_waiters: u32,
    },
    /// No connection came free in time.
    #[error("no connection came free within {} ms", waited.as_millis())]
    WaitTimeout {
        /// How long the call waited.
        waited: Duration,
        /// Which limit ended the wait.
        limit: Limit,
    },
    /// The database cannot be reached, or refused the session.
    #[error("no connection could be opened: {0}")]
    Connect(Failure),
    /// The pool is closing.
    #[error("the host is stopping")]
    ShuttingDown,
}

/// The time limits that can end a wait or an operation; whichever ends first names the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `acquire_timeout` of the database.
    Acquire,
    /// `deadline` of the call.
    Call,
    /// `statement_timeout` of the database.
    Statement,
    /// `max_transaction_time` of the grant.
    Transaction,
}

impl Limit {
    /// The name of the limit in `wharf.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Acquire => "acquire_timeout",
            Self::Call => "deadline",
            Self::Statement => "statement_timeout",
            Self::Transaction => "max_transaction_time",
        }
    }
}

/// How the call ended that had a lease; every way runs the same teardown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The handler returned and the last byte of its answer was sent.
    Returned,
    /// The handler trapped or panicked.
    Trapped,
    /// The fuel ran out.
    FuelExhausted,
    /// The wall clock ran out.
    DeadlineExceeded,
    /// Memory, table or instance limits refused to grow further.
    MemoryExhausted,
    /// The client went away or stopped reading.
    ClientGone,
    /// The host is stopping.
    ShuttingDown,
    /// The host itself panicked while serving the call.
    HostPanicked,
    /// The operator wanted it to end.
    Cancelled,
}

/// Why a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The holder gave it back.
    Released,
    /// The call ended so without giving it back.
    CallEnded(End),
    /// An operation ran into a time limit other than the deadline of its call.
    TimedOut,
    /// The one who awaited the operation went away.
    Cancelled,
    /// A transaction was open for longer than `idle_in_transaction_timeout` without a statement.
    IdleInTransaction,
    /// A transaction was open for longer than `max_transaction_time`.
    TransactionTooLong,
    /// The connection broke, or a result went over its limit half-way.
    Lost,
    /// The host took it back to stop.
    Revoked,
    /// The driver panicked.
    Panicked,
}

impl Ended {
    /// All of them, in order.
    pub const ALL: &[Self] = &[
        Self::Released,
        Self::CallEnded(End::Returned),
        Self::CallEnded(End::Trapped),
        Self::CallEnded(End::FuelExhausted),
        Self::CallEnded(End::DeadlineExceeded),
        Self::CallEnded(End::MemoryExhausted),
        Self::CallEnded(End::ClientGone),
        Self::CallEnded(End::ShuttingDown),
        Self::CallEnded(End::HostPanicked),
        Self::CallEnded(End::Cancelled),
        Self::TimedOut,
        Self::Cancelled,
        Self::IdleInTransaction,
        Self::TransactionTooLong,
        Self::Lost,
        Self::Revoked,
        Self::Panicked,
    ];

    /// The reason's name, in the words of the project; of a call that ended, what the leases are told of its outcome.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::CallEnded(End::Returned) => "returned",
            Self::CallEnded(End::Trapped) => "trapped",
            Self::CallEnded(End::FuelExhausted) => "fuel-exhausted",
            Self::CallEnded(End::DeadlineExceeded) => "deadline-exceeded",
            Self::CallEnded(End::MemoryExhausted) => "memory-exhausted",
            Self::CallEnded(End::ClientGone) => "client-gone",
            Self::CallEnded(End::ShuttingDown) => "shutting-down",
            Self::CallEnded(End::HostPanicked) => "host-panicked",
            Self::CallEnded(End::Cancelled) => "cancelled-by-operator",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::IdleInTransaction => "idle-in-transaction",
            Self::TransactionTooLong => "transaction-too-long",
            Self::Lost => "lost",
            Self::Revoked => "revoked",
            Self::Panicked => "panicked",
        }
    }

    /// Where it is in [`Self::ALL`].
    pub(super) fn place(self) -> usize {
        Self::ALL.iter().position(|it| *it == self).unwrap_or_default()
    }
}

/// Why an operation on a lent connection failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OperationError {
    /// The driver or the database said so.
    #[error(transparent)]
    Failed(Failure),
    /// A time limit ended it; the connection is taken back.
    #[error("the operation ran into `{}`", limit.name())]
    TimedOut {
        /// Which limit.
        limit: Limit,
        /// How long the operation ran.
        after: Duration,
    },
    /// The lease had ended before.
    #[error("the connection was taken back")]
    Ended(Ended),
    /// Something else that the same call holds owns the connection.
    #[error("{0}")]
    Busy(&'static str),
    /// An earlier statement of the transaction failed.
    #[error("an earlier statement of this transaction failed; it can only be rolled back")]
    Aborted,
    /// The handle or the request makes no sense now.
    #[error("{0}")]
    Invalid(&'static str),
    /// More of something than one transaction may have open.
    #[error("{maximum} {what} are open in this transaction already")]
    TooMany {
        /// Of what: the name of the limit.
        what: &'static str,
        /// The limit.
        maximum: usize,
    },
}
