//! What an operator decides about the audit log.

use std::{path::PathBuf, time::Duration};

use super::{chain::Key, record::MAX_STATEMENT};

/// Bytes that a file may be allowed to have, at least: the longest queue fits into one.
pub const MIN_FILE_SIZE: u64 = 8 << 20;

/// How safe the line before an operation is when the operation begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// In memory: what waits there (1,024 lines and those of operations under way) is lost with the process.
    Queued,
    /// With the kernel: nothing is lost with the process, and with the machine at most what came within `sync_interval`.
    #[default]
    Written,
    /// On the disk: nothing is lost. An operation also waits for the line after it.
    Synced,
}

impl Durability {
    /// From the fastest to the safest.
    pub const ALL: [Self; 3] = [Self::Queued, Self::Written, Self::Synced];

    /// As it is said in `wharf.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Written => "written",
            Self::Synced => "synced",
        }
    }
}

/// What becomes of work while the log cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenUnavailable {
    /// Operations are refused before anything is sent to a database.
    #[default]
    Refuse,
    /// Work goes on, with an alarm. Lines are kept while there is room for them; how many are not is then a line of the log.
    Continue,
}

impl WhenUnavailable {
    /// The default comes first.
    pub const ALL: [Self; 2] = [Self::Refuse, Self::Continue];

    /// As it is said in `wharf.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Continue => "continue",
        }
    }
}

/// How the audit log is written.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where lines go; files that were ended are beside it, with a number after its name.
    pub file: PathBuf,
    /// What lines are sealed with.
    pub key: Key,
    /// How safe a line is when its operation begins.
    pub durability: Durability,
    /// How long a line that was written may wait to be on the disk.
    pub sync_interval: Duration,
    /// What becomes of work while the log cannot be written.
    pub when_unavailable: WhenUnavailable,
    /// Bytes of a file before the line that says that another one follows; [`MIN_FILE_SIZE`] at least.
    pub max_file_size: u64,
    /// Files that were ended and are kept; 0 for all.
    pub max_files: usize,
    /// Bytes of a statement in a line, [`MAX_STATEMENT`] at most.
    pub statement_bytes: usize,
    /// How often the head is in the ordinary log, when it has moved.
    pub head_interval: Duration,
    /// How often it is tried again to write after a failure.
    pub(super) retry_interval: Duration,
    /// How long an operation waits for its line where work goes on without.
    pub(super) patience: Duration,
    /// How long the disk may be waited for before the log is taken for one that cannot be written.
    pub(super) stall: Duration,
}

impl Settings {
    /// The defaults.
    #[must_use]
    pub fn new(file: PathBuf, key: Key) -> Self {
        Self {
            file,
            key,
            durability: Durability::default(),
            sync_interval: Duration::from_secs(1),
            when_unavailable: WhenUnavailable::default(),
            max_file_size: 256 << 20,
            max_files: 0,
            statement_bytes: MAX_STATEMENT,
            head_interval: Duration::from_secs(60),
            retry_interval: Duration::from_secs(1),
            patience: Duration::from_secs(1),
            stall: Duration::from_secs(5),
        }
    }
}
