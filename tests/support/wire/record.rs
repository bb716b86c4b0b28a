//! What is remembered of clients.

use std::{collections::BTreeMap, time::Duration};

use bson::RawDocumentBuf;

/// A command as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The number of its socket, from 1; `connectionId` in what the client was told.
    pub socket: u32,
    /// What the client calls itself (`appName`).
    pub app: String,
    /// The command's name.
    pub name: String,
    /// `maxTimeMS`.
    pub max_time: Option<Duration>,
    /// The bytes of `lsid`.
    pub session: Option<[u8; 16]>,
    /// `txnNumber`, of what is part of a transaction.
    pub transaction: Option<i64>,
    /// All of it, but for documents that came in sequences.
    pub body: RawDocumentBuf,
}

/// The sockets of those that call themselves the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// Open now.
    pub open: usize,
    /// Of those, the ones that have said more than `hello`.
    pub operating: usize,
    /// The most that were open at once.
    pub most_open: usize,
    /// The most that were open and had said more than `hello`.
    pub most_operating: usize,
}

impl Sockets {
    /// One more is open.
    pub(crate) fn opened(&mut self) {
        self.open += 1;
        self.most_open = self.most_open.max(self.open);
    }

    /// One says more than `hello` for the first time.
    pub(crate) fn operates(&mut self) {
        self.operating += 1;
        self.most_operating = self.most_operating.max(self.operating);
    }

    /// One is closed.
    pub(crate) fn closed(&mut self, has_operated: bool) {
        self.open -= 1;
        self.operating -= usize::from(has_operated);
    }
}

/// Clients whose names begin alike, while they are there.
#[derive(Debug)]
pub(crate) struct Crowd {
    prefix: String,
    /// The most that were there at once.
    pub(crate) most: usize,
}

impl Crowd {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), most: 0 }
    }

    /// Somebody has come.
    pub(crate) fn look(&mut self, apps: &BTreeMap<String, Sockets>) {
        let is_there = |(name, sockets): &(&String, &Sockets)| name.starts_with(&self.prefix) && sockets.open > 0;
        self.most = self.most.max(apps.iter().filter(is_there).count());
    }
}
