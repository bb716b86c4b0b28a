//! What the owner of a session, its worker thread and the control path tell each other while a statement runs.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::policy::{Action, Effect, judge};
use crate::driver::settings::Access;

/// The flags of one session. Raised and read from several threads; each says who raises it and when it falls.
#[derive(Debug)]
pub(super) struct Shared {
    access: Access,
    /// For [`Shared::deadline`].
    born: Instant,
    /// Raised by the control path, never lowered: a cancel that comes late would else hit the next borrower's statement. The session
    /// is discarded.
    pub(super) cancelled: AtomicBool,
    /// Raised by the control path and when the owner lets go, never lowered: nothing runs any more, not even a rollback.
    pub(super) terminated: AtomicBool,
    /// Raised while the host's own BEGIN, COMMIT and the like run: they pass the authorizer, and a cancel does not stop them.
    pub(super) host: AtomicBool,
    /// Raised while the worker is to give up a statement whose rows nobody wants.
    pub(super) abandoned: AtomicBool,
    /// Raised whenever the engine compiles a statement to run it; the owner lowers it before it runs one that it believes is compiled.
    pub(super) compiled: AtomicBool,
    /// What the engine had counted as changed rows when the borrower came: the counts that it is told begin at 0.
    pub(super) changes_before: AtomicI64,
    /// Microseconds after `born` at which the running statement ends; 0 is never.
    deadline: AtomicU64,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    refused: Option<&'static str>,
    /// There while a statement is compiled only to be described.
    effects: Option<Effects>,
}

/// What a statement does when it runs, as the engine's compiler told the authorizer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Effects {
    /// The table that rows are inserted into by the statement itself, not by a trigger.
    pub(super) inserts: Option<String>,
    /// Rows are changed or deleted by the statement itself, which an upsert does too.
    pub(super) updates: bool,
    /// The schema changes, perhaps only that of the session's temporary objects.
    pub(super) schema: bool,
}

impl Shared {
    pub(super) fn new(access: Access) -> Self {
        Self {
            access,
            born: Instant::now(),
            cancelled: AtomicBool::new(false),
            terminated: AtomicBool::new(false),
            host: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            compiled: AtomicBool::new(false),
            changes_before: AtomicI64::new(0),
            deadline: AtomicU64::new(0),
            notes: Mutex::default(),
        }
    }

    /// Whether the running statement may go on; asked about every thousand steps of the engine's virtual machine.
    pub(super) fn may_go_on(&self) -> bool {
        let guest_stops = || {
            let deadline = self.deadline.load(Ordering::Acquire);
            self.cancelled.load(Ordering::Acquire) || (deadline != 0 && self.born.elapsed() >= Duration::from_micros(deadline))
        };
        !self.terminated.load(Ordering::Acquire)
            && !self.abandoned.load(Ordering::Acquire)
            && (self.host.load(Ordering::Acquire) || !guest_stops())
    }

    /// Gives the statement that comes next `limit` from now.
    pub(super) fn end_statement_after(&self, limit: Duration) {
        let end = self.born.elapsed().saturating_add(limit).as_micros();
        self.deadline.store(u64::try_from(end).unwrap_or(u64::MAX).max(1), Ordering::Release);
    }

    /// Whether the engine may compile `action` into a statement; remembers what the answer was about.
    pub(super) fn allows(&self, action: &Action<'_>) -> bool {
        if self.host.load(Ordering::Acquire) {
            return true;
        }
        let mut notes = self.notes();
        let effect = match judge(action, self.access) {
            Ok(effect) => effect,
            Err(what) => {
                notes.refused = Some(what);
                return false;
            }
        };
        match &mut notes.effects {
            Some(effects) => effects.add(action, effect),
            None => self.compiled.store(true, Ordering::Release),
        }
        true
    }

    /// From here to [`Shared::described`] statements are compiled only to be looked at.
    pub(super) fn describing(&self) {
        self.notes().effects = Some(Effects::default());
    }

    /// What the statement compiled since [`Shared::describing`] would do.
    pub(super) fn described(&self) -> Effects {
        self.notes().effects.take().unwrap_or_default()
    }

    /// What was refused last, once.
    pub(super) fn take_refused(&self) -> Option<&'static str> {
        self.notes().refused.take()
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Effects {
    fn add(&mut self, action: &Action<'_>, effect: Effect) {
        match effect {
            Effect::Inserts if action.trigger.is_none() => self.inserts = action.first.map(str::to_owned),
            Effect::Updates if action.trigger.is_none() => self.updates = true,
            Effect::Schema => self.schema = true,
            Effect::Inserts | Effect::Updates | Effect::Reads => {}
        }
    }
}

/// A flag that is raised until this is dropped.
#[derive(Debug)]
pub(super) struct Raised<'a>(&'a AtomicBool);

impl<'a> Raised<'a> {
    pub(super) fn new(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::Release);
        Self(flag)
    }
}

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
