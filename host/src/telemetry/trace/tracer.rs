//! Decides which calls are traced, and keeps their spans until they are sent.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName};
use tokio::sync::Notify;

use super::{
    Context, Span,
    span::{Kind, Record, Trace},
};
use crate::telemetry::lanes::Lanes;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Bytes of `tracestate` that are handed on; a longer one is left out, as the standard allows.
const MAX_STATE: usize = 512;

/// Spans that each lane keeps; what comes then is counted and lost.
const MAX_KEPT: usize = 2_048;
/// As many in one lane are worth sending before their time.
pub(super) const MANY: usize = 512;

/// Bits of a trace's number that decide whether it is sampled: those that are random by the standard.
const RANDOM_BITS: u32 = 56;

/// Begins spans, and keeps them once they have ended.
#[derive(Debug)]
pub struct Tracer {
    /// A trace whose random bits are below is sampled.
    threshold: u64,
    max_per_second: u32,
    started: Instant,
    window: Mutex<Window>,
    kept: Lanes<Mutex<Vec<Record>>>,
    lost: AtomicU64,
    /// Told when there are [`MANY`].
    pub(super) many: Notify,
}

#[derive(Debug, Default)]
struct Window {
    second: u64,
    spans: u32,
}

impl Tracer {
    /// One that samples such a share of the calls, from 0 to 1, and keeps at most so many spans a second.
    #[must_use]
    pub fn new(sample: f64, max_per_second: u32) -> Arc<Self> {
        Arc::new(Self {
            // Saturates.
            threshold: (sample * f64::from(RANDOM_BITS).exp2()) as u64,
            max_per_second,
            started: Instant::now(),
            window: Mutex::default(),
            kept: Lanes::new(Mutex::default),
            lost: AtomicU64::new(0),
            many: Notify::new(),
        })
    }

    /// Begins a call: in the trace that its client names, or in one of its own. The handler is told so in place of what the client said.
    ///
    /// A client that is believed decides whether the call is sampled. Any other has no say, and in no case are there more spans than
    /// allowed: beyond that calls are not sampled. `None` for a call that is not.
    pub fn begin(self: &Arc<Self>, headers: &mut HeaderMap, is_believed: bool) -> Option<Span> {
        let parent = parent(headers);
        let state: usize = headers.get_all(TRACESTATE).iter().map(|value| value.len() + 1).sum();
        if parent.is_none() || state > MAX_STATE {
            headers.remove(TRACESTATE);
        }
        let context = parent.map_or_else(Context::first, Context::child);
        let wished = match parent {
            Some(parent) if is_believed => parent.is_sampled(),
            _ => self.samples(context.trace_id),
        };
        let context = context.sampled(wished && self.has_room());
        headers.insert(TRACEPARENT, context.header());
        let span = || {
            let parent = parent.map(|parent| parent.span_id);
            Span::new(Trace::new(self, context), parent, "call".to_owned(), Kind::Server, Duration::ZERO)
        };
        context.is_sampled().then(span)
    }

    /// Spans that are lost: there were too many at once, or nobody took them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn lose(&self, spans: u64) {
        self.lost.fetch_add(spans, Ordering::Relaxed);
    }

    /// Keeps a span that has ended.
    pub(super) fn keep(&self, record: Record) {
        if !self.spend() {
            return self.lose(1);
        }
        let mut kept = lock(self.kept.here());
        if kept.len() >= MAX_KEPT {
            drop(kept);
            return self.lose(1);
        }
        kept.push(record);
        if kept.len() == MANY {
            self.many.notify_one();
        }
    }

    /// Hands out what was kept, lane by lane.
    pub(super) fn take(&self) -> Vec<Record> {
        self.kept.iter().flat_map(|lane| std::mem::take(&mut *lock(lane))).collect()
    }

    fn samples(&self, trace_id: u128) -> bool {
        // The lowest bits.
        let random = (trace_id as u64) & ((1 << RANDOM_BITS) - 1);
        random < self.threshold
    }

    /// Whether another span may be kept in this second.
    fn has_room(&self) -> bool {
        self.window().spans < self.max_per_second
    }

    /// The same, and counts it.
    fn spend(&self) -> bool {
        let mut window = self.window();
        let has_room = window.spans < self.max_per_second;
        window.spans += u32::from(has_room);
        has_room
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        let second = self.started.elapsed().as_secs();
        let mut window = lock(&self.window);
        if window.second != second {
            *window = Window { second, spans: 0 };
        }
        window
    }
}

/// What the client says, if it says one thing that makes sense.
fn parent(headers: &HeaderMap) -> Option<Context> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    Context::parse(value.as_bytes())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can leave them half written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(*name, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    /// What the handler is told.
    fn told(headers: &HeaderMap) -> Context {
        assert_eq!(headers.get_all(TRACEPARENT).iter().count(), 1);
        Context::parse(headers[TRACEPARENT].as_bytes()).unwrap()
    }

    #[test]
    fn a_call_goes_on_in_the_trace_of_its_client() {
        let tracer = Tracer::new(1.0, 100);
        let mut headers = headers(&[("traceparent", UNSAMPLED.as_bytes()), ("tracestate", b"a=1"), ("tracestate", b"b=2")]);
        let span = tracer.begin(&mut headers, false).unwrap();
        let (client, told) = (Context::parse(UNSAMPLED.as_bytes()).unwrap(), told(&headers));
        assert_eq!((told.trace_id, told.is_sampled()), (client.trace_id, true));
        assert_ne!(told.span_id, client.span_id);
        assert_eq!(headers.get_all(TRACESTATE).iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
        drop(span.trace().span("below", Kind::Client, Duration::from_secs(1)));
        drop(span);
        let kept = tracer.take();
        let [below, call] = kept.as_slice() else { panic!("{kept:?}") };
        assert_eq!((call.parent, call.context, call.kind), (Some(client.span_id), told, Kind::Server));
        assert_eq!((below.parent, below.context.trace_id), (Some(told.span_id), told.trace_id));
        assert!(below.end - below.start >= Duration::from_secs(1) && call.end >= call.start);
        assert!(tracer.take().is_empty());
    }

    #[test]
    fn what_makes_no_sense_begins_a_trace() {
        let long = [b'a'; MAX_STATE];
        for (lines, is_taken) in [
            (vec![], false),
            (vec![("tracestate", b"a=1".as_slice())], false),
            (vec![("traceparent", b"00-xyz".as_slice()), ("tracestate", b"a=1".as_slice())], false),
            (vec![("traceparent", b"\xff".as_slice())], false),
            (vec![("traceparent", SAMPLED.as_bytes()), ("traceparent", SAMPLED.as_bytes())], false),
            (vec![("traceparent", SAMPLED.as_bytes()), ("tracestate", long.as_slice())], true),
        ] {
            let mut headers = headers(&lines);
            let tracer = Tracer::new(0.0, 100);
            assert!(tracer.begin(&mut headers, false).is_none());
            let told = told(&headers);
            assert_eq!(told.trace_id == 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, is_taken, "{lines:?}");
            assert!(!told.is_sampled() && !headers.contains_key(TRACESTATE), "{lines:?}");
        }
    }

    #[test]
    fn only_who_is_believed_decides_whether_a_call_is_sampled() {
        for (sample, said, is_believed, expected) in [
            (0.0, SAMPLED, true, true),
            (0.0, SAMPLED, false, false),
            (1.0, UNSAMPLED, true, false),
            (1.0, UNSAMPLED, false, true),
            (1.0, "none", true, true),
            (0.0, "none", true, false),
        ] {
            let mut headers = headers(&[("traceparent", said.as_bytes())]);
            let span = Tracer::new(sample, 100).begin(&mut headers, is_believed);
            assert_eq!((span.is_some(), told(&headers).is_sampled()), (expected, expected), "{sample} {said} {is_believed}");
        }
    }

    #[test]
    fn a_share_is_sampled_and_all_hosts_choose_the_same() {
        let (tracer, other) = (Tracer::new(0.25, u32::MAX), Tracer::new(0.25, u32::MAX));
        let ids: Vec<u128> = (0..10_000).map(|_| Context::first().trace_id).collect();
        let sampled = ids.iter().filter(|id| tracer.samples(**id)).count();
        assert!((2_000..3_000).contains(&sampled), "{sampled}");
        assert!(ids.iter().all(|id| tracer.samples(*id) == other.samples(*id)));
        assert!(ids.iter().all(|id| Tracer::new(1.0, 1).samples(*id) && !Tracer::new(0.0, 1).samples(*id)));
    }

    #[test]
    fn a_second_has_no_more_spans_than_allowed_and_the_rest_is_counted() {
        let tracer = Tracer::new(1.0, 5);
        let begun: Vec<Option<Span>> = (0..20).map(|_| tracer.begin(&mut HeaderMap::new(), true)).collect();
        // None has ended, so there is room for each.
        assert!(begun.iter().all(Option::is_some));
        drop(begun);
        let kept = tracer.take().len();
        // A second may have passed meanwhile.
        assert!((5..=10).contains(&kept), "{kept}");
        assert_eq!(tracer.lost(), 20 - kept as u64);
    }

    #[test]
    fn calls_beyond_that_are_not_sampled() {
        let tracer = Tracer::new(1.0, 5);
        let started = Instant::now();
        let mut sampled = 0;
        for _ in 0..1_000 {
            let mut headers = headers(&[("traceparent", SAMPLED.as_bytes())]);
            let span = tracer.begin(&mut headers, true);
            assert_eq!(told(&headers).is_sampled(), span.is_some());
            sampled += u64::from(span.is_some());
        }
        let seconds = started.elapsed().as_secs() + 2;
        assert!(sampled >= 5 && sampled <= 5 * seconds, "{sampled} in {seconds} s");
        assert_eq!((tracer.lost(), tracer.take().len() as u64), (0, sampled));
    }

    #[test]
    fn nothing_grows_while_nobody_takes_it() {
        let tracer = Tracer::new(1.0, u32::MAX);
        for _ in 0..MAX_KEPT + 7 {
            drop(tracer.begin(&mut HeaderMap::new(), true));
        }
        assert_eq!((tracer.take().len(), tracer.lost()), (MAX_KEPT, 7));
    }

    proptest! {
        /// Whatever clients send, the handler has one header that can be read, of a span that is the host's own.
        #[test]
        fn the_handler_is_always_told_a_span_of_the_host(
            lines in prop::collection::vec(prop_oneof!["[ -~]{0,80}", Just(SAMPLED.to_owned()), Just(UNSAMPLED.to_owned())], 0..4),
            is_believed in any::<bool>(),
        ) {
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append(TRACEPARENT, HeaderValue::from_str(line).unwrap());
            }
            let span = Tracer::new(0.5, 100).begin(&mut headers, is_believed);
            let told = told(&headers);
            prop_assert_eq!(told.is_sampled(), span.is_some());
            let own = format!("{:016x}", told.span_id);
            prop_assert!(lines.iter().all(|line| !line.contains(&own)), "{own} is in {lines:?}");
        }
    }
}
