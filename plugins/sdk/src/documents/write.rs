//! Writes that are being put together.

use bson::Document;
use serde::Serialize;

use crate::documents::concern::WriteConcern;
use crate::documents::encode::{self, encode};
use crate::documents::options::{Hint, setters};
use crate::documents::wire;
use crate::error::Result;

/// How a document changes: a document of operators, such as `doc! { "$set": { "name": "Ada" } }`, or the stages of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Operators such as `$set` and `$inc`.
    Operators(Document),
    /// Stages such as `$set` and `$unset`, whose expressions may use the document as it is.
    Pipeline(Vec<Document>),
}

impl From<Document> for Change {
    fn from(operators: Document) -> Self {
        Self::Operators(operators)
    }
}

impl From<Vec<Document>> for Change {
    fn from(stages: Vec<Document>) -> Self {
        Self::Pipeline(stages)
    }
}

impl Change {
    pub(super) fn to_wire(&self) -> Result<wire::Update> {
        Ok(match self {
            Self::Operators(operators) => wire::Update::Operators(operators.to_vec()?),
            Self::Pipeline(stages) => wire::Update::Pipeline(encode::all(stages)?),
        })
    }
}

/// The collection that a write is for. A write of a [`Bulk`] has `()` instead.
pub struct On<'c, R> {
    pub(crate) raw: &'c R,
    pub(super) write_concern: Option<WriteConcern>,
}

/// An update. `C` is the collection it is for, where it ends in `run`, or `()` for one of a [`Bulk`].
#[must_use = "nothing is written until it is run"]
pub struct Update<C> {
    pub(crate) on: C,
    filter: Document,
    change: Change,
    many: bool,
    upsert: bool,
    array_filters: Vec<Document>,
    hint: Option<Hint>,
    collation: Option<Document>,
    variables: Option<Document>,
}

impl<C> Update<C> {
    pub(super) fn new(on: C, filter: Document, change: Change, many: bool) -> Self {
        let (array_filters, hint, collation, variables) = (Vec::new(), None, None, None);
        Self { on, filter, change, many, upsert: false, array_filters, hint, collation, variables }
    }

    setters!(upsert array_filters hint collation);
}

impl<R> Update<On<'_, R>> {
    setters!(variables);

    /// Filter, change and options.
    pub(crate) fn to_wire(&self) -> Result<(Vec<u8>, wire::Update, wire::UpdateOptions)> {
        let options = wire::UpdateOptions {
            many: self.many,
            upsert: self.upsert,
            array_filters: encode::all(&self.array_filters)?,
            hint: Hint::to_wire(self.hint.as_ref())?,
            collation: encode::optional(self.collation.as_ref())?,
            variables: encode::optional(self.variables.as_ref())?,
            write_concern: WriteConcern::to_wire(self.on.write_concern.as_ref()),
        };
        Ok((self.filter.to_vec()?, self.change.to_wire()?, options))
    }
}

/// A replacement. `C` is the collection it is for, where it ends in `run`, or `()` for one of a [`Bulk`].
#[must_use = "nothing is written until it is run"]
pub struct Replace<C> {
    pub(crate) on: C,
    filter: Document,
    replacement: Result<Vec<u8>>,
    upsert: bool,
    hint: Option<Hint>,
    collation: Option<Document>,
    variables: Option<Document>,
}

impl<C> Replace<C> {
    pub(super) fn new(on: C, filter: Document, replacement: &impl Serialize) -> Self {
        let (replacement, hint, collation, variables) = (encode(replacement), None, None, None);
        Self { on, filter, replacement, upsert: false, hint, collation, variables }
    }

    setters!(upsert hint collation);
}

impl<R> Replace<On<'_, R>> {
    setters!(variables);

    /// Filter, replacement and options.
    pub(crate) fn into_wire(self) -> Result<(Vec<u8>, Vec<u8>, wire::ReplaceOptions)> {
        let options = wire::ReplaceOptions {
            upsert: self.upsert,
            hint: Hint::to_wire(self.hint.as_ref())?,
            collation: encode::optional(self.collation.as_ref())?,
            variables: encode::optional(self.variables.as_ref())?,
            write_concern: WriteConcern::to_wire(self.on.write_concern.as_ref()),
        };
        Ok((self.filter.to_vec()?, self.replacement?, options))
    }
}

/// A deletion. `C` is the collection it is for, where it ends in `run`, or `()` for one of a [`Bulk`].
#[must_use = "nothing is written until it is run"]
pub struct Delete<C> {
    pub(crate) on: C,
    filter: Document,
    many: bool,
    hint: Option<Hint>,
    collation: Option<Document>,
    variables: Option<Document>,
}

impl<C> Delete<C> {
    pub(super) fn new(on: C, filter: Document, many: bool) -> Self {
        Self { on, filter, many, hint: None, collation: None, variables: None }
    }

    setters!(hint collation);
}

impl<R> Delete<On<'_, R>> {
    setters!(variables);

    /// Filter and options.
    pub(crate) fn to_wire(&self) -> Result<(Vec<u8>, wire::DeleteOptions)> {
        let options = wire::DeleteOptions {
            many: self.many,
            hint: Hint::to_wire(self.hint.as_ref())?,
            collation: encode::optional(self.collation.as_ref())?,
            variables: encode::optional(self.variables.as_ref())?,
            write_concern: WriteConcern::to_wire(self.on.write_concern.as_ref()),
        };
        Ok((self.filter.to_vec()?, options))
    }
}

/// One write of a [`Bulk`].
pub struct Write(Result<wire::Write>);

impl Write {
    /// Inserts a document; one without `_id` gets one.
    #[must_use]
    pub fn insert(document: &impl Serialize) -> Self {
        let document = encode(document).and_then(encode::with_id);
        Self(document.map(|(document, _)| wire::Write::Insert(document)))
    }

    /// Changes the first that matches.
    pub fn update_one(filter: Document, change: impl Into<Change>) -> Update<()> {
        Update::new((), filter, change.into(), false)
    }

    /// Changes all that match.
    pub fn update_many(filter: Document, change: impl Into<Change>) -> Update<()> {
        Update::new((), filter, change.into(), true)
    }

    /// Replaces the first that matches, all but its `_id`.
    pub fn replace_one(filter: Document, replacement: &impl Serialize) -> Replace<()> {
        Replace::new((), filter, replacement)
    }

    /// Deletes the first that matches.
    pub fn delete_one(filter: Document) -> Delete<()> {
        Delete::new((), filter, false)
    }

    /// Deletes all that match.
    pub fn delete_many(filter: Document) -> Delete<()> {
        Delete::new((), filter, true)
    }
}

impl From<Update<()>> for Write {
    fn from(update: Update<()>) -> Self {
        let to_wire = || -> Result<wire::Write> {
            Ok(wire::Write::Update(wire::UpdateWrite {
                filter: update.filter.to_vec()?,
                update: update.change.to_wire()?,
                many: update.many,
                upsert: update.upsert,
                array_filters: encode::all(&update.array_filters)?,
                hint: Hint::to_wire(update.hint.as_ref())?,
                collation: encode::optional(update.collation.as_ref())?,
            }))
        };
        Self(to_wire())
    }
}

impl From<Replace<()>> for Write {
    fn from(replace: Replace<()>) -> Self {
        let to_wire = |replacement: Vec<u8>| -> Result<wire::Write> {
            Ok(wire::Write::Replace(wire::ReplaceWrite {
                filter: replace.filter.to_vec()?,
                replacement,
                upsert: replace.upsert,
                hint: Hint::to_wire(replace.hint.as_ref())?,
                collation: encode::optional(replace.collation.as_ref())?,
            }))
        };
        Self(replace.replacement.and_then(to_wire))
    }
}

impl From<Delete<()>> for Write {
    fn from(delete: Delete<()>) -> Self {
        let to_wire = || -> Result<wire::Write> {
            Ok(wire::Write::Delete(wire::DeleteWrite {
                filter: delete.filter.to_vec()?,
                many: delete.many,
                hint: Hint::to_wire(delete.hint.as_ref())?,
                collation: encode::optional(delete.collation.as_ref())?,
            }))
        };
        Self(to_wire())
    }
}

/// Several writes in one go, in their order. Not all or nothing: for that there are transactions. Ends in `run`.
#[must_use = "nothing is written until it is run"]
pub struct Bulk<'c, R> {
    pub(crate) on: On<'c, R>,
    writes: Vec<Write>,
    unordered: bool,
    variables: Option<Document>,
}

impl<'c, R> Bulk<'c, R> {
    pub(super) fn new(on: On<'c, R>) -> Self {
        Self { on, writes: Vec::new(), unordered: false, variables: None }
    }

    /// Adds one.
    pub fn push(mut self, write: impl Into<Write>) -> Self {
        self.writes.push(write.into());
        self
    }

    /// Tries all, in any order, instead of stopping at the first that fails.
    pub fn unordered(mut self) -> Self {
        self.unordered = true;
        self
    }

    setters!(variables);

    /// Writes and options.
    pub(crate) fn into_wire(self) -> Result<(Vec<wire::Write>, wire::BulkOptions)> {
        let options = wire::BulkOptions {
            ordered: !self.unordered,
            variables: encode::optional(self.variables.as_ref())?,
            write_concern: WriteConcern::to_wire(self.on.write_concern.as_ref()),
        };
        let writes = self.writes.into_iter().map(|write| write.0).collect::<Result<_>>()?;
        Ok((writes, options))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bson::doc;

    use super::*;

    fn bytes(document: Document) -> Vec<u8> {
        document.to_vec().unwrap()
    }

    fn on() -> On<'static, ()> {
        On { raw: &(), write_concern: Some(WriteConcern::majority()) }
    }

    #[test]
    fn an_update_is_sent_as_it_was_set() {
        let update = Update::new(on(), doc! { "a": 1 }, doc! { "$inc": { "n.$[x]": 1 } }.into(), true);
        let update = update.upsert().array_filters([doc! { "x": 1 }, doc! { "x": 2 }]).hint("a_1").variables(doc! { "v": 1 });
        let (filter, change, options) = update.to_wire().unwrap();
        assert_eq!(filter, bytes(doc! { "a": 1 }));
        assert_eq!(change, wire::Update::Operators(bytes(doc! { "$inc": { "n.$[x]": 1 } })));
        assert!(options.many && options.upsert && options.write_concern.is_some());
        assert_eq!(options.array_filters, [bytes(doc! { "x": 1 }), bytes(doc! { "x": 2 })].concat());
        assert_eq!(options.variables, Some(bytes(doc! { "v": 1 })));
        let pipeline = Change::from(vec![doc! { "$set": { "n": "$m" } }, doc! { "$unset": "m" }]);
        let stages = [bytes(doc! { "$set": { "n": "$m" } }), bytes(doc! { "$unset": "m" })].concat();
        assert_eq!(pipeline.to_wire().unwrap(), wire::Update::Pipeline(stages));
    }

    #[test]
    fn replacements_and_deletions_are_sent_as_they_were_set() {
        let replace = Replace::new(on(), doc! { "_id": 1 }, &doc! { "name": "Ada" }).upsert().collation(doc! { "locale": "en" });
        let (filter, replacement, options) = replace.into_wire().unwrap();
        assert_eq!((filter, replacement), (bytes(doc! { "_id": 1 }), bytes(doc! { "name": "Ada" })));
        assert!(options.upsert && options.write_concern.is_some());
        assert_eq!(options.collation, Some(bytes(doc! { "locale": "en" })));
        let (filter, options) = Delete::new(on(), doc! { "_id": 1 }, true).hint(doc! { "_id": 1 }).to_wire().unwrap();
        assert_eq!(filter, bytes(doc! { "_id": 1 }));
        assert!(options.many && options.hint.is_some());
    }

    #[test]
    fn a_bulk_keeps_the_order_of_its_writes() {
        let bulk = Bulk::new(on())
            .push(Write::insert(&doc! { "_id": 1 }))
            .push(Write::update_one(doc! { "_id": 1 }, doc! { "$set": { "n": 1 } }).upsert())
            .push(Write::update_many(doc! {}, vec![doc! { "$set": { "n": 2 } }]))
            .push(Write::replace_one(doc! { "_id": 1 }, &doc! { "n": 3 }))
            .push(Write::delete_one(doc! { "_id": 1 }))
            .push(Write::delete_many(doc! {}))
            .unordered();
        let (writes, options) = bulk.into_wire().unwrap();
        assert!(!options.ordered && options.write_concern.is_some());
        assert_eq!(writes[0], wire::Write::Insert(bytes(doc! { "_id": 1 })));
        let many: Vec<_> = writes
            .iter()
            .filter_map(|write| match write {
                wire::Write::Update(update) => Some((update.many, update.upsert)),
                wire::Write::Delete(delete) => Some((delete.many, false)),
                wire::Write::Insert(_) | wire::Write::Replace(_) => None,
            })
            .collect();
        assert_eq!(many, [(false, true), (true, false), (false, false), (true, false)]);
    }

    #[test]
    fn what_cannot_be_encoded_is_told_when_it_is_run() {
        let large = BTreeMap::from([("n", u64::MAX)]);
        assert!(Replace::new(on(), doc! {}, &large).into_wire().is_err());
        assert!(Update::new(on(), doc! { "\0": 1 }, doc! {}.into(), false).to_wire().is_err());
        for write in
            [Write::insert(&large), Write::replace_one(doc! {}, &large).into(), Write::delete_one(doc! { "\0": 1 }).into()]
        {
            assert!(Bulk::new(on()).push(write).into_wire().is_err());
        }
    }
}
