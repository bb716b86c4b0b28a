//! The door through which requests become calls.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::{self, Delivery};
use super::guest::{self, Start, Usage};
use super::kept::Kept;
use super::request;
use super::running::{Parts, Running};
use super::{Admission, CallBody, CallError, Counters, RequestBodyError};
use crate::lease::{CallInfo, Scope};
#[cfg(doc)]
use crate::plugin::Limits;
use crate::plugin::Plugin;

/// What the server knows of a request besides the request.
#[derive(Clone, Debug)]
pub struct CallMeta {
    /// As accepted from the client or made by the server.
    pub request_id: Arc<str>,
    /// Cancelled by the call when its client has stopped reading a streamed answer. hyper does not look at a body while its buffers are
    /// full, so this is how the server learns that the connection (HTTP/1.1) should be closed.
    pub reader_stalled: Option<CancellationToken>,
}

/// Calls plugins.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    admission: Admission,
    kept: Arc<Kept>,
    counters: Arc<Counters>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Caller {
    /// A caller whose calls are admitted by `admission`, and ended when `shutdown` is cancelled.
    #[must_use]
    pub fn new(admission: Admission, shutdown: CancellationToken) -> Self {
        let tasks = TaskTracker::new();
        let kept = Kept::new(Arc::clone(admission.host()), tasks.clone(), &shutdown);
        Self(Arc::new(Inner { admission, kept, counters: Arc::default(), tasks, shutdown }))
    }

    /// Counts of calls, by outcome.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.0.counters
    }

    /// The instances that rest between two calls.
    #[cfg(test)]
    pub(super) fn kept(&self) -> &Arc<Kept> {
        &self.0.kept
    }

    /// Calls a plugin, in a Store that no other call uses at the same time: a new one, or where [`Limits::reuse`] allows it one that rests.
    ///
    /// # Bounds
    /// The plugin's limits; its `deadline` counts from now and covers waiting for admission and every byte of the answer. An answer of
    /// up to 64 KiB that the guest gives without waiting is whole on return; otherwise the body streams from a task of the call.
    /// # Errors
    /// See [`CallError`]; the answer has not begun, and everything the call held is given back or on its way.
    /// # Cancellation
    /// Dropping the future ends the call as `ClientGone`. So does dropping the body before its end.
    pub async fn call<B>(&self, plugin: Arc<Plugin>, request: Request<B>, meta: CallMeta) -> Result<Response<CallBody>, CallError>
    where
        B: Body<Data = Bytes, Error = RequestBodyError> + Send + 'static,
    {
        let started = Instant::now();
        let method = request.method().clone();
        let (mut run, head) = match self.begin(plugin, request, meta.request_id, started).await {
            Ok(begun) => begun,
            Err(error) => {
                self.0.counters.never_ran(error.outcome());
                return Err(error);
            }
        };
        let head = match run.drive(head).await? {
            Ok(Ok(head)) => head,
            Ok(Err(code)) => return Err(run.end(CallError::GuestError { code })),
            Err(_dropped) => return Err(run.end(CallError::NoResponse)),
        };
        let delivery = Delivery { method, reader_stalled: meta.reader_stalled, tasks: &self.0.tasks };
        answer::deliver(run, head, delivery).await
    }

    /// Waits until no call has a task of its own any more: all streamed answers are over. Calls that are still waiting for their head
    /// belong to the tasks that made them.
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn drained(&self) {
        self.0.kept.close();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    async fn begin<B>(
        &self,
        plugin: Arc<Plugin>,
        request: Request<B>,
        request_id: Arc<str>,
        started: Instant,
    ) -> Result<(Running, oneshot::Receiver<guest::Head>), CallError>
    where
        B: Body<Data = Bytes, Error = RequestBodyError> + Send + 'static,
    {
        let Inner { admission, kept, counters, shutdown, .. } = &*self.0;
        let (request, body_failure) = request::prepare(request)?;
        let deadline = started + plugin.limits().deadline;
        let (permit, instance) = tokio::select! {
            biased;
            admitted = admission.enter(&plugin, kept, deadline) => admitted?,
            () = shutdown.cancelled() => return Err(CallError::ShuttingDown),
        };
        let info = CallInfo { plugin: Arc::clone(plugin.name()), request_id, deadline };
        let scope = Scope::new(info, Arc::clone(plugin.grants()));
        let usage = Arc::new(Usage::new(plugin.limits().fuel));
        let (head, answered) = oneshot::channel();
        let (sent, watched) = oneshot::channel();
        let guest = guest::start(Start {
            plugin: Arc::clone(&plugin),
            scope: Arc::clone(&scope),
            request,
            head,
            sent: watched,
            usage: Arc::clone(&usage),
            instance,
        });
        let run = Running::new(Parts {
            guest,
            permit,
            kept: Arc::clone(kept),
            scope,
            plugin,
            usage,
            counters: Arc::clone(counters),
            sent,
            body_failure,
            started,
            shutdown: shutdown.clone(),
        });
        Ok((run, answered))
    }
}
