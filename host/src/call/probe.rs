//! Tries a plugin before anybody calls it: whether an instance of it can be made, and what it answers.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::{Request, StatusCode, uri::PathAndQuery};
use http_body_util::{BodyExt, Empty};
use tokio::time::{Instant, sleep, timeout};

use super::running::classify;
use super::{CallError, CallMeta, Caller, Outcome, OverloadLimit, guest};
use crate::engine::GateError;
use crate::lease::{CallInfo, End, Grants, Scope};
use crate::plugin::Plugin;
use crate::telemetry::audit::Trail;

/// What stands in place of a request's id.
pub const PROBE: &str = "probe";
/// How long making it may take: whatever a component runs at its start included.
const LIMIT: Duration = Duration::from_secs(1);
/// How long a place for it is waited for, while the host is busy.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts to find one where the queue is full.
const PAUSE: Duration = Duration::from_millis(100);

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
        let until = Instant::now() + PATIENCE;
        // Until after the instance, for whose memory it stands.
        let _place = loop {
            match host.enter_with(until, || kept.make_room()).await {
                Ok(place) => break place,
                Err(GateError::QueueFull) if Instant::now() < until => sleep(PAUSE).await,
                Err(_) => return Err(CallError::Overloaded { limit: OverloadLimit::HostInstances }),
            }
        };
        let deadline = Instant::now() + LIMIT;
        let info = CallInfo { plugin: Arc::clone(plugin.name()), request_id: PROBE.into(), deadline, trail: None };
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

    /// Calls a plugin as if a client asked for `path`, reads the whole answer and tells its status.
    ///
    /// # Bounds
    /// Ten seconds until there is a place for it, then the plugin's limits.
    /// # Errors
    /// How the call ended that was not answered, or not to the end.
    /// # Cancellation
    /// As of [`Self::call`].
    pub async fn ask(&self, plugin: &Arc<Plugin>, path: &PathAndQuery, trail: Option<Arc<Trail>>) -> Result<StatusCode, Outcome> {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut request = Request::new(Empty::<Bytes>::new().map_err(|never| match never {}));
            *request.uri_mut() = path.clone().into();
            let meta = CallMeta {
                request_id: PROBE.into(),
                is_secure: false,
                trail: trail.clone(),
                span: None,
                reader_stalled: None,
                timing: None,
            };
            match self.call(Arc::clone(plugin), request, meta).await {
                Err(CallError::Overloaded { .. }) if Instant::now() < until => sleep(PAUSE).await,
                Err(error) => return Err(error.outcome()),
                Ok(answer) => {
                    let (head, mut body) = answer.into_parts();
                    while let Some(frame) = body.frame().await {
                        frame.map_err(|aborted| aborted.outcome)?;
                    }
                    return Ok(head.status);
                }
            }
        }
    }
}
