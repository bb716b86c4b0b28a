//! What each step of a scripted driver does, and what has happened so far.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, watch};
use wharf::driver::{Engine, FailureKind, Operation};

/// A step that a driver is asked to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Opens a session.
    Connect,
    /// Opens the control path.
    Control,
    /// Runs an operation.
    Run(Kind),
    /// Cleans and verifies a session.
    Reset,
    /// One round trip.
    Ping,
    /// Says good-bye.
    Close,
    /// Cancels from outside.
    Cancel,
    /// Ends a session from outside.
    Terminate,
    /// Asks whether a session is still there.
    IsListed,
    /// One round trip of the control path.
    ControlPing,
    /// Closes the control path.
    ControlClose,
}

impl Step {
    /// Every step of a connection and of the control path, operations by their kinds.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let others = [
            Self::Connect,
            Self::Control,
            Self::Reset,
            Self::Ping,
            Self::Close,
            Self::Cancel,
            Self::Terminate,
            Self::IsListed,
            Self::ControlPing,
            Self::ControlClose,
        ];
        others.into_iter().chain(Kind::ALL.map(Self::Run)).collect()
    }
}

/// The kind of an [`Operation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the operation of the same name")]
pub enum Kind {
    Query,
    Execute,
    ExecuteMany,
    Documents,
    Begin,
    Commit,
    Rollback,
    Savepoint,
    RollbackTo,
    Release,
    OpenCursor,
    Fetch,
    CloseCursor,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Query,
        Self::Execute,
        Self::ExecuteMany,
        Self::Documents,
        Self::Begin,
        Self::Commit,
        Self::Rollback,
        Self::Savepoint,
        Self::RollbackTo,
        Self::Release,
        Self::OpenCursor,
        Self::Fetch,
        Self::CloseCursor,
    ];

    /// The kind of an operation.
    #[must_use]
    pub fn of(operation: &Operation) -> Self {
        match operation {
            Operation::Query(..) => Self::Query,
            Operation::Execute(_) => Self::Execute,
            Operation::ExecuteMany(..) => Self::ExecuteMany,
            Operation::Documents(..) => Self::Documents,
            Operation::Begin(_) => Self::Begin,
            Operation::Commit => Self::Commit,
            Operation::Rollback => Self::Rollback,
            Operation::Savepoint(_) => Self::Savepoint,
            Operation::RollbackTo(_) => Self::RollbackTo,
            Operation::Release(_) => Self::Release,
            Operation::OpenCursor(..) => Self::OpenCursor,
            Operation::Fetch(..) => Self::Fetch,
            Operation::CloseCursor(_) => Self::CloseCursor,
        }
    }
}

/// How a step goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Well, at once.
    #[default]
    Ok,
    /// Fails at once; the session stays usable.
    Error(FailureKind),
    /// Fails at once, and the session is gone.
    Lost(FailureKind),
    /// Waits: for [`Script::release`], and then goes well; an operation also for a cancel, and then fails with
    /// [`FailureKind::Cancelled`].
    Slow,
    /// Pending for ever, whatever is done.
    Never,
    /// Panics.
    Panic,
}

/// Something that happened, in order. The number is the session's id, 0 for the control path and for a connect that has not got one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A step was asked for and polled.
    Began(Step, i64),
    /// A step came to its end.
    Ended(Step, i64, Outcome),
    /// The future of a step was dropped before its end.
    Abandoned(Step, i64),
    /// A session was dropped without being closed.
    Dropped(i64),
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Ok,
    /// With a failure.
    Failed(FailureKind),
    /// With a panic.
    Panicked,
}

/// The script, shared by the driver and the test. A clone is the same script.
#[derive(Clone, Debug, Default)]
pub struct Script(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// Told of each change of the state; waiters look again.
    changed: Notify,
    events: watch::Sender<Vec<Event>>,
}

#[derive(Debug)]
pub(super) struct State {
    always: HashMap<Step, Behaviour>,
    once: HashMap<Step, VecDeque<Behaviour>>,
    /// Releases that nobody has used yet.
    released: HashMap<Step, usize>,
    /// Cancels that are accepted and forgotten.
    pub(super) deaf: u32,
    /// Sessions whose running operation was cancelled.
    pub(super) cancelled: BTreeSet<i64>,
    pub(super) last_session: i64,
    pub(super) listed: BTreeSet<i64>,
    pub(super) peak: usize,
    pub(super) in_transaction: BTreeSet<i64>,
    pub(super) lingering: bool,
    pub(super) immortal: bool,
    pub(super) needs_reset: bool,
    refusing: bool,
    calm: bool,
    pub(super) batches: u32,
    pub(super) engine: Engine,
    pub(super) address: Option<String>,
    /// Threads in which each step began.
    pub(super) threads: HashMap<Step, BTreeSet<String>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            always: HashMap::new(),
            once: HashMap::new(),
            released: HashMap::new(),
            deaf: 0,
            cancelled: BTreeSet::new(),
            last_session: 0,
            listed: BTreeSet::new(),
            peak: 0,
            in_transaction: BTreeSet::new(),
            lingering: false,
            immortal: false,
            needs_reset: true,
            refusing: false,
            calm: false,
            batches: 2,
            engine: Engine::Postgres,
            address: None,
            threads: HashMap::new(),
        }
    }
}

impl Script {
    /// A driver with which everything goes well.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on this step goes like this.
    pub fn always(&self, step: Step, behaviour: Behaviour) {
        self.state().always.insert(step, behaviour);
    }

    /// The next time, after those already set so, this step goes like this.
    pub fn once(&self, step: Step, behaviour: Behaviour) {
        self.state().once.entry(step).or_default().push_back(behaviour);
    }

    /// Lets one slow step go on, now or when it comes.
    pub fn release(&self, step: Step) {
        *self.state().released.entry(step).or_default() += 1;
        self.0.changed.notify_waiters();
    }

    /// Sessions that are dropped rather than closed stay on the server until they are terminated. Default no.
    pub fn linger(&self, lingering: bool) {
        self.state().lingering = lingering;
    }

    /// No session goes away, whatever is done to it; lifted, those go that the script was told to end. Default no.
    pub fn immortal(&self, immortal: bool) {
        self.state().immortal = immortal;
    }

    /// What connections say to whether they need a reset. Default yes.
    pub fn needs_reset(&self, needs_reset: bool) {
        self.state().needs_reset = needs_reset;
    }

    /// Batches that each cursor has, of one row. Default 2.
    pub fn batches(&self, batches: u32) {
        self.state().batches = batches;
    }

    /// What the database speaks. Default PostgreSQL's SQL.
    pub fn speak(&self, engine: Engine) {
        self.state().engine = engine;
    }

    /// Where the server is. Default nowhere.
    pub fn reside(&self, address: &str) {
        self.state().address = Some(address.to_owned());
    }

    /// All that happened so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.0.events.borrow().clone()
    }

    /// What happened since the first `seen` events, once that is something.
    ///
    /// # Cancellation
    /// As [`Script::until`].
    pub async fn since(&self, seen: usize) -> Vec<Event> {
        let mut events = self.0.events.subscribe();
        // The sender lives in `self`, so this cannot fail.
        events.wait_for(|events| events.len() > seen).await.map(|events| events[seen..].to_vec()).unwrap_or_default()
    }

    /// From now on everything goes well at once, whatever was or will be said, and what is slow goes on.
    pub fn calm(&self) {
        self.state().calm = true;
        self.wake();
    }

    /// Refuses to open sessions and control paths, and loses those that are asked for anything, as a server that is down. Default no.
    pub fn refuse(&self, refusing: bool) {
        self.state().refusing = refusing;
    }

    /// How often an event happened.
    #[must_use]
    pub fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.0.events.borrow().iter().filter(|event| is(event)).count()
    }

    /// The names of the threads in which a step began.
    #[must_use]
    pub fn threads(&self, step: Step) -> BTreeSet<String> {
        self.state().threads.get(&step).cloned().unwrap_or_default()
    }

    /// Sessions that the server lists.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.state().listed.len()
    }

    /// The most sessions that the server has listed at a time.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.state().peak
    }

    /// Sessions with an open transaction.
    #[must_use]
    pub fn in_transaction(&self) -> usize {
        let state = self.state();
        state.in_transaction.intersection(&state.listed).count()
    }

    /// Waits until the events so far satisfy `enough`.
    ///
    /// # Cancellation
    /// Safe. Unbounded: the caller's time limit is the bound.
    pub async fn until(&self, enough: impl Fn(&[Event]) -> bool) {
        let mut events = self.0.events.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = events.wait_for(|events| enough(events)).await;
    }

    /// Waits until the step has begun at least `times` in all.
    ///
    /// # Cancellation
    /// As [`Script::until`].
    pub async fn began(&self, step: Step, times: usize) {
        let is = |event: &&Event| matches!(event, Event::Began(begun, _) if *begun == step);
        self.until(|events| events.iter().filter(is).count() >= times).await;
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A scripted panic happens outside of the lock.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, event: Event) {
        self.0.events.send_modify(|events| events.push(event));
    }

    pub(super) fn wake(&self) {
        self.0.changed.notify_waiters();
    }

    pub(super) fn behaviour(&self, step: Step) -> Behaviour {
        let mut state = self.state();
        if state.calm {
            return Behaviour::Ok;
        }
        if state.refusing {
            return Behaviour::Lost(FailureKind::Disconnected);
        }
        let once = state.once.get_mut(&step).and_then(VecDeque::pop_front);
        once.or_else(|| state.always.get(&step).copied()).unwrap_or_default()
    }

    /// Accepts the next cancels and forgets them, as a server does that has not met the statement yet.
    pub fn forget_cancels(&self, count: u32) {
        self.state().deaf = count;
    }

    /// Waits for a release or, of an operation, for a cancel; whether it was released.
    pub(super) async fn released(&self, step: Step, session: i64) -> bool {
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            // Before the state is looked at, so that no change between the two is missed.
            changed.as_mut().enable();
            {
                let mut state = self.state();
                if state.calm {
                    return true;
                }
                if let Some(left) = state.released.get_mut(&step).filter(|left| **left > 0) {
                    *left -= 1;
                    return true;
                }
                if matches!(step, Step::Run(_)) && state.cancelled.remove(&session) {
                    return false;
                }
            }
            changed.await;
        }
    }
}
