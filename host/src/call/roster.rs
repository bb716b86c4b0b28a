//! The calls that run now: listed for who looks from outside, and ended when the operator or the host's stop wants it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    lease::{Scope, Stage},
    pool::LeaseView,
    telemetry::lanes::{self, Lanes},
};

/// Every call from its admission to its end. A call enters the list of the thread where it begins, so that no two cores meet at one.
#[derive(Debug)]
pub struct Roster {
    lists: Lanes<Mutex<List>>,
    /// All calls are to end, because the host stops.
    is_stopping: AtomicBool,
}

#[derive(Debug, Default)]
struct List {
    members: Vec<Option<Member>>,
    /// Places in it where nobody is.
    free: Vec<usize>,
    /// How many have entered so far.
    entered: u64,
}

#[derive(Clone, Debug)]
struct Member {
    number: u64,
    scope: Arc<Scope>,
    started: Instant,
    fuel: u64,
}

/// A call's place, to be given back at its end.
#[derive(Debug)]
pub(super) struct Entry {
    list: usize,
    place: usize,
}

/// A call that runs, as it was when somebody looked.
#[derive(Clone, Debug)]
pub struct CallView {
    /// By which it is cancelled; no other call of this process has had it or will.
    pub number: u64,
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// As accepted from the client or made by the server.
    pub request_id: Arc<str>,
    /// Where it stands.
    pub stage: Stage,
    /// Whether it was cancelled, and is about to end.
    pub is_cancelled: bool,
    /// Since its request came; what it waited for admission is part of it.
    pub age: Duration,
    /// Fuel used so far. Up to 10 ms of computing and a million units behind.
    pub fuel_used: u64,
    /// The databases a connection of which it waits for, by the names it uses.
    pub waits_for: Vec<Arc<str>>,
    /// The connections it has.
    pub leases: Vec<LeaseView>,
}

impl CallView {
    /// In a word or three.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.stage {
            _ if self.is_cancelled => "cancelled",
            _ if !self.waits_for.is_empty() => "waiting for a connection",
            Stage::Running => "running",
            Stage::Streaming => "streaming",
            Stage::WorkingOn => "working on",
        }
    }
}

impl Roster {
    /// Nobody is in it. Once `shutdown` fires it wakes all who are, and [`Roster::is_stopping`]; a task of `runtime` waits for that.
    pub(super) fn new(shutdown: CancellationToken, runtime: &Handle) -> Arc<Self> {
        let roster = Arc::new(Self { lists: Lanes::new(Mutex::default), is_stopping: AtomicBool::new(false) });
        let waiting = Arc::downgrade(&roster);
        drop(runtime.spawn(async move {
            shutdown.cancelled().await;
            if let Some(roster) = waiting.upgrade() {
                roster.stop();
            }
        }));
        roster
    }

    /// The calls that run, the oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<CallView> {
        let mut members = self.members();
        members.sort_by_key(|member| (member.started, member.number));
        let now = Instant::now();
        members.iter().map(|member| member.view(now)).collect()
    }

    /// How many calls run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.lists.iter().map(lock).map(|list| list.members.len() - list.free.len()).sum()
    }

    /// Ends a call by its number, as `Cancelled`; whether it runs. Its leases are taken back at once, and it ends as soon as its handler
    /// waits or has had its turn.
    pub fn cancel(&self, number: u64) -> bool {
        let list = self.lists.at(self.list_of(number));
        let scope = lock(list).members.iter().flatten().find(|member| member.number == number).map(|it| Arc::clone(&it.scope));
        // Outside the lock, which a call that ends at this takes itself.
        if let Some(scope) = &scope {
            scope.cancel();
        }
        scope.is_some()
    }

    /// Lists a call until [`Roster::leave`].
    pub(super) fn enter(&self, scope: &Arc<Scope>, started: Instant, fuel: u64) -> Entry {
        let list = lanes::here();
        let mut guard = lock(self.lists.at(list));
        guard.entered += 1;
        // The list can be told from it.
        let number = guard.entered * self.lists.count() as u64 + list as u64;
        let member = Some(Member { number, scope: Arc::clone(scope), started, fuel });
        let place = match guard.free.pop() {
            Some(place) => {
                guard.members[place] = member;
                place
            }
            None => {
                guard.members.push(member);
                guard.members.len() - 1
            }
        };
        Entry { list, place }
    }

    /// Takes a call off the list.
    pub(super) fn leave(&self, Entry { list, place }: Entry) {
        let mut guard = lock(self.lists.at(list));
        let member = guard.members[place].take();
        guard.free.push(place);
        drop(guard);
        drop(member);
    }

    /// Whether all calls are to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Who enters from now on sees that the host stops, since it takes the lock of a list after this does.
    fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        for member in self.members() {
            member.scope.life().wake();
        }
    }

    fn members(&self) -> Vec<Member> {
        let mut members = Vec::new();
        for list in self.lists.iter() {
            members.extend(lock(list).members.iter().flatten().cloned());
        }
        members
    }

    fn list_of(&self, number: u64) -> usize {
        // Less than the number of lists.
        (number % self.lists.count() as u64) as usize
    }
}

impl Member {
    fn view(&self, now: Instant) -> CallView {
        let Self { number, scope, started, fuel } = self;
        let (call, life) = (scope.call(), scope.life());
        CallView {
            number: *number,
            plugin: Arc::clone(&call.plugin),
            request_id: Arc::clone(&call.request_id),
            stage: life.stage(),
            is_cancelled: life.is_cancelled(),
            age: now.saturating_duration_since(*started),
            fuel_used: fuel.saturating_sub(life.fuel_left()),
            waits_for: scope.waits_for(),
            leases: scope.leased(),
        }
    }
}

fn lock(list: &Mutex<List>) -> MutexGuard<'_, List> {
    // Nothing under the lock can leave it half changed.
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
