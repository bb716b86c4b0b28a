//! One connection: hyper speaks on it, and a supervisor ends it when it should end.

use std::{convert::Infallible, future::Future, pin::pin, sync::Arc, time::Duration};

use futures::FutureExt;
use hyper::{rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Dispatch, Peer, Problem, RequestId, Settings,
    activity::{Activity, Waiting},
    exchange::Refusals,
    line::{Line, Watched},
    service::{self, Shared},
    socket::Socket,
    stream::Wire,
    tls,
};
use crate::shards::Shards;

/// How often a connection with a running call is looked at: bounds how late a client that went away is noticed.
const BUSY_TICK: Duration = Duration::from_millis(250);
/// How often any other is: bounds how late the first look at a call comes.
const IDLE_TICK: Duration = Duration::from_secs(1);
/// How long a client may go on sending what nobody reads, so that it gets to see the answer before the reset.
const LINGER: Duration = Duration::from_secs(1);
/// How long an idle HTTP/2 peer has to take its good-bye.
const GOODBYE: Duration = Duration::from_secs(1);

/// The tasks of a server.
#[derive(Clone)]
pub(super) struct Tasks {
    pub(super) tracker: TaskTracker,
    pub(super) shards: Shards,
}

/// The tasks that HTTP/2 needs for the streams of one connection.
#[derive(Clone)]
struct Streams {
    tasks: Tasks,
    /// Ends them.
    ended: CancellationToken,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let ended = self.ended.clone();
        self.tasks.shards.seat().spawn(&self.tasks.tracker, async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = task => {}
            }
        });
    }
}

/// What the supervisor found.
enum Verdict {
    /// Look again then.
    Wait(Instant),
    /// End it, telling the peer where the protocol has a way.
    Idle,
    /// The headers did not come in time.
    HeaderTimeout,
    /// End it at once: the peer is gone or does not read.
    Gone,
}

/// Serves one connection to its end. `cut` ends it at once, with all its calls.
pub(super) async fn run<D: Dispatch>(shared: Arc<Shared<D>>, stream: Wire, peer: Peer, tasks: Tasks, cut: CancellationToken) {
    let activity = Arc::new(Activity::new(Instant::now(), Arc::clone(&shared.counters)));
    let Some(line) = open(&shared, Watched::new(stream, Arc::clone(&activity)), &activity, peer).await else { return };
    let refusals = Refusals::new(Arc::clone(&activity), peer, shared.settings.load().access_log);
    let last_words = converse(&shared, &activity, &line, &refusals, peer, tasks, cut).await;
    if let Some(problem) = &last_words {
        let id = RequestId::make();
        if !activity.has_served() {
            refusals.add(problem, &id);
        }
        line.end(Some(&problem.raw(&id)));
    } else if activity.is_quiet() {
        // An answer that was cut off must not look whole.
        line.end(None);
    }
    if let (true, Some(mut stream)) = (activity.is_unread() || last_words.is_some(), line.into_wire()) {
        // Closing a socket with unread bytes resets it, and the reset may overtake the answer.
        let _timely = timeout(LINGER, linger(&mut stream)).await;
    }
}

/// What is spoken on: the socket itself, or TLS once the client has agreed to it. `None` when it does not in time, or the server stops.
async fn open<D>(shared: &Shared<D>, watched: Watched, activity: &Activity, peer: Peer) -> Option<Line> {
    let Some(tls) = &shared.tls else { return Some(Line::plain(watched)) };
    let header_timeout = shared.settings.load().header_timeout;
    // On the heap, since connections without TLS would carry its room as well.
    let handshake = Box::pin(tls.accept(watched.clone()));
    let agreed = tokio::select! {
        biased;
        // No request can be lost yet.
        () = shared.shutdown.cancelled() => return None,
        agreed = timeout(header_timeout, handshake) => agreed,
    };
    match agreed {
        Ok(Ok(stream)) => {
            if tls::is_http2(&stream) {
                activity.set_http2();
            }
            Some(Line::secured(watched, stream))
        }
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "no TLS session");
            None
        }
        Err(_late) => {
            tracing::debug!(%peer, "no TLS session in time");
            None
        }
    }
}

/// Speaks HTTP until the connection ends; returns what is still to be said to an HTTP/1.1 client.
async fn converse<D: Dispatch>(
    shared: &Arc<Shared<D>>,
    activity: &Arc<Activity>,
    line: &Line,
    refusals: &Refusals,
    peer: Peer,
    tasks: Tasks,
    cut: CancellationToken,
) -> Option<Problem> {
    let settings = shared.settings.load_full();
    let ended = CancellationToken::new();
    let _streams_end_with_the_connection = ended.clone().drop_guard();
    let builder = builder(&settings, Streams { tasks, ended });
    let socket = Socket::new(line.clone(), Arc::clone(activity), refusals.clone(), settings.max_uri);
    let service = service_fn(|request| {
        let answer = service::answer(Arc::clone(shared), Arc::clone(activity), peer, request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));

    let mut is_draining = false;
    let mut goodbye: Option<Instant> = None;
    let mut next = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = cut.cancelled() => {
                activity.cut();
                return activity.owes_headers().then_some(Problem::ShuttingDown);
            }
            () = shared.shutdown.cancelled(), if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
            }
            () = sleep_until(next) => match inspect(activity, line.wire(), &settings, Instant::now()) {
                Verdict::Wait(until) => next = until,
                Verdict::Gone => return None,
                Verdict::HeaderTimeout => {
                    // Only a peer that speaks HTTP/1.1 and has had no answer yet cannot mistake this one.
                    let may_tell = activity.has_begun_request() && !activity.has_served() && !activity.is_http2();
                    return may_tell.then_some(Problem::RequestTimeout);
                }
                Verdict::Idle => {
                    let now = Instant::now();
                    if !activity.is_http2() || goodbye.is_some_and(|until| until <= now) {
                        return None;
                    }
                    if goodbye.is_none() {
                        goodbye = Some(now + GOODBYE);
                        connection.as_mut().graceful_shutdown();
                    }
                    next = now + GOODBYE;
                }
            },
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%peer, error = %error, "connection ended");
                }
                return None;
            }
        }
    }
}

fn inspect(activity: &Activity, stream: &Wire, settings: &Settings, now: Instant) -> Verdict {
    if activity.calls() > 0 {
        // hyper reads on while a call runs only if it has no bytes of the next request, and none of the body that nobody asked for.
        let is_closed = |ready: std::io::Result<tokio::io::Ready>| ready.is_ok_and(|ready| ready.is_read_closed());
        if stream.ready(Interest::READABLE).now_or_never().is_some_and(is_closed) {
            return Verdict::Gone;
        }
        if activity.give_up_stalled(now, settings.body_stall_timeout) && !activity.is_http2() {
            return Verdict::Gone;
        }
        return Verdict::Wait(now + BUSY_TICK.min(settings.body_stall_timeout));
    }
    let (until, verdict) = match activity.waiting() {
        Waiting::Idle(since) => (since + settings.idle_timeout, Verdict::Idle),
        Waiting::Headers(since) => (since + settings.header_timeout, Verdict::HeaderTimeout),
    };
    if until <= now { verdict } else { Verdict::Wait(until.min(now + IDLE_TICK)) }
}

fn builder(settings: &Settings, streams: Streams) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(streams);
    // The supervisor times the headers: hyper's own timer runs while a connection idles, and not before the version is known.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(settings.max_header_bytes);
    if settings.max_headers != Settings::default().max_headers {
        // hyper allocates when it is told, even its own default.
        builder.http1().max_headers(settings.max_headers);
    }
    let http2 = &settings.http2;
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(http2.max_concurrent_streams)
        .max_pending_accept_reset_streams(http2.max_pending_reset_streams)
        .max_local_error_reset_streams(http2.max_local_reset_streams)
        .initial_stream_window_size(http2.stream_window)
        .initial_connection_window_size(http2.connection_window)
        .max_send_buf_size(settings.max_header_bytes)
        .max_header_list_size(u32::try_from(settings.max_header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(http2.ping_interval)
        .keep_alive_timeout(http2.ping_timeout);
    builder
}

/// Says that nothing more comes, and throws away what does.
async fn linger(stream: &mut Wire) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut sink = [0; 4096];
    while stream.read(&mut sink).await.is_ok_and(|count| count > 0) {}
}
