//! An index that is to be made.

use std::fmt::Write as _;

use bson::raw::RawBsonRef;

use super::{bson::Bson, scan::Rules, types};
use crate::driver::{Failure, FailureKind, settings::Access};

/// Bytes of a name; the server allows more, but logs and error texts carry them.
const MAX_NAME: usize = 127;

/// One index, with a name of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    /// Such as `{email: 1}`.
    pub keys: Bson,
    /// Given, or made of the keys.
    pub name: String,
    /// No two documents have the same keys.
    pub unique: bool,
    /// Documents without the keys are left out.
    pub sparse: bool,
    /// Not used for queries.
    pub hidden: bool,
    /// Documents are deleted so long after the time in the key.
    pub expire_after_seconds: Option<i64>,
    /// Only documents that match are in it.
    pub partial_filter: Option<Bson>,
    /// How text is compared.
    pub collation: Option<Bson>,
}

impl Index {
    /// Takes what a guest asks for.
    ///
    /// # Errors
    /// As [`Bson::new`]; `Invalid` for no keys, and for a name that is empty, too long, or `*`, which means all indexes elsewhere.
    pub fn new(asked: types::Index, access: Access) -> Result<Self, Failure> {
        let keys = Bson::new(asked.keys, Rules::Data)?;
        if keys.first().is_none() {
            return Err(Failure::new(FailureKind::Invalid, "an index without keys"));
        }
        let name = asked.name.map_or_else(|| made_of(&keys), Ok)?;
        let expire = asked.expire_after_seconds.map(i64::try_from).transpose();
        Ok(Self {
            keys,
            name: checked(name)?,
            unique: asked.unique,
            sparse: asked.sparse,
            hidden: asked.hidden,
            expire_after_seconds: expire
                .map_err(|_| Failure::new(FailureKind::Invalid, "an index that expires later than ever"))?,
            partial_filter: asked.partial_filter.map(|filter| Bson::new(filter, Rules::Expression(access))).transpose()?,
            collation: asked.collation.map(|collation| Bson::new(collation, Rules::Data)).transpose()?,
        })
    }

    /// Bytes that it takes here.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let documents = [Some(&self.keys), self.partial_filter.as_ref(), self.collation.as_ref()];
        size_of::<Self>() + self.name.len() + documents.into_iter().flatten().map(Bson::bytes).sum::<usize>()
    }
}

/// A name that means one index.
pub(super) fn checked(name: String) -> Result<String, Failure> {
    if name.is_empty() || name.len() > MAX_NAME || name == "*" || name.contains('\0') {
        let message = format!("an index's name has 1 to {MAX_NAME} bytes, and is not `*`");
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    Ok(name)
}

/// `{email: 1, place: "2dsphere"}` makes `email_1_place_2dsphere`, as MongoDB's own tools have it.
fn made_of(keys: &Bson) -> Result<String, Failure> {
    let mut name = String::new();
    for element in keys.raw() {
        let Ok((key, value)) = element else { continue };
        let separator = if name.is_empty() { "" } else { "_" };
        // Writing to a string does not fail.
        _ = match value {
            RawBsonRef::Int32(number) => write!(name, "{separator}{key}_{number}"),
            RawBsonRef::Int64(number) => write!(name, "{separator}{key}_{number}"),
            RawBsonRef::Double(number) => write!(name, "{separator}{key}_{number}"),
            RawBsonRef::String(kind) => write!(name, "{separator}{key}_{kind}"),
            _ => return Err(Failure::new(FailureKind::Invalid, "a key of an index is 1, -1, or the name of a kind of index")),
        };
    }
    Ok(name)
}
