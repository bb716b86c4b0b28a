//! Time that passes only when nobody has anything to do, or whenever the scheduler of an impatient schedule says so.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ops::{Add, Sub},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::future::{Either, poll_fn, select};

/// As `tokio::time::Instant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

impl Instant {
    /// The time of the schedule, which begins at 0.
    #[must_use]
    pub fn now() -> Self {
        CLOCK.with_borrow(|clock| Self(clock.now))
    }

    /// How long ago it was.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::now().saturating_duration_since(*self)
    }

    /// From the other to this one; nothing when that one is later.
    #[must_use]
    pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0 + later)
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// The clock of a schedule. All of it runs in one thread.
#[derive(Debug, Default)]
struct Clock {
    now: Duration,
    last_timer: u64,
    timers: BTreeMap<(Duration, u64), Waker>,
    /// The clock itself, while there is no timer.
    idle: Option<Waker>,
}

thread_local! {
    static CLOCK: RefCell<Clock> = RefCell::default();
}

/// Sets the clock to 0, and forgets what an earlier schedule waited for.
pub fn reset() {
    // Dropped outside: what a waker holds may look at the clock.
    drop(CLOCK.replace(Clock::default()));
}

/// Drives the clock, from one timer to the next, whenever it is polled. The scheduler decides when that is.
pub async fn run() {
    loop {
        let wakers = poll_fn(|context| {
            CLOCK.with_borrow_mut(|clock| match clock.timers.first_key_value() {
                None => {
                    clock.idle = Some(context.waker().clone());
                    Poll::Pending
                }
                Some(((at, _), _)) => {
                    let at = *at;
                    clock.now = clock.now.max(at);
                    let later = clock.timers.split_off(&(at, u64::MAX));
                    Poll::Ready(std::mem::replace(&mut clock.timers, later))
                }
            })
        })
        .await;
        for waker in wakers.into_values() {
            waker.wake();
        }
        shuttle::future::yield_now().await;
    }
}

/// As `tokio::time::Sleep`.
#[derive(Debug)]
pub struct Sleep {
    at: Instant,
    timer: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let idle = CLOCK.with_borrow_mut(|clock| {
            if clock.now >= self.at.0 {
                return None;
            }
            let timer = self.timer.unwrap_or_else(|| {
                clock.last_timer += 1;
                clock.last_timer
            });
            self.timer = Some(timer);
            clock.timers.insert((self.at.0, timer), context.waker().clone());
            Some(clock.idle.take())
        });
        match idle {
            None => Poll::Ready(()),
            Some(idle) => {
                if let Some(idle) = idle {
                    idle.wake();
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            // Another schedule may have begun meanwhile.
            CLOCK.with_borrow_mut(|clock| clock.timers.remove(&(self.at.0, timer)));
        }
    }
}

/// As `tokio::time::sleep`.
#[must_use]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// As `tokio::time::sleep_until`.
#[must_use]
pub fn sleep_until(at: Instant) -> Sleep {
    Sleep { at, timer: None }
}

/// As `tokio::time::timeout`.
pub fn timeout<F: Future>(duration: Duration, future: F) -> impl Future<Output = Result<F::Output, Elapsed>> {
    timeout_at(Instant::now() + duration, future)
}

/// As `tokio::time::timeout_at`.
pub async fn timeout_at<F: Future>(at: Instant, future: F) -> Result<F::Output, Elapsed> {
    // The future first, as tokio does.
    match select(std::pin::pin!(future), sleep_until(at)).await {
        Either::Left((output, _)) => Ok(output),
        Either::Right(((), _)) => Err(Elapsed),
    }
}

/// The time was over first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;
