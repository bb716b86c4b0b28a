//! What is tried: exits, states, peers and engines, and which of their combinations there cannot be.

use std::{fmt, time::Duration};

use super::ground::Scheme;

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
        /// Said, and not answered; on a server the transaction is open.
        BeginInFlight = "begin-in-flight",
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
        /// The server ends the pool's sessions.
        Killed = "killed",
    }
}

axis! {
    /// What lies under the pool. The texts of each are in `ground`.
    Engine {
        Sqlite = "sqlite",
        Postgres = "postgres",
        Mariadb = "mariadb",
    }
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
            // Nobody is there to see it, or the connection may be cut.
            Self::ClientGone | Self::Shutdown => None,
        }
    }
}

impl State {
    /// Whether a call of the guest's is under way.
    pub(super) fn is_in_flight(self) -> bool {
        matches!(self, Self::Acquiring | Self::StatementRunning | Self::BeginInFlight | Self::CommitInFlight)
    }

    /// Whether leaving interrupts what a connection runs.
    pub(super) fn is_interrupted(self) -> bool {
        self.is_in_flight() && self != Self::Acquiring
    }

    /// Operations that have begun when the one that is to be in flight has, those that leave a residue not among them.
    pub(super) fn operations(self) -> u64 {
        match self {
            Self::StatementRunning | Self::BeginInFlight => 1,
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
pub(super) const REASONS: [&str; 3] = [
    "SQLite is in the process: there is no peer that could go silent, and no server that could end a session.",
    "On SQLite the call itself is the writer in this state: no other can have the file and slow it down.",
    "COMMIT on SQLite waits for nobody: BEGIN IMMEDIATE has the file already, and write-ahead logging waits for no reader. It is over \
     before anything could come in between.",
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

    /// The number of the reason why there is no such cell.
    pub(super) fn cannot_be(self) -> Option<usize> {
        if self.engine.is_a_server() {
            return None;
        }
        match (self.peer, self.state) {
            (Peer::Silent | Peer::SilentToo | Peer::Killed, _) => Some(0),
            (_, State::CommitInFlight) => Some(2),
            (Peer::Slow, State::InTransaction) => Some(1),
            (Peer::Healthy | Peer::Slow, _) => None,
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

    /// The texts of the engine.
    pub(super) fn scheme(self) -> &'static Scheme {
        self.engine.scheme()
    }
}
