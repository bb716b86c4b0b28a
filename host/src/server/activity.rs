//! What one connection is doing: told by its socket and its requests, read by its supervisor.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Version;
use tokio::time::Instant;

use super::Counters;

const NEVER: u64 = u64::MAX;

/// An answer that a stalled reader may lose.
pub(super) trait Answering: Send + Sync {
    /// Drops the handler's body if the client was offered a piece before `deadline` and has not taken it; true if so.
    fn give_up(&self, deadline: Instant) -> bool;
}

/// Every field stands for itself, so relaxed atomics do; with HTTP/1.1 one task touches them all.
pub(super) struct Activity {
    accepted: Instant,
    /// The server's; here so that nothing that all cores share is touched for a request.
    counters: Arc<Counters>,
    calls: AtomicUsize,
    /// When the last call ended, and when the first byte after it came in; in ms since `accepted`.
    idle_since: AtomicU64,
    first_byte: AtomicU64,
    /// When bytes were last written, in ms as well.
    last_write: AtomicU64,
    has_served: AtomicBool,
    is_http2: AtomicBool,
    /// Bytes of an ended call may still wait to be written.
    unflushed: AtomicBool,
    /// Bytes of an answer were accepted since the running call began.
    answering_now: AtomicBool,
    /// The client may still be sending what nobody reads.
    unread: AtomicBool,
    cut: AtomicBool,
    answers: Mutex<Vec<Arc<dyn Answering>>>,
}

/// What a connection without a running call waits for, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The first byte of the next request.
    Idle(Instant),
    /// The rest of a request's headers, or the first request of all.
    Headers(Instant),
}

impl Activity {
    pub(super) fn new(accepted: Instant, counters: Arc<Counters>) -> Self {
        Self {
            accepted,
            counters,
            calls: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            first_byte: AtomicU64::new(NEVER),
            last_write: AtomicU64::new(0),
            has_served: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            unflushed: AtomicBool::new(false),
            answering_now: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            answers: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn call_began(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.has_served.store(true, Ordering::Relaxed);
        self.answering_now.store(false, Ordering::Relaxed);
        // On HTTP/1.1 the body before was read to its end, or there would be no next call.
        self.unread.store(false, Ordering::Relaxed);
        self.first_byte.store(NEVER, Ordering::Relaxed);
    }

    pub(super) fn call_ended(&self, now: Instant) {
        self.idle_since.store(self.millis(now), Ordering::Relaxed);
        self.unflushed.store(true, Ordering::Relaxed);
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn bytes_read(&self) {
        if self.calls() == 0 && self.first_byte.load(Ordering::Relaxed) == NEVER {
            self.first_byte.store(self.millis(Instant::now()), Ordering::Relaxed);
        }
    }

    /// Bytes of an answer were accepted, and may be on their way.
    pub(super) fn answering(&self) {
        self.answering_now.store(true, Ordering::Relaxed);
    }

    /// The operating system took bytes.
    pub(super) fn bytes_written(&self) {
        self.last_write.store(self.millis(Instant::now()), Ordering::Relaxed);
    }

    pub(super) fn flushed(&self) {
        self.unflushed.store(false, Ordering::Relaxed);
    }

    pub(super) fn set_http2(&self) {
        self.is_http2.store(true, Ordering::Relaxed);
    }

    /// A request says what is spoken. What the connection began with, or agreed on, was only a promise: who broke it would be under the time
    /// limits of the other version.
    pub(super) fn speaks(&self, version: Version) {
        let is_http2 = version == Version::HTTP_2;
        // Streams of one connection may be on several cores.
        if self.is_http2() != is_http2 {
            self.is_http2.store(is_http2, Ordering::Relaxed);
        }
    }

    pub(super) fn is_http2(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    pub(super) fn has_served(&self) -> bool {
        self.has_served.load(Ordering::Relaxed)
    }

    /// Some bytes of a request came in that is not yet a call.
    pub(super) fn has_begun_request(&self) -> bool {
        self.first_byte.load(Ordering::Relaxed) != NEVER
    }

    /// No call is running, and every byte of those that ended is with the operating system.
    pub(super) fn is_quiet(&self) -> bool {
        self.calls() == 0 && !self.unflushed.load(Ordering::Relaxed)
    }

    /// A call is running, on HTTP/1.1, and not a byte of its answer is out.
    pub(super) fn owes_headers(&self) -> bool {
        self.calls() == 1 && !self.is_http2() && !self.answering_now.load(Ordering::Relaxed)
    }

    pub(super) fn set_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// The calls that still run end because the server does.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    /// Meaningful while no call is running.
    pub(super) fn waiting(&self) -> Waiting {
        let first_byte = self.first_byte.load(Ordering::Relaxed);
        if !self.has_served() {
            // A new connection has to bring a request; a peer that sends nothing at all is no better than one that sends slowly.
            let since = if first_byte == NEVER || self.is_http2() { 0 } else { first_byte };
            Waiting::Headers(self.instant(since))
        } else if first_byte == NEVER || self.is_http2() {
            // HTTP/2 peers send pings and settings between requests.
            Waiting::Idle(self.instant(self.idle_since.load(Ordering::Relaxed)))
        } else {
            Waiting::Headers(self.instant(first_byte))
        }
    }

    pub(super) fn add_answer(&self, answer: Arc<dyn Answering>) {
        self.answers().push(answer);
    }

    /// At most `max_concurrent_streams` are in the list, one with HTTP/1.1.
    pub(super) fn remove_answer(&self, answer: *const ()) {
        let mut answers = self.answers();
        if let Some(place) = answers.iter().position(|known| Arc::as_ptr(known).cast::<()>() == answer) {
            answers.swap_remove(place);
        }
    }

    /// Gives up the answers that nobody reads; true if there was one.
    pub(super) fn give_up_stalled(&self, now: Instant, limit: Duration) -> bool {
        let Some(deadline) = now.checked_sub(limit) else { return false };
        // With one answer at a time, what the connection takes is what the answer's reader takes, and a slow reader is no stalled one.
        if !self.is_http2() && self.instant(self.last_write.load(Ordering::Relaxed)) >= deadline {
            return false;
        }
        // Dropping a body may end its exchange, which takes this lock: work on a copy.
        let answers = self.answers().clone();
        answers.iter().filter(|answer| answer.give_up(deadline)).count() > 0
    }

    fn answers(&self) -> MutexGuard<'_, Vec<Arc<dyn Answering>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from((at - self.accepted).as_millis()).unwrap_or(NEVER - 1)
    }

    fn instant(&self, millis: u64) -> Instant {
        self.accepted + Duration::from_millis(millis)
    }
}
