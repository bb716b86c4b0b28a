//! How calls end, counted.

use crate::{lease::End, telemetry::metrics::Cells};

macro_rules! outcomes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $end:ident;)*) => {
        /// How a call ended, for logs and counters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Outcome { $($(#[$doc])* $variant,)* }

        impl Outcome {
            /// Every outcome, in the order of [`Counters`].
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

/// Behind the outcomes.
const FUEL: usize = Outcome::ALL.len();

/// Counts of calls since the start.
#[derive(Debug, Default)]
pub struct Counters(Cells<{ FUEL + 1 }>);

impl Counters {
    /// Calls that ended so.
    #[must_use]
    pub fn ended(&self, outcome: Outcome) -> u64 {
        self.0.sum(outcome as usize)
    }

    /// Fuel that all ended calls used together.
    #[must_use]
    pub fn fuel_used(&self) -> u64 {
        self.0.sum(FUEL)
    }

    pub(super) fn finished(&self, outcome: Outcome, fuel: u64) {
        self.0.add(FUEL, fuel);
        self.never_ran(outcome);
    }

    pub(super) fn never_ran(&self, outcome: Outcome) {
        self.0.add(outcome as usize, 1);
    }
}
