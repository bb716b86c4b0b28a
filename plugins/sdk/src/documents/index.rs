//! Indexes to make.

use std::time::Duration;

use bson::Document;

use crate::documents::{encode, wire};
use crate::error::Result;

/// An index to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    keys: Document,
    name: Option<String>,
    unique: bool,
    sparse: bool,
    hidden: bool,
    expire_after: Option<Duration>,
    partial_filter: Option<Document>,
    collation: Option<Document>,
}

impl Index {
    /// An index by these keys, such as `doc! { "email": 1 }`; without a name it is called as MongoDB's own tools do: `email_1`.
    #[must_use]
    pub fn new(keys: Document) -> Self {
        let (name, expire_after, partial_filter, collation) = (None, None, None, None);
        Self { keys, name, unique: false, sparse: false, hidden: false, expire_after, partial_filter, collation }
    }

    /// Calls it so.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// No two documents may have the same key.
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// Leaves out documents that have none of the keys.
    #[must_use]
    pub fn sparse(mut self) -> Self {
        self.sparse = true;
        self
    }

    /// Keeps it up to date, but does not use it for queries.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// The server deletes documents so long after the time in the key, in whole seconds.
    #[must_use]
    pub fn expire_after(mut self, age: Duration) -> Self {
        self.expire_after = Some(age);
        self
    }

    /// Only documents that match are in the index.
    #[must_use]
    pub fn partial_filter(mut self, filter: Document) -> Self {
        self.partial_filter = Some(filter);
        self
    }

    /// How texts in it are compared; queries use it only when they ask for the same.
    #[must_use]
    pub fn collation(mut self, collation: Document) -> Self {
        self.collation = Some(collation);
        self
    }

    fn to_wire(&self) -> Result<wire::Index> {
        Ok(wire::Index {
            keys: self.keys.to_vec()?,
            name: self.name.clone(),
            unique: self.unique,
            sparse: self.sparse,
            hidden: self.hidden,
            expire_after_seconds: self.expire_after.map(|age| age.as_secs()),
            partial_filter: encode::optional(self.partial_filter.as_ref())?,
            collation: encode::optional(self.collation.as_ref())?,
        })
    }

    /// Several at once, as the host makes them.
    pub(crate) fn all(indexes: impl IntoIterator<Item = Self>) -> Result<Vec<wire::Index>> {
        indexes.into_iter().map(|index| index.to_wire()).collect()
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn indexes_are_sent_as_they_were_set() {
        let expiring = Index::new(doc! { "expires": 1 }).expire_after(Duration::ZERO);
        let email = Index::new(doc! { "email": 1 }).unique().sparse().hidden().name("by_email");
        let email = email.partial_filter(doc! { "email": { "$type": "string" } }).collation(doc! { "locale": "en" });
        let [expiring, email]: [wire::Index; 2] = Index::all([expiring, email]).unwrap().try_into().unwrap();
        assert_eq!((expiring.expire_after_seconds, expiring.unique, expiring.name), (Some(0), false, None));
        assert_eq!(email.keys, doc! { "email": 1 }.to_vec().unwrap());
        assert!(email.unique && email.sparse && email.hidden && email.expire_after_seconds.is_none());
        assert_eq!(email.name.as_deref(), Some("by_email"));
        assert_eq!(email.collation, Some(doc! { "locale": "en" }.to_vec().unwrap()));
        assert!(email.partial_filter.is_some());
    }
}
