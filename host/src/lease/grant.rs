//! What a plugin may use of which database.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    driver::{ResultLimit, settings::Access},
    pool::{Database, Granted},
};

/// A plugin's right to a database, with its budgets.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The database.
    pub database: Database,
    /// The right to its connections.
    pub granted: Arc<Granted>,
    /// What the plugin may do there. The database itself is the guard; of document databases it also says what is refused before.
    pub access: Access,
    /// Connections that the plugin, and so any one call, may have at once.
    pub max_connections: u32,
    /// Rows and bytes of one result, or of one batch of a cursor.
    pub max_result: ResultLimit,
    /// Statements of one call.
    pub max_statements: u32,
}

/// The grants of one plugin, by name.
#[derive(Debug, Default)]
pub struct Grants(Vec<(Arc<str>, Grant)>);

impl Grants {
    /// The grants under the names that the plugin uses.
    #[must_use]
    pub fn new(grants: BTreeMap<Arc<str>, Grant>) -> Self {
        Self(grants.into_iter().collect())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// The grants under the names that the plugin uses, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Grant)> {
        self.0.iter().map(|(name, grant)| (&**name, grant))
    }

    /// Whether what is reserved by any of them is kept back from others, see [`Granted::keep_back`].
    pub fn keep_back(&self, is_kept: bool) {
        self.iter().for_each(|(_, grant)| grant.granted.keep_back(is_kept));
    }

    pub(super) fn name(&self, index: usize) -> &Arc<str> {
        &self.0[index].0
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.0.binary_search_by(|(other, _)| (**other).cmp(name)).ok()
    }

    pub(super) fn at(&self, index: usize) -> &Grant {
        &self.0[index].1
    }
}
