//! What a session knows about the statements it runs: columns, parameters, effects.

use std::{collections::HashMap, sync::Arc};

use tokio::time::Instant;

use super::{authorizer::Compiled, kind::Kind, params, scan};
use crate::driver::{ColumnInfo, Failure, settings::StatementCache, types::Execution};

/// One statement, compiled once and described.
#[derive(Debug, PartialEq)]
pub(super) struct Description {
    pub(super) columns: Vec<Column>,
    /// How many parameters it takes.
    pub(super) parameters: usize,
    /// It changes nothing in the database.
    pub(super) read_only: bool,
    /// The number of its columns changes with the schema. When the schema changes, the engine compiles a statement again by itself as
    /// it begins to run; sqlx would read its rows by the columns that it saw before, and panics when there are more. So such a
    /// statement is not kept, and runs only where the schema is fixed, within a transaction.
    pub(super) selects_all: bool,
    /// sqlx may keep it compiled.
    pub(super) kept: bool,
    /// It changes the schema, perhaps only that of the session's temporary objects.
    pub(super) changes_schema: bool,
    makes_key: bool,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    /// As the table's definition has it; empty for an expression.
    pub(super) declared: String,
    pub(super) kind: Kind,
}

impl Description {
    /// # Errors
    /// When the placeholders are not what the driver binds.
    pub(super) fn new(compiled: Compiled, sql: &str, cache: StatementCache) -> Result<Self, Failure> {
        let parameters = params::count(&compiled.placeholders)?;
        let columns: Vec<Column> = compiled
            .columns
            .into_iter()
            .map(|(name, declared)| {
                let declared = declared.unwrap_or_default();
                Column { name, kind: Kind::of(&declared), declared }
            })
            .collect();
        let selects_all = !columns.is_empty() && scan::selects_all(sql);
        let kept = !selects_all && sql.len() <= cache.text_bytes && cache.count > 0;
        Ok(Self {
            columns,
            parameters,
            read_only: compiled.read_only,
            selects_all,
            kept,
            changes_schema: compiled.effects.schema,
            makes_key: compiled.makes_key,
        })
    }

    pub(super) fn column_infos(&self) -> Vec<ColumnInfo> {
        let info = |column: &Column| ColumnInfo { name: column.name.clone(), type_name: column.declared.clone() };
        self.columns.iter().map(info).collect()
    }

    /// What a run did. The engine's counters keep the numbers of earlier statements where this one has none.
    pub(super) fn execution(&self, changes: u64, last_key: i64) -> Execution {
        let rows_affected = if self.read_only || self.changes_schema { 0 } else { changes };
        Execution { rows_affected, last_insert_id: (self.makes_key && rows_affected > 0).then_some(last_key) }
    }
}

/// Descriptions by text, at most as many as a session keeps statements and for as long.
#[derive(Debug)]
pub(super) struct Catalogue {
    limits: StatementCache,
    known: HashMap<Arc<str>, Arc<Description>>,
    since: Instant,
}

impl Catalogue {
    pub(super) fn new(limits: StatementCache) -> Self {
        Self { limits, known: HashMap::new(), since: Instant::now() }
    }

    pub(super) fn limits(&self) -> StatementCache {
        self.limits
    }

    pub(super) fn get(&self, sql: &str) -> Option<Arc<Description>> {
        self.known.get(sql).cloned()
    }

    /// Remembers a statement that is kept.
    pub(super) fn insert(&mut self, sql: &Arc<str>, description: &Arc<Description>) {
        if self.known.len() >= self.limits.count {
            self.known.clear();
        }
        self.known.insert(Arc::clone(sql), Arc::clone(description));
    }

    pub(super) fn remove(&mut self, sql: &str) {
        self.known.remove(sql);
    }

    /// Forgets everything once it is too old, and tells so: what sqlx keeps is too old then, too.
    pub(super) fn expired(&mut self) -> bool {
        let expired = self.since.elapsed() >= self.limits.max_age;
        if expired {
            self.clear();
        }
        expired
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.since = Instant::now();
    }
}
