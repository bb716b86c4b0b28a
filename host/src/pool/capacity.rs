//! The host-wide limit on connections, over all databases together.

use std::sync::{
    Mutex, PoisonError, Weak,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use super::database::Inner;

/// Counts the connections of all databases of the host.
///
/// A place is taken before a connection is opened and given back when the server has confirmed that it is gone.
#[derive(Debug)]
pub struct HostCapacity {
    max: u32,
    used: AtomicU32,
    /// Whether a database was refused a place since somebody looked last.
    wanted: AtomicBool,
    databases: Mutex<Vec<Weak<Inner>>>,
}

impl HostCapacity {
    /// At most `max` connections at any time.
    #[must_use]
    pub fn new(max: u32) -> Self {
        Self { max, used: AtomicU32::new(0), wanted: AtomicBool::new(false), databases: Mutex::new(Vec::new()) }
    }

    /// The limit.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.max
    }

    /// Connections in whatever state, now.
    #[must_use]
    pub fn used(&self) -> u32 {
        self.used.load(Ordering::Acquire)
    }

    pub(super) fn register(&self, database: Weak<Inner>) {
        self.databases.lock().unwrap_or_else(PoisonError::into_inner).push(database);
    }

    pub(super) fn try_take(&self) -> bool {
        let taken =
            self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| (used < self.max).then_some(used + 1)).is_ok();
        if !taken {
            self.wanted.store(true, Ordering::Release);
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
        for database in self.others(None) {
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

    /// Asks some other database to close one idle connection. Must not be called with a database's state locked.
    pub(super) fn make_room(&self, asking: &Inner) {
        let _ = self.others(Some(asking)).iter().any(|database| database.evict_idle());
    }

    fn others(&self, except: Option<&Inner>) -> Vec<std::sync::Arc<Inner>> {
        let databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        databases.iter().filter_map(Weak::upgrade).filter(|other| !except.is_some_and(|it| std::ptr::eq(it, &**other))).collect()
    }
}
