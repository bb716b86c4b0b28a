//! What several operations can be told, in the same words.

use bson::Document;

use crate::documents::wire;
use crate::error::Result;

/// Setters that several builders have; each has the fields that are named as they are.
macro_rules! setters {
    (sort) => {
        /// The order, such as `doc! { "name": 1, "born": -1 }`.
        pub fn sort(mut self, keys: Document) -> Self {
            self.sort = Some(keys);
            self
        }
    };
    (hint) => {
        /// Uses this index instead of the one that the server would choose: its name, or its keys.
        pub fn hint(mut self, index: impl Into<Hint>) -> Self {
            self.hint = Some(index.into());
            self
        }
    };
    (collation) => {
        /// How texts are compared, such as `doc! { "locale": "en", "strength": 2 }` for no difference between cases.
        pub fn collation(mut self, collation: Document) -> Self {
            self.collation = Some(collation);
            self
        }
    };
    (variables) => {
        /// Values for `$$name` in expressions.
        pub fn variables(mut self, values: Document) -> Self {
            self.variables = Some(values);
            self
        }
    };
    (upsert) => {
        /// Inserts a document when none matches.
        pub fn upsert(mut self) -> Self {
            self.upsert = true;
            self
        }
    };
    (array_filters) => {
        /// Which elements of arrays `$[name]` stands for.
        pub fn array_filters(mut self, filters: impl Into<Vec<Document>>) -> Self {
            self.array_filters = filters.into();
            self
        }
    };
    ($first:ident $($more:ident)+) => {
        setters!($first);
        setters!($($more)+);
    };
}

pub(super) use setters;

/// An index to use.
#[derive(Clone, Debug, PartialEq)]
pub enum Hint {
    /// By name, such as `email_1`.
    Name(String),
    /// By its keys, such as `{email: 1}`.
    Keys(Document),
}

impl From<&str> for Hint {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<Document> for Hint {
    fn from(keys: Document) -> Self {
        Self::Keys(keys)
    }
}

impl Hint {
    pub(super) fn to_wire(hint: Option<&Self>) -> Result<Option<wire::Hint>> {
        Ok(match hint {
            None => None,
            Some(Self::Name(name)) => Some(wire::Hint::Name(name.clone())),
            Some(Self::Keys(keys)) => Some(wire::Hint::Keys(keys.to_vec()?)),
        })
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn hints_name_an_index_or_its_keys() {
        assert_eq!(Hint::to_wire(None).unwrap(), None);
        assert_eq!(Hint::to_wire(Some(&"email_1".into())).unwrap(), Some(wire::Hint::Name("email_1".into())));
        let keys = doc! { "email": 1 };
        assert_eq!(Hint::to_wire(Some(&keys.clone().into())).unwrap(), Some(wire::Hint::Keys(keys.to_vec().unwrap())));
    }
}
