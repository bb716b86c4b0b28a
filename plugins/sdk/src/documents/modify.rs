//! Changing one document and reading it in the same step.

use std::marker::PhantomData;

use bson::Document;
use serde::Serialize;

use crate::documents::concern::WriteConcern;
use crate::documents::encode::{self, encode};
use crate::documents::options::{Hint, setters};
use crate::documents::wire;
use crate::documents::write::{Change, On};
use crate::error::Result;

/// A change of one document that gives it back, as it was unless told otherwise. Ends in `run`.
#[must_use = "nothing is written until it is run"]
pub struct FindAndModify<'c, T, R> {
    pub(crate) on: On<'c, R>,
    filter: Document,
    modification: Result<wire::Modification>,
    projection: Option<Document>,
    sort: Option<Document>,
    upsert: bool,
    return_new: bool,
    array_filters: Vec<Document>,
    hint: Option<Hint>,
    collation: Option<Document>,
    variables: Option<Document>,
    found: PhantomData<fn() -> T>,
}

impl<'c, T, R> FindAndModify<'c, T, R> {
    pub(super) fn update(on: On<'c, R>, filter: Document, change: &Change) -> Self {
        Self::new(on, filter, change.to_wire().map(wire::Modification::Update))
    }

    pub(super) fn replace(on: On<'c, R>, filter: Document, replacement: &impl Serialize) -> Self {
        Self::new(on, filter, encode(replacement).map(wire::Modification::Replace))
    }

    pub(super) fn delete(on: On<'c, R>, filter: Document) -> Self {
        Self::new(on, filter, Ok(wire::Modification::Delete))
    }

    fn new(on: On<'c, R>, filter: Document, modification: Result<wire::Modification>) -> Self {
        let (projection, sort, hint, collation, variables) = (None, None, None, None, None);
        let (upsert, return_new, array_filters, found) = (false, false, Vec::new(), PhantomData);
        Self { on, filter, modification, projection, sort, upsert, return_new, array_filters, hint, collation, variables, found }
    }

    /// Reads only these fields, or computed ones, as a `U`.
    pub fn projection<U>(self, projection: Document) -> FindAndModify<'c, U, R> {
        FindAndModify {
            on: self.on,
            filter: self.filter,
            modification: self.modification,
            projection: Some(projection),
            sort: self.sort,
            upsert: self.upsert,
            return_new: self.return_new,
            array_filters: self.array_filters,
            hint: self.hint,
            collation: self.collation,
            variables: self.variables,
            found: PhantomData,
        }
    }

    /// Gives the document as it is afterwards.
    pub fn return_new(mut self) -> Self {
        self.return_new = true;
        self
    }

    setters!(sort upsert array_filters hint collation variables);

    /// Filter, modification and options.
    pub(crate) fn into_wire(self) -> Result<(Vec<u8>, wire::Modification, wire::FindAndModifyOptions)> {
        let options = wire::FindAndModifyOptions {
            projection: encode::optional(self.projection.as_ref())?,
            sort: encode::optional(self.sort.as_ref())?,
            upsert: self.upsert,
            return_new: self.return_new,
            array_filters: encode::all(&self.array_filters)?,
            hint: Hint::to_wire(self.hint.as_ref())?,
            collation: encode::optional(self.collation.as_ref())?,
            variables: encode::optional(self.variables.as_ref())?,
            write_concern: WriteConcern::to_wire(self.on.write_concern.as_ref()),
        };
        Ok((self.filter.to_vec()?, self.modification?, options))
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn everything_that_is_set_is_sent() {
        let on = || On { raw: &(), write_concern: None };
        let change = Change::from(doc! { "$inc": { "count": 1 } });
        let modify = FindAndModify::<Document, _>::update(on(), doc! { "_id": "a" }, &change);
        let modify = modify.upsert().return_new().sort(doc! { "at": 1 }).projection::<Document>(doc! { "count": 1 });
        let (filter, modification, options) = modify.into_wire().unwrap();
        assert_eq!(filter, doc! { "_id": "a" }.to_vec().unwrap());
        assert_eq!(modification, wire::Modification::Update(change.to_wire().unwrap()));
        assert!(options.upsert && options.return_new && options.write_concern.is_none());
        assert_eq!(options.projection, Some(doc! { "count": 1 }.to_vec().unwrap()));
        assert_eq!(options.sort, Some(doc! { "at": 1 }.to_vec().unwrap()));
        let replace = FindAndModify::<Document, _>::replace(on(), doc! {}, &doc! { "n": 1 });
        assert_eq!(replace.into_wire().unwrap().1, wire::Modification::Replace(doc! { "n": 1 }.to_vec().unwrap()));
        let delete = FindAndModify::<Document, _>::delete(on(), doc! {});
        assert_eq!(delete.into_wire().unwrap().1, wire::Modification::Delete);
        assert!(FindAndModify::<Document, _>::replace(on(), doc! {}, &7).into_wire().is_err());
    }
}
