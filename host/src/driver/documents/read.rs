//! What a guest asks to read.

use super::{
    bson::{Bson, BsonList},
    concern::{WriteConcern, write_concern},
    scan::Rules,
    types::{self, ReadConcern},
};
use crate::driver::{Failure, FailureKind, settings::Access};

/// An index to use.
#[derive(Clone, Debug, PartialEq)]
pub enum Hint {
    /// By its name.
    Name(String),
    /// By its keys.
    Keys(Bson),
}

impl Hint {
    fn bytes(&self) -> usize {
        match self {
            Self::Name(name) => name.len(),
            Self::Keys(keys) => keys.bytes(),
        }
    }
}

/// Makes documents of a guest's bytes, for a grant of one access.
#[derive(Clone, Copy)]
pub(super) struct Check(pub(super) Access);

impl Check {
    /// What the server evaluates.
    pub(super) fn expression(self, bytes: Vec<u8>) -> Result<Bson, Failure> {
        Bson::new(bytes, Rules::Expression(self.0))
    }

    /// As [`Check::expression`], where there is one.
    pub(super) fn expressions(self, bytes: Option<Vec<u8>>) -> Result<Option<Bson>, Failure> {
        bytes.map(|bytes| self.expression(bytes)).transpose()
    }

    /// Several that the server evaluates.
    pub(super) fn list(self, bytes: &[u8]) -> Result<BsonList, Failure> {
        BsonList::new(bytes, Rules::Expression(self.0))
    }

    pub(super) fn hint(self, hint: Option<types::Hint>) -> Result<Option<Hint>, Failure> {
        Ok(match hint {
            Some(types::Hint::Name(name)) => Some(Hint::Name(name)),
            Some(types::Hint::Keys(keys)) => Some(Hint::Keys(Bson::new(keys, Rules::Data)?)),
            None => None,
        })
    }

    pub(super) fn collation(self, bytes: Option<Vec<u8>>) -> Result<Option<Bson>, Failure> {
        bytes.map(|bytes| Bson::new(bytes, Rules::Data)).transpose()
    }
}

/// Bytes of the documents that are there.
pub(super) fn sum<const N: usize>(documents: [Option<&Bson>; N]) -> usize {
    documents.into_iter().flatten().map(Bson::bytes).sum()
}

pub(super) fn hint_bytes(hint: Option<&Hint>) -> usize {
    hint.map_or(0, Hint::bytes)
}

/// A number of documents, as BSON has numbers.
fn number(asked: u64) -> Result<i64, Failure> {
    i64::try_from(asked).map_err(|_| Failure::new(FailureKind::Invalid, "a number of documents beyond all bounds"))
}

/// A limit; the server would take 0 for none.
fn limit(asked: Option<u64>) -> Result<Option<i64>, Failure> {
    match asked {
        Some(0) => Err(Failure::new(FailureKind::Invalid, "a limit of 0 documents")),
        asked => asked.map(number).transpose(),
    }
}

/// The documents of a collection that match.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "as in `find-options` of the WIT")]
pub struct Find {
    pub filter: Bson,
    pub projection: Option<Bson>,
    pub sort: Option<Bson>,
    pub skip: i64,
    pub limit: Option<i64>,
    pub hint: Option<Hint>,
    pub collation: Option<Bson>,
    pub variables: Option<Bson>,
    pub read_concern: Option<ReadConcern>,
}

impl Find {
    /// Takes what a guest asks for.
    ///
    /// # Errors
    /// As [`Bson::new`]; `Invalid` for a limit of 0.
    pub fn new(filter: Vec<u8>, options: types::FindOptions, access: Access) -> Result<Self, Failure> {
        let check = Check(access);
        Ok(Self {
            filter: check.expression(filter)?,
            projection: check.expressions(options.projection)?,
            sort: check.expressions(options.sort)?,
            skip: number(options.skip)?,
            limit: limit(options.limit)?,
            hint: check.hint(options.hint)?,
            collation: check.collation(options.collation)?,
            variables: check.expressions(options.variables)?,
            read_concern: options.read_concern,
        })
    }

    pub(super) fn bytes(&self) -> usize {
        let Self { filter, projection, sort, hint, collation, variables, .. } = self;
        let documents = [Some(filter), projection.as_ref(), sort.as_ref(), collation.as_ref(), variables.as_ref()];
        sum(documents) + hint_bytes(hint.as_ref())
    }
}

/// What a pipeline makes of a collection.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "as in `aggregate-options` of the WIT")]
pub struct Aggregate {
    pub pipeline: BsonList,
    pub hint: Option<Hint>,
    pub collation: Option<Bson>,
    pub variables: Option<Bson>,
    pub allow_disk_use: bool,
    pub read_concern: Option<ReadConcern>,
    pub write_concern: Option<WriteConcern>,
}

impl Aggregate {
    /// Takes what a guest asks for.
    ///
    /// # Errors
    /// As [`Bson::new`]; `Invalid` for a write concern that nobody would confirm.
    pub fn new(pipeline: &[u8], options: types::AggregateOptions, access: Access) -> Result<Self, Failure> {
        let check = Check(access);
        Ok(Self {
            pipeline: check.list(pipeline)?,
            hint: check.hint(options.hint)?,
            collation: check.collation(options.collation)?,
            variables: check.expressions(options.variables)?,
            allow_disk_use: options.allow_disk_use,
            read_concern: options.read_concern,
            write_concern: write_concern(options.write_concern)?,
        })
    }

    pub(super) fn bytes(&self) -> usize {
        let Self { pipeline, hint, collation, variables, .. } = self;
        pipeline.bytes() + sum([collation.as_ref(), variables.as_ref()]) + hint_bytes(hint.as_ref())
    }
}

/// How many documents match.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "as in `count-options` of the WIT")]
pub struct Count {
    pub filter: Bson,
    pub skip: i64,
    pub limit: Option<i64>,
    pub hint: Option<Hint>,
    pub collation: Option<Bson>,
    pub read_concern: Option<ReadConcern>,
}

impl Count {
    /// Takes what a guest asks for.
    ///
    /// # Errors
    /// As [`Find::new`].
    pub fn new(filter: Vec<u8>, options: types::CountOptions, access: Access) -> Result<Self, Failure> {
        let check = Check(access);
        Ok(Self {
            filter: check.expression(filter)?,
            skip: number(options.skip)?,
            limit: limit(options.limit)?,
            hint: check.hint(options.hint)?,
            collation: check.collation(options.collation)?,
            read_concern: options.read_concern,
        })
    }

    pub(super) fn bytes(&self) -> usize {
        sum([Some(&self.filter), self.collation.as_ref()]) + hint_bytes(self.hint.as_ref())
    }
}

/// The values that a field has.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "as in `distinct-options` of the WIT")]
pub struct Distinct {
    pub field: String,
    pub filter: Bson,
    pub collation: Option<Bson>,
    pub read_concern: Option<ReadConcern>,
}

impl Distinct {
    /// Takes what a guest asks for.
    ///
    /// # Errors
    /// As [`Bson::new`].
    pub fn new(field: String, filter: Vec<u8>, options: types::DistinctOptions, access: Access) -> Result<Self, Failure> {
        let check = Check(access);
        Ok(Self {
            field,
            filter: check.expression(filter)?,
            collation: check.collation(options.collation)?,
            read_concern: options.read_concern,
        })
    }

    pub(super) fn bytes(&self) -> usize {
        self.field.len() + sum([Some(&self.filter), self.collation.as_ref()])
    }
}
