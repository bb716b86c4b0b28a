//! A result of the server's that is read batch by batch.
//!
//! The first batch comes by the crate's cursor, whose bytes are copied once. So do the next ones outside of transactions; in a transaction those
//! have to carry fields which the crate does not know of, so they are asked for here. A cursor that is not read to its end is killed, and then
//! proven gone: what is dropped as it is, the crate would kill in a task that nobody waits for. For the same reason each is in the table of its
//! link for as long as the server may have it, also while it is read, and goes with the link when that is dropped.

use bson::{
    Bson, Document,
    raw::{RawArrayBuf, RawBsonRef, RawDocument, cstr},
};
use futures::StreamExt;
use mongodb::{
    ClientSession, Database,
    raw_batch_cursor::{RawBatch, SessionRawBatchCursor},
};

use super::{
    command::Body,
    connection::MongodbConnection,
    error::{self, Stakes},
    link::Link,
    reply,
};
use crate::driver::{
    Failure, FailureKind, ResultLimit,
    documents::{Batch, Query},
};

/// Documents that an open cursor asks for at a time.
const BATCH: u32 = 1000;

/// Bytes that the open cursors of one session may have read ahead: some messages of the greatest length.
const MAX_HELD: usize = 64 << 20;

/// The server's number for "there is no such cursor".
const NO_SUCH_CURSOR: i32 = 43;

/// What a cursor is known by: the number that the caller gave it, or none for the one that is read to its end at once.
pub(super) type Number = Option<u32>;

/// A result, as far as it has been read.
pub(super) struct Cursor {
    /// What the crate has of it.
    driver: SessionRawBatchCursor,
    /// It is a transaction's: the next batch is asked for here.
    in_transaction: bool,
    /// As the server names it.
    collection: String,
    /// The server's number; 0 once all has been read.
    id: i64,
    /// Documents that are asked for at a time.
    size: u32,
    /// Documents end to end.
    held: Vec<u8>,
    /// How many there are from `at` on.
    count: usize,
    /// Those before it were handed out.
    at: usize,
}

impl Cursor {
    fn new(driver: SessionRawBatchCursor, in_transaction: bool, size: u32) -> Self {
        Self { driver, in_transaction, collection: String::new(), id: 0, size, held: Vec::new(), count: 0, at: 0 }
    }

    /// Whether the server has sent all of it.
    pub(super) fn is_read(&self) -> bool {
        self.id == 0
    }

    /// Documents and bytes that were read and not handed out.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.count, self.held.len() - self.at)
    }

    /// All that was read.
    pub(super) fn into_batch(self) -> Batch {
        Batch { count: u32::try_from(self.count).unwrap_or(u32::MAX), documents: self.held }
    }

    /// Hands out what was read, as much as the limit allows but at least one document.
    fn hand_out(&mut self, limit: ResultLimit) -> Option<Batch> {
        let (start, mut end, mut count) = (self.at, self.at, 0);
        while count < limit.rows.max(1) && end < self.held.len() {
            let after = end + length(&self.held[end..]);
            if count > 0 && after - start > limit.bytes {
                break;
            }
            (end, count) = (after, count + 1);
        }
        let documents = self.held[start..end].to_vec();
        self.at = end;
        self.count -= count as usize;
        if self.at == self.held.len() {
            (self.held, self.at) = (Vec::new(), 0);
        }
        (count > 0).then_some(Batch { count, documents })
    }

    /// Takes what a reply says of the cursor.
    fn is_at(&mut self, id: i64, namespace: &str) -> Result<(), Failure> {
        let (_, collection) = namespace.split_once('.').ok_or_else(error::unexpected)?;
        self.id = id;
        collection.clone_into(&mut self.collection);
        Ok(())
    }

    /// Takes a batch as the crate has it.
    fn take_raw(&mut self, batch: &RawBatch) -> Result<(), Failure> {
        let unexpected = |_| error::unexpected();
        let cursor = batch.as_raw_document().get_document("cursor").map_err(unexpected)?;
        self.is_at(cursor.get_i64("id").map_err(unexpected)?, cursor.get_str("ns").map_err(unexpected)?)?;
        for document in batch.doc_slices().map_err(|_| error::unexpected())? {
            let Ok(RawBsonRef::Document(document)) = document else { return Err(error::unexpected()) };
            self.held.extend_from_slice(document.as_bytes());
            self.count += 1;
        }
        Ok(())
    }

    /// Takes a further batch, of a reply that was parsed.
    fn take_parsed(&mut self, reply: &Document) -> Result<(), Failure> {
        let cursor = reply.get_document("cursor").map_err(|_| error::unexpected())?;
        let id = reply::number(cursor, "id").ok_or_else(error::unexpected)?;
        self.is_at(id, cursor.get_str("ns").map_err(|_| error::unexpected())?)?;
        for document in cursor.get_array("nextBatch").map_err(|_| error::unexpected())? {
            let Bson::Document(document) = document else { return Err(error::unexpected()) };
            self.held.extend(reply::bytes(document)?);
            self.count += 1;
        }
        Ok(())
    }
}

/// The length of the document that these bytes begin with, which the server has sent whole.
fn length(bytes: &[u8]) -> usize {
    let length = bytes.first_chunk().map_or(0, |length| i32::from_le_bytes(*length));
    usize::try_from(length).unwrap_or(0).clamp(1, bytes.len())
}

/// Kills a cursor, and proves that it is gone.
async fn kill(database: &Database, session: &mut ClientSession, cursor: &mut Cursor) -> Result<(), Failure> {
    if cursor.is_read() {
        return Ok(());
    }
    let body = Body::of(cstr!("killCursors"), cursor.collection.as_str()).with(cstr!("cursors"), ids(cursor.id));
    // The crate takes no session for it.
    let reply = database.run_raw_command(body.into_raw()).await.map_err(|error| error::failure(&error, Stakes::Nothing))?;
    let lives = |name: &str| reply.get_array(name).is_ok_and(|ids| !ids.is_empty());
    if lives("cursorsAlive") || lives("cursorsUnknown") {
        return Err(Failure::new(FailureKind::Database, "the server could not close a cursor").lost());
    }
    spend(&mut cursor.driver, session).await?;
    cursor.id = 0;
    Ok(())
}

/// Has the crate ask for a cursor that the server has no more: by this it knows, too, and leaves nothing to do for later.
async fn spend(driver: &mut SessionRawBatchCursor, session: &mut ClientSession) -> Result<(), Failure> {
    let answer = driver.stream(session).next().await;
    match answer {
        None => Ok(()),
        Some(Err(error)) if error::code(&error) == Some(NO_SUCH_CURSOR) => Ok(()),
        Some(Err(error)) => Err(error::failure(&error, Stakes::Nothing).lost()),
        Some(Ok(_)) => Err(Failure::new(FailureKind::Database, "a cursor that was closed goes on").lost()),
    }
}

fn closed() -> Failure {
    Failure::new(FailureKind::Invalid, "the cursor is closed")
}

fn ids(id: i64) -> RawArrayBuf {
    [id].into_iter().collect()
}

impl MongodbConnection {
    /// Sends a command whose reply is a cursor, and reads its first batch. After an error there is no cursor of that number.
    ///
    /// # Errors
    /// What the server says.
    pub(super) async fn open(&mut self, number: Number, body: Body, size: u32, stakes: Stakes) -> Result<(), Failure> {
        let (in_transaction, stakes) = (self.transaction.is_open(), self.stakes(stakes));
        let body = self.finished(body)?;
        let failed = |error| error::failure(&error, stakes);
        let Link { database, session, cursors, .. } = self.kept.get()?;
        let opening = database.run_raw_cursor_command(body).batch_size(size).session(&mut *session).batch();
        let driver = opening.await.map_err(failed)?;
        let cursor = cursors.entry(number).insert_entry(Cursor::new(driver, in_transaction, size)).into_mut();
        let first = cursor.driver.stream(session).next().await;
        let taken = match first {
            Some(Ok(first)) => cursor.take_raw(&first).and_then(|()| concern(first.as_raw_document())),
            Some(Err(error)) => Err(failed(error)),
            None => Err(error::unexpected()),
        };
        match taken {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.give_up(number, failure).await),
        }
    }

    /// A cursor that is open, or has not been handed out to its end.
    ///
    /// # Errors
    /// `Invalid` when there is none.
    pub(super) fn cursor(&mut self, number: Number) -> Result<&mut Cursor, Failure> {
        self.kept.get()?.cursors.get_mut(&number).ok_or_else(closed)
    }

    /// Reads the next batch of a cursor that is not read to its end. After an error it is closed.
    pub(super) async fn more(&mut self, number: Number) -> Result<(), Failure> {
        match self.next_batch(number).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.give_up(number, failure).await),
        }
    }

    async fn next_batch(&mut self, number: Number) -> Result<(), Failure> {
        let failed = |error| error::failure(&error, Stakes::Nothing);
        let Link { database, session, cursors, .. } = self.kept.get()?;
        let cursor = cursors.get_mut(&number).ok_or_else(closed)?;
        if !cursor.in_transaction {
            let batch = cursor.driver.stream(session).next().await;
            if let Some(batch) = batch {
                return cursor.take_raw(&batch.map_err(failed)?);
            }
            cursor.id = 0;
            return Ok(());
        }
        let body = Body::of(cstr!("getMore"), cursor.id).with(cstr!("collection"), cursor.collection.as_str());
        let body = self.transaction.fields(body.with(cstr!("batchSize"), i64::from(cursor.size)));
        {
            let asking = database.run_raw_command(body.into_raw()).session(&mut *session).into_future();
            let (reply, _held) = self.shared.room.parse(asking).await;
            cursor.take_parsed(&reply.map_err(failed)?)?;
        }
        // The crate's cursor has heard nothing of it.
        if cursor.is_read() { spend(&mut cursor.driver, session).await } else { Ok(()) }
    }

    /// Closes a cursor over a failure: of several reasons the first is told. What is lost goes with its link.
    pub(super) async fn give_up(&mut self, number: Number, failure: Failure) -> Failure {
        if failure.lost || self.close_cursor(number).await.is_ok() { failure } else { failure.lost() }
    }

    pub(super) async fn open_cursor(&mut self, number: u32, query: Query) -> Result<(), Failure> {
        self.must_not_be_aborted()?;
        let (body, stakes) = match query {
            Query::Find(collection, find) => (self.find_command(&collection, &find, find.limit, BATCH)?, Stakes::Nothing),
            Query::Aggregate(collection, aggregate) => self.aggregate_command(&collection, &aggregate, BATCH)?,
        };
        self.open(Some(number), body, BATCH, stakes).await?;
        self.must_not_hold_too_much(number).await
    }

    /// Closes a cursor that was read, when all together hold too much.
    async fn must_not_hold_too_much(&mut self, number: u32) -> Result<(), Failure> {
        let held: usize = self.kept.get()?.cursors.values().map(|cursor| cursor.held().1).sum();
        if held <= MAX_HELD {
            return Ok(());
        }
        let failure = Failure::new(FailureKind::LimitExceeded, "the open cursors have read too much that was not fetched");
        Err(self.give_up(Some(number), failure.with("limit", "cursor_bytes").with("maximum", MAX_HELD)).await)
    }

    /// The next documents of a cursor, none after the last. After an error it is closed.
    pub(super) async fn fetch(&mut self, number: u32, limit: ResultLimit) -> Result<Option<Batch>, Failure> {
        self.must_not_be_aborted()?;
        loop {
            let cursor = self.cursor(Some(number))?;
            if cursor.held().0 > 0 || cursor.is_read() {
                break;
            }
            self.more(Some(number)).await?;
        }
        let cursor = self.cursor(Some(number))?;
        let batch = cursor.hand_out(limit);
        if batch.is_none() && cursor.is_read() {
            self.kept.get()?.cursors.remove(&Some(number));
        } else {
            self.must_not_hold_too_much(number).await?;
        }
        Ok(batch)
    }

    /// Closing a cursor twice is no error.
    pub(super) async fn close_cursor(&mut self, number: Number) -> Result<(), Failure> {
        let Link { database, session, cursors, .. } = self.kept.get()?;
        if let Some(cursor) = cursors.get_mut(&number) {
            kill(database, session, cursor).await?;
            cursors.remove(&number);
        }
        Ok(())
    }

    /// Closes all that are open.
    pub(super) async fn close_cursors(&mut self) -> Result<(), Failure> {
        let Link { database, session, cursors, .. } = self.kept.get()?;
        for cursor in cursors.values_mut() {
            kill(database, session, cursor).await?;
        }
        cursors.clear();
        Ok(())
    }
}

/// What a pipeline wrote may not be confirmed as was asked.
fn concern(reply: &RawDocument) -> Result<(), Failure> {
    match reply.get_document("writeConcernError").map(Document::try_from) {
        Ok(Ok(concern)) => Err(super::write::unconfirmed(&concern, None)),
        _ => Ok(()),
    }
}
