//! Commands: what each carries besides what it is about, and how it is sent.

use std::{pin::pin, sync::Arc, task::Poll, time::Duration};

use bson::{
    Document,
    raw::{BindRawBsonRef, CStr, RawDocumentBuf, cstr},
    rawdoc,
};
use futures::{pending, poll};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    connection::MongodbConnection,
    error::{self, Stakes},
    link::Link,
};
use crate::driver::{
    Failure, FailureKind,
    documents::{Acknowledgment, Bson, BsonList, Hint, ReadConcern, WriteConcern},
};

/// Bytes of a command: a document of the greatest length with what is around it, less than the server's own limit for commands by what the
/// crate adds.
const MAX_BODY: usize = (16 << 20) + (12 << 10);

/// A command, as far as it is written.
pub(super) struct Body(RawDocumentBuf);

impl Body {
    /// The name comes first, with what it is about: mostly the collection.
    pub(super) fn of(name: &CStr, about: impl BindRawBsonRef) -> Self {
        Self(RawDocumentBuf::new()).with(name, about)
    }

    pub(super) fn with(mut self, key: &CStr, value: impl BindRawBsonRef) -> Self {
        self.0.append(key, value);
        self
    }

    /// A document, where there is one.
    pub(super) fn document(self, key: &CStr, document: Option<&Bson>) -> Self {
        match document {
            Some(document) => self.with(key, document.raw()),
            None => self,
        }
    }

    /// An array, unless it is empty.
    pub(super) fn list(self, key: &CStr, list: &BsonList) -> Self {
        if list.count() == 0 { self } else { self.with(key, list.raw()) }
    }

    pub(super) fn hint(self, hint: Option<&Hint>) -> Self {
        match hint {
            Some(Hint::Name(name)) => self.with(cstr!("hint"), name.as_str()),
            Some(Hint::Keys(keys)) => self.with(cstr!("hint"), keys.raw()),
            None => self,
        }
    }

    /// A flag, where it is set.
    pub(super) fn flag(self, key: &CStr, is_set: bool) -> Self {
        if is_set { self.with(key, true) } else { self }
    }

    /// How long the server may take.
    pub(super) fn max_time(self, until: Instant) -> Self {
        self.with(cstr!("maxTimeMS"), millis(until.saturating_duration_since(Instant::now())))
    }

    pub(super) fn into_raw(self) -> RawDocumentBuf {
        self.0
    }
}

/// Rounded up, since 0 would mean no limit: the caller's own clock is first, and says which limit it was.
fn millis(left: Duration) -> i32 {
    i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX).max(1)
}

/// The name of a read concern.
pub(super) fn level(concern: ReadConcern) -> RawDocumentBuf {
    let level = match concern {
        ReadConcern::Local => "local",
        ReadConcern::Available => "available",
        ReadConcern::Majority => "majority",
        ReadConcern::Linearizable => "linearizable",
        ReadConcern::Snapshot => "snapshot",
    };
    rawdoc! { "level": level }
}

/// A write concern, whose wait ends with the operation's time.
pub(super) fn confirmed(concern: &WriteConcern, until: Instant) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    match &concern.w {
        // A guest's number may not fit into 32 bits; the server says that it is too great.
        Some(Acknowledgment::Nodes(nodes)) => document.append(cstr!("w"), i64::from(*nodes)),
        Some(Acknowledgment::Majority) => document.append(cstr!("w"), "majority"),
        Some(Acknowledgment::Tag(name)) => document.append(cstr!("w"), name.as_str()),
        None => {}
    }
    if let Some(journal) = concern.journal {
        document.append(cstr!("j"), journal);
    }
    let left = until.saturating_duration_since(Instant::now());
    document.append(cstr!("wtimeout"), millis(concern.timeout.map_or(left, |timeout| timeout.min(left))));
    document
}

impl MongodbConnection {
    /// Adds who must have what is read: as the guest asks, or as the URL says.
    ///
    /// # Errors
    /// `Invalid` for one of its own in a transaction.
    pub(super) fn reading(&self, body: Body, own: Option<ReadConcern>) -> Result<Body, Failure> {
        if self.transaction.is_open() {
            return if own.is_none() { Ok(body) } else { Err(of_the_transaction()) };
        }
        Ok(match own.or(self.shared.location.read_concern) {
            Some(concern) => body.with(cstr!("readConcern"), level(concern)),
            None => body,
        })
    }

    /// Adds who must confirm what is written: as the guest asks, or as the URL says.
    ///
    /// # Errors
    /// `Invalid` for one of its own in a transaction.
    pub(super) fn writing(&self, body: Body, own: Option<&WriteConcern>) -> Result<Body, Failure> {
        if self.transaction.is_open() {
            return if own.is_none() { Ok(body) } else { Err(of_the_transaction()) };
        }
        Ok(match own.or(self.shared.location.write_concern.as_ref()) {
            Some(concern) => body.with(cstr!("writeConcern"), confirmed(concern, self.until)),
            None => body,
        })
    }

    /// Adds the time that is left, and the fields of the transaction: it counts as begun from here on, whatever becomes of the command.
    ///
    /// # Errors
    /// `LimitExceeded` for one that is longer than the server reads.
    pub(super) fn finished(&mut self, body: Body) -> Result<RawDocumentBuf, Failure> {
        let length = body.0.as_bytes().len();
        if length > MAX_BODY {
            let message = format!("a request may have {MAX_BODY} bytes at most, as it is sent");
            let failure = Failure::new(FailureKind::LimitExceeded, message);
            return Err(failure.with("limit", "request_bytes").with("maximum", MAX_BODY));
        }
        let body = body.max_time(self.until);
        Ok(self.transaction.fields(body).into_raw())
    }

    /// Sends a command about the guests' database, and waits for its reply.
    ///
    /// # Errors
    /// What the server says; what is at stake outside of a transaction says how a lost connection is told.
    pub(super) async fn send(&mut self, body: Body, stakes: Stakes) -> Result<Document, Failure> {
        let body = self.finished(body)?;
        let stakes = self.stakes(stakes);
        let Link { database, session, .. } = self.kept.get()?;
        database.run_raw_command(body).session(session).await.map_err(|error| error::failure(&error, stakes))
    }

    /// As [`MongodbConnection::send`], for one whose reply may be as long as a document and is parsed, by which it grows: see [`Room`], which
    /// is kept until the reply is read.
    ///
    /// # Errors
    /// As for `send`.
    pub(super) async fn send_for_much(&mut self, body: Body, stakes: Stakes) -> Result<(Document, Held), Failure> {
        let body = self.finished(body)?;
        let stakes = self.stakes(stakes);
        let Link { database, session, .. } = self.kept.get()?;
        let asking = database.run_raw_command(body).session(session).into_future();
        let (reply, held) = self.shared.room.parse(asking).await;
        Ok((reply.map_err(|error| error::failure(&error, stakes))?, held))
    }

    /// In a transaction nothing is done before its commit.
    pub(super) fn stakes(&self, outside: Stakes) -> Stakes {
        if self.transaction.is_open() { Stakes::Nothing } else { outside }
    }
}

/// Room for replies that are parsed by the crate, which hands them out in no other way. One has 16 MiB at most, and of many small values some eight
/// times as much once it is parsed.
///
/// The crate reads a reply to its end and parses it in one turn of whoever asks. So room is needed for that turn and until the reply is read, and not
/// while the server takes its time: what is slow there holds up nobody here, and nothing waits here for what is slow there.
pub(super) struct Room(Arc<Semaphore>);

/// Room that is taken, until it is dropped. Whoever has it waits for nothing else.
pub(super) type Held = Option<OwnedSemaphorePermit>;

impl Room {
    /// Replies at a time.
    const REPLIES: usize = 4;

    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(Self::REPLIES)))
    }

    /// Asks, and has the reply parsed when there is room, which is given up when what it returns is dropped.
    ///
    /// # Cancellation
    /// As of what is asked.
    pub(super) async fn parse<F: Future>(&self, asking: F) -> (F::Output, Held) {
        let mut asking = pin!(asking);
        loop {
            // It is never closed.
            let held = Arc::clone(&self.0).acquire_owned().await.ok();
            if let Poll::Ready(reply) = poll!(asking.as_mut()) {
                return (reply, held);
            }
            drop(held);
            // Until what it waits for wakes this task.
            pending!();
        }
    }
}

fn of_the_transaction() -> Failure {
    Failure::new(FailureKind::Invalid, "in a transaction no operation has a read or write concern of its own")
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_waits_for_its_reply_needs_no_room_and_what_is_parsed_keeps_it() {
        let room = Room::new();
        let (replies, asked): (Vec<_>, Vec<_>) = (0..2 * Room::REPLIES).map(|_| oneshot::channel::<usize>()).unzip();
        let mut parsing: Vec<_> = asked.into_iter().map(|asked| Box::pin(room.parse(asked))).collect();
        for one in &mut parsing {
            assert!(poll!(one.as_mut()).is_pending());
        }
        assert_eq!(room.0.available_permits(), Room::REPLIES);
        for (number, reply) in replies.into_iter().enumerate() {
            reply.send(number).unwrap();
        }
        let mut later = parsing.split_off(Room::REPLIES);
        let mut held = Vec::new();
        for (number, one) in parsing.into_iter().enumerate() {
            let (reply, room) = one.await;
            assert_eq!(reply, Ok(number));
            held.push(room);
        }
        for one in &mut later {
            assert!(poll!(one.as_mut()).is_pending());
        }
        held.clear();
        for (number, one) in later.into_iter().enumerate() {
            assert_eq!(one.await.0, Ok(Room::REPLIES + number));
        }
        assert_eq!(room.0.available_permits(), Room::REPLIES);
    }
}
