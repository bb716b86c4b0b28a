//! Instances that have served a call and may serve the next of their plugin, one call after the other.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::guest::Instance;
use crate::{
    engine::{Gate, GatePermit},
    plugin::Plugin,
};

/// How long an instance that nobody calls is kept at most, to within a quarter.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(10);

/// The instances that rest between two calls. Each keeps its place behind the host's gate, and gives it up as soon as anybody waits there:
/// so all instances together, resting or not, never exceed what the allocator has room for.
#[derive(Debug)]
pub(super) struct Kept {
    resting: Mutex<Resting>,
    gate: Arc<Gate>,
    tasks: TaskTracker,
    /// Nothing is kept any more.
    closing: CancellationToken,
}

#[derive(Debug, Default)]
struct Resting {
    /// By the address of their plugin, which each of them keeps alive; the one that has rested the longest is the first. No list is empty.
    plugins: HashMap<usize, Vec<Rested>>,
    /// Whether a task looks for those that have rested for too long.
    is_watched: bool,
}

#[derive(Debug)]
struct Rested {
    instance: Instance,
    // Behind the instance, for whose memory it stands.
    place: GatePermit,
    /// So that no other plugin can come to lie at its address.
    _plugin: Arc<Plugin>,
    since: Instant,
}

impl Kept {
    /// None yet. Their places are `gate`'s; the task that looks after them is one of `tasks`, and ends with `shutdown` or [`Kept::close`].
    pub(super) fn new(gate: Arc<Gate>, tasks: TaskTracker, shutdown: &CancellationToken) -> Arc<Self> {
        Arc::new(Self { resting: Mutex::default(), gate, tasks, closing: shutdown.child_token() })
    }

    /// Gives all of them up, and keeps none from now on.
    pub(super) fn close(&self) {
        self.closing.cancel();
        let all = std::mem::take(&mut self.resting().plugins);
        drop(all);
    }

    /// An instance for a call of the plugin, with its place, if one rests.
    pub(super) fn take(&self, plugin: &Arc<Plugin>) -> Option<(Instance, GatePermit)> {
        let mut resting = self.resting();
        let key = key(plugin);
        let list = resting.plugins.get_mut(&key)?;
        let Rested { instance, place, .. } = list.pop()?;
        if list.is_empty() {
            resting.plugins.remove(&key);
        }
        Some((instance, place))
    }

    /// Gives up those of a plugin, and keeps none of them from now on: it is retired.
    pub(super) fn forget(&self, plugin: &Arc<Plugin>) {
        plugin.retire();
        let forgotten = self.resting().plugins.remove(&key(plugin));
        drop(forgotten);
    }

    /// Keeps an instance until its plugin is called again. Drops it when somebody waits for its place, there are to be fewer places, its plugin
    /// is retired, or the host stops.
    pub(super) fn put(self: &Arc<Self>, plugin: &Arc<Plugin>, instance: Instance, place: GatePermit) {
        let rested = Rested { instance, place, _plugin: Arc::clone(plugin), since: Instant::now() };
        let mut resting = self.resting();
        // Whoever waits has said so before it takes this lock to make room: either it is seen here, or it finds the instance there.
        if self.gate.waiting() > 0 || self.gate.owed() > 0 || plugin.is_retired() || self.closing.is_cancelled() {
            drop(resting);
            drop(rested);
            return;
        }
        resting.plugins.entry(key(plugin)).or_default().push(rested);
        if !std::mem::replace(&mut resting.is_watched, true) {
            self.tasks.spawn(Arc::clone(self).watch());
        }
    }

    /// Gives up the instance that has rested the longest, for somebody who waits for a place, and before it those whose places are to go.
    pub(super) fn make_room(&self) {
        for _ in 0..=self.gate.owed() {
            let Some(given_up) = self.oldest() else { return };
            drop(given_up);
        }
    }

    /// Takes the instance that has rested the longest.
    fn oldest(&self) -> Option<Rested> {
        let mut resting = self.resting();
        let oldest = resting.plugins.iter().filter_map(|(key, list)| Some((list.first()?.since, *key))).min();
        let (_, key) = oldest?;
        let list = resting.plugins.get_mut(&key)?;
        let oldest = list.remove(0);
        if list.is_empty() {
            resting.plugins.remove(&key);
        }
        Some(oldest)
    }

    /// How many rest.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.resting().plugins.values().map(Vec::len).sum()
    }

    /// Gives up what has rested for too long, until nothing rests any more.
    async fn watch(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = sleep(KEPT_FOR / 4) => {}
                // Whoever closes gives all of them up.
                () = self.closing.cancelled() => return,
            }
            if self.give_up(Instant::now()) {
                return;
            }
        }
    }

    /// Gives up what will have rested for too long at that time; whether nothing rests any more.
    pub(super) fn give_up(&self, now: Instant) -> bool {
        let mut given_up = Vec::new();
        let mut resting = self.resting();
        for list in resting.plugins.values_mut() {
            let over = list.iter().take_while(|rested| now.saturating_duration_since(rested.since) >= KEPT_FOR).count();
            given_up.extend(list.drain(..over));
        }
        resting.plugins.retain(|_, list| !list.is_empty());
        resting.is_watched = !resting.plugins.is_empty();
        let is_empty = !resting.is_watched;
        drop(resting);
        drop(given_up);
        is_empty
    }

    fn resting(&self) -> MutexGuard<'_, Resting> {
        // Nothing under the lock can leave it half changed.
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(plugin: &Arc<Plugin>) -> usize {
    Arc::as_ptr(plugin).addr()
}
