//! The host-wide limit on connections, over all databases together.

use std::sync::{PoisonError, Weak};

use super::database::Inner;
use crate::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

/// Counts the connections of all databases of the host.
///
/// A place is taken before a connection is opened and given back when the server has confirmed that it is gone.
#[derive(Debug)]
pub struct HostCapacity {
    places: Mutex<HostPlaces>,
    /// Whether there is a debt.
    owing: AtomicBool,
    /// Whether a database was refused a place since somebody looked last.
    wanted: AtomicBool,
    /// Whether a database without any connection found neither a place nor an idle connection that could be closed.
    starving: AtomicBool,
    databases: Mutex<Vec<Weak<Inner>>>,
}

#[derive(Debug)]
struct HostPlaces {
    max: u32,
    used: u32,
    /// Connections that have to be closed because there are fewer places than there were; none of them is on its way.
    debt: u32,
}

impl HostCapacity {
    /// At most `max` connections at any time.
    #[must_use]
    pub fn new(max: u32) -> Self {
        let (owing, wanted, starving) = (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
        let places = Mutex::new(HostPlaces { max, used: 0, debt: 0 });
        Self { places, owing, wanted, starving, databases: Mutex::default() }
    }

    /// Another limit. When it is lower than what is used, idle connections are closed now, and others as they are given back.
    pub fn set_max(&self, max: u32) {
        // In this order nothing that has to be closed is overlooked: from here on none is opened beyond the limit, and who leaves meanwhile
        // may count twice, but never stands for another.
        let used = self.change(|places| {
            places.max = max;
            places.used
        });
        let databases = self.others(None);
        let leaving: u32 = databases.iter().map(|database| database.state().leaving()).sum();
        self.change(|places| {
            places.debt = used.saturating_sub(leaving).min(places.used).saturating_sub(max);
        });
        for database in databases {
            database.pay_debt();
        }
        self.dispatch_wanting();
    }

    /// Connections that there are, and that there may be at most.
    #[must_use]
    pub fn usage(&self) -> (u32, u32) {
        self.change(|places| (places.used, places.max))
    }

    /// Changes the places. Locked for a moment, whatever else is locked.
    fn change<T>(&self, change: impl FnOnce(&mut HostPlaces) -> T) -> T {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut places);
        self.owing.store(places.debt > 0, Ordering::Release);
        result
    }

    pub(super) fn register(&self, database: Weak<Inner>) {
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        databases.retain(|other| other.strong_count() > 0);
        databases.push(database);
    }

    pub(super) fn try_take(&self) -> bool {
        let taken = self.change(|places| {
            let is_free = places.used < places.max;
            places.used += u32::from(is_free);
            is_free
        });
        match taken {
            // There was a place: who starves looks for one again before anything is closed for it.
            true => self.starving.store(false, Ordering::Release),
            false => self.wanted.store(true, Ordering::Release),
        }
        taken
    }

    /// Whether an idle connection, or one that has just come free, is to be closed because there are fewer places than there were. Called
    /// with its database locked: once it is on its way its place may be given back, which must not count twice.
    pub(super) fn take_debt(&self) -> bool {
        let pay = |places: &mut HostPlaces| {
            let owed = places.debt > 0;
            places.debt = places.debt.saturating_sub(1);
            owed
        };
        self.owing.load(Ordering::Acquire) && self.change(pay)
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
        databases.sort_by_cached_key(|database| database.state().held() > 0);
        for database in databases {
            database.dispatch();
        }
    }

    /// Frees a place and lets the databases that wait for one go on. Must not be called with a database's state locked.
    pub(super) fn give_back(&self) {
        let was_full = self.change(|places| {
            debug_assert!(places.used > 0, "a place was given back twice");
            let was_full = places.used >= places.max;
            places.used = places.used.saturating_sub(1);
            places.debt = places.debt.min(places.used.saturating_sub(places.max));
            was_full
        });
        if was_full {
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
