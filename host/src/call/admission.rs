//! Who may run: a place of the plugin first, then an instance of the host.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{CallError, OverloadLimit};
use crate::engine::{Gate, GateError, GatePermit};
use crate::plugin::Plugin;

/// The two gates before an instance. The plugin's comes first, so that a busy plugin's waiters queue up before its own gate and never
/// fill the host's queue.
#[derive(Debug)]
pub struct Admission {
    host: Arc<Gate>,
    queue_timeout: Duration,
}

/// The right to run one instance. Must outlive the Store, whose memory it stands for.
#[derive(Debug)]
pub struct Permit {
    _host: GatePermit,
    _plugin: GatePermit,
}

impl Admission {
    /// Admission to the instances behind `host`, with at most `queue_timeout` of waiting at both gates together.
    #[must_use]
    pub fn new(host: Arc<Gate>, queue_timeout: Duration) -> Self {
        Self { host, queue_timeout }
    }

    /// Waits for the right to run, in order of arrival at each gate.
    ///
    /// # Bounds
    /// `queue_timeout` and `deadline`, whichever ends first; the queues are bounded by the gates.
    /// # Errors
    /// `Overloaded` with the limit that was reached, or `DeadlineExceeded` when the call's own clock ran out first.
    /// # Cancellation
    /// Dropping the future gives up the place in the queue; no capacity is lost.
    pub async fn enter(&self, plugin: &Plugin, deadline: Instant) -> Result<Permit, CallError> {
        let patience = Instant::now() + self.queue_timeout;
        let until = patience.min(deadline);
        let refused = |error, full, late| match error {
            GateError::QueueFull => CallError::Overloaded { limit: full },
            GateError::TimedOut if deadline < patience => CallError::DeadlineExceeded,
            GateError::TimedOut => CallError::Overloaded { limit: late },
        };
        let plugin =
            plugin.gate().enter(until).await.map_err(|e| refused(e, OverloadLimit::PluginQueue, OverloadLimit::PluginConcurrency))?;
        let host = self.host.enter(until).await.map_err(|e| refused(e, OverloadLimit::HostQueue, OverloadLimit::HostInstances))?;
        Ok(Permit { _host: host, _plugin: plugin })
    }
}
