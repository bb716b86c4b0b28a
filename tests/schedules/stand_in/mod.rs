//! What takes the place of `tokio`, `tokio-util` and `rand` when `pool` and `lease` are compiled for the scheduler: time that passes only when
//! nobody has anything to do, tasks of the scheduler's, channels at which it may stop whoever sends, and randomness that it can repeat.
//!
//! Channels, the asynchronous lock, cancellation and the tracker of tasks are tokio's own; only the points where others may come in
//! between are added.

pub mod random;
pub mod sync;
pub mod task;
pub mod time;

pub use random::{Rng, random_range, rng};

#[doc(hidden)]
pub use tokio::select as genuine_select;

/// As `tokio::select!`. Branches are always tried in order, since tokio would draw the first one from a source that cannot be repeated.
#[macro_export]
macro_rules! select {
    (biased; $($branches:tt)*) => { $crate::genuine_select! { biased; $($branches)* } };
    ($($branches:tt)*) => { $crate::genuine_select! { biased; $($branches)* } };
}

/// A point where the scheduler may let others go first.
pub(crate) fn point() {
    // Whoever unwinds already is not to be stopped again.
    if !std::thread::panicking() {
        shuttle::thread::yield_now();
    }
}
