//! How calls end.

use crate::{lease::End, plugin::Stats};

macro_rules! outcomes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $end:ident;)*) => {
        /// How a call ended, for logs and metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Outcome { $($(#[$doc])* $variant,)* }

        impl Outcome {
            /// Every outcome, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name in logs and metrics.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What the leases are told.
            #[must_use]
            pub fn end(self) -> End {
                match self { $(Self::$variant => End::$end,)* }
            }
        }
    };
}

outcomes! {
    /// The handler returned and its answer was handed over to the last byte.
    Answered = "answered", Returned;
    /// See [`CallError::NoResponse`](super::CallError::NoResponse).
    NoResponse = "no-response", Returned;
    /// See [`CallError::GuestError`](super::CallError::GuestError).
    GuestError = "guest-error", Returned;
    /// See [`CallError::InvalidResponse`](super::CallError::InvalidResponse).
    InvalidResponse = "invalid-response", Returned;
    /// See [`CallError::Trapped`](super::CallError::Trapped).
    Trapped = "trapped", Trapped;
    /// See [`CallError::FuelExhausted`](super::CallError::FuelExhausted).
    FuelExhausted = "fuel-exhausted", FuelExhausted;
    /// See [`CallError::MemoryExhausted`](super::CallError::MemoryExhausted).
    MemoryExhausted = "memory-exhausted", MemoryExhausted;
    /// See [`CallError::DeadlineExceeded`](super::CallError::DeadlineExceeded).
    DeadlineExceeded = "deadline-exceeded", DeadlineExceeded;
    /// See [`CallError::ClientGone`](super::CallError::ClientGone).
    ClientGone = "client-gone", ClientGone;
    /// See [`CallError::ReaderStalled`](super::CallError::ReaderStalled).
    ReaderStalled = "reader-stalled", ClientGone;
    /// See [`CallError::BodyStalled`](super::CallError::BodyStalled).
    BodyStalled = "body-stalled", ClientGone;
    /// See [`CallError::BodyTooLarge`](super::CallError::BodyTooLarge).
    BodyTooLarge = "body-too-large", ClientGone;
    /// See [`CallError::InvalidRequest`](super::CallError::InvalidRequest).
    InvalidRequest = "invalid-request", Returned;
    /// See [`CallError::Overloaded`](super::CallError::Overloaded).
    Overloaded = "overloaded", Returned;
    /// See [`CallError::ShuttingDown`](super::CallError::ShuttingDown).
    ShuttingDown = "shutting-down", ShuttingDown;
    /// See [`CallError::HostPanicked`](super::CallError::HostPanicked).
    HostPanicked = "host-panicked", HostPanicked;
    /// See [`CallError::Cancelled`](super::CallError::Cancelled).
    Cancelled = "cancelled", Cancelled;
}

// Each has its place in the counts of a plugin.
const _: () = assert!(Outcome::ALL.len() <= Stats::ENDS, "more ways to end than are counted");

impl Outcome {
    /// How many calls of a plugin ended so.
    #[must_use]
    pub fn count(self, stats: &Stats) -> u64 {
        stats.ended(self as usize)
    }

    pub(super) fn count_in(self, stats: &Stats) {
        stats.end(self as usize);
    }
}
