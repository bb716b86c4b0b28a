//! Tries whether an instance of a plugin can be made, before anybody calls it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, timeout};

use super::running::classify;
use super::{CallError, Caller, OverloadLimit, guest};
use crate::lease::{CallInfo, End, Grants, Scope};
use crate::plugin::Plugin;

/// How long making it may take: whatever a component runs at its start included.
const LIMIT: Duration = Duration::from_secs(1);
/// How long a place for it is waited for, while the host is busy.
const PATIENCE: Duration = Duration::from_secs(10);

impl Caller {
    /// Makes an instance of a plugin under its own fuel and memory but with no grant, and drops it again. It counts as no call.
    ///
    /// # Bounds
    /// Ten seconds until an instance of the host is free, then one second.
    /// # Errors
    /// What a call would have come to. Nothing is left of the instance.
    /// # Cancellation
    /// Nothing is left of the instance.
    pub async fn probe(&self, plugin: &Arc<Plugin>) -> Result<(), CallError> {
        let (host, kept) = (self.0.admission.host(), &self.0.kept);
        let place = host.enter_with(Instant::now() + PATIENCE, || kept.make_room()).await;
        // Until after the instance, for whose memory it stands.
        let _place = place.map_err(|_| CallError::Overloaded { limit: OverloadLimit::HostInstances })?;
        let deadline = Instant::now() + LIMIT;
        let info = CallInfo { plugin: Arc::clone(plugin.name()), request_id: "probe".into(), deadline };
        let scope = Scope::new(info, Arc::new(Grants::default()));
        let making = timeout(LIMIT, guest::instantiate(plugin, Arc::clone(&scope)));
        let made = AssertUnwindSafe(making).catch_unwind().await;
        scope.end(End::Returned);
        match made {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(classify(&error, scope.life())),
            Ok(Err(_elapsed)) => Err(CallError::DeadlineExceeded),
            Err(_panic) => Err(CallError::HostPanicked),
        }
    }
}
