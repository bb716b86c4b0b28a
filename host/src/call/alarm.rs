//! The alarm of a call's deadline, to a fraction of a millisecond.

use std::{io, pin::Pin, time::Duration};

use tokio::time::{Instant, sleep_until};

/// How late tokio's timer may be: it rounds the time up to a whole millisecond, and so does mio its wait for it.
const COARSE: Duration = Duration::from_millis(2);

/// What [`at`] gives.
pub(super) type Alarm = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Resolves at the deadline, not before.
///
/// A call that is over sooner, as most are, has cost an entry in tokio's timer. Only the last [`COARSE`] of a deadline are waited for with
/// a timer of the kernel's own, for which it takes a file descriptor. Where there is none, tokio's has to do.
///
/// # Cancellation
/// Dropping it stops it.
pub(super) fn at(deadline: Instant) -> Alarm {
    Box::pin(async move {
        sleep_until(deadline.checked_sub(COARSE).unwrap_or(deadline)).await;
        if finely(deadline).await.is_err() {
            sleep_until(deadline).await;
        }
    })
}

#[cfg(target_os = "linux")]
async fn finely(deadline: Instant) -> io::Result<()> {
    use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};
    use tokio::net::unix::pipe::Receiver;

    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    // No pipe, but waited for like one, which takes no unsafe code as `AsyncFd` does.
    let timer = Receiver::from_owned_fd_unchecked(timer)?;
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        // Which the kernel takes for never.
        return Ok(());
    }
    let it_value = Timespec::try_from(left).map_err(io::Error::other)?;
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: Timespec::default(), it_value })?;
    loop {
        timer.readable().await?;
        match timer.try_read(&mut [0; 8]) {
            // A false alarm, which `readable` may give.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read.map(drop),
        }
    }
}

#[cfg(not(target_os = "linux"))]
async fn finely(_: Instant) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_never_goes_off_before_its_time_and_at_once_after_it() {
        let now = Instant::now();
        at(now).await;
        at(now.checked_sub(Duration::from_millis(1)).unwrap()).await;
        for micros in [1, 700, 1_999, 2_000, 2_001, 3_300, 10_000] {
            let deadline = Instant::now() + Duration::from_micros(micros);
            at(deadline).await;
            assert!(Instant::now() >= deadline, "{micros} us");
        }
    }
}
