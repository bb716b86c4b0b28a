//! Where operations ask for their lines: one before they begin, one when they have ended, whatever ends them.

use std::{
    fmt, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

use super::{
    board::{Board, Status},
    chain::Head,
    disk::{Folder, Locked},
    log::Limits,
    record::{Asked, Outcome, Reclaim, Record, Request},
    recovery::{Found, StartError, recover},
    settings::{Durability, Settings, WhenUnavailable},
    writer::{Answer, CloseError, Entry, Message, Unavailable, Writer},
};

/// Lines that may wait before their operations; those that wait to say how one ended are as many as operations at most.
const MAX_WAITING: usize = 1_024;

/// The audit log of a host.
///
/// For every operation: [`Audit::intent`] before anything of it is sent to a database, and [`Operation::end`] with what became of it. For one
/// that is not allowed to begin, [`Audit::refused`]. For what a connection leaves behind, [`Audit::reclaimed`].
///
/// Nothing here takes a lock for longer than it takes to copy a few words, and only `start` touches a disk in the caller's thread. A disk
/// that stalls holds up those who wait for their lines, and nobody else.
///
/// Dropping it with all [`Operation`]s ends its thread, but nobody waits for that; [`Audit::close`] does.
pub struct Audit {
    desk: Arc<Desk>,
}

impl fmt::Debug for Audit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Audit").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Audit {
    /// Opens the log, mends its end, writes that a host starts, and starts the thread that writes.
    ///
    /// # Bounds
    /// Blocks on the file system: reads the first line and the last 8 MiB, and syncs.
    /// # Errors
    /// See [`StartError`].
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let no_name = || StartError::Io(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"));
        let name = settings.file.file_name().and_then(|name| name.to_str()).ok_or_else(no_name)?.to_owned();
        let folder = settings.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = Locked::new(folder, &name).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StartError::Locked,
            _ => StartError::Io(error),
        })?;
        Self::over(folder, &name, settings)
    }

    pub(super) fn over<F>(folder: F, name: &str, settings: Settings) -> Result<Self, StartError>
    where
        F: Folder<File: Send> + Send + 'static,
    {
        let limits = Limits { max_file_size: settings.max_file_size, max_files: settings.max_files };
        let Found { mut log, is_clean, torn } = recover(folder, name, limits, &settings.key)?;
        let start = Record::Start { clean: is_clean, torn: torn.as_ref() }.render();
        log.append([start.as_slice()].into_iter(), true)?;
        let head = log.synced_head();
        tracing::info!(target: "wharf::audit", %head, durability = settings.durability.name(), is_clean, "the audit log is open");
        let board = Arc::new(Board::new(head, settings.stall));
        let (inbox, messages) = mpsc::channel();
        let desk = Desk {
            inbox,
            places: Arc::new(Semaphore::new(MAX_WAITING)),
            board: Arc::clone(&board),
            // Each operation has a line, so that numbers come again after a start only if lines were lost.
            next_operation: AtomicU64::new(head.seq),
            durability: settings.durability,
            when_unavailable: settings.when_unavailable,
            statement_bytes: settings.statement_bytes,
            patience: settings.patience,
        };
        let writer = Writer::new(log, messages, board, settings);
        thread::Builder::new().name("wharf-audit".to_owned()).spawn(move || writer.run())?;
        Ok(Self { desk: Arc::new(desk) })
    }

    /// Has a line written that an operation is about to begin, and waits until that is as safe as [`Durability`] says. To be asked before a
    /// connection is acquired, so that none is held meanwhile.
    ///
    /// # Bounds
    /// None in time where work is refused without the log: whoever asks has a deadline, and drops the future then. A second where it goes on
    /// without. At most 1,024 lines wait to be written, further callers in order of arrival.
    /// # Errors
    /// [`Unavailable`] where work is refused without the log: the operation must not begin. At once while the log is known to be down, as it is
    /// when the disk has not answered for five seconds.
    /// # Cancellation
    /// Dropping the future is no harm: either there is no line, or an outcome `abandoned` follows it.
    pub async fn intent(&self, request: &Request<'_>) -> Result<Operation, Unavailable> {
        let desk = &self.desk;
        let number = desk.next_operation.fetch_add(1, Ordering::Relaxed);
        let record = Record::Intent { op: number, asked: Asked::new(request, desk.statement_bytes) }.render();
        let mut operation = Operation { desk: Arc::clone(desk), number, begun: Instant::now(), line: Intent::Unasked };
        desk.ask(record, &mut operation.line).await?;
        operation.begun = Instant::now();
        Ok(operation)
    }

    /// Has a line written of an operation that was not allowed to begin, and waits for it as [`Audit::intent`] does.
    ///
    /// # Bounds
    /// As for `intent`.
    /// # Errors
    /// [`Unavailable`]: nothing tells of the attempt. Not an error where work goes on without the log.
    /// # Cancellation
    /// The line may or may not be written.
    pub async fn refused(&self, request: &Request<'_>, outcome: &Outcome<'_>) -> Result<(), Unavailable> {
        let asked = Asked::new(request, self.desk.statement_bytes);
        self.desk.ask(Record::Refused { asked, outcome: *outcome }.render(), &mut Intent::Unasked).await
    }

    /// As [`Audit::refused`], for who cannot wait: the line is lost while the log cannot be written, or many wait.
    pub fn refused_at_once(&self, request: &Request<'_>, outcome: &Outcome<'_>) {
        let Desk { board, statement_bytes, .. } = &*self.desk;
        let record = Record::Refused { asked: Asked::new(request, *statement_bytes), outcome: *outcome }.render();
        let has_room = !board.is_down() && board.waiting() < MAX_WAITING;
        if !has_room || !self.desk.send(Entry { record, answer: None, is_intent: false, _place: None }) {
            board.loses();
        }
    }

    /// Has a line written of a connection that was taken back with something open on it. Does not wait, cannot fail; there are as many such
    /// lines as operations at most.
    pub fn reclaimed(&self, reclaim: Reclaim<'_>) {
        self.desk.push(Record::Reclaim(reclaim).render(), None);
    }

    /// How the log is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.desk.board.status()
    }

    /// Whether the log can be written, as far as is known. Takes no lock but to find out that the disk has not answered for five seconds.
    #[must_use]
    pub fn is_available(&self) -> bool {
        !self.desk.board.is_down()
    }

    /// Whether work is refused while it cannot be written.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.desk.when_unavailable == WhenUnavailable::Refuse
    }

    /// Writes what was asked for before and that the host stops, and ends the thread. Lines that are asked for later are lost, so every
    /// operation has to have ended.
    ///
    /// # Bounds
    /// None in time: a disk may stall. Whoever stops has a deadline, and drops the future then.
    /// # Errors
    /// [`CloseError`] when lines could not be written; there is one attempt.
    /// # Cancellation
    /// The log is closed all the same.
    pub async fn close(&self) -> Result<Head, CloseError> {
        let (closer, closed) = oneshot::channel();
        // The thread is gone: it panicked, or was closed before.
        let gone = CloseError { lines: self.desk.board.waiting() as u64 };
        if self.desk.inbox.send(Message::Close(closer)).is_err() {
            return Err(gone);
        }
        closed.await.unwrap_or(Err(gone))
    }
}

/// An operation of which the log says that it begins. It says that it was abandoned, unless [`Operation::end`] says more.
#[must_use = "its outcome has to be told"]
pub struct Operation {
    desk: Arc<Desk>,
    number: u64,
    begun: Instant,
    line: Intent,
}

impl Operation {
    /// Has a line written of what became of it. That is asked for at once; the future only waits until the line is on the disk, where
    /// [`Durability::Synced`] wants that, or until the log turns out to be down: what was done cannot be refused any more, so the line is kept
    /// and the next operation is refused.
    ///
    /// # Cancellation
    /// The line is written all the same.
    pub fn end(mut self, outcome: &Outcome<'_>) -> impl Future<Output = ()> + Send + use<> {
        let answered = self.tell(outcome);
        async move {
            if let Some(answered) = answered {
                // Written, or kept.
                let _ = answered.await;
            }
        }
    }

    fn tell(&mut self, outcome: &Outcome<'_>) -> Option<oneshot::Receiver<Result<(), Unavailable>>> {
        self.line = Intent::Ended;
        let us = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let record = Record::Outcome { op: self.number, outcome: *outcome, us }.render();
        let (answer, answered) = oneshot::channel();
        let waits = self.desk.durability == Durability::Synced;
        self.desk.push(record, waits.then_some(answer));
        waits.then_some(answered)
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if self.line.wants_an_outcome() {
            drop(self.tell(&Outcome { outcome: "abandoned", code: None, rows: None }));
        }
    }
}

/// What is known of the line before an operation.
enum Intent {
    /// There is none.
    Unasked,
    /// It may be written or refused.
    Asked(oneshot::Receiver<Result<(), Unavailable>>),
    /// It is written, or work goes on without.
    Begun,
    /// It is refused, or the line after the operation is asked for.
    Ended,
}

impl Intent {
    async fn answered(&mut self) -> Result<(), Unavailable> {
        let Self::Asked(answer) = self else { return Ok(()) };
        let answer = answer.await.unwrap_or(Err(Unavailable));
        *self = if answer.is_ok() { Self::Begun } else { Self::Ended };
        answer
    }

    /// Whether an outcome has to follow, because the line is there, or nobody can take it back any more.
    fn wants_an_outcome(&mut self) -> bool {
        match self {
            Self::Unasked | Self::Ended => false,
            Self::Begun => true,
            Self::Asked(answer) => {
                // From here on the writer keeps the line rather than refuse it.
                answer.close();
                !matches!(answer.try_recv(), Ok(Err(Unavailable)))
            }
        }
    }
}

/// What operations share.
struct Desk {
    inbox: mpsc::Sender<Message>,
    places: Arc<Semaphore>,
    board: Arc<Board>,
    next_operation: AtomicU64,
    durability: Durability,
    when_unavailable: WhenUnavailable,
    statement_bytes: usize,
    patience: Duration,
}

impl Desk {
    /// Asks for a line before something is done, and waits for it.
    async fn ask(&self, record: Vec<u8>, line: &mut Intent) -> Result<(), Unavailable> {
        if self.when_unavailable == WhenUnavailable::Refuse {
            return self.wait_for(record, line).await;
        }
        if self.board.is_down() {
            self.push(record, None);
        } else {
            let waited = timeout(self.patience, self.wait_for(record, line)).await;
            match waited {
                Ok(Ok(())) => {}
                // The thread has ended.
                Ok(Err(Unavailable)) => self.board.loses(),
                Err(_) => {
                    self.board.takes_too_long();
                    if matches!(line, Intent::Unasked) {
                        self.board.loses();
                    }
                }
            }
        }
        *line = Intent::Begun;
        Ok(())
    }

    async fn wait_for(&self, record: Vec<u8>, line: &mut Intent) -> Result<(), Unavailable> {
        if self.board.is_down() {
            return Err(Unavailable);
        }
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Unavailable)?;
        // What waited before it may have found that out.
        if self.board.is_down() {
            return Err(Unavailable);
        }
        let (told, answer) = oneshot::channel();
        *line = if self.durability == Durability::Queued { Intent::Begun } else { Intent::Asked(answer) };
        let answer = matches!(line, Intent::Asked(_)).then_some(told);
        if !self.send(Entry { record, answer, is_intent: true, _place: Some(place) }) {
            *line = Intent::Ended;
            return Err(Unavailable);
        }
        line.answered().await
    }

    /// Asks for a line of something that was done. Where work goes on without the log, it is lost when too many wait.
    fn push(&self, record: Vec<u8>, answer: Option<Answer>) {
        let is_kept = self.when_unavailable == WhenUnavailable::Refuse || !self.board.is_down();
        let has_room = is_kept || self.board.waiting() < MAX_WAITING;
        if !has_room || !self.send(Entry { record, answer, is_intent: false, _place: None }) {
            self.board.loses();
        }
    }

    /// Whether there is still somebody who writes.
    fn send(&self, entry: Entry) -> bool {
        self.board.comes();
        let is_sent = self.inbox.send(Message::Entry(entry)).is_ok();
        if !is_sent {
            self.board.goes(1);
        }
        is_sent
    }
}
