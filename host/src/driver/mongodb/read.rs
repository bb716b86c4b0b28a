//! What only reads, and pipelines: commands, and results within their limits.

use bson::{
    Bson as Value, Document,
    raw::{RawArrayBuf, RawDocumentBuf, cstr},
    rawdoc,
};

use super::{
    command::Body,
    connection::MongodbConnection,
    cursor::Cursor,
    error::{self, Stakes},
    reply,
};
use crate::driver::{
    Failure, FailureKind, ResultLimit,
    documents::{Aggregate, Batch, Bson, Collection, Count, Distinct, Find},
};

pub(super) fn too_many(limit: ResultLimit, is_rows: bool) -> Failure {
    let (name, maximum) = if is_rows { ("max_rows", limit.rows as usize) } else { ("max_result_bytes", limit.bytes) };
    let what = if is_rows { "documents" } else { "bytes" };
    Failure::new(FailureKind::LimitExceeded, format!("the result has more than {maximum} {what}"))
        .with("limit", name)
        .with("maximum", maximum)
}

/// One more than there may be, so that more is noticed.
fn asked(limit: ResultLimit) -> u32 {
    limit.rows.saturating_add(1).min(i32::MAX.unsigned_abs())
}

fn batch_size(size: u32) -> RawDocumentBuf {
    rawdoc! { "batchSize": i64::from(size) }
}

impl MongodbConnection {
    /// The command for documents that match, so many at a time.
    pub(super) fn find_command(
        &self,
        collection: &Collection,
        find: &Find,
        limit: Option<i64>,
        size: u32,
    ) -> Result<Body, Failure> {
        let mut body = Body::of(cstr!("find"), collection.name())
            .with(cstr!("filter"), find.filter.raw())
            .document(cstr!("projection"), find.projection.as_ref())
            .document(cstr!("sort"), find.sort.as_ref())
            .hint(find.hint.as_ref())
            .document(cstr!("collation"), find.collation.as_ref())
            .document(cstr!("let"), find.variables.as_ref());
        if find.skip > 0 {
            body = body.with(cstr!("skip"), find.skip);
        }
        body = match limit {
            // Nothing is left open for one.
            Some(1) => body.with(cstr!("limit"), 1_i64).with(cstr!("singleBatch"), true),
            Some(limit) => body.with(cstr!("limit"), limit).with(cstr!("batchSize"), i64::from(size)),
            None => body.with(cstr!("batchSize"), i64::from(size)),
        };
        self.reading(body, find.read_concern)
    }

    /// The command for what a pipeline makes, and what is at stake with it.
    pub(super) fn aggregate_command(
        &self,
        collection: &Collection,
        aggregate: &Aggregate,
        size: u32,
    ) -> Result<(Body, Stakes), Failure> {
        let writes = aggregate.pipeline.writes();
        let body = Body::of(cstr!("aggregate"), collection.name())
            .with(cstr!("pipeline"), aggregate.pipeline.raw())
            // What writes answers with nothing, and takes no size.
            .with(cstr!("cursor"), if writes { RawDocumentBuf::new() } else { batch_size(size) })
            .hint(aggregate.hint.as_ref())
            .document(cstr!("collation"), aggregate.collation.as_ref())
            .document(cstr!("let"), aggregate.variables.as_ref())
            .flag(cstr!("allowDiskUse"), aggregate.allow_disk_use);
        let body = self.reading(body, aggregate.read_concern)?;
        if writes || aggregate.write_concern.is_some() {
            return Ok((self.writing(body, aggregate.write_concern.as_ref())?, Stakes::Write));
        }
        Ok((body, Stakes::Nothing))
    }

    pub(super) async fn find(&mut self, collection: &Collection, find: &Find, limit: ResultLimit) -> Result<Batch, Failure> {
        let body = self.find_command(collection, find, find.limit, asked(limit))?;
        self.all(body, limit, Stakes::Nothing).await
    }

    pub(super) async fn find_one(
        &mut self,
        collection: &Collection,
        find: &Find,
        limit: ResultLimit,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let body = self.find_command(collection, find, Some(1), 1)?;
        let batch = self.all(body, limit, Stakes::Nothing).await?;
        Ok((batch.count > 0).then_some(batch.documents))
    }

    pub(super) async fn aggregate(
        &mut self,
        collection: &Collection,
        aggregate: &Aggregate,
        limit: ResultLimit,
    ) -> Result<Batch, Failure> {
        let (body, stakes) = self.aggregate_command(collection, aggregate, asked(limit))?;
        self.all(body, limit, stakes).await
    }

    pub(super) async fn list_collections(&mut self, filter: Option<&Bson>, limit: ResultLimit) -> Result<Batch, Failure> {
        let body = Body::of(cstr!("listCollections"), 1)
            .document(cstr!("filter"), filter)
            .with(cstr!("cursor"), batch_size(asked(limit)));
        self.all(body, limit, Stakes::Nothing).await
    }

    pub(super) async fn list_indexes(&mut self, collection: &Collection, limit: ResultLimit) -> Result<Batch, Failure> {
        let body = Body::of(cstr!("listIndexes"), collection.name()).with(cstr!("cursor"), batch_size(asked(limit)));
        self.all(body, limit, Stakes::Nothing).await
    }

    /// Reads a result to its end. A cursor over the limit is closed.
    async fn all(&mut self, body: Body, limit: ResultLimit, stakes: Stakes) -> Result<Batch, Failure> {
        self.open(None, body, asked(limit), stakes).await?;
        loop {
            let cursor = self.cursor(None)?;
            let (count, bytes) = cursor.held();
            let is_rows = count > limit.rows as usize;
            if is_rows || bytes > limit.bytes {
                return Err(self.give_up(None, too_many(limit, is_rows)).await);
            }
            if cursor.is_read() {
                let whole = self.kept.get()?.cursors.remove(&None);
                return whole.map(Cursor::into_batch).ok_or_else(error::unexpected);
            }
            self.more(None).await?;
        }
    }

    /// In all versions, and in transactions, counting is a pipeline.
    pub(super) async fn count(&mut self, collection: &Collection, count: &Count) -> Result<u64, Failure> {
        let mut pipeline = RawArrayBuf::new();
        pipeline.push(rawdoc! { "$match": count.filter.raw().to_owned() });
        if count.skip > 0 {
            pipeline.push(rawdoc! { "$skip": count.skip });
        }
        if let Some(limit) = count.limit {
            pipeline.push(rawdoc! { "$limit": limit });
        }
        pipeline.push(rawdoc! { "$group": { "_id": 1, "n": { "$sum": 1 } } });
        let body = Body::of(cstr!("aggregate"), collection.name())
            .with(cstr!("pipeline"), pipeline)
            .with(cstr!("cursor"), RawDocumentBuf::new())
            .hint(count.hint.as_ref())
            .document(cstr!("collation"), count.collation.as_ref());
        let body = self.reading(body, count.read_concern)?;
        let reply = self.send(body, Stakes::Nothing).await?;
        let batch = reply.get_document("cursor").map_err(|_| error::unexpected())?;
        // No group is no document.
        Ok(reply::documents(batch, "firstBatch").next().map_or(0, |group| reply::count(group, "n")))
    }

    pub(super) async fn estimated_count(&mut self, collection: &Collection) -> Result<u64, Failure> {
        if self.transaction.is_open() {
            return Err(Failure::new(FailureKind::Invalid, "in a transaction nothing is estimated; use `count`"));
        }
        let body = self.reading(Body::of(cstr!("count"), collection.name()), None)?;
        Ok(reply::count(&self.send(body, Stakes::Nothing).await?, "n"))
    }

    /// The array `values`, in a document.
    pub(super) async fn distinct(
        &mut self,
        collection: &Collection,
        distinct: &Distinct,
        limit: ResultLimit,
    ) -> Result<Vec<u8>, Failure> {
        let body = Body::of(cstr!("distinct"), collection.name())
            .with(cstr!("key"), distinct.field.as_str())
            .with(cstr!("query"), distinct.filter.raw())
            .document(cstr!("collation"), distinct.collation.as_ref());
        let body = self.reading(body, distinct.read_concern)?;
        let (mut reply, _held) = self.send_for_much(body, Stakes::Nothing).await?;
        let Some(Value::Array(values)) = reply.remove("values") else { return Err(error::unexpected()) };
        if values.len() > limit.rows as usize {
            return Err(too_many(limit, true));
        }
        let bytes = reply::bytes(&Document::from_iter([("values".to_owned(), Value::Array(values))]))?;
        if bytes.len() > limit.bytes { Err(too_many(limit, false)) } else { Ok(bytes) }
    }
}
