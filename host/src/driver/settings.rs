//! What every driver is told, whatever its engine.

use std::time::Duration;

/// How a driver opens sessions. The address and the credential are the driver's own business.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What a guest may do through sessions of this driver.
    pub access: Access,
    /// Accept a role that bypasses every check. Default false.
    pub allow_superuser: bool,
    /// Whether statements may be cancelled from outside; off behind a transaction-mode pooler. Default true.
    pub server_cancel: bool,
    /// The server's own limit of a statement, as a backstop of the host's.
    pub statement_timeout: Duration,
    /// The server's own limit of an idle transaction, as a backstop of the host's.
    pub idle_in_transaction_timeout: Duration,
    /// Sessions that the pool may have. MongoDB's driver cannot end an opening half-way, and while as many go on begins one in 30 s at most that is
    /// not answered; [`Driver::resize`](super::Driver::resize) changes it. Default 10.
    pub max_connections: u32,
    /// How long MongoDB's driver looks for a primary. 1 ms to 1 h; default 5 s.
    pub server_selection_timeout: Duration,
    /// How long SQLite waits for another writer; less than `bounds.settle`. 0 s to 1 min; default 500 ms.
    pub busy_timeout: Duration,
    /// Prepared statements that a connection keeps.
    pub statement_cache: StatementCache,
}

/// How many prepared statements a connection keeps, of what size and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StatementCache {
    /// Statements at most. 1 to 10,000; default 100.
    pub count: usize,
    /// A longer statement text is not kept. 0 B to 1 GiB; default 1 KiB.
    pub text_bytes: usize,
    /// All are forgotten after this long. 1 ms to 24 h; default 5 min.
    pub max_age: Duration,
}

/// What a plugin may do with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Guarded by the database: a role that may not write, or a connection that cannot.
    ReadOnly,
    /// Whatever the credential may.
    ReadWrite,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access: Access::ReadWrite,
            allow_superuser: false,
            server_cancel: true,
            statement_timeout: Duration::from_secs(10),
            idle_in_transaction_timeout: Duration::from_secs(10),
            max_connections: 10,
            server_selection_timeout: Duration::from_secs(5),
            busy_timeout: Duration::from_millis(500),
            statement_cache: StatementCache { count: 100, text_bytes: 1024, max_age: Duration::from_secs(5 * 60) },
        }
    }
}
