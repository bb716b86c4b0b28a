//! What happened in a database's pools, counted from the start.

use crate::telemetry::metrics::Cells;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident => $text:literal),+ $(,)?) => {
        /// Something that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter { $($(#[$doc])* $name),+ }

        impl Counter {
            /// Every counter, in order.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The counter's name, in the words of the project.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

counters! {
    /// Connections lent.
    Acquired => "acquired",
    /// Calls that had to wait for one.
    Waited => "waited",
    /// Waits that ended without one.
    WaitTimeouts => "wait_timeouts",
    /// Calls turned away because the queue was full.
    QueueFull => "queue_full",
    /// Sessions opened.
    Connected => "connected",
    /// Attempts to open one that failed.
    ConnectFailures => "connect_failures",
    /// Operations run for holders.
    Operations => "operations",
    /// Operations that ran into a time limit other than the deadline of their call.
    OperationTimeouts => "operation_timeouts",
    /// Leases given back.
    Released => "released",
    /// Leases taken back before they were given back.
    Reclaimed => "reclaimed",
    /// Transactions rolled back because their holder was gone.
    RolledBack => "rolled_back",
    /// Sessions cleaned and verified.
    Reset => "reset",
    /// Sessions that could not be proven clean.
    ResetFailures => "reset_failures",
    /// Statements cancelled on the server.
    Cancelled => "cancelled",
    /// Cancelled statements that did not end in time.
    CancelFailures => "cancel_failures",
    /// Connections closed instead of reused.
    Discarded => "discarded",
    /// Sessions ended on the server from outside.
    Killed => "killed",
    /// Sessions that the server still listed after all bounds.
    Unconfirmed => "unconfirmed",
    /// Connections closed for age or idleness.
    Expired => "expired",
    /// Pings before lending that failed.
    TestFailures => "test_failures",
    /// Leases reported while held for too long.
    LeakWarnings => "leak_warnings",
}

/// The counters of one database; never reset.
#[derive(Debug, Default)]
pub struct Counters(Cells<{ Counter::ALL.len() }>);

impl Counters {
    /// The value now.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0.sum(counter as usize)
    }

    pub(super) fn add(&self, counter: Counter) {
        self.0.add(counter as usize, 1);
    }
}
