//! A collection whose documents `find` gives in batches of such sizes as MongoDB would.

use std::{collections::HashMap, sync::Arc};

use bson::{Document, RawBsonRef};

use crate::{
    command::{Command, integer},
    reply::Prepared,
};

/// Documents of a first batch for which nobody has said how many.
const FIRST: usize = 101;

/// Ways to ask for which answers are kept.
const KEPT: usize = 256;

/// Documents, and the answers that were made of them.
#[derive(Debug)]
pub(crate) struct Collection {
    /// `database.collection`.
    namespace: String,
    documents: Vec<Document>,
    prepared: HashMap<Asked, Arc<[Prepared]>>,
}

/// What decides on the sizes of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Asked {
    limit: Option<usize>,
    /// `batchSize`; drivers say the same when they ask for more.
    size: Option<usize>,
    is_single: bool,
}

impl Asked {
    fn by(command: &Command<'_>) -> Self {
        let number = |name: &str| command.get(name).and_then(integer).and_then(|number| usize::try_from(number).ok());
        Self {
            limit: number("limit").filter(|limit| *limit > 0),
            size: number("batchSize"),
            is_single: matches!(command.get("singleBatch"), Some(RawBsonRef::Boolean(true))),
        }
    }
}

impl Collection {
    pub(crate) fn new(namespace: &str, documents: &[Document]) -> Self {
        Self { namespace: namespace.to_owned(), documents: documents.to_vec(), prepared: HashMap::new() }
    }

    /// Whether it is that of this name in a database.
    pub(crate) fn is_called(&self, database: &str, name: &str) -> bool {
        let rest = self.namespace.strip_prefix(database).and_then(|rest| rest.strip_prefix('.'));
        rest == Some(name)
    }

    /// Whether it has this namespace.
    pub(crate) fn is_at(&self, namespace: &str) -> bool {
        self.namespace == namespace
    }

    /// The batches that answer a `find`.
    pub(crate) fn batches(&mut self, command: &Command<'_>) -> Arc<[Prepared]> {
        let asked = Asked::by(command);
        if let Some(known) = self.prepared.get(&asked) {
            return Arc::clone(known);
        }
        let made: Arc<[Prepared]> = self.prepare(asked).into();
        if self.prepared.len() >= KEPT {
            self.prepared.clear();
        }
        self.prepared.insert(asked, Arc::clone(&made));
        made
    }

    fn prepare(&self, asked: Asked) -> Vec<Prepared> {
        let Self { namespace, documents, .. } = self;
        let end = asked.limit.map_or(documents.len(), |limit| limit.min(documents.len()));
        // Where a limit ends a result the server knows that it does. Otherwise it has to look once more behind a batch that is full.
        let is_limited = asked.limit == Some(end);
        let (mut at, mut size, mut batches) = (0, asked.size.unwrap_or(FIRST), Vec::new());
        loop {
            let next = end.min(size.saturating_add(at));
            let is_last = asked.is_single || (next == end && (is_limited || next - at < size));
            let which = if batches.is_empty() { "firstBatch" } else { "nextBatch" };
            batches.push(Prepared::batch(namespace, which, &documents[at..next], is_last));
            if is_last {
                return batches;
            }
            // What is asked for after the first is bounded by its bytes alone, unless somebody has said otherwise.
            (at, size) = (next, asked.size.filter(|size| *size > 0).unwrap_or(usize::MAX));
        }
    }
}
