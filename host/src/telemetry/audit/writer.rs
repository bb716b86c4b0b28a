//! The thread that alone writes: takes all that waits, writes it at once, then answers.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    board::Board,
    chain::Head,
    disk::Folder,
    log::Log,
    record::Record,
    settings::{Durability, Settings, WhenUnavailable},
};

/// Entries that are taken at once.
const MAX_BATCH: usize = 1_024;
/// How long it sleeps when there is nothing to do.
const IDLE: Duration = Duration::from_secs(3_600);

/// The log cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written")]
pub struct Unavailable;

/// The last lines could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{lines} lines of the audit log could not be written")]
pub struct CloseError {
    /// Those that are known of.
    pub lines: u64,
}

pub(super) type Answer = oneshot::Sender<Result<(), Unavailable>>;

/// A line to write.
pub(super) struct Entry {
    pub(super) record: Vec<u8>,
    /// Who waits until it is as safe as was decided.
    pub(super) answer: Option<Answer>,
    /// Nothing has been done yet of what it says: it may be refused.
    pub(super) is_intent: bool,
    /// Goes back when it is written or refused.
    pub(super) _place: Option<OwnedSemaphorePermit>,
}

impl Entry {
    /// Lets go of who waits for it; whether it is refused, and there is nothing to write any more.
    fn is_let_go(&mut self, when_unavailable: WhenUnavailable) -> bool {
        let Some(answer) = self.answer.take() else { return false };
        if self.is_intent && when_unavailable == WhenUnavailable::Refuse {
            // Whoever went away does not hear that it was refused, and will tell an outcome: the line has to stay.
            return answer.send(Err(Unavailable)).is_ok();
        }
        // Nobody need wait for it.
        let _ = answer.send(Ok(()));
        false
    }
}

pub(super) enum Message {
    Entry(Entry),
    /// Write what came before this, and end.
    Close(oneshot::Sender<Result<Head, CloseError>>),
}

pub(super) struct Writer<F: Folder> {
    log: Log<F>,
    inbox: Receiver<Message>,
    board: Arc<Board>,
    settings: Settings,
    waiting: Vec<Entry>,
    /// When what was written has to be on the disk.
    sync_at: Option<Instant>,
    /// When it is tried again; the last attempt failed.
    retry_at: Option<Instant>,
    /// What the ordinary log says, and when it may say more.
    told: Head,
    tell_at: Instant,
    is_over: bool,
    closer: Option<oneshot::Sender<Result<Head, CloseError>>>,
}

/// Says that nothing is written any more, also when the thread panics.
struct Ended(Arc<Board>);

impl Drop for Ended {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.falls("its thread has panicked".to_owned());
        }
    }
}

impl<F: Folder> Writer<F> {
    pub(super) fn new(log: Log<F>, inbox: Receiver<Message>, board: Arc<Board>, settings: Settings) -> Self {
        let told = log.synced_head();
        let tell_at = Instant::now() + settings.head_interval;
        Self {
            log,
            inbox,
            board,
            settings,
            waiting: Vec::new(),
            sync_at: None,
            retry_at: None,
            told,
            tell_at,
            is_over: false,
            closer: None,
        }
    }

    /// Until it is closed, or nobody is left who could ask for a line.
    pub(super) fn run(mut self) {
        let _ended = Ended(Arc::clone(&self.board));
        while !self.is_over {
            self.gather();
            self.turn(Instant::now());
        }
        self.finish();
    }

    /// Waits for something to do, and takes all that is there.
    fn gather(&mut self) {
        match self.inbox.recv_timeout(self.pause(Instant::now())) {
            Ok(message) => self.take(message),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.is_over = true,
        }
        for _ in 1..MAX_BATCH {
            if self.is_over {
                return;
            }
            let Ok(message) = self.inbox.try_recv() else { return };
            self.take(message);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Entry(entry) => self.waiting.push(entry),
            Message::Close(closer) => (self.is_over, self.closer) = (true, Some(closer)),
        }
    }

    fn pause(&self, now: Instant) -> Duration {
        let tell_at = (self.told != self.log.synced_head()).then_some(self.tell_at);
        // After a failure nothing is synced before the next attempt: what is due by then must not keep this thread awake.
        let next = [self.retry_at.or(self.sync_at), tell_at].into_iter().flatten().min();
        next.map_or(IDLE, |at| at.saturating_duration_since(now))
    }

    fn turn(&mut self, now: Instant) {
        if self.retry_at.is_none_or(|at| at <= now) {
            self.write(now);
        }
        if self.retry_at.is_none() && self.sync_at.is_some_and(|at| at <= now) {
            self.sync(now);
        }
        if self.retry_at.is_some() {
            self.let_go();
        }
        self.tell(now);
    }

    fn write(&mut self, now: Instant) {
        let lost = self.board.untold();
        // After a failure there is always a line, so that it is known whether one can be written.
        let has_gap = lost > 0 || self.retry_at.is_some();
        if self.waiting.is_empty() && !has_gap {
            return;
        }
        self.board.begins();
        let gap = has_gap.then(|| Record::Gap { lines: lost, since: &self.board.down_since() }.render());
        if let Err(error) = self.append(gap.as_deref(), self.settings.durability == Durability::Synced) {
            return self.fail(&error, now);
        }
        self.board.told(lost);
        self.board.goes(self.waiting.len());
        self.retry_at = None;
        self.board.rises();
        for answer in self.waiting.drain(..).filter_map(|entry| entry.answer) {
            // Who went away meanwhile tells an outcome.
            let _ = answer.send(Ok(()));
        }
        self.sync_at = if self.log.is_synced() { None } else { self.sync_at.or(Some(now + self.settings.sync_interval)) };
    }

    /// All that waits, and one line more.
    fn append(&mut self, last: Option<&[u8]>, sync: bool) -> io::Result<()> {
        let waiting = self.waiting.iter().map(|entry| entry.record.as_slice());
        self.log.append(waiting.chain(last), sync)
    }

    fn sync(&mut self, now: Instant) {
        self.board.begins();
        match self.log.sync() {
            Ok(()) => {
                self.sync_at = None;
                self.board.rises();
            }
            Err(error) => self.fail(&error, now),
        }
    }

    fn fail(&mut self, error: &io::Error, now: Instant) {
        self.retry_at = Some(now + self.settings.retry_interval);
        self.board.falls(error.to_string());
    }

    /// Nobody waits for a log that cannot be written.
    fn let_go(&mut self) {
        let before = self.waiting.len();
        let when_unavailable = self.settings.when_unavailable;
        self.waiting.retain_mut(|entry| !entry.is_let_go(when_unavailable));
        self.board.goes(before - self.waiting.len());
    }

    /// Puts the head where it may be kept, out of reach of who can change the log. Only what is on the disk is told: a head that was told
    /// and is not there means that the log was cut.
    fn tell(&mut self, now: Instant) {
        let head = self.log.synced_head();
        if head == self.told {
            return;
        }
        self.board.set_head(head);
        if now >= self.tell_at {
            tracing::info!(target: "wharf::audit", %head, "audit log");
            (self.told, self.tell_at) = (head, now + self.settings.head_interval);
        }
    }

    fn finish(mut self) {
        let now = Instant::now();
        // Once more, however soon after the last attempt.
        self.write(now);
        if self.retry_at.is_none()
            && let Err(error) = self.log.append([Record::Close.render().as_slice()].into_iter(), true)
        {
            self.fail(&error, now);
        }
        let head = self.log.synced_head();
        self.board.set_head(head);
        let closed = if self.retry_at.is_none() {
            tracing::info!(target: "wharf::audit", %head, "the audit log is closed");
            Ok(head)
        } else {
            Err(CloseError { lines: self.waiting.len() as u64 + self.board.untold() })
        };
        // Who asks from here on is told that nobody writes, and the next one may.
        drop((self.inbox, self.log));
        if let Some(closer) = self.closer {
            // Who asked may have had no time to wait.
            let _ = closer.send(closed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::{
        super::{
            chain::Key,
            disk::Locked,
            log::Limits,
            recovery::{Found, recover},
        },
        *,
    };

    #[test]
    fn what_is_due_while_the_log_cannot_be_written_waits_for_the_next_attempt() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::new(&"k".repeat(32)).unwrap();
        let limits = Limits { max_file_size: 1 << 20, max_files: 0 };
        let Found { log, .. } = recover(Locked::new(folder.path(), "log").unwrap(), "log", limits, &key).unwrap();
        let board = Arc::new(Board::new(log.synced_head(), Duration::from_secs(5)));
        let (_inbox, messages) = mpsc::channel();
        let mut writer = Writer::new(log, messages, board, Settings::new("log".into(), key));
        let now = Instant::now();
        writer.sync_at = Some(now);
        assert_eq!(writer.pause(now), Duration::ZERO);
        writer.fail(&io::ErrorKind::StorageFull.into(), now);
        assert_eq!(writer.pause(now), writer.settings.retry_interval);
    }
}
