//! The door through which requests become calls.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::{self, Delivery};
use super::guest::{self, Start};
use super::kept::Kept;
use super::request;
use super::running::{Parts, Running};
use super::{Admission, CallBody, CallError, RequestBodyError, Roster};
use crate::lease::{CallInfo, Scope};
#[cfg(doc)]
use crate::plugin::Limits;
use crate::plugin::Plugin;
use crate::shards::Shards;
use crate::telemetry::audit::Trail;
use crate::telemetry::timing::{Part, Timing};
use crate::telemetry::trace::CallSpan;

/// What the server knows of a request besides the request.
#[derive(Clone, Debug)]
pub struct CallMeta {
    /// As accepted from the client or made by the server.
    pub request_id: Arc<str>,
    /// Whether it came through TLS, so that its scheme is `https` whatever it says itself.
    pub is_secure: bool,
    /// Where the audit log is asked for the lines of what it does to databases, if one is kept.
    pub trail: Option<Arc<Trail>>,
    /// The span of the call, if it is traced. The call adds what it came to.
    pub span: Option<CallSpan>,
    /// Cancelled by the call when its client has stopped reading a streamed answer. hyper does not look at a body while its buffers are
    /// full, so this is how the server learns that the connection (HTTP/1.1) should be closed.
    pub reader_stalled: Option<CancellationToken>,
    /// Gets what the time of the call goes into, where somebody wants to know.
    pub timing: Option<Arc<Timing>>,
}

/// Calls plugins.
#[derive(Clone, Debug)]
pub struct Caller(pub(super) Arc<Shared>);

/// What all calls share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) admission: Admission,
    pub(super) kept: Arc<Kept>,
    pub(super) roster: Arc<Roster>,
    tasks: TaskTracker,
    /// A runtime that steals work, for calls that compute for long.
    stealing: Handle,
    pub(super) shutdown: CancellationToken,
}

/// What comes of waiting for the head of an answer; an error when the handler dropped the means to give one.
type Answered = Result<guest::Head, oneshot::error::RecvError>;

impl Caller {
    /// A caller whose calls are admitted by `admission`, and ended when `shutdown` is cancelled. The runtime of whoever makes it is the one
    /// to which calls go that compute for long.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn new(admission: Admission, shutdown: CancellationToken) -> Self {
        let tasks = TaskTracker::new();
        let kept = Kept::new(Arc::clone(admission.host()), tasks.clone(), &shutdown);
        let stealing = Handle::current();
        let roster = Roster::new(shutdown.clone(), &stealing);
        Self(Arc::new(Shared { admission, kept, roster, tasks, stealing, shutdown }))
    }

    /// The calls that run.
    #[must_use]
    pub fn roster(&self) -> &Arc<Roster> {
        &self.0.roster
    }

    /// What its calls share.
    #[cfg(test)]
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// How many calls have a task of their own.
    #[cfg(test)]
    pub(super) fn tasks(&self) -> usize {
        self.0.tasks.len()
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
    pub async fn call<B>(
        &self,
        plugin: Arc<Plugin>,
        request: Request<B>,
        mut meta: CallMeta,
    ) -> Result<Response<CallBody>, CallError>
    where
        B: Body<Data = Bytes, Error = RequestBodyError> + Send + 'static,
    {
        let started = Instant::now();
        let method = request.method().clone();
        let reader_stalled = meta.reader_stalled.take();
        let (mut run, mut head) = self.begin(plugin, request, meta, started).await?;
        let answered =
            if Shards::here().is_some() { run.drive_briefly(&mut head).await? } else { Some(run.drive(&mut head).await?) };
        let answered = match answered {
            Some(answered) => answered,
            None => {
                let computed = self.compute(run, head).await?;
                run = computed.0;
                computed.1
            }
        };
        let head = match answered {
            Ok(Ok(head)) => head,
            Ok(Err(code)) => return Err(run.end(CallError::GuestError { code })),
            Err(_dropped) => return Err(run.end(CallError::NoResponse)),
        };
        let delivery = Delivery { method, reader_stalled, tasks: &self.0.tasks };
        answer::deliver(run, head, delivery).await
    }

    /// From now on calls wait so long for admission.
    pub fn set_queue_timeout(&self, queue_timeout: Duration) {
        self.0.admission.set_queue_timeout(queue_timeout);
    }

    /// Has a plugin called no more by those who come: gives up its instances that rest. Calls of it go on.
    pub fn retire(&self, plugin: &Arc<Plugin>) {
        self.0.kept.forget(plugin);
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

    /// Lets a guest that computes for long go on where work is stolen, so that it holds up nobody in its shard and has a core to itself if
    /// there is one. Gives the call back with its answer.
    ///
    /// # Cancellation
    /// As of [`Self::call`]; the call ends in its task.
    async fn compute(&self, mut run: Running, head: oneshot::Receiver<guest::Head>) -> Result<(Running, Answered), CallError> {
        let (mut sender, computed) = oneshot::channel();
        let task = async move {
            let answered = tokio::select! {
                biased;
                // Nobody wants the answer any more.
                () = sender.closed() => return,
                answered = run.drive(head) => answered,
            };
            let _unwanted = sender.send(answered.map(|answered| (run, answered)));
        };
        self.0.tasks.spawn_on(task, &self.0.stealing);
        computed.await.unwrap_or(Err(CallError::HostPanicked))
    }

    async fn begin<B>(
        &self,
        plugin: Arc<Plugin>,
        request: Request<B>,
        meta: CallMeta,
        started: Instant,
    ) -> Result<(Running, oneshot::Receiver<guest::Head>), CallError>
    where
        B: Body<Data = Bytes, Error = RequestBodyError> + Send + 'static,
    {
        let Shared { admission, kept, shutdown, .. } = &*self.0;
        let refused = |error: &CallError| error.outcome().count_in(plugin.stats());
        let CallMeta { request_id, is_secure, trail, span, timing, reader_stalled: _ } = meta;
        let (request, body_failure) = request::prepare(request, is_secure).inspect_err(refused)?;
        let deadline = started + plugin.limits().deadline;
        let queued = timing.as_ref().map(|timing| timing.begin(Part::Queue));
        let admitted = tokio::select! {
            biased;
            admitted = admission.enter(&plugin, kept, deadline) => admitted,
            () = shutdown.cancelled() => Err(CallError::ShuttingDown),
        };
        drop(queued);
        plugin.stats().queued.record(started.elapsed());
        let (permit, instance) = admitted.inspect_err(refused)?;
        let info = CallInfo { plugin: Arc::clone(plugin.name()), request_id, deadline, trail };
        let scope = Scope::watched(info, Arc::clone(plugin.grants()), span.as_ref().map(CallSpan::trace), timing);
        let (head, answered) = oneshot::channel();
        let (sent, watched) = oneshot::channel();
        let guest = guest::start(Start {
            plugin: Arc::clone(&plugin),
            scope: Arc::clone(&scope),
            request,
            head,
            sent: watched,
            instance,
        });
        let shared = Arc::clone(&self.0);
        Ok((Running::new(Parts { shared, guest, permit, scope, plugin, span, sent, body_failure, started }), answered))
    }
}
