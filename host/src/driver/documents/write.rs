//! What a guest asks to write.

use super::{
    bson::{Bson, BsonList},
    concern::{WriteConcern, write_concern},
    read::{Check, Hint, hint_bytes, sum},
    scan::{MAX_BYTES, Rules, too_long},
    types,
};
use crate::driver::{Failure, FailureKind, settings::Access};

fn invalid(message: &str) -> Failure {
    Failure::new(FailureKind::Invalid, message)
}

/// Documents to insert.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "as in `insert-options` of the WIT")]
pub struct Insert {
    pub documents: BsonList,
    pub ordered: bool,
    pub write_concern: Option<WriteConcern>,
}

impl Insert {
    /// Takes what a guest asks for.
    ///
    /// # Errors
    /// As [`BsonList::new`]; `Invalid` for no documents.
    pub fn new(documents: &[u8], options: types::InsertOptions) -> Result<Self, Failure> {
        let documents = BsonList::new(documents, Rules::Data)?;
        if documents.count() == 0 {
            return Err(invalid("there is no document to insert"));
        }
        Ok(Self { documents, ordered: options.ordered, write_concern: write_concern(options.write_concern)? })
    }

    pub(super) fn bytes(&self) -> usize {
        self.documents.bytes()
    }
}

/// How documents change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// By operators: the first name begins with `$`, or the server would take it for a replacement.
    Operators(Bson),
    /// By the stages of a pipeline, of which there is at least one.
    Pipeline(BsonList),
    /// Wholly: the first name does not begin with `$`.
    Replacement(Bson),
}

impl Change {
    fn update(asked: types::Update, check: Check) -> Result<Self, Failure> {
        match asked {
            types::Update::Operators(bytes) => {
                let operators = check.expression(bytes)?;
                if !operators.first().is_some_and(|name| name.starts_with('$')) {
                    return Err(invalid("an update consists of operators, such as `$set`"));
                }
                Ok(Self::Operators(operators))
            }
            types::Update::Pipeline(bytes) => {
                let stages = check.list(&bytes)?;
                if stages.count() == 0 {
                    return Err(invalid("an update without a stage"));
                }
                Ok(Self::Pipeline(stages))
            }
        }
    }

    fn replace(bytes: Vec<u8>) -> Result<Self, Failure> {
        let replacement = Bson::new(bytes, Rules::Data)?;
        if replacement.first().is_some_and(|name| name.starts_with('$')) {
            return Err(invalid("a replacement has no operators"));
        }
        Ok(Self::Replacement(replacement))
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Operators(document) | Self::Replacement(document) => document.bytes(),
            Self::Pipeline(stages) => stages.bytes(),
        }
    }
}

/// Changes one document, or all that match.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "as in `update-write` of the WIT")]
pub struct Update {
    pub filter: Bson,
    pub change: Change,
    pub many: bool,
    pub upsert: bool,
    pub array_filters: BsonList,
    pub hint: Option<Hint>,
    pub collation: Option<Bson>,
}

impl Update {
    fn new(asked: types::UpdateWrite, check: Check) -> Result<Self, Failure> {
        Ok(Self {
            filter: check.expression(asked.filter)?,
            change: Change::update(asked.update, check)?,
            many: asked.many,
            upsert: asked.upsert,
            array_filters: check.list(&asked.array_filters)?,
            hint: check.hint(asked.hint)?,
            collation: check.collation(asked.collation)?,
        })
    }

    fn replacing(asked: types::ReplaceWrite, check: Check) -> Result<Self, Failure> {
        Ok(Self {
            filter: check.expression(asked.filter)?,
            change: Change::replace(asked.replacement)?,
            many: false,
            upsert: asked.upsert,
            array_filters: check.list(&[])?,
            hint: check.hint(asked.hint)?,
            collation: check.collation(asked.collation)?,
        })
    }
}

/// Deletes one document, or all that match.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "as in `delete-write` of the WIT")]
pub struct Delete {
    pub filter: Bson,
    pub many: bool,
    pub hint: Option<Hint>,
    pub collation: Option<Bson>,
}

impl Delete {
    fn new(asked: types::DeleteWrite, check: Check) -> Result<Self, Failure> {
        Ok(Self {
            filter: check.expression(asked.filter)?,
            many: asked.many,
            hint: check.hint(asked.hint)?,
            collation: check.collation(asked.collation)?,
        })
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Of one document.
    Insert(Bson),
    /// Replacements, too.
    Update(Update),
    /// Of what matches.
    Delete(Delete),
}

impl Write {
    fn new(asked: types::Write, check: Check) -> Result<Self, Failure> {
        Ok(match asked {
            types::Write::Insert(document) => Self::Insert(Bson::new(document, Rules::Data)?),
            types::Write::Update(update) => Self::Update(Update::new(update, check)?),
            types::Write::Replace(replace) => Self::Update(Update::replacing(replace, check)?),
            types::Write::Delete(delete) => Self::Delete(Delete::new(delete, check)?),
        })
    }

    /// Bytes of what the guest sent for it.
    fn bytes(&self) -> usize {
        match self {
            Self::Insert(document) => document.bytes(),
            Self::Update(Update { filter, change, array_filters, hint, collation, .. }) => {
                sum([Some(filter), collation.as_ref()]) + change.bytes() + array_filters.bytes() + hint_bytes(hint.as_ref())
            }
            Self::Delete(Delete { filter, hint, collation, .. }) => {
                sum([Some(filter), collation.as_ref()]) + hint_bytes(hint.as_ref())
            }
        }
    }
}

/// One write, or several in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Writes {
    /// At least one.
    pub list: Vec<Write>,
    /// Whether to stop at the first that fails.
    pub ordered: bool,
    /// Values for `$$name` in expressions.
    pub variables: Option<Bson>,
    /// Who must confirm them.
    pub write_concern: Option<WriteConcern>,
}

impl Writes {
    fn one(write: Write, variables: Option<Bson>, concern: Option<types::WriteConcern>) -> Result<Self, Failure> {
        Ok(Self { list: vec![write], ordered: true, variables, write_concern: write_concern(concern)? })
    }

    /// Takes what a guest asks to update.
    ///
    /// # Errors
    /// As [`Bson::new`]; `Invalid` for an update that is a replacement, or nothing.
    pub fn update(
        filter: Vec<u8>,
        update: types::Update,
        options: types::UpdateOptions,
        access: Access,
    ) -> Result<Self, Failure> {
        let types::UpdateOptions { many, upsert, array_filters, hint, collation, variables, write_concern } = options;
        let asked = types::UpdateWrite { filter, update, many, upsert, array_filters, hint, collation };
        let check = Check(access);
        Self::one(Write::Update(Update::new(asked, check)?), check.expressions(variables)?, write_concern)
    }

    /// Takes what a guest asks to replace.
    ///
    /// # Errors
    /// As [`Bson::new`]; `Invalid` for a replacement that begins with an operator.
    pub fn replace(
        filter: Vec<u8>,
        replacement: Vec<u8>,
        options: types::ReplaceOptions,
        access: Access,
    ) -> Result<Self, Failure> {
        let types::ReplaceOptions { upsert, hint, collation, variables, write_concern } = options;
        let asked = types::ReplaceWrite { filter, replacement, upsert, hint, collation };
        let check = Check(access);
        Self::one(Write::Update(Update::replacing(asked, check)?), check.expressions(variables)?, write_concern)
    }

    /// Takes what a guest asks to delete.
    ///
    /// # Errors
    /// As [`Bson::new`].
    pub fn delete(filter: Vec<u8>, options: types::DeleteOptions, access: Access) -> Result<Self, Failure> {
        let types::DeleteOptions { many, hint, collation, variables, write_concern } = options;
        let asked = types::DeleteWrite { filter, many, hint, collation };
        let check = Check(access);
        Self::one(Write::Delete(Delete::new(asked, check)?), check.expressions(variables)?, write_concern)
    }

    /// Takes a list of a guest's.
    ///
    /// # Errors
    /// As for each by itself; `Invalid` for an empty one, `LimitExceeded` for more than 16 MiB in all.
    pub fn bulk(writes: Vec<types::Write>, options: types::BulkOptions, access: Access) -> Result<Self, Failure> {
        if writes.is_empty() {
            return Err(invalid("there is nothing to write"));
        }
        let check = Check(access);
        let list = writes.into_iter().map(|write| Write::new(write, check)).collect::<Result<Vec<_>, _>>()?;
        let (variables, write_concern) = (check.expressions(options.variables)?, write_concern(options.write_concern)?);
        let writes = Self { list, ordered: options.ordered, variables, write_concern };
        if writes.bytes() > MAX_BYTES { Err(too_long()) } else { Ok(writes) }
    }

    /// Small writes count for what they take here, which bounds how many there are.
    pub(super) fn bytes(&self) -> usize {
        let writes: usize = self.list.iter().map(|write| write.bytes().max(size_of::<Write>())).sum();
        writes + sum([self.variables.as_ref()])
    }
}

/// What becomes of a document that was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Modification {
    /// It changes.
    Change(Change),
    /// It is deleted.
    Delete,
}

/// Changes one document and returns it.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "as in `find-and-modify-options` of the WIT")]
pub struct FindAndModify {
    pub filter: Bson,
    pub modification: Modification,
    pub projection: Option<Bson>,
    pub sort: Option<Bson>,
    pub upsert: bool,
    pub return_new: bool,
    pub array_filters: BsonList,
    pub hint: Option<Hint>,
    pub collation: Option<Bson>,
    pub variables: Option<Bson>,
    pub write_concern: Option<WriteConcern>,
}

impl FindAndModify {
    /// Takes what a guest asks for.
    ///
    /// # Errors
    /// As [`Writes::update`] and [`Writes::replace`]; `Invalid` for a deletion that is to insert, or to return what is new.
    pub fn new(
        filter: Vec<u8>,
        modification: types::Modification,
        options: types::FindAndModifyOptions,
        access: Access,
    ) -> Result<Self, Failure> {
        let check = Check(access);
        let modification = match modification {
            types::Modification::Update(update) => Modification::Change(Change::update(update, check)?),
            types::Modification::Replace(document) => Modification::Change(Change::replace(document)?),
            types::Modification::Delete if options.upsert || options.return_new => {
                return Err(invalid("a document that is deleted is neither inserted nor new"));
            }
            types::Modification::Delete => Modification::Delete,
        };
        Ok(Self {
            filter: check.expression(filter)?,
            modification,
            projection: check.expressions(options.projection)?,
            sort: check.expressions(options.sort)?,
            upsert: options.upsert,
            return_new: options.return_new,
            array_filters: check.list(&options.array_filters)?,
            hint: check.hint(options.hint)?,
            collation: check.collation(options.collation)?,
            variables: check.expressions(options.variables)?,
            write_concern: write_concern(options.write_concern)?,
        })
    }

    pub(super) fn bytes(&self) -> usize {
        let Self { filter, modification, projection, sort, array_filters, hint, collation, variables, .. } = self;
        let change = match modification {
            Modification::Change(change) => change.bytes(),
            Modification::Delete => 0,
        };
        let documents = [Some(filter), projection.as_ref(), sort.as_ref(), collation.as_ref(), variables.as_ref()];
        sum(documents) + change + array_filters.bytes() + hint_bytes(hint.as_ref())
    }
}
