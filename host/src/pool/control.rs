//! The control path of a pool: one session outside of it, kept open, through which statements are cancelled and sessions ended.

use std::{
    fmt,
    future::poll_fn,
    panic::AssertUnwindSafe,
    sync::{Arc, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    driver::{Control, Driver, Failure, FailureKind, Session},
    shards::Shards,
    sync::{self, Live},
};

/// Questions that may be without an answer at once, each with a session of its own. A server that answers nobody keeps what is closed here,
/// so a question that is given up would leave a session behind, and another with each that follows.
const UNANSWERED: usize = 2;

/// How often the time until a question is given up is doubled at most.
const MOST_DOUBLED: u32 = 3;

/// Owns the control session, and opens it anew when it broke or does not answer. It is asked beside the shards ([`Shards::aside`]): guests that
/// compute in them must not keep others from being taken back. Cheap to clone.
#[derive(Clone)]
pub(super) struct ControlPath(Arc<Shared>);

struct Shared {
    driver: Arc<dyn Driver>,
    shards: Shards,
    /// How long a question may go without an answer, whoever still waits for it, before its session is given up; doubled each time.
    limit: Live<Duration>,
    /// Since when it has failed whenever it was looked after.
    down: sync::Mutex<Option<Instant>>,
    /// For good.
    closed: CancellationToken,
    /// One caller at a time; each is bounded, the wait for its turn included.
    sessions: Mutex<Sessions>,
}

/// What a question came to: the session, unless it is lost, and the answer.
type Answered = (Option<Box<dyn Control>>, Result<bool, Failure>);

/// A question that has been asked. It goes on whether or not somebody waits for it.
struct Asked {
    since: Instant,
    /// Of the session that was there already.
    session: Option<Session>,
    answer: BoxFuture<'static, Answered>,
}

#[derive(Default)]
struct Sessions {
    /// Has answered, and waits for the next question.
    ready: Option<Box<dyn Control>>,
    /// The oldest first; the last one is its caller's.
    asked: Vec<Asked>,
    /// How many were given up since the server has answered.
    given_up: u32,
}

impl fmt::Debug for ControlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlPath").field("driver", &self.0.driver).finish_non_exhaustive()
    }
}

impl ControlPath {
    pub(super) fn new(driver: Arc<dyn Driver>, shards: Shards, limit: Duration) -> Self {
        Self(Arc::new(Shared {
            driver,
            shards,
            limit: Live::from_pointee(limit),
            down: sync::Mutex::new(None),
            closed: CancellationToken::new(),
            sessions: Mutex::default(),
        }))
    }

    /// Whether both are one.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// From the next question on, one may go without an answer for so long.
    pub(super) fn set_limit(&self, limit: Duration) {
        self.0.limit.store(Arc::new(limit));
    }

    /// Asks the server to end what the session runs.
    pub(super) async fn cancel(&self, session: &Session, bound: Duration) -> Result<(), Failure> {
        self.ask(Request::Cancel(session.clone()), bound).await.map(drop)
    }

    /// Ends the session on the server.
    pub(super) async fn terminate(&self, session: &Session, bound: Duration) -> Result<(), Failure> {
        self.ask(Request::Terminate(session.clone()), bound).await.map(drop)
    }

    /// Whether the server still lists the session.
    pub(super) async fn is_listed(&self, session: &Session, bound: Duration) -> Result<bool, Failure> {
        self.ask(Request::IsListed(session.clone()), bound).await
    }

    /// Opens the path, or finds out whether it still works.
    pub(super) async fn ping(&self, bound: Duration) -> Result<(), Failure> {
        self.ask(Request::Ping, bound).await.map(drop)
    }

    /// Notes whether it worked when it was looked after; whether that is news.
    pub(super) fn note(&self, works: bool) -> bool {
        let mut down = self.0.down.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = down.is_some() == works;
        if is_news {
            *down = (!works).then(Instant::now);
        }
        is_news
    }

    /// Since when it has not worked, as far as it was noted.
    pub(super) fn down_since(&self) -> Option<Instant> {
        *self.0.down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the path for good, and tells which sessions it had.
    pub(super) async fn close(&self, bound: Duration) -> Vec<Session> {
        // Whoever still asks, for a slot that nobody waits for any more, lets go of the sessions, and opens none anew.
        self.0.closed.cancel();
        let Ok(mut sessions) = timeout(bound, self.0.sessions.lock()).await else { return Vec::new() };
        let Sessions { ready, asked, .. } = std::mem::take(&mut *sessions);
        let mut closed: Vec<Session> = asked.into_iter().filter_map(|asked| asked.session).collect();
        if let Some(control) = ready {
            closed.extend(control.session().cloned());
            // What does not close in time, or panics, is dropped, and its socket with it.
            let _ = timeout(bound, AssertUnwindSafe(async { control.close().await }).catch_unwind()).await;
        }
        closed
    }

    /// # Cancellation
    /// A question that is not answered in time goes on, and its session is used again once it has answered.
    async fn ask(&self, request: Request, bound: Duration) -> Result<bool, Failure> {
        let shared = Arc::clone(&self.0);
        let asking = async move {
            let answered = timeout(bound, shared.closed.run_until_cancelled(shared.ask(request))).await;
            answered.unwrap_or_else(|_| Some(Err(failure("the control path did not answer in time"))))
        };
        // Not at all where what is beside the shards has ended.
        self.0.shards.aside(asking).await.flatten().unwrap_or_else(|| Err(failure("the control path is closed")))
    }
}

impl Shared {
    async fn ask(&self, request: Request) -> Result<bool, Failure> {
        let mut sessions = self.sessions.lock().await;
        let limit = **self.limit.load();
        sessions.make_room(limit).await;
        let known = sessions.ready.take();
        let session = known.as_ref().and_then(|control| control.session().cloned());
        let answer = answer(Arc::clone(&self.driver), known, request).boxed();
        sessions.asked.push(Asked { since: Instant::now(), session, answer });
        poll_fn(|context| sessions.poll_last(context)).await
    }
}

impl Sessions {
    /// Waits until one more question may be asked. Those that have gone for too long without an answer are given up.
    async fn make_room(&mut self, limit: Duration) {
        loop {
            let Some(oldest) = self.asked.first() else { return };
            let until = oldest.since + limit.saturating_mul(1 << self.given_up.min(MOST_DOUBLED));
            let is_room = self.asked.len() < UNANSWERED;
            tokio::select! {
                biased;
                () = poll_fn(|context| self.poll_any(context)) => {}
                () = sleep_until(until) => {
                    self.asked.remove(0);
                    self.given_up += 1;
                }
                () = std::future::ready(()), if is_room => return,
            }
        }
    }

    /// Whether one has its answer, which nobody waits for any more.
    fn poll_any(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut all = self.asked.iter_mut().enumerate();
        let answered = all.find_map(|(place, asked)| match asked.answer.as_mut().poll(context) {
            Poll::Ready((control, _)) => Some((place, control)),
            Poll::Pending => None,
        });
        let Some((place, control)) = answered else { return Poll::Pending };
        self.asked.remove(place);
        self.keep(control);
        Poll::Ready(())
    }

    /// The answer to the last one.
    fn poll_last(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Failure>> {
        let Some(asked) = self.asked.last_mut() else { unreachable!("it has been asked and not answered") };
        let Poll::Ready((control, answer)) = asked.answer.as_mut().poll(context) else { return Poll::Pending };
        self.asked.pop();
        self.keep(control);
        Poll::Ready(answer)
    }

    /// One is enough; the server listens, and hears that another is closed.
    fn keep(&mut self, control: Option<Box<dyn Control>>) {
        self.given_up = 0;
        self.ready = self.ready.take().or(control);
    }
}

/// A control session that fails is not used again. One that was open and turns out to be lost is replaced once: every question may be
/// asked twice, and only a new session tells whether the server can be reached.
async fn answer(driver: Arc<dyn Driver>, mut known: Option<Box<dyn Control>>, request: Request) -> Answered {
    let asking = async {
        loop {
            let was_open = known.is_some();
            let mut control = match known.take() {
                Some(control) => control,
                None => match driver.control().await {
                    Ok(control) => control,
                    Err(failure) => return (None, Err(failure)),
                },
            };
            let answer = match &request {
                Request::Cancel(session) => control.cancel(session).await.map(|()| true),
                Request::Terminate(session) => control.terminate(session).await.map(|()| true),
                Request::IsListed(session) => control.is_listed(session).await,
                Request::Ping => control.ping().await.map(|()| true),
            };
            if !answer.as_ref().is_err_and(|failure| failure.lost) {
                return (Some(control), answer);
            }
            if !was_open {
                return (None, answer);
            }
        }
    };
    // A panic of a driver must not end the task of the slot that asks: its place would be lost.
    let panicked = |_| (None, Err(failure("the driver panicked on the control path")));
    AssertUnwindSafe(asking).catch_unwind().await.unwrap_or_else(panicked)
}

fn failure(message: &str) -> Failure {
    Failure::new(FailureKind::Disconnected, message).lost()
}

/// What the control session is asked.
enum Request {
    Cancel(Session),
    Terminate(Session),
    IsListed(Session),
    Ping,
}
