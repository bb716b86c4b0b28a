//! Reads that are being put together.

use std::marker::PhantomData;

use bson::Document;
use serde::Deserialize;

use crate::documents::concern::WriteConcern;
use crate::documents::encode;
use crate::documents::options::{Hint, setters};
use crate::documents::wire::{self, ReadConcern};
use crate::error::Result;

/// A query that is being put together. Ends in `one`, `all`, `documents`, `cursor`, `count` or `distinct`.
#[must_use = "nothing is read until it is said what to read"]
pub struct Find<'c, T, R> {
    pub(crate) raw: &'c R,
    filter: Document,
    projection: Option<Document>,
    sort: Option<Document>,
    skip: u64,
    limit: Option<u64>,
    hint: Option<Hint>,
    collation: Option<Document>,
    variables: Option<Document>,
    read_concern: Option<ReadConcern>,
    found: PhantomData<fn() -> T>,
}

impl<'c, T, R> Find<'c, T, R> {
    pub(super) fn new(raw: &'c R, filter: Document, read_concern: Option<ReadConcern>) -> Self {
        let (projection, sort, hint, collation, variables) = (None, None, None, None, None);
        let (skip, limit, found) = (0, None, PhantomData);
        Self { raw, filter, projection, sort, skip, limit, hint, collation, variables, read_concern, found }
    }

    /// Reads only these fields, or computed ones, as a `U`.
    pub fn projection<U>(self, projection: Document) -> Find<'c, U, R> {
        let Self { raw, filter, projection: _, sort, skip, limit, hint, collation, variables, read_concern, found: _ } = self;
        let (projection, found) = (Some(projection), PhantomData);
        Find { raw, filter, projection, sort, skip, limit, hint, collation, variables, read_concern, found }
    }

    /// Passes over the first ones.
    pub fn skip(mut self, documents: u64) -> Self {
        self.skip = documents;
        self
    }

    /// Reads no more than this, at least 1.
    pub fn limit(mut self, documents: u64) -> Self {
        self.limit = Some(documents);
        self
    }

    setters!(sort hint collation variables);

    pub(crate) fn filter(&self) -> Result<Vec<u8>> {
        Ok(self.filter.to_vec()?)
    }

    pub(crate) fn find_options(&self) -> Result<wire::FindOptions> {
        Ok(wire::FindOptions {
            projection: encode::optional(self.projection.as_ref())?,
            sort: encode::optional(self.sort.as_ref())?,
            skip: self.skip,
            limit: self.limit,
            hint: Hint::to_wire(self.hint.as_ref())?,
            collation: encode::optional(self.collation.as_ref())?,
            variables: encode::optional(self.variables.as_ref())?,
            read_concern: self.read_concern,
        })
    }

    pub(crate) fn count_options(&self) -> Result<wire::CountOptions> {
        Ok(wire::CountOptions {
            skip: self.skip,
            limit: self.limit,
            hint: Hint::to_wire(self.hint.as_ref())?,
            collation: encode::optional(self.collation.as_ref())?,
            read_concern: self.read_concern,
        })
    }

    pub(crate) fn distinct_options(&self) -> Result<wire::DistinctOptions> {
        Ok(wire::DistinctOptions { collation: encode::optional(self.collation.as_ref())?, read_concern: self.read_concern })
    }
}

/// The answer to `distinct`.
#[derive(Deserialize)]
pub(crate) struct Values<V> {
    pub(crate) values: Vec<V>,
}

/// A pipeline that is being put together. Ends in `all`, `documents` or `cursor`.
#[must_use = "nothing is computed until it is said how to read it"]
pub struct Aggregate<'c, R> {
    pub(crate) raw: &'c R,
    pipeline: Vec<Document>,
    hint: Option<Hint>,
    collation: Option<Document>,
    variables: Option<Document>,
    allow_disk_use: bool,
    read_concern: Option<ReadConcern>,
    write_concern: Option<WriteConcern>,
}

impl<'c, R> Aggregate<'c, R> {
    pub(super) fn new(
        raw: &'c R,
        pipeline: Vec<Document>,
        read_concern: Option<ReadConcern>,
        write_concern: Option<WriteConcern>,
    ) -> Self {
        let (hint, collation, variables, allow_disk_use) = (None, None, None, false);
        Self { raw, pipeline, hint, collation, variables, allow_disk_use, read_concern, write_concern }
    }

    /// Large sorts and groups may use temporary files of the server.
    pub fn allow_disk_use(mut self) -> Self {
        self.allow_disk_use = true;
        self
    }

    setters!(hint collation variables);

    pub(crate) fn pipeline(&self) -> Result<Vec<u8>> {
        encode::all(&self.pipeline)
    }

    pub(crate) fn options(&self) -> Result<wire::AggregateOptions> {
        // The server refuses a write concern of a pipeline that writes nothing.
        let writes = self.pipeline.last().is_some_and(|stage| stage.contains_key("$out") || stage.contains_key("$merge"));
        Ok(wire::AggregateOptions {
            hint: Hint::to_wire(self.hint.as_ref())?,
            collation: encode::optional(self.collation.as_ref())?,
            variables: encode::optional(self.variables.as_ref())?,
            allow_disk_use: self.allow_disk_use,
            read_concern: self.read_concern,
            write_concern: WriteConcern::to_wire(self.write_concern.as_ref().filter(|_| writes)),
        })
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;
    use crate::documents::decode::decode;

    fn find() -> Find<'static, Document, ()> {
        Find::new(&(), doc! { "name": "Ada" }, Some(ReadConcern::Majority))
    }

    #[test]
    fn everything_that_is_set_is_sent() {
        let query = find().sort(doc! { "born": -1 }).skip(2).limit(3).hint("name_1").collation(doc! { "locale": "en" });
        let query = query.variables(doc! { "now": 1 }).projection::<Document>(doc! { "name": 1 });
        assert_eq!(query.filter().unwrap(), doc! { "name": "Ada" }.to_vec().unwrap());
        let options = query.find_options().unwrap();
        assert_eq!(options.projection, Some(doc! { "name": 1 }.to_vec().unwrap()));
        assert_eq!(options.sort, Some(doc! { "born": -1 }.to_vec().unwrap()));
        assert_eq!((options.skip, options.limit), (2, Some(3)));
        assert_eq!(options.hint, Some(wire::Hint::Name("name_1".into())));
        assert_eq!(options.collation, Some(doc! { "locale": "en" }.to_vec().unwrap()));
        assert_eq!(options.variables, Some(doc! { "now": 1 }.to_vec().unwrap()));
        assert_eq!(options.read_concern, Some(ReadConcern::Majority));
    }

    #[test]
    fn counts_and_distinct_values_take_what_they_can() {
        let options = find().skip(2).limit(3).hint(doc! { "name": 1 }).count_options().unwrap();
        assert_eq!((options.skip, options.limit, options.read_concern), (2, Some(3), Some(ReadConcern::Majority)));
        assert_eq!(options.hint, Some(wire::Hint::Keys(doc! { "name": 1 }.to_vec().unwrap())));
        let options = find().collation(doc! { "locale": "en" }).distinct_options().unwrap();
        assert_eq!(options.collation, Some(doc! { "locale": "en" }.to_vec().unwrap()));
    }

    #[test]
    fn distinct_values_become_what_is_asked_for() {
        let answer = doc! { "values": ["a", "b"] }.to_vec().unwrap();
        assert_eq!(decode::<Values<String>>(&answer).unwrap().values, ["a", "b"]);
        assert!(decode::<Values<i32>>(&answer).is_err());
    }

    #[test]
    fn only_a_pipeline_that_writes_has_a_write_concern() {
        let concern = |last: Document| {
            let pipeline = vec![doc! { "$match": {} }, last];
            let aggregate = Aggregate::new(&(), pipeline, None, Some(WriteConcern::majority())).allow_disk_use();
            let options = aggregate.options().unwrap();
            assert!(options.allow_disk_use);
            options.write_concern.is_some()
        };
        assert!(concern(doc! { "$out": "copy" }) && concern(doc! { "$merge": { "into": "copy" } }));
        assert!(!concern(doc! { "$limit": 1 }));
    }
}
