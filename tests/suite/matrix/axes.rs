//! What is tried: exits, states, peers and engines, and which of their combinations there cannot be.

use std::{fmt, time::Duration};

use wharf::lease::End;

use super::ground::{Language, Scheme};

macro_rules! axis {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum $name { $($(#[$of])* $variant,)* }

        impl $name {
            pub(super) const ALL: [Self; [$($text),*].len()] = [$(Self::$variant),*];

            /// As the table and the guests call it.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

axis! {
    /// How a call ends.
    Exit {
        /// With an answer, and everything still in hand.
        Return = "return",
        GuestError = "guest-error",
        Trap = "trap",
        OutOfFuel = "out-of-fuel",
        Deadline = "deadline",
        OutOfMemory = "out-of-memory",
        ClientGone = "client-gone",
        /// By the operator, who picks it from the calls that run.
        Cancelled = "cancelled",
        /// The host's own, with the call still running after the drain.
        Shutdown = "shutdown",
    }
}

axis! {
    /// Where the call stands when it ends.
    State {
        /// In the queue: others have all connections.
        Acquiring = "acquiring",
        /// A connection in hand that was used; nothing runs.
        Ready = "ready",
        StatementRunning = "statement-running",
        /// A find that the server has done, and whose answer has not come.
        FindBeforeReply = "find-before-reply",
        /// Said, and not answered; on a server the transaction is open.
        BeginInFlight = "begin-in-flight",
        /// Where the server hears of a transaction only by what is done in it: the first of that runs.
        FirstOperation = "first-operation",
        InTransaction = "in-transaction",
        CommitInFlight = "commit-in-flight",
        CursorHalfRead = "cursor-half-read",
    }
}

axis! {
    /// How the database behaves from the moment on that the state is reached (a slow one all the time).
    Peer {
        Healthy = "healthy",
        /// A server: every chunk is late. SQLite: another writer has the file, until the call is over.
        Slow = "slow",
        /// The pool's connections hear and say nothing more; new ones and the control connection work.
        Silent = "silent",
        /// Nor does the control connection, and no new one can be opened.
        SilentToo = "silent with control",
        /// The server ends the pool's sessions, or their connections break.
        Killed = "killed",
    }
}

axis! {
    /// What lies under the pool.
    Engine {
        Sqlite = "sqlite",
        Postgres = "postgres",
        Mariadb = "mariadb",
        Mongodb = "mongodb",
    }
}

/// What a cell is played on. What is said to each is in `ground`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// None: a file.
    Sqlite,
    Postgres,
    Mariadb,
    /// SecantusDB, or what `WHARF_TEST_MONGODB_URL` names.
    Mongodb,
    /// The stand-in for it.
    StandIn,
}

/// The time limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// Scaled down by configuration.
    Small,
    /// Those of an operator who sets none.
    Real,
}

/// The guest that takes the exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guest {
    /// WASI 0.2: it waits in the host call that is in flight.
    Plain,
    /// WASI 0.3: it leaves while its own call is in flight.
    Concurrent,
}

/// One field of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) engine: Engine,
    pub(super) peer: Peer,
    pub(super) state: State,
    pub(super) exit: Exit,
    pub(super) scale: Scale,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { engine, peer, state, exit, scale } = self;
        write!(f, "{}, {}, {}, {}", engine.name(), peer.name(), state.name(), exit.name())?;
        if *scale == Scale::Real { f.write_str(", real bounds") } else { Ok(()) }
    }
}

impl Exit {
    /// Whether the guest itself does it.
    pub(super) fn is_of_the_guest(self) -> bool {
        matches!(self, Self::Return | Self::GuestError | Self::Trap | Self::OutOfFuel | Self::OutOfMemory)
    }

    /// Status, and code of the problem, that the client must see.
    pub(super) fn answer(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Return => Some((200, "")),
            Self::GuestError => Some((500, "handler-no-response")),
            Self::Trap => Some((500, "handler-trapped")),
            Self::OutOfFuel => Some((500, "fuel-exhausted")),
            Self::Deadline => Some((504, "deadline-exceeded")),
            Self::OutOfMemory => Some((500, "memory-exhausted")),
            Self::Cancelled => Some((503, "cancelled-by-operator")),
            // Nobody is there to see it, or the connection may be cut.
            Self::ClientGone | Self::Shutdown => None,
        }
    }

    /// How the call ends by it, as its leases are told.
    fn end(self) -> End {
        match self {
            Self::Return | Self::GuestError => End::Returned,
            Self::Trap => End::Trapped,
            Self::OutOfFuel => End::FuelExhausted,
            Self::Deadline => End::DeadlineExceeded,
            Self::OutOfMemory => End::MemoryExhausted,
            Self::ClientGone => End::ClientGone,
            Self::Cancelled => End::Cancelled,
            Self::Shutdown => End::ShuttingDown,
        }
    }
}

impl State {
    /// Whether a call of the guest's is under way.
    pub(super) fn is_in_flight(self) -> bool {
        match self {
            Self::Acquiring
            | Self::StatementRunning
            | Self::FindBeforeReply
            | Self::BeginInFlight
            | Self::FirstOperation
            | Self::CommitInFlight => true,
            Self::Ready | Self::InTransaction | Self::CursorHalfRead => false,
        }
    }

    /// Whether a proxy that holds an answer back is what keeps the call in it, where there is a server.
    pub(super) fn is_held(self) -> bool {
        matches!(self, Self::FindBeforeReply | Self::BeginInFlight)
    }

    /// Whether leaving interrupts what a connection runs.
    pub(super) fn is_interrupted(self) -> bool {
        self.is_in_flight() && self != Self::Acquiring
    }

    /// Operations that have begun when the one that is to be in flight has, those that leave a residue not among them.
    pub(super) fn operations(self) -> u64 {
        match self {
            Self::StatementRunning | Self::FindBeforeReply | Self::BeginInFlight => 1,
            // The one before it is not said to the server.
            Self::FirstOperation => 2,
            Self::CommitInFlight => 3,
            Self::Acquiring | Self::Ready | Self::InTransaction | Self::CursorHalfRead => 0,
        }
    }
}

impl Engine {
    /// What runs with the real bounds.
    pub(super) fn real_row(self) -> (Peer, State) {
        match self.is_a_server() {
            true => (Peer::Silent, State::InTransaction),
            false => (Peer::Healthy, State::StatementRunning),
        }
    }

    pub(super) fn is_a_server(self) -> bool {
        !matches!(self, Self::Sqlite)
    }
}

/// Why a cell cannot be; its number is its place here.
pub(super) const REASONS: [&str; 5] = [
    "SQLite is in the process: there is no peer that could go silent, and no server that could end a session.",
    "On SQLite the call itself is the writer in this state: no other can have the file and slow it down.",
    "COMMIT on SQLite waits for nobody: BEGIN IMMEDIATE has the file already, and write-ahead logging waits for no reader. It is over \
     before anything could come in between.",
    "On SQL a transaction begins with BEGIN and a find is a statement: this is `begin-in-flight`, or `statement-running`.",
    "MongoDB hears of a transaction with the first operation in it. Beginning says nothing, and is over before anything could come in \
     between.",
];

/// What the cells of an engine do not show, or show otherwise than the engine would.
pub(super) const DIFFERENCES: [(Engine, &str); 5] = [
    (
        Engine::Mongodb,
        "cells with ° are played on the stand-in, which ends operations, cursors and transactions by `killSessions` as MongoDB does but \
         keeps no documents. All others are played on SecantusDB, which keeps documents, but whose operations run to their end and whose \
         cursors stay under `killSessions`: a find that was cancelled would leave a cursor there for ten minutes.",
    ),
    (
        Engine::Mongodb,
        "silent: SecantusDB closes a socket by `killOp`. MongoDB does not, nor does the stand-in: what ran is ended at once, but the \
         place stays taken, with an alarm, until the server learns that the client has gone.",
    ),
    (Engine::Mongodb, "killed: the connections of the pool are broken off. MongoDB ends what clients do, not their connections."),
    (
        Engine::Mongodb,
        "silent with control, shutdown: nobody can say that a transaction or a cursor is over, and MongoDB keeps both when a connection \
         is lost, until its own limits (a minute, ten minutes). The cell has the stand-in run into them.",
    ),
    (
        Engine::Mongodb,
        "acquiring, ready: a connection is in hand for as long as a transaction is open or a cursor; here it is a transaction that has \
         read.",
    ),
];

impl Cell {
    /// The guest that can take this exit from this state.
    pub(super) fn guest(self) -> Guest {
        match self.state.is_in_flight() && self.exit.is_of_the_guest() {
            true => Guest::Concurrent,
            false => Guest::Plain,
        }
    }

    /// Whether the call goes on until its deadline: a guest of WASI 0.3 may work on after its answer, and a call of its own that is
    /// in flight is work.
    pub(super) fn works_on(self) -> bool {
        self.guest() == Guest::Concurrent && self.exit == Exit::Return
    }

    /// How the call ends, as its leases are told.
    pub(super) fn end(self) -> End {
        if self.works_on() { End::DeadlineExceeded } else { self.exit.end() }
    }

    /// The number of the reason why there is no such cell.
    pub(super) fn cannot_be(self) -> Option<usize> {
        match (self.engine, self.peer, self.state) {
            (Engine::Mongodb, _, State::BeginInFlight) => Some(4),
            (Engine::Mongodb, ..) => None,
            (_, _, State::FindBeforeReply | State::FirstOperation) => Some(3),
            (Engine::Postgres | Engine::Mariadb, ..) => None,
            (Engine::Sqlite, Peer::Silent | Peer::SilentToo | Peer::Killed, _) => Some(0),
            (Engine::Sqlite, _, State::CommitInFlight) => Some(2),
            (Engine::Sqlite, Peer::Slow, State::InTransaction) => Some(1),
            (Engine::Sqlite, Peer::Healthy | Peer::Slow, _) => None,
        }
    }

    /// What it is played on. Of MongoDB's, what needs a server that ends what runs, or what a session has, by the stand-in.
    pub(super) fn server(self) -> Server {
        match self.engine {
            Engine::Sqlite => Server::Sqlite,
            Engine::Postgres => Server::Postgres,
            Engine::Mariadb => Server::Mariadb,
            Engine::Mongodb => match (self.state, self.peer, self.exit) {
                (State::Acquiring | State::Ready, ..) => Server::Mongodb,
                // Nobody could end it, and the document would be locked for the next cell.
                (State::InTransaction, Peer::SilentToo, Exit::Shutdown) => Server::StandIn,
                (State::InTransaction, ..) | (State::CursorHalfRead, Peer::Healthy | Peer::Slow, _) => Server::Mongodb,
                _ => Server::StandIn,
            },
        }
    }

    /// Whether it may be SecantusDB, one process that interprets. Beside the rest of the suite its answers take seconds now and then.
    pub(super) fn asks_a_slow_server(self) -> bool {
        self.server() == Server::Mongodb
    }

    /// Whether the server can tell that a session is gone whose connection is silent.
    pub(super) fn is_confirmed(self) -> bool {
        match self.peer {
            Peer::Healthy | Peer::Slow | Peer::Killed => true,
            Peer::SilentToo => false,
            // See `DIFFERENCES`.
            Peer::Silent => match self.server() {
                Server::StandIn => false,
                Server::Mongodb => std::env::var_os("WHARF_TEST_MONGODB_URL").is_none(),
                Server::Sqlite | Server::Postgres | Server::Mariadb => true,
            },
        }
    }

    /// What the call leaves in its session, a line each.
    pub(super) fn residue(self) -> &'static str {
        match self.state {
            State::Acquiring | State::Ready => self.scheme().residue,
            _ => self.scheme().light_residue,
        }
    }

    /// How long a statement may take, where bounds are scaled down.
    pub(super) fn statement_timeout(self) -> Duration {
        // MariaDB does not look whether a client is still there while its COMMIT waits (its SLEEP does). With nobody left who could
        // say KILL, the statement timeout that it was told at connect is what ends it; nothing else here runs into one.
        let call = (self.engine, self.peer, self.state, self.exit);
        let is_backstop = call == (Engine::Mariadb, Peer::SilentToo, State::CommitInFlight, Exit::Shutdown);
        Duration::from_secs(if is_backstop { 20 } else { 60 })
    }

    /// What its guests are told.
    pub(super) fn scheme(self) -> &'static Scheme {
        self.server().scheme()
    }

    /// What its guests speak.
    pub(super) fn language(self) -> Language {
        self.scheme().language
    }
}
