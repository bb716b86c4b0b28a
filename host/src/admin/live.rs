//! What people see: a page, and the events by which it shows all that there is as it changes.
//!
//! An event is the whole state, made once for all who watch at that moment. So a viewer that does not keep up misses some and needs none
//! of them, nothing is kept for it, one that comes back needs no past, and nobody who is watched does anything for it.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    Refusal, ago, answer,
    calls::Call,
    health::{Health, Ready},
    pools::Pools,
    subjects::{Served, Subjects},
};
use crate::pool::HostCapacity;

/// All of it, with one style and one script.
const PAGE: &str = include_str!("live.html");
/// Between two events of a viewer.
const PERIOD: Duration = Duration::from_millis(500);
/// For so long an event serves whoever wants one: less than the period, so that no viewer is shown the same twice.
const FRESH: Duration = Duration::from_millis(400);
/// Calls that are told one by one.
const MAX_CALLS: usize = 200;

/// The events of one viewer.
pub(super) type Events = UnsyncBoxBody<Bytes, Infallible>;

/// All that there is to know at one moment.
#[derive(Serialize)]
pub(super) struct Snapshot {
    at: String,
    #[serde(flatten)]
    readiness: Ready,
    pools: Pools,
    /// Those that hold connections first, of these and of the others the oldest first.
    calls: Vec<Call>,
    /// How many calls run, also those that are not told.
    running: usize,
    /// How many wait to be admitted.
    waiting: usize,
}

impl Snapshot {
    pub(super) fn of(health: &Health, capacity: &HostCapacity, subjects: &Subjects) -> Self {
        let mut calls = subjects.calls();
        let running = calls.len();
        calls.sort_by_key(|call| call.leases.is_empty());
        calls.truncate(MAX_CALLS);
        Self {
            at: ago(Duration::ZERO),
            readiness: health.readiness(subjects),
            pools: Pools::of(capacity, subjects),
            calls: calls.into_iter().map(Call::of).collect(),
            running,
            waiting: waiting(subjects),
        }
    }
}

/// How many calls wait at the gates of their plugins, and behind these at the host's.
fn waiting(subjects: &Subjects) -> usize {
    let of_plugins = subjects.plugins.iter().map(|Served { plugin, .. }| plugin.gate());
    of_plugins.chain(&subjects.gate).map(|gate| gate.waiting()).sum()
}

/// Who watches.
pub(super) struct Watching {
    /// What the page may do.
    policy: HeaderValue,
    max_viewers: AtomicUsize,
    /// Each who watches has one of it.
    place: Arc<()>,
    newest: Arc<Newest>,
    closing: CancellationToken,
    /// Ends what those are shown who watch now.
    sitting: Mutex<CancellationToken>,
}

/// The last event that was made, and when.
#[derive(Default)]
struct Newest(Mutex<Option<(Instant, Bytes)>>);

impl Watching {
    /// Nobody does yet; at most `max_viewers` will, and none once `closing` fires.
    pub(super) fn new(max_viewers: usize, closing: CancellationToken) -> Self {
        let Ok(policy) = HeaderValue::from_str(&policy()) else { unreachable!("a policy is made of visible characters") };
        let sitting = Mutex::new(closing.child_token());
        Self { policy, max_viewers: max_viewers.into(), place: Arc::default(), newest: Arc::default(), closing, sitting }
    }

    /// So many may watch from now on. Whoever does already stays.
    pub(super) fn set_max_viewers(&self, max_viewers: usize) {
        self.max_viewers.store(max_viewers, Ordering::Relaxed);
    }

    /// What ends the events of who watches from now on. Taken before it is looked at whether somebody may.
    pub(super) fn sitting(&self) -> CancellationToken {
        self.lock().clone()
    }

    /// Ends what is shown to all who watch. They may ask again.
    pub(super) fn dismiss(&self) {
        let over = std::mem::replace(&mut *self.lock(), self.closing.child_token());
        over.cancel();
    }

    fn lock(&self) -> MutexGuard<'_, CancellationToken> {
        self.sitting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page, which has no data in it.
    pub(super) fn page(&self) -> Response<Bytes> {
        let mut response = answer(StatusCode::OK, Bytes::from_static(PAGE.as_bytes()), "text/html; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        response
    }

    /// What one viewer is shown: at once, and then twice a second for as long as it takes them, until the end of the sitting. `look` is asked
    /// when nobody else has done so lately.
    ///
    /// # Errors
    /// [`Refusal::TooManyViewers`].
    pub(super) fn events(
        &self,
        sitting: CancellationToken,
        look: impl Fn() -> Snapshot + Send + 'static,
    ) -> Result<Events, Refusal> {
        let place = Arc::clone(&self.place);
        // One of them is of nobody. Two who come at once may both be too many.
        if Arc::strong_count(&place) - 1 > self.max_viewers.load(Ordering::Relaxed) {
            return Err(Refusal::TooManyViewers);
        }
        let newest = Arc::clone(&self.newest);
        let mut ticks = interval(PERIOD);
        // Who was slow is not shown more for it.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let events = stream::unfold((ticks, newest, look, place), |(mut ticks, newest, look, place)| async move {
            ticks.tick().await;
            let event = newest.event(&look);
            Some((Ok::<_, Infallible>(Frame::data(event)), (ticks, newest, look, place)))
        });
        let events = events.take_until(sitting.cancelled_owned());
        Ok(StreamBody::new(events).boxed_unsync())
    }
}

impl Newest {
    /// The last event, or a new one when that is too old.
    fn event(&self, look: impl Fn() -> Snapshot) -> Bytes {
        // Two who come at once are to be shown one event: the second waits for it. An event that could not be made leaves the last one.
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((made, event)) = &*newest
            && now.duration_since(*made) < FRESH
        {
            return event.clone();
        }
        // Structs of strings and numbers always serialize, and JSON has no empty line that would end the event early.
        let event = Bytes::from(format!("data: {}\n\n", serde_json::to_string(&look()).unwrap_or_default()));
        *newest = Some((now, event.clone()));
        event
    }
}

/// The page runs its own script and has its own style, asks this host alone, is in no frame, and sends no form.
fn policy() -> String {
    let [style, script] = ["style", "script"].map(|tag| STANDARD.encode(Sha256::digest(inside(tag))));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; frame-ancestors 'none'; \
         base-uri 'none'; form-action 'none'"
    )
}

/// What the page has in its only element of this name.
fn inside(tag: &str) -> &'static str {
    let after = PAGE.split_once(&format!("<{tag}>")).map_or("", |(_, after)| after);
    after.split_once(&format!("</{tag}>")).map_or("", |(inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::{
        admin::metrics::{self, Denied, Reloads},
        engine::Gate,
        shards::Shards,
    };

    fn snapshot() -> Snapshot {
        Snapshot::of(&Health::new(Duration::ZERO, Shards::default()), &HostCapacity::new(1), &Subjects::default())
    }

    async fn next(events: &mut Events) -> Option<Bytes> {
        let frame = events.frame().await?;
        Some(frame.unwrap().into_data().unwrap())
    }

    #[tokio::test]
    async fn an_event_is_the_whole_state_and_made_once_for_all() {
        let watching = Watching::new(2, CancellationToken::new());
        let made = Arc::new(AtomicUsize::new(0));
        let [mut first, mut second] = [(); 2].map(|()| {
            let made = Arc::clone(&made);
            let look = move || {
                made.fetch_add(1, Ordering::Relaxed);
                snapshot()
            };
            watching.events(watching.sitting(), look).unwrap()
        });
        let began = Instant::now();
        let (one, other) = (next(&mut first).await.unwrap(), next(&mut second).await.unwrap());
        let is_one = began.elapsed() < FRESH;
        assert!(!is_one || (one == other && made.load(Ordering::Relaxed) == 1));
        let event = std::str::from_utf8(&one).unwrap().strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
        let state: Json = serde_json::from_str(event).unwrap();
        assert_eq!((&state["ready"], &state["reasons"][0]["code"]), (&json!(false), &json!("starting")), "{state}");
        assert_eq!((&state["pools"]["active"], &state["running"]), (&json!("0/1"), &json!(0)), "{state}");
        assert!(next(&mut first).await.is_some() && began.elapsed() >= PERIOD && made.load(Ordering::Relaxed) >= 2);
    }

    #[tokio::test]
    async fn there_are_so_many_viewers_and_their_places_come_free() {
        let watching = Watching::new(1, CancellationToken::new());
        let first = watching.events(watching.sitting(), snapshot).unwrap();
        assert_eq!(watching.events(watching.sitting(), snapshot).err(), Some(Refusal::TooManyViewers));
        drop(first);
        let again = watching.events(watching.sitting(), snapshot).unwrap();
        watching.set_max_viewers(2);
        assert!(watching.events(watching.sitting(), snapshot).is_ok());
        drop(again);
    }

    #[tokio::test]
    async fn who_waits_at_the_gate_of_the_host_waits_as_well() {
        let gate = Arc::new(Gate::new(1, 1));
        let subjects = Subjects { gate: Some(Arc::clone(&gate)), ..Subjects::default() };
        let later = Instant::now() + Duration::from_secs(60 * 60);
        let _place = gate.enter(later).await.unwrap();
        assert_eq!(waiting(&subjects), 0);
        let mut another = Box::pin(gate.enter(later));
        assert!(another.as_mut().now_or_never().is_none());
        assert_eq!(waiting(&subjects), 1);
        let metrics = metrics::text(&subjects, &HostCapacity::new(1), &Denied::default(), &Reloads::default());
        assert!(metrics.contains("\nwharf_host_calls_waiting 1\n"), "{metrics}");
    }

    #[tokio::test]
    async fn events_end_with_the_listener() {
        let closing = CancellationToken::new();
        let watching = Watching::new(1, closing.clone());
        let mut events = watching.events(watching.sitting(), snapshot).unwrap();
        assert!(next(&mut events).await.is_some());
        closing.cancel();
        assert!(next(&mut events).await.is_none());
    }

    #[tokio::test]
    async fn who_is_dismissed_is_shown_no_more_and_who_comes_then_is() {
        let watching = Watching::new(2, CancellationToken::new());
        let before = watching.sitting();
        let mut events = watching.events(before.clone(), snapshot).unwrap();
        assert!(next(&mut events).await.is_some());
        watching.dismiss();
        assert!(next(&mut events).await.is_none());
        // Whether it may was looked at before.
        assert!(next(&mut watching.events(before, snapshot).unwrap()).await.is_none());
        assert!(next(&mut watching.events(watching.sitting(), snapshot).unwrap()).await.is_some());
    }

    #[test]
    fn the_page_has_one_style_and_one_script_and_asks_nobody_else() {
        for tag in ["style", "script"] {
            assert_eq!((PAGE.matches(&format!("<{tag}")).count(), PAGE.matches(&format!("</{tag}>")).count()), (1, 1), "{tag}");
            assert!(inside(tag).len() > 100, "{tag}");
        }
        for absent in
            ["http://", "https://", "src=", " style=", "innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("]
        {
            assert!(!PAGE.contains(absent), "{absent}");
        }
        assert!(PAGE.len() <= 25 << 10, "{} bytes", PAGE.len());
        assert!(policy().starts_with("default-src 'none'; script-src 'sha256-"));
    }
}
