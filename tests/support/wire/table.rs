//! What is answered to which command, unless the state of sessions and cursors decides.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bson::{Bson, Document, doc};

use crate::{collection::Collection, command::Command, reply::Prepared};

/// What a command is answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Always the same.
    Document(Prepared),
    /// A cursor over batches, the first of which is the answer.
    Batches(Arc<[Prepared]>),
}

/// Answers by command.
#[derive(Debug)]
pub(crate) struct Table {
    entries: HashMap<String, Entry>,
    collections: Vec<Collection>,
}

/// Answers to one command.
#[derive(Debug, Default)]
struct Entry {
    /// Each is given once, before the other.
    next: VecDeque<Answer>,
    always: Option<Answer>,
}

impl Answer {
    pub(crate) fn document(document: &Document) -> Self {
        Self::Document(Prepared::new(document))
    }

    /// At least one batch is answered, if only an empty one.
    pub(crate) fn batches(namespace: &str, batches: &[Vec<Document>]) -> Self {
        let (first, others) =
            batches.split_first().map_or((&[] as &[_], &[] as &[_]), |(first, others)| (first.as_slice(), others));
        let mut prepared = vec![Prepared::batch(namespace, "firstBatch", first, others.is_empty())];
        for (number, batch) in others.iter().enumerate() {
            prepared.push(Prepared::batch(namespace, "nextBatch", batch, number + 1 == others.len()));
        }
        Self::Batches(prepared.into())
    }
}

impl Table {
    /// Success for what drivers commonly say, of one document where they count, and nothing found.
    pub(crate) fn new() -> Self {
        let ok = || doc! { "ok": 1.0 };
        let with = |name: &str, value: Bson| doc! { name: value, "ok": 1.0 };
        let info = doc! { "authenticatedUsers": [], "authenticatedUserRoles": [], "authenticatedUserPrivileges": [] };
        let mut table = Self { entries: HashMap::new(), collections: Vec::new() };
        for (command, document) in [
            ("ping", ok()),
            ("commitTransaction", ok()),
            ("abortTransaction", ok()),
            ("create", ok()),
            ("drop", ok()),
            ("createIndexes", ok()),
            ("dropIndexes", ok()),
            ("insert", with("n", 1_i32.into())),
            ("update", doc! { "n": 1, "nModified": 1, "ok": 1.0 }),
            ("delete", with("n", 1_i32.into())),
            ("findAndModify", with("value", Bson::Null)),
            ("distinct", with("values", Bson::Array(Vec::new()))),
            ("buildInfo", with("version", "8.2.0".into())),
            ("connectionStatus", with("authInfo", info.into())),
        ] {
            table.always(command, Answer::document(&document));
        }
        for command in ["find", "aggregate", "listCollections", "listIndexes"] {
            table.always(command, Answer::batches("stand.in", &[]));
        }
        table
    }

    /// Is answered from now on, once there is nothing that [`Table::next`] gave.
    pub(crate) fn always(&mut self, command: &str, answer: Answer) {
        self.entries.entry(command.to_owned()).or_default().always = Some(answer);
    }

    /// Is answered once.
    pub(crate) fn next(&mut self, command: &str, answer: Answer) {
        self.entries.entry(command.to_owned()).or_default().next.push_back(answer);
    }

    /// Is what a `find` finds in it from now on.
    pub(crate) fn collection(&mut self, namespace: &str, documents: &[Document]) {
        self.collections.retain(|known| !known.is_at(namespace));
        self.collections.push(Collection::new(namespace, documents));
    }

    /// What is answered now to a command that goes by this name.
    pub(crate) fn take(&mut self, name: &str, command: &Command<'_>) -> Option<Answer> {
        let once = self.entries.get_mut(name).and_then(|entry| entry.next.pop_front());
        once.or_else(|| self.found(command)).or_else(|| self.entries.get(name)?.always.clone())
    }

    /// From the collection that a `find` names.
    fn found(&mut self, command: &Command<'_>) -> Option<Answer> {
        if command.name != "find" || self.collections.is_empty() {
            return None;
        }
        let (database, name) = (command.get("$db")?.as_str()?, command.get("find")?.as_str()?);
        let collection = self.collections.iter_mut().find(|known| known.is_called(database, name))?;
        Some(Answer::Batches(collection.batches(command)))
    }
}
