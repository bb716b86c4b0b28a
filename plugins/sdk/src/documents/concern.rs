//! How much of a replica set must have what is read or written.

use std::time::Duration;

use crate::documents::wire::{self, Acknowledgment, ReadConcern};

/// When a write counts as done.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteConcern(wire::WriteConcern);

impl WriteConcern {
    /// When most members of the replica set have it.
    #[must_use]
    pub fn majority() -> Self {
        Self::by(Acknowledgment::Majority)
    }

    /// When so many members of the replica set have it; at least 1.
    #[must_use]
    pub fn nodes(count: u32) -> Self {
        Self::by(Acknowledgment::Nodes(count))
    }

    /// By a custom write concern of the replica set.
    #[must_use]
    pub fn tag(name: &str) -> Self {
        Self::by(Acknowledgment::Tag(name.to_owned()))
    }

    fn by(acknowledgment: Acknowledgment) -> Self {
        Self(wire::WriteConcern { w: Some(acknowledgment), journal: None, timeout_ms: None })
    }

    /// Only when it is in the journal, too.
    #[must_use]
    pub fn journal(mut self) -> Self {
        self.0.journal = Some(true);
        self
    }

    /// Waits for the other members no longer than this, nor than the operation has time.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout_ms = Some(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX));
        self
    }

    pub(super) fn to_wire(concern: Option<&Self>) -> Option<wire::WriteConcern> {
        concern.map(|concern| concern.0.clone())
    }
}

/// How a transaction behaves. What is not set is the server's default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransactionOptions {
    read_concern: Option<ReadConcern>,
    write_concern: Option<WriteConcern>,
}

impl TransactionOptions {
    /// The server's defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self { read_concern: None, write_concern: None }
    }

    /// How much of the replica set must have what is read.
    #[must_use]
    pub fn read_concern(mut self, concern: ReadConcern) -> Self {
        self.read_concern = Some(concern);
        self
    }

    /// When the commit counts as done.
    #[must_use]
    pub fn write_concern(mut self, concern: WriteConcern) -> Self {
        self.write_concern = Some(concern);
        self
    }

    pub(crate) fn into_wire(self) -> wire::TransactionOptions {
        let write_concern = WriteConcern::to_wire(self.write_concern.as_ref());
        wire::TransactionOptions { read_concern: self.read_concern, write_concern }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concerns_are_sent_as_they_were_set() {
        assert_eq!(WriteConcern::to_wire(None), None);
        let concern = WriteConcern::nodes(2).journal().timeout(Duration::from_millis(1500));
        let wire = wire::WriteConcern { w: Some(Acknowledgment::Nodes(2)), journal: Some(true), timeout_ms: Some(1500) };
        assert_eq!(WriteConcern::to_wire(Some(&concern)), Some(wire));
        let options = TransactionOptions::new().read_concern(ReadConcern::Snapshot).write_concern(WriteConcern::majority());
        let options = options.into_wire();
        assert_eq!(options.read_concern, Some(ReadConcern::Snapshot));
        assert_eq!(options.write_concern.unwrap().w, Some(Acknowledgment::Majority));
    }
}
