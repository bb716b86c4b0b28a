//! Who must have what is read, and who must confirm what is written.

use std::time::Duration;

use super::types::{self, Acknowledgment, ReadConcern};
use crate::driver::{Failure, FailureKind};

/// When a write counts as done. What is absent is the server's default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteConcern {
    /// Never [`Acknowledgment::Nodes`] of 0: nobody would learn whether the write was done.
    pub w: Option<Acknowledgment>,
    /// Also written to the journal.
    pub journal: Option<bool>,
    /// How long to wait for `w`; cut to what the operation has.
    pub timeout: Option<Duration>,
}

impl WriteConcern {
    /// Takes what a guest asks for.
    ///
    /// # Errors
    /// `Invalid` for one that nobody would confirm, or a name that is empty.
    pub fn new(asked: types::WriteConcern) -> Result<Self, Failure> {
        match &asked.w {
            Some(Acknowledgment::Nodes(0)) => {
                return Err(Failure::new(
                    FailureKind::Invalid,
                    "a write that nobody confirms is not done here; ask for 1 or more",
                ));
            }
            Some(Acknowledgment::Tag(name)) if name.is_empty() => {
                return Err(Failure::new(FailureKind::Invalid, "a write concern without a name"));
            }
            _ => {}
        }
        let timeout = asked.timeout_ms.map(|millis| Duration::from_millis(millis.into()));
        Ok(Self { w: asked.w, journal: asked.journal, timeout })
    }
}

/// As [`WriteConcern::new`], where one is asked for.
pub(super) fn write_concern(asked: Option<types::WriteConcern>) -> Result<Option<WriteConcern>, Failure> {
    asked.map(WriteConcern::new).transpose()
}

/// What a transaction reads and how its commit is confirmed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Concerns {
    /// For its first operation, and with it for all.
    pub read: Option<ReadConcern>,
    /// For its commit.
    pub write: Option<WriteConcern>,
}

impl Concerns {
    /// Takes what a guest asks for.
    ///
    /// # Errors
    /// `Invalid` for what there is outside of transactions only.
    pub fn new(options: types::TransactionOptions) -> Result<Self, Failure> {
        if let Some(ReadConcern::Linearizable | ReadConcern::Available) = options.read_concern {
            let message = "a transaction reads what is local, of the majority, or a snapshot";
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        Ok(Self { read: options.read_concern, write: write_concern(options.write_concern)? })
    }
}
