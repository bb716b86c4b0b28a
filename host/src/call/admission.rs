//! Who may run: a place of the plugin first, then an instance of the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{CallError, OverloadLimit, guest::Instance, kept::Kept};
use crate::engine::{Gate, GateError, GatePermit};
use crate::plugin::Plugin;

/// The two gates before an instance. The plugin's comes first, so that a busy plugin's waiters queue up before its own gate and never
/// fill the host's queue.
#[derive(Debug)]
pub struct Admission {
    host: Arc<Gate>,
    queue_timeout_us: AtomicU64,
}

/// The right to run one instance. Must outlive the Store, whose memory it stands for.
#[derive(Debug)]
pub(super) struct Permit {
    /// Stays with the instance when it is kept for another call.
    pub(super) host: GatePermit,
    _plugin: GatePermit,
}

impl Permit {
    /// Both places, as one value.
    pub(super) fn of(host: GatePermit, plugin: GatePermit) -> Self {
        Self { host, _plugin: plugin }
    }
}

impl Admission {
    /// Admission to the instances behind `host`, with at most `queue_timeout` of waiting at both gates together.
    #[must_use]
    pub fn new(host: Arc<Gate>, queue_timeout: Duration) -> Self {
        Self { host, queue_timeout_us: AtomicU64::new(micros(queue_timeout)) }
    }

    /// From now on whoever comes waits so long.
    pub(super) fn set_queue_timeout(&self, queue_timeout: Duration) {
        self.queue_timeout_us.store(micros(queue_timeout), Ordering::Relaxed);
    }

    /// The gate that all instances of the host pass.
    pub(super) fn host(&self) -> &Arc<Gate> {
        &self.host
    }

    /// Waits for the right to run, in order of arrival at each gate; an instance that rests in `kept` brings its place at the host's.
    ///
    /// # Bounds
    /// `queue_timeout` and `deadline`, whichever ends first; the queues are bounded by the gates.
    /// # Errors
    /// `Overloaded` with the limit that was reached, or `DeadlineExceeded` when the call's own clock ran out first.
    /// # Cancellation
    /// Dropping the future gives up the place in the queue; no capacity is lost.
    pub(super) async fn enter(
        &self,
        plugin: &Arc<Plugin>,
        kept: &Kept,
        deadline: Instant,
    ) -> Result<(Permit, Option<Instance>), CallError> {
        let patience = Instant::now() + Duration::from_micros(self.queue_timeout_us.load(Ordering::Relaxed));
        let until = patience.min(deadline);
        let refused = |error, full, late| match error {
            GateError::QueueFull => CallError::Overloaded { limit: full },
            GateError::TimedOut if deadline < patience => CallError::DeadlineExceeded,
            GateError::TimedOut => CallError::Overloaded { limit: late },
        };
        let place = plugin.gate().enter(until).await;
        let place = place.map_err(|e| refused(e, OverloadLimit::PluginQueue, OverloadLimit::PluginConcurrency))?;
        if let Some((instance, host)) = kept.take(plugin) {
            return Ok((Permit::of(host, place), Some(instance)));
        }
        let host = self.host.enter_with(until, || kept.make_room()).await;
        let host = host.map_err(|e| refused(e, OverloadLimit::HostQueue, OverloadLimit::HostInstances))?;
        Ok((Permit::of(host, place), None))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
