//! The host-wide limit on connections, over all databases together.

use std::sync::{PoisonError, Weak};

use super::database::Inner;
use crate::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

/// Counts the connections of all databases of the host.
///
/// A place is taken before a connection is opened and given back when the server has confirmed that it is gone.
#[derive(Debug)]
pub struct HostCapacity {
    max: u32,
    used: AtomicU32,
    /// Whether a database was refused a place since somebody looked last.
    wanted: AtomicBool,
    /// Whether a database without any connection found neither a place nor an idle connection that could be closed.
    starving: AtomicBool,
    databases: Mutex<Vec<Weak<Inner>>>,
}

impl HostCapacity {
    /// At most `max` connections at any time.
    #[must_use]
    pub fn new(max: u32) -> Self {
        let (wanted, starving) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { max, used: AtomicU32::new(0), wanted, starving, databases: Mutex::default() }
    }

    pub(super) fn register(&self, database: Weak<Inner>) {
        self.databases.lock().unwrap_or_else(PoisonError::into_inner).push(database);
    }

    pub(super) fn try_take(&self) -> bool {
        let taken =
            self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| (used < self.max).then_some(used + 1)).is_ok();
        match taken {
            // There was a place: who starves looks for one again before anything is closed for it.
            true => self.starving.store(false, Ordering::Release),
            false => self.wanted.store(true, Ordering::Release),
        }
        taken
    }

    /// Whether some database waits for a place.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Lets all databases look again for places, or for idle connections elsewhere that can be closed. Must not be called with a
    /// database's state locked.
    pub(super) fn dispatch_wanting(&self) {
        self.wanted.store(false, Ordering::Release);
        let mut databases = self.others(None);
        // Each is looked at once: with answers that change meanwhile a sort may panic.
        databases.sort_by_cached_key(|database| database.state().counts().total() > 0);
        for database in databases {
            database.dispatch();
        }
    }

    /// Frees a place and lets the databases that wait for one go on. Must not be called with a database's state locked.
    pub(super) fn give_back(&self) {
        let before = self.used.fetch_sub(1, Ordering::AcqRel);
        debug_assert!(before > 0, "a place was given back twice");
        if before >= self.max {
            self.dispatch_wanting();
        }
    }

    /// Asks some other database to close one idle connection, even of its minimum, unless as many as are missing are being closed already.
    /// When none is idle and the asking database starves, the next that comes free is closed. Must not be called with a database's state
    /// locked.
    pub(super) fn make_room(&self, asking: &Inner, missing: u32, starving: bool) {
        let others = self.others(Some(asking));
        if others.iter().map(|database| database.state().evicting()).sum::<usize>() >= missing as usize {
            return;
        }
        let found = others.iter().any(|database| database.evict_idle());
        if starving && !found {
            self.starving.store(true, Ordering::Release);
        }
    }

    /// Whether the connection that has just come free is to be closed in favour of a database that has none. Told once.
    pub(super) fn take_starving(&self) -> bool {
        self.starving.load(Ordering::Acquire) && self.starving.swap(false, Ordering::AcqRel)
    }

    fn others(&self, except: Option<&Inner>) -> Vec<std::sync::Arc<Inner>> {
        let databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        databases.iter().filter_map(Weak::upgrade).filter(|other| !except.is_some_and(|it| std::ptr::eq(it, &**other))).collect()
    }
}
