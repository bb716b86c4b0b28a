//! Drops a future at a chosen point, and counts how often the futures of a driver are polled.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    future::{BoxFuture, FutureExt, poll_fn},
    task::AtomicWaker,
};
use wharf::driver::{Answer, Connection, Control, Driver, Engine, Failure, Operation, Session};

/// When a future is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Right after this many polls; none means that it is never polled.
    Polled(usize),
    /// After this many polls and the wake-up for the next one: what it waits for may be on its way.
    Woken(usize),
    /// Once the futures of the driver were polled this many times since the first poll.
    Driven(usize),
}

/// Polls of the futures of one driver.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    polls: AtomicUsize,
    /// At how many polls the one who waits for them is woken: a future that polls the driver itself would wake itself without end.
    due: AtomicUsize,
    waker: AtomicWaker,
}

/// Drops one future at one point.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    pub(crate) when: When,
    pub(crate) meter: Arc<Meter>,
}

impl Cut {
    /// What the future came to, or `None` when it was dropped first. `last` runs right before it is dropped. The future is polled again
    /// only when it was woken.
    pub(crate) async fn run<F: Future>(&self, future: F, last: impl FnOnce()) -> Option<F::Output> {
        let output = {
            let mut future = pin!(future);
            let (mut polls, before) = (0, self.meter.polls.load(Ordering::Relaxed));
            poll_fn(move |context| {
                let driven = self.meter.polls.load(Ordering::Relaxed) - before;
                if match self.when {
                    When::Polled(most) | When::Woken(most) => polls == most,
                    When::Driven(most) => driven >= most,
                } {
                    return Poll::Ready(Err(()));
                }
                if let When::Driven(most) = self.when {
                    self.meter.due.store(before + most, Ordering::Relaxed);
                    self.meter.waker.register(context.waker());
                }
                polls += 1;
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => Poll::Ready(Ok(output)),
                    Poll::Pending if self.when == When::Polled(polls) => Poll::Ready(Err(())),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await
            .inspect_err(|()| last())
        };
        output.ok()
    }
}

/// A driver whose futures are counted whenever they are polled.
#[derive(Debug)]
pub(crate) struct Metered {
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) meter: Arc<Meter>,
}

struct Counted<'a, T> {
    future: BoxFuture<'a, T>,
    meter: Arc<Meter>,
}

impl<T> Future for Counted<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let polled = self.future.poll_unpin(context);
        if self.meter.polls.fetch_add(1, Ordering::Relaxed) + 1 == self.meter.due.load(Ordering::Relaxed) {
            self.meter.waker.wake();
        }
        polled
    }
}

impl Meter {
    fn count<'a, T>(self: &Arc<Self>, future: BoxFuture<'a, T>) -> Counted<'a, T> {
        Counted { future, meter: Arc::clone(self) }
    }
}

impl Driver for Metered {
    fn engine(&self) -> Engine {
        self.driver.engine()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, Failure>> {
        let opened = self.meter.count(self.driver.connect());
        async move { Ok(Box::new(MeteredConnection(opened.await?, Arc::clone(&self.meter))) as Box<dyn Connection>) }.boxed()
    }

    fn control(&self) -> BoxFuture<'_, Result<Box<dyn Control>, Failure>> {
        let opened = self.meter.count(self.driver.control());
        async move { Ok(Box::new(MeteredControl(opened.await?, Arc::clone(&self.meter))) as Box<dyn Control>) }.boxed()
    }

    fn resize(&self, max_connections: u32) {
        self.driver.resize(max_connections);
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.driver.close()
    }
}

struct MeteredConnection(Box<dyn Connection>, Arc<Meter>);

impl Connection for MeteredConnection {
    fn session(&self) -> &Session {
        self.0.session()
    }

    fn run(&mut self, operation: Operation) -> BoxFuture<'_, Result<Answer, Failure>> {
        self.1.count(self.0.run(operation)).boxed()
    }

    fn run_within(&mut self, operation: Operation, left: Duration) -> BoxFuture<'_, Result<Answer, Failure>> {
        self.1.count(self.0.run_within(operation, left)).boxed()
    }

    fn needs_reset(&self) -> bool {
        self.0.needs_reset()
    }

    fn reset(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        self.1.count(self.0.reset()).boxed()
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        self.1.count(self.0.ping()).boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        let Self(connection, meter) = *self;
        meter.count(connection.close()).boxed()
    }
}

struct MeteredControl(Box<dyn Control>, Arc<Meter>);

impl Control for MeteredControl {
    fn cancel<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<(), Failure>> {
        self.1.count(self.0.cancel(session)).boxed()
    }

    fn terminate<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<(), Failure>> {
        self.1.count(self.0.terminate(session)).boxed()
    }

    fn is_listed<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<bool, Failure>> {
        self.1.count(self.0.is_listed(session)).boxed()
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        self.1.count(self.0.ping()).boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        let Self(control, meter) = *self;
        meter.count(control.close()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn yields(times: usize) -> usize {
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
        times
    }

    #[tokio::test]
    async fn a_future_is_dropped_after_the_polls_that_were_asked_for() {
        for (when, expected) in [
            (When::Polled(0), None),
            (When::Polled(2), None),
            (When::Polled(3), Some(2)),
            (When::Woken(1), None),
            (When::Woken(2), None),
            (When::Woken(3), Some(2)),
            (When::Driven(1), Some(2)),
        ] {
            let mut dropped = false;
            let output = Cut { when, meter: Arc::default() }.run(yields(2), || dropped = true).await;
            assert_eq!((output, dropped), (expected, expected.is_none()), "{when:?}");
        }
    }
}
