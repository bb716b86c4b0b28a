//! Looks on while the calls run: sessions on the servers, and how often the file of SQLite is open.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{bed::Databases, memory};

/// How often it looks.
const EVERY: Duration = Duration::from_millis(100);

/// The most that was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) looks: u64,
    pub(crate) postgres: usize,
    pub(crate) mariadb: usize,
    /// Sessions of both that ran a statement or had a transaction open.
    pub(crate) busy: usize,
    /// Open files of SQLite.
    pub(crate) files: usize,
}

/// Looks until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Watch {
    pub(crate) fn start(databases: Arc<Databases>, pid: u32) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let sessions = databases.count().await;
                let files = memory::times_open(pid, &databases.file);
                let mut seen = shared.lock().unwrap_or_else(PoisonError::into_inner);
                seen.looks += 1;
                seen.postgres = seen.postgres.max(sessions.postgres);
                seen.mariadb = seen.mariadb.max(sessions.mariadb);
                seen.busy = seen.busy.max(sessions.busy);
                seen.files = seen.files.max(files);
            }
        });
        Self { seen, task }
    }

    pub(crate) fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails with the looking, if that did.
    ///
    /// # Panics
    /// Then: a server that cannot be asked proves nothing.
    pub(crate) fn assert_looking(&self) {
        assert!(!self.task.is_finished(), "the servers can no longer be asked for their sessions");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
