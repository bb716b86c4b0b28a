//! The limits of a pool, each finite and named as in `wharf.toml`; the reference of settings quotes what is said of them.

use std::time::Duration;

/// Limits of one database; all its pools (one a credential) share them.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Sessions at most, in whatever state. 1 to 10,000; default 10.
    pub max_connections: u32,
    /// Sessions of the first pool kept open while idle. 0 to 10,000; default 1.
    pub min_connections: u32,
    /// How long a call waits for a connection. 1 ms to 1 h; default 5 s.
    pub acquire_timeout: Duration,
    /// How many calls may wait at once. 0 to 1,000,000; default 1,000.
    pub max_waiters: u32,
    /// After this long unused a connection is closed, but for `min_connections`. 1 ms to 24 h; default 30 s.
    pub idle_timeout: Duration,
    /// After this long, give or take a tenth, a connection is closed when it is next idle. 1 ms to 24 h; default 30 min.
    pub max_lifetime: Duration,
    /// Opening a session, from the first packet to the verified identity. 1 ms to 1 h; default 10 s.
    pub connect_timeout: Duration,
    /// One statement. 1 ms to 1 h; default 10 s.
    pub statement_timeout: Duration,
    /// An open transaction without a statement running. 1 ms to 1 h; default 10 s.
    pub idle_in_transaction_timeout: Duration,
    /// A connection that was idle longer than this answers a ping before it is lent. 0 s to 24 h; default 1 s.
    pub test_before_acquire: Duration,
    /// A lease held longer than this is reported. 1 ms to 1 h; default 10 s.
    pub leak_warning: Duration,
    /// How long each step of taking a connection back may last.
    pub bounds: Bounds,
}

/// How long each step of reclaim may last before the next, harsher one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Asking the server to cancel a running statement. 1 ms to 1 min; default 1 s.
    pub cancel: Duration,
    /// Waiting until a cancelled statement has ended. 1 ms to 1 min; default 1 s.
    pub settle: Duration,
    /// Rolling back. 1 ms to 1 min; default 3 s.
    pub rollback: Duration,
    /// Resetting the session and verifying that it is clean; closing a cursor that was dropped; the ping before a connection is lent.
    /// 1 ms to 1 min; default 1 s.
    pub reset: Duration,
    /// Closing with a good-bye. 1 ms to 1 min; default 3 s.
    pub close: Duration,
    /// Ending the session on the server. 1 ms to 1 min; default 1 s.
    pub kill: Duration,
    /// Seeing that the server no longer lists the session. 1 ms to 1 min; default 1 s.
    pub confirm: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: 10,
            min_connections: 1,
            acquire_timeout: Duration::from_secs(5),
            max_waiters: 1000,
            idle_timeout: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(30 * 60),
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(10),
            idle_in_transaction_timeout: Duration::from_secs(10),
            test_before_acquire: Duration::from_secs(1),
            leak_warning: Duration::from_secs(10),
            bounds: Bounds::default(),
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            cancel: Duration::from_secs(1),
            settle: Duration::from_secs(1),
            rollback: Duration::from_secs(3),
            reset: Duration::from_secs(1),
            close: Duration::from_secs(3),
            kill: Duration::from_secs(1),
            confirm: Duration::from_secs(1),
        }
    }
}
