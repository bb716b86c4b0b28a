//! What the server knows of sockets, sessions, cursors and transactions.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{
    command::{Command, SessionId},
    record::{Crowd, Recorded, Sockets},
    reply::{Prepared, Reply, error},
    table::Table,
};

/// All of it, behind one lock.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) table: Table,
    /// Commands of these names wait.
    pub(crate) blocked: BTreeSet<String>,
    /// `None` when nothing is to be remembered.
    pub(crate) commands: Option<Vec<Recorded>>,
    /// By what clients call themselves, once they have said so.
    pub(crate) apps: BTreeMap<String, Sockets>,
    /// Those of them that are counted while they are there.
    pub(crate) crowd: Option<Crowd>,
    pub(crate) cursors: HashMap<i64, Cursor>,
    /// The numbers of those that are open.
    pub(crate) transactions: HashMap<SessionId, i64>,
    /// Host and port.
    pub(crate) address: String,
    pub(crate) sockets: BTreeMap<u32, Socket>,
    /// How many sockets there were so far.
    pub(crate) accepted: u32,
    /// The number of the cursor that was opened last.
    pub(crate) opened: i64,
}

/// A connection of a client.
#[derive(Debug, Default)]
pub(crate) struct Socket {
    /// What the client calls itself, once it has said anything.
    pub(crate) app: Option<String>,
    /// It has said more than `hello`.
    has_operated: bool,
    pub(crate) waiting: Option<Waiting>,
}

/// A command that is not answered yet.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) name: String,
    pub(crate) session: Option<SessionId>,
    transaction: Option<i64>,
    end: oneshot::Sender<Ended>,
}

/// What is left of a result.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) batches: Arc<[Prepared]>,
    /// The place of the batch that is given next.
    pub(crate) next: usize,
    pub(crate) session: Option<SessionId>,
    pub(crate) in_transaction: bool,
}

/// Why a command waits no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It is answered.
    Released,
    /// Somebody wished it to end.
    Killed,
    /// It has had its time.
    TimeUp,
}

/// What becomes of a command.
#[derive(Debug)]
pub(crate) enum Taken {
    Answer(Reply),
    /// Until the first of both; see [`State::waited`].
    Wait {
        ended: oneshot::Receiver<Ended>,
        limit: Option<(Duration, Ended)>,
    },
}

impl State {
    pub(crate) fn new(address: String, remembers: bool) -> Self {
        Self {
            table: Table::new(),
            blocked: BTreeSet::new(),
            commands: remembers.then(Vec::new),
            apps: BTreeMap::new(),
            crowd: None,
            cursors: HashMap::new(),
            transactions: HashMap::new(),
            address,
            sockets: BTreeMap::new(),
            accepted: 0,
            opened: 0,
        }
    }

    /// A client has come; the number of its socket.
    pub(crate) fn accept(&mut self) -> u32 {
        self.accepted += 1;
        self.sockets.insert(self.accepted, Socket::default());
        self.accepted
    }

    /// A client has gone. What it waited for has failed, and its transaction with it.
    pub(crate) fn close(&mut self, socket: u32) {
        let Some(Socket { app, has_operated, waiting }) = self.sockets.remove(&socket) else { return };
        if let Some(sockets) = app.and_then(|app| self.apps.get_mut(&app)) {
            sockets.closed(has_operated);
        }
        if let Some(Waiting { session: Some(session), transaction: Some(_), .. }) = waiting {
            self.end_transaction(session);
        }
    }

    /// What a client says.
    pub(crate) fn take(&mut self, socket: u32, command: &Command<'_>) -> Taken {
        self.note(socket, command);
        if let (Some(session), Some(number), true) = (command.session, command.transaction, command.starts) {
            self.transactions.insert(session, number);
        }
        let is_blocked = !self.blocked.is_empty() && self.blocked.contains(command.name);
        let limit = if is_blocked {
            command.max_time.map(|limit| (limit, Ended::TimeUp))
        } else if let Some(limit) = is_hello(command.name).then(|| command.awaits()).flatten() {
            // Nothing ever changes that it would have to be told.
            Some((limit, Ended::Released))
        } else {
            return Taken::Answer(self.answer(socket, command));
        };
        let (end, ended) = oneshot::channel();
        let Command { session, transaction, .. } = *command;
        let waiting = Waiting { name: command.name.to_owned(), session, transaction, end };
        self.sockets.entry(socket).or_default().waiting = Some(waiting);
        Taken::Wait { ended, limit }
    }

    /// The answer to a command that has waited.
    pub(crate) fn waited(&mut self, socket: u32, command: &Command<'_>, ended: Ended) -> Reply {
        self.sockets.entry(socket).or_default().waiting = None;
        let failed = match ended {
            Ended::Released => return self.answer(socket, command),
            Ended::Killed => error(11601, "Interrupted"),
            Ended::TimeUp => error(50, "MaxTimeMSExpired"),
        };
        if let (Some(session), Some(_)) = (command.session, command.transaction) {
            self.end_transaction(session);
        }
        failed.into()
    }

    /// The names of the commands that wait, but for questions for news.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let waiting = self.sockets.values().filter_map(|socket| socket.waiting.as_ref());
        waiting.map(|waiting| waiting.name.clone()).filter(|name| !is_hello(name)).collect()
    }

    /// Nothing is blocked any more, and what has waited is answered.
    pub(crate) fn release(&mut self) {
        self.blocked.clear();
        self.end(Ended::Released, |_, _| true);
    }

    /// Ends the commands that meet a condition.
    pub(crate) fn end(&mut self, how: Ended, which: impl Fn(u32, &Waiting) -> bool) {
        for (number, socket) in &mut self.sockets {
            if let Some(waiting) = socket.waiting.take_if(|waiting| which(*number, waiting)) {
                // Whoever does not hear it any more has just ended in another way.
                let _ = waiting.end.send(how);
            }
        }
    }

    /// A transaction is over, and so are its cursors.
    pub(crate) fn end_transaction(&mut self, session: SessionId) {
        self.transactions.remove(&session);
        self.cursors.retain(|_, cursor| !cursor.in_transaction || cursor.session != Some(session));
    }

    /// A session is over, and so are its transaction and its cursors.
    pub(crate) fn end_session(&mut self, session: SessionId) {
        self.transactions.remove(&session);
        self.cursors.retain(|_, cursor| cursor.session != Some(session));
    }

    /// All sessions are over.
    pub(crate) fn expire_sessions(&mut self) {
        self.transactions.clear();
        self.cursors.clear();
    }

    fn note(&mut self, number: u32, command: &Command<'_>) {
        let socket = self.sockets.entry(number).or_default();
        let app = socket.app.get_or_insert_with(|| {
            let app = app_name(command).unwrap_or_default().to_owned();
            self.apps.entry(app.clone()).or_default().opened();
            if let Some(crowd) = &mut self.crowd {
                crowd.look(&self.apps);
            }
            app
        });
        if !socket.has_operated && !is_hello(command.name) {
            socket.has_operated = true;
            self.apps.entry(app.clone()).or_default().operates();
        }
        if let Some(commands) = &mut self.commands {
            commands.push(Recorded {
                socket: number,
                app: app.clone(),
                name: command.name.to_owned(),
                max_time: command.max_time,
                session: command.session,
                transaction: command.transaction,
                body: command.body.to_owned(),
            });
        }
    }
}

/// The two names of it, one of which older drivers write in two ways.
pub(crate) fn is_hello(name: &str) -> bool {
    matches!(name, "hello" | "isMaster" | "ismaster")
}

/// What a client says of itself when it comes.
fn app_name<'a>(command: &Command<'a>) -> Option<&'a str> {
    let client = command.get("client")?.as_document()?;
    client.get_document("application").ok()?.get_str("name").ok()
}
