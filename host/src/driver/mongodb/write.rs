//! What writes: commands, and what they have done, also where some of it failed.

use bson::{
    Bson as Value, Document,
    raw::{RawArrayBuf, RawDocumentBuf, cstr},
};

use super::{
    command::{Body, Held},
    connection::MongodbConnection,
    error::{self, Stakes},
    read::too_many,
    reply,
};
use crate::driver::{
    Failure, FailureKind, ResultLimit,
    documents::{
        Bson, Change, Collection, Delete, Details, FindAndModify, Hint, Index, Insert, Modification, Update, Write, WriteError,
        WriteOutcome, Writes,
    },
};

/// The commands that write several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Insert,
    Update,
    Delete,
}

impl Kind {
    fn of(write: &Write) -> Self {
        match write {
            Write::Insert(_) => Self::Insert,
            Write::Update(_) => Self::Update,
            Write::Delete(_) => Self::Delete,
        }
    }

    fn command(self, collection: &Collection, writes: &RawArrayBuf) -> Body {
        let (name, field) = match self {
            Self::Insert => (cstr!("insert"), cstr!("documents")),
            Self::Update => (cstr!("update"), cstr!("updates")),
            Self::Delete => (cstr!("delete"), cstr!("deletes")),
        };
        Body::of(name, collection.name()).with(field, writes)
    }
}

fn optional(mut document: RawDocumentBuf, hint: Option<&Hint>, collation: Option<&Bson>) -> RawDocumentBuf {
    match hint {
        Some(Hint::Name(name)) => document.append(cstr!("hint"), name.as_str()),
        Some(Hint::Keys(keys)) => document.append(cstr!("hint"), keys.raw()),
        None => {}
    }
    if let Some(collation) = collation {
        document.append(cstr!("collation"), collation.raw());
    }
    document
}

fn update(update: &Update) -> RawDocumentBuf {
    let Update { filter, change, many, upsert, array_filters, hint, collation } = update;
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("q"), filter.raw());
    match change {
        Change::Operators(change) | Change::Replacement(change) => document.append(cstr!("u"), change.raw()),
        Change::Pipeline(stages) => document.append(cstr!("u"), stages.raw()),
    }
    document.append(cstr!("multi"), *many);
    document.append(cstr!("upsert"), *upsert);
    if array_filters.count() > 0 {
        document.append(cstr!("arrayFilters"), array_filters.raw());
    }
    optional(document, hint.as_ref(), collation.as_ref())
}

fn delete(delete: &Delete) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("q"), delete.filter.raw());
    document.append(cstr!("limit"), i32::from(!delete.many));
    optional(document, delete.hint.as_ref(), delete.collation.as_ref())
}

fn array(writes: &[Write]) -> RawArrayBuf {
    let mut array = RawArrayBuf::new();
    for write in writes {
        match write {
            Write::Insert(document) => array.push(document.raw()),
            Write::Update(write) => array.push(update(write)),
            Write::Delete(write) => array.push(delete(write)),
        }
    }
    array
}

/// What several writes came to so far.
struct Outcome {
    done: WriteOutcome,
    failed: Vec<(u32, Failure)>,
    /// The last time that a write was not confirmed as was asked.
    concern: Option<Document>,
    /// Of each of them.
    stakes: Stakes,
}

impl Outcome {
    fn new(stakes: Stakes) -> Self {
        Self { done: nothing(), failed: Vec::new(), concern: None, stakes }
    }

    /// Adds a reply to the writes from `offset` on.
    fn add(&mut self, kind: Kind, reply: &Document, offset: u32) -> Result<(), Failure> {
        let number = reply::count(reply, "n");
        let place =
            |document: &Document| offset.saturating_add(u32::try_from(reply::count(document, "index")).unwrap_or(u32::MAX));
        match kind {
            Kind::Insert => self.done.inserted = self.done.inserted.saturating_add(number),
            Kind::Delete => self.done.deleted = self.done.deleted.saturating_add(number),
            Kind::Update => {
                let mut upserted = 0;
                for document in reply::documents(reply, "upserted") {
                    let mut document = document.clone();
                    document.insert("index", i64::from(place(&document)));
                    self.done.upserted.extend(reply::bytes(&document)?);
                    upserted += 1;
                }
                // The server counts what it inserted among what matched.
                self.done.matched = self.done.matched.saturating_add(number.saturating_sub(upserted));
                self.done.modified = self.done.modified.saturating_add(reply::count(reply, "nModified"));
            }
        }
        let failed = reply::documents(reply, "writeErrors");
        self.failed.extend(failed.map(|failed| (place(failed), error::refused(failed, self.stakes))));
        if let Ok(concern) = reply.get_document("writeConcernError") {
            self.concern = Some(concern.clone());
        }
        Ok(())
    }

    /// All of it, or the first failure with what was done all the same. Places are told where several were sent.
    fn told(self, sent: usize) -> Result<WriteOutcome, Failure> {
        let Self { done, failed, concern, stakes } = self;
        if let Some((_, first)) = failed.first() {
            let mut failure = first.clone();
            let details = failure.documents.get_or_insert_default();
            details.write_errors = if sent > 1 { write_errors(&failed) } else { Vec::new() };
            details.done = failed.iter().all(|(_, failure)| is_certain(failure)).then_some(done);
            // All of them once more would do again what is done.
            details.transient &= sent == 1 || stakes == Stakes::Nothing;
            return Err(failure);
        }
        match concern {
            Some(concern) => Err(unconfirmed(&concern, Some(done))),
            None => Ok(done),
        }
    }

    /// A command that failed as a whole, after others were done.
    fn broken_off(self, mut failure: Failure) -> Failure {
        let in_transaction = self.stakes == Stakes::Nothing;
        // Nothing of it is left.
        if in_transaction && failure.lost {
            return failure;
        }
        let is_known = is_certain(&failure) && self.failed.iter().all(|(_, failure)| is_certain(failure));
        // It was not sent itself, but whoever hears of a lost connection takes it that nothing was written.
        if failure.kind == FailureKind::Disconnected {
            failure.kind = FailureKind::CommitUnknown;
            failure.message = format!("writes before it are done: {}", failure.message);
        }
        let details = failure.documents.get_or_insert_default();
        details.write_errors = write_errors(&self.failed);
        details.done = is_known.then_some(self.done);
        details.transient &= in_transaction;
        failure
    }
}

fn nothing() -> WriteOutcome {
    WriteOutcome { inserted: 0, matched: 0, modified: 0, deleted: 0, upserted: Vec::new() }
}

/// Whether what failed so has done nothing: of what was broken off half-way some may be done.
fn is_certain(failure: &Failure) -> bool {
    ![FailureKind::Cancelled, FailureKind::CommitUnknown].contains(&failure.kind)
}

fn write_errors(failed: &[(u32, Failure)]) -> Vec<WriteError> {
    let write_error = |(index, failure): &(u32, Failure)| {
        let details = failure.documents.as_deref();
        WriteError {
            index: *index,
            kind: failure.kind,
            code: details.and_then(|details| details.code).unwrap_or(0),
            message: failure.message.clone(),
            info: details.and_then(|details| details.info.clone()),
        }
    };
    failed.iter().map(write_error).collect()
}

/// Written, but not confirmed as was asked: whatever the reason, tried again it would be done twice.
pub(super) fn unconfirmed(concern: &Document, done: Option<WriteOutcome>) -> Failure {
    let failure = error::said(concern);
    let details = failure.documents.map_or_else(Details::default, |details| *details);
    let message = format!("the write is done, but not confirmed as was asked: {}", failure.message);
    let documents = Some(Box::new(Details { done, transient: false, ..details }));
    Failure { kind: FailureKind::WriteConcern, message, documents, ..failure }
}

impl MongodbConnection {
    pub(super) async fn insert(&mut self, collection: &Collection, insert: &Insert) -> Result<WriteOutcome, Failure> {
        let body = Body::of(cstr!("insert"), collection.name())
            .with(cstr!("documents"), insert.documents.raw())
            .with(cstr!("ordered"), insert.ordered);
        let body = self.writing(body, insert.write_concern.as_ref())?;
        let (reply, _held) = self.send_for_much(body, Stakes::Write).await?;
        let mut outcome = Outcome::new(self.stakes(Stakes::Write));
        outcome.add(Kind::Insert, &reply, 0)?;
        self.after(outcome, insert.documents.count())
    }

    /// One write, or several in their order: those of one kind that follow each other are one command.
    pub(super) async fn write(&mut self, collection: &Collection, writes: &Writes) -> Result<WriteOutcome, Failure> {
        let mut outcome = Outcome::new(self.stakes(Stakes::Write));
        let mut offset = 0;
        for run in writes.list.chunk_by(|one, other| Kind::of(one) == Kind::of(other)) {
            let kind = Kind::of(&run[0]);
            match self.run_of(collection, kind, run, writes).await {
                Ok((reply, _held)) => outcome.add(kind, &reply, offset)?,
                Err(failure) => return Err(if offset == 0 { failure } else { outcome.broken_off(failure) }),
            }
            // A transaction is over with the first that fails, in whatever order.
            if !outcome.failed.is_empty() && (writes.ordered || self.transaction.is_open()) {
                break;
            }
            offset = offset.saturating_add(u32::try_from(run.len()).unwrap_or(u32::MAX));
        }
        self.after(outcome, writes.list.len())
    }

    /// The reply may tell of many documents: their identities, where they were inserted for want of others, and what was wrong with them.
    async fn run_of(
        &mut self,
        collection: &Collection,
        kind: Kind,
        run: &[Write],
        writes: &Writes,
    ) -> Result<(Document, Held), Failure> {
        let mut body = kind.command(collection, &array(run)).with(cstr!("ordered"), writes.ordered);
        if kind != Kind::Insert {
            body = body.document(cstr!("let"), writes.variables.as_ref());
        }
        let body = self.writing(body, writes.write_concern.as_ref())?;
        self.send_for_much(body, Stakes::Write).await
    }

    /// A write that fails ends its transaction on the server, although the command succeeds.
    fn after(&mut self, outcome: Outcome, sent: usize) -> Result<WriteOutcome, Failure> {
        if !outcome.failed.is_empty() {
            self.transaction.abort();
        }
        outcome.told(sent)
    }

    /// Changes one document and returns it.
    ///
    /// # Errors
    /// `LimitExceeded` for one over the limit, of which the server tells only when it is done: with what was done.
    pub(super) async fn find_and_modify(
        &mut self,
        collection: &Collection,
        modify: &FindAndModify,
        limit: ResultLimit,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let mut body = Body::of(cstr!("findAndModify"), collection.name()).with(cstr!("query"), modify.filter.raw());
        body = match &modify.modification {
            Modification::Change(Change::Operators(change) | Change::Replacement(change)) => {
                body.with(cstr!("update"), change.raw())
            }
            Modification::Change(Change::Pipeline(stages)) => body.with(cstr!("update"), stages.raw()),
            Modification::Delete => body.with(cstr!("remove"), true),
        };
        let body = body
            .flag(cstr!("new"), modify.return_new)
            .flag(cstr!("upsert"), modify.upsert)
            .document(cstr!("fields"), modify.projection.as_ref())
            .document(cstr!("sort"), modify.sort.as_ref())
            .list(cstr!("arrayFilters"), &modify.array_filters)
            .hint(modify.hint.as_ref())
            .document(cstr!("collation"), modify.collation.as_ref())
            .document(cstr!("let"), modify.variables.as_ref());
        let body = self.writing(body, modify.write_concern.as_ref())?;
        let (reply, _held) = self.send_for_much(body, Stakes::Write).await?;
        if let Ok(concern) = reply.get_document("writeConcernError") {
            return Err(unconfirmed(concern, Some(modified(&reply, modify)?)));
        }
        match reply.get("value") {
            Some(Value::Document(document)) => {
                let bytes = reply::bytes(document)?;
                let is_rows = limit.rows == 0;
                if !is_rows && bytes.len() <= limit.bytes {
                    return Ok(Some(bytes));
                }
                let mut failure = too_many(limit, is_rows);
                failure.documents.get_or_insert_default().done = Some(modified(&reply, modify)?);
                Err(failure)
            }
            Some(Value::Null) | None => Ok(None),
            Some(_) => Err(error::unexpected()),
        }
    }

    pub(super) async fn create_indexes(&mut self, collection: &Collection, indexes: &[Index]) -> Result<Vec<String>, Failure> {
        if indexes.is_empty() {
            return Err(Failure::new(FailureKind::Invalid, "there is no index to make"));
        }
        let array: RawArrayBuf = indexes.iter().map(described).collect();
        let body = Body::of(cstr!("createIndexes"), collection.name()).with(cstr!("indexes"), array);
        self.alter(body).await?;
        Ok(indexes.iter().map(|index| index.name.clone()).collect())
    }

    pub(super) async fn drop_index(&mut self, collection: &Collection, name: &str) -> Result<(), Failure> {
        self.alter(Body::of(cstr!("dropIndexes"), collection.name()).with(cstr!("index"), name)).await
    }

    async fn alter(&mut self, body: Body) -> Result<(), Failure> {
        let body = self.writing(body, None)?;
        let reply = self.send(body, Stakes::Write).await?;
        match reply.get_document("writeConcernError") {
            Ok(concern) => Err(unconfirmed(concern, None)),
            Err(_) => Ok(()),
        }
    }
}

/// What a `findAndModify` has done, of which it tells less than others.
fn modified(reply: &Document, modify: &FindAndModify) -> Result<WriteOutcome, Failure> {
    let mut outcome = nothing();
    let Ok(last) = reply.get_document("lastErrorObject") else { return Ok(outcome) };
    let number = reply::count(last, "n");
    if modify.modification == Modification::Delete {
        outcome.deleted = number;
    } else if let Some(id) = last.get("upserted") {
        outcome.upserted = reply::bytes(&bson::doc! { "index": 0_i64, "_id": id.clone() })?;
    } else {
        (outcome.matched, outcome.modified) = (number, number);
    }
    Ok(outcome)
}

fn described(index: &Index) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("key"), index.keys.raw());
    document.append(cstr!("name"), index.name.as_str());
    for (name, is_set) in [(cstr!("unique"), index.unique), (cstr!("sparse"), index.sparse), (cstr!("hidden"), index.hidden)] {
        if is_set {
            document.append(name, true);
        }
    }
    if let Some(seconds) = index.expire_after_seconds {
        document.append(cstr!("expireAfterSeconds"), seconds);
    }
    if let Some(filter) = &index.partial_filter {
        document.append(cstr!("partialFilterExpression"), filter.raw());
    }
    if let Some(collation) = &index.collation {
        document.append(cstr!("collation"), collation.raw());
    }
    document
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn documents(bytes: &[u8]) -> Vec<Document> {
        let (mut rest, mut found) = (bytes, Vec::new());
        while !rest.is_empty() {
            found.push(Document::from_reader(&mut rest).unwrap());
        }
        found
    }

    #[test]
    fn several_replies_are_one_outcome() {
        let mut outcome = Outcome::new(Stakes::Write);
        outcome.add(Kind::Insert, &doc! { "ok": 1, "n": 2 }, 0).unwrap();
        let upserted = [doc! { "index": 1, "_id": "a" }];
        outcome.add(Kind::Update, &doc! { "ok": 1.0, "n": 3_i64, "nModified": 1, "upserted": upserted.to_vec() }, 2).unwrap();
        outcome.add(Kind::Delete, &doc! { "ok": 1, "n": 4.0 }, 5).unwrap();
        let done = outcome.told(9).unwrap();
        assert_eq!((done.inserted, done.matched, done.modified, done.deleted), (2, 2, 1, 4));
        assert_eq!(documents(&done.upserted), [doc! { "index": 3_i64, "_id": "a" }]);
    }

    #[test]
    fn the_first_failure_is_told_with_all_others_and_what_was_done() {
        let mut outcome = Outcome::new(Stakes::Write);
        outcome.add(Kind::Insert, &doc! { "ok": 1, "n": 1 }, 0).unwrap();
        let errors = vec![
            doc! { "index": 0, "code": 11000, "errmsg": "E11000 collection: d.c index: _id_ dup key: { _id: 1 }", "keyPattern": { "_id": 1 }, "keyValue": { "_id": 1 } },
            doc! { "index": 2, "code": 121, "errmsg": "Document failed validation", "errInfo": { "details": 1 } },
        ];
        outcome.add(Kind::Insert, &doc! { "ok": 1, "n": 1, "writeErrors": errors }, 3).unwrap();
        let failure = outcome.told(6).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_deref(), failure.lost), (FailureKind::DuplicateKey, Some("11000"), false));
        let details = failure.documents.unwrap();
        assert_eq!(details.done.unwrap().inserted, 2);
        let told: Vec<_> = details.write_errors.iter().map(|error| (error.index, error.kind, error.code)).collect();
        assert_eq!(told, [(3, FailureKind::DuplicateKey, 11000), (5, FailureKind::Validation, 121)]);
        assert_eq!(documents(details.write_errors[1].info.as_deref().unwrap()), [doc! { "errInfo": { "details": 1 } }]);
        // Of one write there is no place.
        let mut outcome = Outcome::new(Stakes::Write);
        outcome.add(Kind::Insert, &doc! { "n": 0, "writeErrors": [{ "index": 0, "code": 2, "errmsg": "x" }] }, 0).unwrap();
        assert!(outcome.told(1).unwrap_err().documents.unwrap().write_errors.is_empty());
    }

    /// What is told of a command that failed so after another one has inserted one document and failed to insert a second.
    fn broken_off(stakes: Stakes, mut failure: Failure) -> (FailureKind, Details) {
        let mut outcome = Outcome::new(stakes);
        let failed = doc! { "index": 1, "code": 11000, "errmsg": "E11000" };
        outcome.add(Kind::Insert, &doc! { "ok": 1, "n": 1, "writeErrors": [failed] }, 0).unwrap();
        failure.documents.get_or_insert_default().transient = true;
        let told = outcome.broken_off(failure);
        (told.kind, *told.documents.unwrap())
    }

    #[test]
    fn what_was_done_before_a_command_fails_is_told_unless_more_may_be_done() {
        for (kind, lost, expected, inserted) in [
            (FailureKind::Denied, false, FailureKind::Denied, Some(1)),
            (FailureKind::NotPrimary, true, FailureKind::NotPrimary, Some(1)),
            // It was not sent, but what was sent before is written.
            (FailureKind::Disconnected, true, FailureKind::CommitUnknown, Some(1)),
            (FailureKind::Cancelled, false, FailureKind::Cancelled, None),
            (FailureKind::CommitUnknown, false, FailureKind::CommitUnknown, None),
            (FailureKind::CommitUnknown, true, FailureKind::CommitUnknown, None),
        ] {
            let failure = Failure::new(kind, "broken off");
            let (told, details) = broken_off(Stakes::Write, if lost { failure.lost() } else { failure });
            assert_eq!((told, details.done.map(|done| done.inserted)), (expected, inserted), "{kind:?}");
            // Not to be tried again as it is: one of them is written.
            assert_eq!((details.write_errors[0].index, details.transient), (1, false), "{kind:?}");
        }
    }

    #[test]
    fn of_a_transaction_nothing_is_left_when_its_connection_is_lost() {
        let (kind, details) = broken_off(Stakes::Nothing, Failure::new(FailureKind::Disconnected, "lost").lost());
        assert_eq!((kind, details.done.is_none(), details.transient), (FailureKind::Disconnected, true, true));
        let (kind, details) = broken_off(Stakes::Nothing, Failure::new(FailureKind::WriteConflict, "conflict"));
        assert_eq!((kind, details.done.is_some(), details.transient), (FailureKind::WriteConflict, true, true));
    }

    #[test]
    fn one_write_of_several_that_a_network_between_servers_broke_off_may_be_done() {
        let unreachable = doc! { "index": 1, "code": 6, "errmsg": "no answer of shard.example:27017" };
        let taken = doc! { "index": 0, "code": 11000, "errmsg": "E11000" };
        for (failed, stakes, expected, is_known) in [
            (vec![unreachable.clone()], Stakes::Write, FailureKind::CommitUnknown, false),
            (vec![taken.clone(), unreachable.clone()], Stakes::Write, FailureKind::DuplicateKey, false),
            (vec![taken], Stakes::Write, FailureKind::DuplicateKey, true),
            (vec![unreachable], Stakes::Nothing, FailureKind::Database, true),
        ] {
            let mut outcome = Outcome::new(stakes);
            outcome.add(Kind::Update, &doc! { "ok": 1, "n": 1, "nModified": 1, "writeErrors": failed }, 0).unwrap();
            let failure = outcome.told(3).unwrap_err();
            let details = failure.documents.unwrap();
            assert_eq!((failure.kind, details.done.is_some()), (expected, is_known), "{stakes:?}");
            assert!(!failure.message.contains("shard"), "{}", failure.message);
        }
    }

    #[test]
    fn what_is_not_confirmed_is_done_all_the_same_and_not_to_be_done_again() {
        let labels = ["RetryableWriteError"].map(str::to_owned).to_vec();
        for (code, lost) in [(64, false), (11602, true), (189, true)] {
            let concern = doc! { "code": code, "errmsg": "timed out", "errInfo": { "wtimeout": true } };
            let reply = doc! { "n": 1, "writeConcernError": concern, "errorLabels": labels.clone() };
            let mut outcome = Outcome::new(Stakes::Write);
            outcome.add(Kind::Delete, &reply, 0).unwrap();
            let failure = outcome.told(1).unwrap_err();
            assert_eq!((failure.kind, failure.lost), (FailureKind::WriteConcern, lost));
            let details = failure.documents.unwrap();
            assert_eq!((details.code, details.transient, details.done.unwrap().deleted), (Some(code), false, 1));
        }
    }

    #[test]
    fn of_several_writes_all_may_be_tried_again_in_a_transaction_only() {
        for (sent, stakes, transient) in [(1, Stakes::Write, true), (2, Stakes::Write, false), (2, Stakes::Nothing, true)] {
            let mut outcome = Outcome::new(stakes);
            let failed = doc! { "index": 0, "code": 112, "errmsg": "WriteConflict" };
            outcome.add(Kind::Update, &doc! { "n": 0, "writeErrors": [failed] }, 0).unwrap();
            assert_eq!(outcome.told(sent).unwrap_err().documents.unwrap().transient, transient, "{sent} {stakes:?}");
        }
    }

    #[test]
    fn nonsense_of_a_server_is_no_panic() {
        for reply in [
            doc! {},
            doc! { "n": -1, "nModified": "x" },
            doc! { "n": i64::MAX, "upserted": [1, { "index": -5 }, {}] },
            doc! { "writeErrors": 3, "writeConcernError": [] },
            doc! { "writeErrors": [{}, 4, { "index": i64::MAX, "code": i64::MAX }] },
        ] {
            for kind in [Kind::Insert, Kind::Update, Kind::Delete] {
                let mut outcome = Outcome::new(Stakes::Write);
                outcome.add(kind, &reply, u32::MAX).unwrap();
                let _ = outcome.told(2);
            }
        }
    }
}
