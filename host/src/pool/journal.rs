//! What an operator asks about afterwards: what was reclaimed and why, and what went wrong lately.
//!
//! Nothing here is on the way of a lease that is given back as it should be. Times are instants; who shows them makes them times of day.

use std::{collections::VecDeque, sync::PoisonError, time::Duration};

use tokio::time::Instant;

use super::{Borrower, Ended};
use crate::{
    driver::{Failure, FailureKind},
    sync::{Mutex, MutexGuard},
};

const HOUR: Duration = Duration::from_secs(60 * 60);
/// Hours that are kept apart; what is older counts as one.
const HOURS: u64 = 24;
/// Reclaims that are kept one by one.
const MAX_RECLAIMS: usize = 256;
/// Troubles that are kept; those that are alike are one.
const MAX_TROUBLES: usize = 10;
/// Bytes that are kept of a message.
const MAX_MESSAGE: usize = 240;

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident => $text:literal),+ $(,)?) => {
        /// How far the host had to go to take a connection back: the last step, or the one that was needed besides a close.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Step { $($(#[$doc])* $name),+ }

        impl Step {
            /// All of them, the harmless ones first.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The step's name, in the words of the project.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

steps! {
    /// Nothing was left on it.
    Clean => "clean",
    /// The session was reset.
    Reset => "reset",
    /// A transaction was rolled back, and the session reset where that was needed.
    RolledBack => "rolled-back",
    /// A statement was cancelled, and the connection closed.
    Cancelled => "cancelled",
    /// It could not be proven clean, and was closed.
    Closed => "closed",
    /// The session was ended on the server from outside.
    Killed => "killed",
    /// The server did not confirm within all bounds that the session is gone.
    Unconfirmed => "unconfirmed",
}

/// A connection that was taken back, other than clean from the hands of its holder.
#[derive(Clone, Debug)]
pub struct Reclaim {
    /// Counts the reclaims of the database, from 1.
    pub number: u64,
    /// When it was over.
    pub at: Instant,
    /// Who had it.
    pub borrower: Borrower,
    /// The session's number on the server.
    pub session: i64,
    /// Why the lease ended.
    pub reason: Ended,
    /// How far the host had to go.
    pub step: Step,
    /// For how long it was lent.
    pub held: Duration,
    /// How long it took from the end of the lease.
    pub took: Duration,
}

/// How often connections were reclaimed for one reason and by one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Why the leases ended.
    pub reason: Ended,
    /// How far the host had to go.
    pub step: Step,
    /// How often since the database was opened.
    pub since_start: u64,
    /// How often in the last 24 hours, in steps of an hour.
    pub last_24h: u64,
}

/// Something that went wrong between host and server, however often it did so in the same way.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// For the first time.
    pub first: Instant,
    /// For the last time.
    pub last: Instant,
    /// How often.
    pub times: u64,
    /// What the host was at.
    pub during: During,
    /// What kind of failure it was.
    pub kind: FailureKind,
    /// The server's code, if it sent one.
    pub code: Option<String>,
    /// What may be shown of it: free of addresses, credentials and values.
    pub message: String,
}

/// What the host was at when something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum During {
    /// Opening a session.
    Connect,
    /// Asking the server on the control path.
    Control,
    /// Running an operation of a guest.
    Operation,
    /// Cancelling one.
    Cancel,
    /// Rolling back.
    Rollback,
    /// Resetting a session.
    Reset,
    /// Seeing that a session is gone.
    Confirm,
}

impl During {
    /// In a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Control => "control",
            Self::Operation => "operation",
            Self::Cancel => "cancel",
            Self::Rollback => "rollback",
            Self::Reset => "reset",
            Self::Confirm => "confirm",
        }
    }
}

/// The journal of a database.
#[derive(Debug)]
pub(super) struct Journal {
    opened: Instant,
    book: Mutex<Book>,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self { opened: Instant::now(), book: Mutex::new(Book::default()) }
    }

    /// Writes a reclaim down, which is given its number here.
    pub(super) fn reclaimed(&self, reclaim: Reclaim) {
        let hour = self.hour();
        self.book().reclaimed(hour, reclaim);
    }

    /// Writes down what the server or the driver said where no guest had a part in it.
    pub(super) fn failed(&self, during: During, failure: &Failure) {
        self.trouble(during, failure.kind, failure.code.as_deref(), &failure.message);
    }

    /// Writes trouble down. `message` is told to operators, so it is never what a server says of a guest's statement.
    pub(super) fn trouble(&self, during: During, kind: FailureKind, code: Option<&str>, message: &str) {
        let now = Instant::now();
        self.book().trouble(now, during, kind, code, message);
    }

    /// How often what was reclaimed; only what was.
    pub(super) fn tallies(&self) -> Vec<Tally> {
        let hour = self.hour();
        self.book().tallies(hour)
    }

    /// The reclaims after that of a number, the oldest first, as far as they are kept.
    pub(super) fn reclaims(&self, after: u64) -> Vec<Reclaim> {
        self.book().reclaims(after)
    }

    /// What went wrong, the latest first.
    pub(super) fn troubles(&self) -> Vec<Trouble> {
        self.book().troubles.iter().rev().cloned().collect()
    }

    /// Which one it is since the start.
    fn hour(&self) -> u64 {
        self.opened.elapsed().as_secs() / HOUR.as_secs()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing under the lock can leave it half written.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often, by reason and step.
type Table = [[u64; Step::ALL.len()]; Ended::ALL.len()];

/// What is written in a journal.
#[derive(Debug, Default)]
struct Book {
    since_start: Table,
    /// The hours in which something was reclaimed, counted from the start, the oldest first.
    hours: VecDeque<(u64, Table)>,
    reclaims: VecDeque<Reclaim>,
    reclaimed: u64,
    /// The latest last.
    troubles: VecDeque<Trouble>,
}

impl Book {
    fn reclaimed(&mut self, hour: u64, mut reclaim: Reclaim) {
        let (reason, step) = (reclaim.reason.place(), reclaim.step as usize);
        self.since_start[reason][step] += 1;
        if self.hours.back().is_none_or(|(last, _)| *last < hour) {
            self.hours.retain(|(of, _)| of + HOURS > hour);
            self.hours.push_back((hour, Table::default()));
        }
        if let Some((_, table)) = self.hours.back_mut() {
            table[reason][step] += 1;
        }
        self.reclaimed += 1;
        reclaim.number = self.reclaimed;
        if self.reclaims.len() == MAX_RECLAIMS {
            self.reclaims.pop_front();
        }
        self.reclaims.push_back(reclaim);
    }

    fn trouble(&mut self, now: Instant, during: During, kind: FailureKind, code: Option<&str>, message: &str) {
        let message = &message[..message.floor_char_boundary(MAX_MESSAGE)];
        let is_same =
            |it: &Trouble| it.during == during && it.kind == kind && it.code.as_deref() == code && it.message == message;
        let known = self.troubles.iter().position(is_same).and_then(|place| self.troubles.remove(place));
        let trouble = match known {
            Some(known) => Trouble { last: now, times: known.times + 1, ..known },
            None => {
                let (code, message) = (code.map(str::to_owned), message.to_owned());
                Trouble { first: now, last: now, times: 1, during, kind, code, message }
            }
        };
        if self.troubles.len() == MAX_TROUBLES {
            self.troubles.pop_front();
        }
        self.troubles.push_back(trouble);
    }

    fn tallies(&self, hour: u64) -> Vec<Tally> {
        let all = Ended::ALL.iter().enumerate().flat_map(|reason| Step::ALL.iter().map(move |step| (reason, *step)));
        let tallies = all.map(|((place, reason), step)| {
            let count = |table: &Table| table[place][step as usize];
            let lately = self.hours.iter().filter(|(of, _)| of + HOURS > hour).map(|(_, table)| count(table)).sum();
            Tally { reason: *reason, step, since_start: count(&self.since_start), last_24h: lately }
        });
        tallies.filter(|tally| tally.since_start > 0).collect()
    }

    fn reclaims(&self, after: u64) -> Vec<Reclaim> {
        self.reclaims.iter().filter(|reclaim| reclaim.number > after).cloned().collect()
    }
}

// Without the lock, since `tests/schedules` compiles these, too.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::End;

    const TRAPPED: Ended = Ended::CallEnded(End::Trapped);

    fn reclaim(book: &mut Book, hour: u64, reason: Ended, step: Step) {
        let borrower = Borrower { plugin: "plugin".into(), request_id: "request".into(), trail: None };
        let (held, took) = (Duration::from_secs(2), Duration::from_millis(3));
        book.reclaimed(hour, Reclaim { number: 0, at: Instant::now(), borrower, session: 7, reason, step, held, took });
    }

    /// What is told in an hour of one reason and step: since the start, and in the last day.
    fn told(book: &Book, hour: u64, reason: Ended, step: Step) -> Option<(u64, u64)> {
        let tallies = book.tallies(hour);
        let tally = tallies.iter().find(|tally| (tally.reason, tally.step) == (reason, step));
        tally.map(|tally| (tally.since_start, tally.last_24h))
    }

    #[test]
    fn a_reclaim_counts_for_a_day_and_for_ever() {
        let mut book = Book::default();
        assert!(book.tallies(0).is_empty());
        reclaim(&mut book, 0, TRAPPED, Step::RolledBack);
        reclaim(&mut book, 23, TRAPPED, Step::RolledBack);
        reclaim(&mut book, 23, Ended::TimedOut, Step::Killed);
        let rolled_back = |book: &Book, hour| told(book, hour, TRAPPED, Step::RolledBack);
        assert_eq!([23, 24, 47].map(|hour| rolled_back(&book, hour)), [Some((2, 2)), Some((2, 1)), Some((2, 0))]);
        assert_eq!(told(&book, 24, Ended::TimedOut, Step::Killed), Some((1, 1)));
        assert_eq!(told(&book, 24, Ended::TimedOut, Step::Clean), None);
        reclaim(&mut book, 124, Ended::Lost, Step::Unconfirmed);
        assert_eq!((book.tallies(124).len(), book.hours.len()), (3, 1));
    }

    #[test]
    fn the_last_reclaims_are_kept_one_by_one() {
        let mut book = Book::default();
        for _ in 0..MAX_RECLAIMS + 5 {
            reclaim(&mut book, 0, Ended::Revoked, Step::Clean);
        }
        let numbers = |after| book.reclaims(after).iter().map(|reclaim| reclaim.number).collect::<Vec<_>>();
        let all = MAX_RECLAIMS as u64 + 5;
        assert_eq!(numbers(0), (6..=all).collect::<Vec<_>>());
        assert_eq!(numbers(all - 1), [all]);
        assert!(numbers(all).is_empty());
    }

    #[test]
    fn troubles_that_are_alike_are_one_and_the_oldest_are_forgotten() {
        let mut book = Book::default();
        let start = Instant::now();
        for second in 0..3 {
            let now = start + Duration::from_secs(second);
            book.trouble(now, During::Connect, FailureKind::Disconnected, None, "refused");
        }
        book.trouble(start, During::Control, FailureKind::Disconnected, None, "refused");
        let told: Vec<_> = book.troubles.iter().map(|it| (it.during, it.times, it.last - it.first)).collect();
        assert_eq!(told, [(During::Connect, 3, Duration::from_secs(2)), (During::Control, 1, Duration::ZERO)]);
        for number in 0..MAX_TROUBLES {
            let message = format!("number {number}");
            book.trouble(start, During::Reset, FailureKind::Database, Some("57014"), &message);
        }
        assert_eq!(book.troubles.len(), MAX_TROUBLES);
        assert!(book.troubles.iter().all(|it| it.during == During::Reset));
    }

    #[test]
    fn a_long_message_is_cut_between_two_characters() {
        let mut book = Book::default();
        let long = format!("a{}", "ä".repeat(MAX_MESSAGE));
        book.trouble(Instant::now(), During::Connect, FailureKind::Database, None, &long);
        assert_eq!(book.troubles[0].message.len(), MAX_MESSAGE - 1);
    }
}
