//! Shards: one thread with a runtime of its own for each core, so that a request, its instance and the session it uses stay on one core.
//!
//! A runtime that steals work moves a call to another core at most of its waits: there its memory is cold, and what one core has allocated
//! another frees. That costs a call with one statement about a third of its throughput. A shard steals nothing; so clients' connections
//! and HTTP/2 streams go to the shard that has the fewest, and a call that computes for long leaves its shard (`call::caller`).
//!
//! Guests compute in each of them, a turn after the other, so that whoever takes several turns waits for many of theirs. What may not wait
//! has a thread of its own beside the shards, in which no guest ever runs (`Shards::aside`).

use std::{
    cell::Cell,
    fmt,
    future::Future,
    io,
    panic::resume_unwind,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    time::interval,
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::telemetry::{beat::Pulse, lanes};

/// How often a shard shows that it goes on.
const BEAT: Duration = Duration::from_millis(500);

thread_local! {
    static HERE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The shards of a host; without any, everything runs where it is started. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shards(Arc<All>);

#[derive(Debug, Default)]
struct All {
    shards: Vec<Shard>,
    /// Beside them.
    aside: Option<Runtime>,
}

#[derive(Debug)]
struct Shard {
    runtime: Runtime,
    /// How many connections and streams of clients are served here.
    seats: AtomicUsize,
}

/// That of a thread.
#[derive(Debug)]
struct Runtime {
    handle: Handle,
    pulse: Arc<Pulse>,
}

/// The threads behind [`Shards`]. Dropping it ends them without waiting.
pub struct Threads {
    stop: Vec<oneshot::Sender<()>>,
    /// Locked by nobody; it makes the whole shareable.
    ended: Mutex<mpsc::Receiver<()>>,
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("count", &self.stop.len()).finish_non_exhaustive()
    }
}

impl Shards {
    /// Starts so many shards, and the thread beside them.
    ///
    /// # Errors
    /// The system gives no thread, or no descriptors for its events. Those that were started end.
    pub fn start(count: usize) -> io::Result<(Self, Threads)> {
        let (done, ended) = mpsc::channel();
        let mut threads = Threads { stop: Vec::new(), ended: Mutex::new(ended) };
        let mut shards = Vec::new();
        for index in 0..count {
            let settle = move || {
                HERE.set(Some(index));
                lanes::settle(index);
            };
            let runtime = threads.start(format!("wharf-shard-{index}"), done.clone(), settle)?;
            shards.push(Shard { runtime, seats: AtomicUsize::new(0) });
        }
        let aside = Some(threads.start("wharf-aside".to_owned(), done, || ())?);
        Ok((Self(Arc::new(All { shards, aside })), threads))
    }

    /// The shard of this thread.
    pub(crate) fn here() -> Option<usize> {
        HERE.get()
    }

    /// For how long the thread that has gone on least has been held up by `now`: if it is a shard, it serves none of its clients.
    pub(crate) fn overdue(&self, now: Instant) -> Duration {
        let All { shards, aside } = &*self.0;
        let runtimes = shards.iter().map(|shard| &shard.runtime).chain(aside);
        runtimes.map(|runtime| runtime.pulse.overdue(now)).max().unwrap_or_default()
    }

    /// A seat in the shard that has the fewest taken, the caller's if it is among them.
    pub(crate) fn seat(&self) -> Seat {
        let taken = |index: usize| self.0.shards[index].seats.load(Ordering::Relaxed);
        let index = self.emptiest(taken);
        if let Some(shard) = index.map(|index| &self.0.shards[index]) {
            shard.seats.fetch_add(1, Ordering::Relaxed);
        }
        Seat { shards: self.clone(), index }
    }

    /// The shard with the least of something, the caller's own if that is among them; `None` without shards.
    pub(crate) fn emptiest(&self, load: impl Fn(usize) -> usize) -> Option<usize> {
        (0..self.0.shards.len()).min_by_key(|index| (load(*index), Some(*index) != Self::here()))
    }

    /// Starts a task in a shard, or where the caller runs.
    pub(crate) fn spawn<F>(&self, index: Option<usize>, tasks: &TaskTracker, task: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        drop(match index {
            Some(index) => tasks.spawn_on(task, &self.0.shards[index].runtime.handle),
            None => tasks.spawn(task),
        });
    }

    /// Does what may not wait until guests have had their turns, in the thread beside the shards; without shards, where the caller runs.
    /// `None` when that thread has ended. What waits for a socket of a shard still waits for that shard.
    ///
    /// # Panics
    /// With it.
    /// # Cancellation
    /// Ends it.
    pub(crate) async fn aside<F>(&self, doing: F) -> Option<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let Some(runtime) = &self.0.aside else { return Some(doing.await) };
        let done = AbortOnDropHandle::new(runtime.handle.spawn(doing)).await;
        done.map_err(|ended| ended.try_into_panic().map(resume_unwind)).ok()
    }
}

/// Beats for as long as it is polled.
async fn go_on(pulse: &Pulse) {
    let mut beats = interval(BEAT);
    loop {
        beats.tick().await;
        // Ticks may be late on a busy machine.
        pulse.beat(2 * BEAT);
    }
}

/// A connection's or stream's place in a shard, counted while it exists.
#[derive(Debug)]
pub(crate) struct Seat {
    shards: Shards,
    index: Option<usize>,
}

impl Seat {
    /// Starts a task here; it keeps the seat until its end.
    pub(crate) fn spawn<F>(self, tasks: &TaskTracker, task: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (shards, index) = (self.shards.clone(), self.index);
        shards.spawn(index, tasks, async move {
            let output = task.await;
            drop(self);
            output
        });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(index) = self.index {
            self.shards.0.shards[index].seats.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Threads {
    /// Starts one more, which first does `settle` and sends to `done` when it has ended.
    fn start(&mut self, name: String, done: mpsc::Sender<()>, settle: impl FnOnce() + Send + 'static) -> io::Result<Runtime> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let pulse = Arc::new(Pulse::default());
        pulse.beat(BEAT);
        let beating = Arc::clone(&pulse);
        thread::Builder::new().name(name).spawn(move || {
            settle();
            // Told, or left alone by whoever would have told it.
            runtime.block_on(async {
                tokio::select! {
                    _stopped = stopped => {}
                    () = go_on(&beating) => {}
                }
            });
            runtime.shutdown_background();
            let _unwatched = done.send(());
        })?;
        self.stop.push(stop);
        Ok(Runtime { handle, pulse })
    }

    /// Ends the threads, with whatever is left in them.
    ///
    /// # Bounds
    /// Waits for `limit` at most; a thread that does not come back is left behind.
    pub fn stop(self, limit: Duration) {
        let Self { stop, ended } = self;
        let ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
        let deadline = Instant::now() + limit;
        let count = stop.len();
        drop(stop);
        for _ in 0..count {
            if ended.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{panic::AssertUnwindSafe, sync::Barrier};

    use futures::FutureExt;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// Keeps a shard from going on until what comes back is waited for.
    fn hold_up(shards: &Shards, index: usize) -> Arc<Barrier> {
        let (stuck, busy) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let theirs = (Arc::clone(&stuck), Arc::clone(&busy));
        shards.spawn(Some(index), &TaskTracker::new(), async move {
            theirs.1.wait();
            theirs.0.wait();
        });
        busy.wait();
        stuck
    }

    #[tokio::test]
    async fn seats_are_taken_evenly_and_given_back_with_their_tasks() {
        let (shards, threads) = Shards::start(3).unwrap();
        let tasks = TaskTracker::new();
        let (stay, stop) = tokio::sync::watch::channel(());
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..6 {
            let (tell, mut stop) = (tell.clone(), stop.clone());
            shards.seat().spawn(&tasks, async move {
                tell.send(Shards::here()).unwrap();
                let _stopped = stop.changed().await;
            });
        }
        let mut found = Vec::new();
        for _ in 0..6 {
            found.push(told.recv().await.unwrap());
        }
        found.sort();
        assert_eq!(found, [0, 0, 1, 1, 2, 2].map(Some));
        drop(stay);
        tasks.close();
        tasks.wait().await;
        assert!(shards.0.shards.iter().all(|shard| shard.seats.load(Ordering::Relaxed) == 0));
        threads.stop(LIMIT);
    }

    #[tokio::test]
    async fn a_task_without_shards_runs_where_it_is_started() {
        let tasks = TaskTracker::new();
        let (tell, told) = oneshot::channel();
        let here = thread::current().id();
        Shards::default().seat().spawn(&tasks, async move { tell.send(thread::current().id()) });
        assert_eq!(told.await.unwrap(), here);
    }

    #[tokio::test]
    async fn what_is_done_aside_waits_for_no_shard_and_ends_with_whoever_waits_for_it() {
        let (shards, threads) = Shards::start(1).unwrap();
        let stuck = hold_up(&shards, 0);
        let there = async { (Shards::here(), thread::current().name().map(str::to_owned)) };
        assert_eq!(shards.aside(there).await, Some((None, Some("wharf-aside".to_owned()))));
        let panicking = shards.aside(async { panic!("as some drivers do") });
        assert!(AssertUnwindSafe(panicking).catch_unwind().await.is_err());
        stuck.wait();

        let (held, dropped) = oneshot::channel::<()>();
        let (begun, begins) = oneshot::channel();
        let given_up = shards.aside(async move {
            begun.send(()).unwrap();
            std::future::pending::<()>().await;
            drop(held);
        });
        tokio::select! {
            ended = given_up => panic!("ended with {ended:?}"),
            begins = begins => begins.unwrap(),
        }
        assert!(dropped.await.is_err());
        threads.stop(LIMIT);
        assert_eq!(shards.aside(async {}).await, None);
    }

    #[tokio::test]
    async fn without_shards_it_is_done_where_the_caller_runs() {
        let here = thread::current().id();
        assert_eq!(Shards::default().aside(async move { thread::current().id() == here }).await, Some(true));
    }

    #[test]
    fn threads_end_with_what_is_left_in_them() {
        let (shards, threads) = Shards::start(2).unwrap();
        let held = Arc::new(());
        let kept = Arc::clone(&held);
        shards.spawn(Some(1), &TaskTracker::new(), async move {
            std::future::pending::<()>().await;
            drop(kept);
        });
        threads.stop(LIMIT);
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn a_shard_that_is_held_up_is_overdue_until_it_goes_on() {
        let (shards, threads) = Shards::start(2).unwrap();
        let stuck = hold_up(&shards, 1);
        // Whatever comes after now is not there before it goes on.
        let much_later = Instant::now() + LIMIT + 2 * BEAT;
        assert!(shards.overdue(much_later) >= LIMIT);
        stuck.wait();
        let mut looks = interval(Duration::from_millis(10));
        let goes_on = async {
            while shards.overdue(much_later) >= LIMIT {
                looks.tick().await;
            }
        };
        tokio::time::timeout(LIMIT, goes_on).await.unwrap();
        threads.stop(LIMIT);
        assert_eq!(Shards::default().overdue(much_later), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_thread_that_does_not_come_back_is_left_behind() {
        let (shards, threads) = Shards::start(1).unwrap();
        let stuck = hold_up(&shards, 0);
        threads.stop(Duration::from_millis(10));
        stuck.wait();
    }
}
