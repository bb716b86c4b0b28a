//! A call as others see it while it runs: what it has used, where it stands, and whether the operator wants it to end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    task::Waker,
};

use futures::task::AtomicWaker;

use crate::telemetry::timing::{Part, Span, Timing};

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its answer has not begun.
    Running,
    /// Its answer has begun, and more of it is to come.
    Streaming,
    /// Its answer is given out, and the handler goes on.
    WorkingOn,
}

/// What is known of a call besides its leases. Written by whoever runs it, read by anybody.
#[derive(Debug)]
pub struct Life {
    fuel_left: AtomicU64,
    memory_peak: AtomicU64,
    refused_memory: AtomicBool,
    stage: AtomicU8,
    is_cancelled: AtomicBool,
    /// Of whoever runs the call, when it waits.
    waker: AtomicWaker,
    /// What its time goes into, if that is asked for.
    timing: Option<Arc<Timing>>,
}

impl Life {
    pub(super) fn new(timing: Option<Arc<Timing>>) -> Self {
        Self {
            // More than there may be: nothing is used.
            fuel_left: u64::MAX.into(),
            memory_peak: 0.into(),
            refused_memory: false.into(),
            stage: (Stage::Running as u8).into(),
            is_cancelled: false.into(),
            waker: AtomicWaker::new(),
            timing,
        }
    }

    /// Counts for a part of the call's time until what is returned is dropped.
    #[must_use]
    pub fn time(&self, part: Part) -> Option<Span> {
        self.timing.as_ref().map(|timing| timing.begin(part))
    }

    /// The fuel that is left; more than the call was given as long as none was told.
    #[must_use]
    pub fn fuel_left(&self) -> u64 {
        self.fuel_left.load(Ordering::Relaxed)
    }

    /// Tells the fuel that is left.
    pub fn set_fuel_left(&self, fuel_left: u64) {
        self.fuel_left.store(fuel_left, Ordering::Relaxed);
    }

    /// The most bytes of memory it had; known at its end.
    #[must_use]
    pub fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Ordering::Relaxed)
    }

    /// Whether it was refused memory; known at its end.
    #[must_use]
    pub fn refused_memory(&self) -> bool {
        self.refused_memory.load(Ordering::Relaxed)
    }

    /// Tells what its memory came to.
    pub fn set_memory(&self, peak: u64, refused: bool) {
        self.memory_peak.store(peak, Ordering::Relaxed);
        self.refused_memory.store(refused, Ordering::Relaxed);
    }

    /// Where it stands.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Relaxed) {
            stage if stage == Stage::Running as u8 => Stage::Running,
            stage if stage == Stage::Streaming as u8 => Stage::Streaming,
            _ => Stage::WorkingOn,
        }
    }

    /// Tells where it stands from now on.
    pub fn stands(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Whether the operator wants it to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Has `waker` woken by the next [`Life::wake`]. Whatever is then to be seen is looked for after this, or it may have been missed.
    pub fn wait(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Wakes whoever runs the call, if it waits. Whatever it is to see has been said before.
    pub fn wake(&self) {
        self.waker.wake();
    }
}
