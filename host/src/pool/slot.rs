//! The task that owns one connection, from connect to close.
//!
//! Idle → lent → reclaimed → idle, over and over, until the connection is closed. Nobody else touches the connection, and no future of
//! the driver is dropped but together with it.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, PoisonError},
};

use futures::FutureExt;
use rand::Rng;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use super::{
    Counter, Ended, OperationError, Until, Via,
    alarm::Alarm,
    database::{Inner, Pool},
    journal::During,
    reclaim::{self, Taken},
    serve::Left,
    state::Phase,
    tenancy::Tenancy,
};
use crate::{
    driver::{Answer, Connection, Failure, FailureKind, Operation, Session},
    sync::Mutex,
};

/// Commands that may wait for a slot; a holder that sends more waits.
const COMMANDS: usize = 8;

/// What others know of a slot.
pub(super) struct Slot {
    /// The pool it belongs to.
    pub(super) home: Arc<Pool>,
    pub(super) index: usize,
    /// Where it lives.
    pub(super) shard: Option<usize>,
    pub(super) commands: mpsc::Sender<Command>,
    /// Bounded by the handles that can send one; see [`Notice`].
    pub(super) notices: mpsc::UnboundedSender<Notice>,
    /// The lease that was handed out last.
    tenancy: Mutex<Option<Arc<Tenancy>>>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("pool", &self.home.number).field("index", &self.index).finish_non_exhaustive()
    }
}

impl Slot {
    /// Remembers a lease, under the lock of the database's state.
    pub(super) fn lend(&self, tenancy: &Arc<Tenancy>) {
        *self.tenancy.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(tenancy));
    }

    fn tenancy(&self) -> Option<Arc<Tenancy>> {
        self.tenancy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a holder asks of a slot.
pub(super) struct Command {
    pub(super) generation: u64,
    pub(super) work: Work,
    pub(super) until: Until,
    pub(super) answer: oneshot::Sender<Result<Answer, OperationError>>,
}

/// The work of a command.
pub(super) enum Work {
    /// A ping, before the connection is handed to a borrower.
    Test,
    /// An operation on behalf of one of the holder's handles.
    Run(Via, Operation),
    /// The same; if it leaves nothing open, the lease ends with its answer.
    RunLast(Via, Operation),
}

/// What a slot is told without being asked for an answer: by each handle when it is closed and when it is dropped, by the end of a call,
/// and once by its pool.
#[derive(Clone, Copy, Debug)]
pub(super) enum Notice {
    /// The last handle of a lease is gone, or its call has ended.
    Released { generation: u64, why: Ended },
    /// The handle of a transaction is gone.
    TransactionDropped { generation: u64, transaction: u32 },
    /// The handle of a cursor is gone.
    CursorDropped { generation: u64, transaction: u32, cursor: u32 },
    /// The slot was idle and has been taken out to be closed.
    Retire,
    /// The host stops: whatever is going on ends now.
    Revoke,
}

/// The receiving ends of a slot.
pub(super) struct Inbox {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) notices: mpsc::UnboundedReceiver<Notice>,
}

/// Makes a slot and its inbox.
pub(super) fn new(home: Arc<Pool>, index: usize, shard: Option<usize>) -> (Arc<Slot>, Inbox) {
    let (commands, command_inbox) = mpsc::channel(COMMANDS);
    let (notices, notice_inbox) = mpsc::unbounded_channel();
    let slot = Slot { home, index, shard, commands, notices, tenancy: Mutex::new(None) };
    (Arc::new(slot), Inbox { commands: command_inbox, notices: notice_inbox })
}

/// The whole life of a slot. Ends when the session is gone and its place is free again.
pub(super) async fn run(
    database: Arc<Inner>,
    slot: Arc<Slot>,
    inbox: Inbox,
    opened: Option<oneshot::Sender<Result<(), Failure>>>,
) {
    let started = Instant::now();
    let connection = connect(&database, &slot).await;
    if connection.is_ok() {
        database.timings.created.record(started.elapsed());
    }
    if let Some(opened) = opened {
        // The starter of the pool may have given up.
        let _ = opened.send(connection.as_ref().map(drop).map_err(Clone::clone));
    }
    let connection = match connection {
        Ok(connection) => connection,
        Err(failure) => return database.connect_failed(&slot, &failure),
    };
    let session = connection.session().clone();
    database.connected(&slot, session.clone());
    let lifetime = database.settings.load().max_lifetime.mul_f64(rand::rng().random_range(0.9..=1.1));
    let mut owner = Owner {
        expires: Instant::now() + lifetime,
        database: Arc::clone(&database),
        slot,
        inbox,
        connection,
        alarm: Alarm::default(),
        taken: None,
    };
    // A panic of a driver costs its connection, never the place of the slot.
    let closing = AssertUnwindSafe(owner.live()).catch_unwind().await.unwrap_or_else(|_| {
        // In the middle of its reclaim: the lease has been counted.
        database.counters.add(Counter::Discarded);
        Closing::Kill(Ended::Panicked)
    });
    if closing == Closing::Kill(Ended::Panicked) {
        database.journal.trouble(During::Operation, FailureKind::Database, None, "a database driver panicked");
        tracing::error!(database = %database.name, session = session.id, "a database driver panicked; its connection is discarded");
    }
    owner.close(closing, &session).await;
}

async fn connect(database: &Inner, slot: &Slot) -> Result<Box<dyn Connection>, Failure> {
    let limit = database.settings.load().connect_timeout;
    let opening = AssertUnwindSafe(slot.home.driver.connect()).catch_unwind();
    let opened = tokio::select! {
        opened = timeout(limit, opening) => opened,
        () = database.closing.cancelled() => return Err(Failure::new(FailureKind::Disconnected, "the host is stopping")),
    };
    match opened {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err(Failure::new(FailureKind::Disconnected, "the driver panicked while connecting")),
        Err(_elapsed) => {
            let message = format!("no session within {}", humantime::format_duration(limit));
            Err(Failure::new(FailureKind::Disconnected, message).with("limit", "connect_timeout"))
        }
    }
}

/// How a connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// In order: it is clean, only old, idle for long, or not wanted any more.
    Polite,
    /// Its state is in doubt or it is broken.
    Kill(Ended),
}

/// What the task of a slot owns.
pub(super) struct Owner {
    pub(super) database: Arc<Inner>,
    pub(super) slot: Arc<Slot>,
    pub(super) inbox: Inbox,
    pub(super) connection: Box<dyn Connection>,
    expires: Instant,
    pub(super) alarm: Alarm,
    /// The lease that is being taken back, until that is written down.
    pub(super) taken: Option<Taken>,
}

impl Owner {
    async fn live(&mut self) -> Closing {
        while self.database.publish(self.slot.index) {
            let woken = self.idle().await;
            // A slot that has never been lent has nothing to take back.
            let (Some(tenancy), false) = (self.slot.tenancy(), matches!(woken, Woken::Retired)) else { return Closing::Polite };
            let left = match woken {
                Woken::Command(command) => {
                    let served = AssertUnwindSafe(self.serve(&tenancy, command)).catch_unwind().await;
                    served.unwrap_or(Left::broken(Ended::Panicked))
                }
                Woken::Unused(why) => Left::unused(why),
                Woken::Retired => return Closing::Polite,
            };
            tenancy.end(left.why);
            let closing = self.reclaim(left, &tenancy).await;
            let now = Instant::now();
            self.database.timings.used.record(now.saturating_duration_since(tenancy.since));
            if let Some(closing) = closing {
                return closing;
            }
            if now >= self.expires {
                self.database.counters.add(Counter::Expired);
                return Closing::Polite;
            }
        }
        // The pool has been closed, or the place is another database's.
        Closing::Polite
    }

    /// Waits in the pool's list until the slot is lent, or has to go.
    async fn idle(&mut self) -> Woken {
        let mut check = self.idle_until();
        loop {
            tokio::select! {
                biased;
                Some(notice) = self.inbox.notices.recv() => match notice {
                    Notice::Released { generation, why } if self.is_current(generation) => return Woken::Unused(why),
                    Notice::Retire => return Woken::Retired,
                    Notice::Revoke if self.take_out() => return Woken::Retired,
                    // Lent a moment ago, and not used yet.
                    Notice::Revoke => return Woken::Unused(Ended::Revoked),
                    // Of a lease that is over.
                    Notice::Released { .. } | Notice::TransactionDropped { .. } | Notice::CursorDropped { .. } => {}
                },
                Some(command) = self.inbox.commands.recv() => {
                    if self.is_current(command.generation) {
                        return Woken::Command(command);
                    }
                    refuse(command);
                }
                () = self.alarm.at(check) => {
                    let expired = Instant::now() >= self.expires;
                    let taken_out = if expired { self.take_out() } else { self.database.take_out_idle(&self.slot) };
                    if taken_out {
                        self.database.counters.add(Counter::Expired);
                        return Woken::Retired;
                    }
                    check = self.idle_until();
                }
            }
        }
    }

    /// When to look again whether the slot has been idle for too long. Not set anew at every lease: a look too early costs less.
    fn idle_until(&self) -> Instant {
        let now = Instant::now();
        let idle = now + self.database.settings.load().idle_timeout;
        if self.expires > now { idle.min(self.expires) } else { idle }
    }

    /// Takes the slot out of the list of idle ones; fails when it has just been lent.
    fn take_out(&self) -> bool {
        self.database.take_out(self.slot.index)
    }

    fn is_current(&self, generation: u64) -> bool {
        self.slot.tenancy().is_some_and(|tenancy| tenancy.generation == generation && tenancy.ended.get().is_none())
    }

    async fn close(mut self, closing: Closing, session: &Session) {
        self.database.move_to(self.slot.index, Phase::Closing);
        if let Some(tenancy) = self.slot.tenancy()
            && let Closing::Kill(why) = closing
        {
            tenancy.end(why);
        }
        // What still waits for an answer is told at once, and nothing can be sent any more.
        self.inbox.commands.close();
        while let Some(command) = self.inbox.commands.recv().await {
            refuse(command);
        }
        let Self { database, slot, connection, taken, .. } = self;
        if reclaim::close(&database, &slot, connection, closing, session, taken).await {
            database.gone(slot.index);
        } else if database.state().is_held(slot.index) {
            // The database is closed, and has told that the session may be left. Nobody asks any more, and its place would never be free.
            database.capacity.give_back();
        }
    }
}

/// Why a slot woke up from idleness.
enum Woken {
    Command(Command),
    /// Lent, and over before any use.
    Unused(Ended),
    Retired,
}

/// Answers a command of a lease that is over.
pub(super) fn refuse(command: Command) {
    // Nobody may be there to hear it.
    let _ = command.answer.send(Err(OperationError::Ended(Ended::Released)));
}
