//! The server: a thread of its own, and what a test tells it and asks it.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use bson::Document;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::{
    link::Link,
    record::{Crowd, Recorded, Sockets},
    state::State,
    table::Answer,
};

/// A server that listens on a port of its own. Dropping it breaks every connection.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// The thread ends when it is gone.
    mode: Option<watch::Sender<Mode>>,
    thread: Option<JoinHandle<()>>,
}

/// How it behaves as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Says what it was told to.
    Answering,
    /// Takes connections, and says nothing.
    Silent,
    /// Closes every connection, and each new one at once.
    Refusing,
}

/// What the thread shares with whoever watches.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changes: watch::Sender<()>,
}

impl Shared {
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells whoever waits for something that it may have come.
    pub(crate) fn changed(&self) {
        self.changes.send_replace(());
    }
}

impl Wire {
    /// Starts one that remembers what it is asked.
    ///
    /// # Panics
    /// When there is no port, or no thread.
    #[must_use]
    pub fn start() -> Self {
        Self::begin(true)
    }

    /// Starts one that remembers no commands, for those who ask for hours.
    ///
    /// # Panics
    /// As [`Wire::start`].
    #[must_use]
    pub fn start_forgetful() -> Self {
        Self::begin(false)
    }

    fn begin(remembers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let state = Mutex::new(State::new(address.to_string(), remembers));
        let shared = Arc::new(Shared { state, changes: watch::Sender::new(()) });
        let (mode, told) = watch::channel(Mode::Answering);
        let accepting = accept(listener, Arc::clone(&shared), told);
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(accepting);
        };
        let thread = std::thread::Builder::new().name("wire".to_owned()).spawn(serve).expect("a thread");
        Self { address, shared, mode: Some(mode), thread: Some(thread) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("mongodb://{}/{database}?directConnection=true", self.address)
    }

    /// Gives this answer to a command from now on, whatever it asks; what `$currentOp` as the first stage of an `aggregate` is answered goes
    /// by that name. What fails (its `ok` is not 1, or it has `writeErrors`) aborts the transaction that it is part of, unless it was to end
    /// that.
    ///
    /// # Panics
    /// When the document cannot be written as BSON.
    pub fn answer(&self, command: &str, answer: &Document) {
        let answer = Answer::document(answer);
        self.shared.with(|state| state.table.always(command, answer));
    }

    /// Gives this answer to a command once, after those that are still to be given once.
    ///
    /// # Panics
    /// As [`Wire::answer`].
    pub fn answer_next(&self, command: &str, answer: &Document) {
        let answer = Answer::document(answer);
        self.shared.with(|state| state.table.next(command, answer));
    }

    /// Answers a command with a cursor over these batches of a collection (`database.collection`) from now on, whatever it asks.
    ///
    /// # Panics
    /// As [`Wire::answer`].
    pub fn answer_batches(&self, command: &str, namespace: &str, batches: &[Vec<Document>]) {
        let answer = Answer::batches(namespace, batches);
        self.shared.with(|state| state.table.always(command, answer));
    }

    /// Answers each `find` in a collection (`database.collection`) with these documents from now on, whatever it filters, sorts and skips: as
    /// many as its `limit` says, in batches as MongoDB would give them, by `batchSize` and `singleBatch`. What [`Wire::answer_next`] is told
    /// of `find` comes before, what [`Wire::answer`] and [`Wire::answer_batches`] are told of it is for other collections.
    ///
    /// # Panics
    /// Once somebody asks: as [`Wire::answer`].
    pub fn answer_collection(&self, namespace: &str, documents: &[Document]) {
        self.shared.with(|state| state.table.collection(namespace, documents));
    }

    /// Has commands of this name wait until [`Wire::release`], or until MongoDB would end them: by `killSessions`, by `killOp`, at their
    /// `maxTimeMS`, or when their client has gone. What was to begin a transaction has begun it.
    pub fn block(&self, command: &str) {
        self.shared.with(|state| state.blocked.insert(command.to_owned()));
    }

    /// Has no further command of this name wait. Those that do are never answered, as by a server that has lost them.
    pub fn unblock(&self, command: &str) {
        self.shared.with(|state| state.blocked.remove(command));
    }

    /// Has no command wait any more, and answers those that do.
    pub fn release(&self) {
        self.shared.with(State::release);
    }

    /// Ends every session, as a server does with those that nobody has used for long: aborts its transaction, kills its cursors.
    pub fn expire_sessions(&self) {
        self.shared.with(State::expire_sessions);
    }

    /// Behaves otherwise from now on; when it next looks, a moment later.
    pub fn be(&self, mode: Mode) {
        if let Some(told) = &self.mode {
            told.send_replace(mode);
        }
    }

    /// The commands that came, `hello` among them, in their order.
    #[must_use]
    pub fn commands(&self) -> Vec<Recorded> {
        self.shared.with(|state| state.commands.clone().unwrap_or_default())
    }

    /// Those of this name.
    #[must_use]
    pub fn commands_named(&self, name: &str) -> Vec<Recorded> {
        let mut commands = self.commands();
        commands.retain(|command| command.name == name);
        commands
    }

    /// Forgets the commands that came so far.
    pub fn forget(&self) {
        self.shared.with(|state| state.commands.iter_mut().for_each(Vec::clear));
    }

    /// The sockets of each client that has said anything, by what it calls itself (`appName`), nothing being the empty name.
    #[must_use]
    pub fn sockets(&self) -> BTreeMap<String, Sockets> {
        self.shared.with(|state| state.apps.clone())
    }

    /// Counts the clients that come from now on and whose names begin so, while they are there.
    pub fn count_clients(&self, prefix: &str) {
        self.shared.with(|state| state.crowd = Some(Crowd::new(prefix)));
    }

    /// The most of those that were there at once; see [`Wire::count_clients`].
    #[must_use]
    pub fn most_clients(&self) -> usize {
        self.shared.with(|state| state.crowd.as_ref().map_or(0, |crowd| crowd.most))
    }

    /// How many connections were made so far, but for those that were refused.
    #[must_use]
    pub fn accepted(&self) -> u32 {
        self.shared.with(|state| state.accepted)
    }

    /// The names of the commands that wait now.
    #[must_use]
    pub fn waiting(&self) -> Vec<String> {
        self.shared.with(|state| state.waiting())
    }

    /// How many cursors are open.
    #[must_use]
    pub fn cursors(&self) -> usize {
        self.shared.with(|state| state.cursors.len())
    }

    /// How many transactions are open.
    #[must_use]
    pub fn transactions(&self) -> usize {
        self.shared.with(|state| state.transactions.len())
    }

    /// Waits until asking gives something, which is asked again whenever a client has come, gone, or said something.
    ///
    /// # Panics
    /// After `bound`, with the commands that came.
    pub async fn until<T>(&self, what: &str, bound: Duration, ask: impl Fn(&Self) -> Option<T>) -> T {
        let mut changes = self.shared.changes.subscribe();
        let found = timeout(bound, async {
            loop {
                // What comes from here on is not overlooked.
                changes.mark_unchanged();
                if let Some(found) = ask(self) {
                    return found;
                }
                changes.changed().await.expect("its sender is ours");
            }
        });
        found.await.unwrap_or_else(|_| {
            let (sockets, waiting, commands) = (self.sockets(), self.waiting(), self.commands());
            let (transactions, cursors) = (self.transactions(), self.cursors());
            panic!(
                "waited {bound:?} for {what}; {transactions} transactions, {cursors} cursors, waiting {waiting:?}, {sockets:#?}, \
                 {commands:#?}"
            )
        })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.mode.take());
        if let Some(thread) = self.thread.take() {
            let is_sound = thread.join().is_ok() && !self.shared.state.is_poisoned();
            assert!(is_sound || std::thread::panicking(), "the stand-in for MongoDB has panicked");
        }
    }
}

/// Serves until the handle is gone.
async fn accept(listener: TcpListener, shared: Arc<Shared>, mut mode: watch::Receiver<Mode>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    let mut links = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.expect("a connection");
                // Collects what has ended.
                while links.try_join_next().is_some() {}
                if *mode.borrow() != Mode::Refusing {
                    links.spawn(Link::new(stream, Arc::clone(&shared), mode.clone()).run());
                }
            }
            changed = mode.changed() => {
                if changed.is_err() {
                    return;
                }
                if *mode.borrow_and_update() == Mode::Refusing {
                    links.shutdown().await;
                }
            }
        }
    }
}
