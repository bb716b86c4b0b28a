//! A request without its values: what it does, to which collection, and the names and operators of its documents.
//!
//! Every value is `?`. Of a list, elements of the same shape that follow each other are written once, values as `?, …`, so that
//! its length does not show.

use bson::raw::{RawArray, RawBsonRef, RawDocument};

use super::{
    bson::Bson,
    read::Find,
    request::{Collection, Query, Request},
    write::{Change, FindAndModify, Modification, Update, Write, Writes},
};
use crate::driver::redact::MAX_BYTES;

/// How deep documents are looked into.
const MAX_DEPTH: usize = 12;
/// Elements of one list that are looked at.
const MAX_ELEMENTS: usize = 16;
/// Fields of one request that are looked at.
const MAX_FIELDS: usize = 4_096;
/// Bytes of a name that are kept.
const MAX_NAME: usize = 128;

/// `find people {name: ?}`.
pub(in crate::driver) fn of_request(request: &Request) -> String {
    let mut shape = Shape::new(request.name(), request.collection());
    match request {
        Request::ListCollections(filter) => shape.optional("", filter.as_ref()),
        Request::Find(_, find) | Request::FindOne(_, find) => shape.find(find),
        Request::Aggregate(_, aggregate) => shape.stages(aggregate.pipeline.raw()),
        Request::Count(_, count) => shape.part("", &count.filter),
        Request::Distinct(_, distinct) => {
            shape.push(" ");
            shape.name(&distinct.field);
            shape.part("", &distinct.filter);
        }
        Request::Insert(_, insert) => shape.stages(insert.documents.raw()),
        Request::Update(_, writes) | Request::Replace(_, writes) | Request::Delete(_, writes) => {
            writes.list.iter().for_each(|write| shape.write(write));
        }
        Request::BulkWrite(_, Writes { list, .. }) => {
            shape.push(" ");
            shape.list(list.iter(), |shape, write| {
                shape.push(match write {
                    Write::Insert(_) => "insert",
                    Write::Update(_) => "update",
                    Write::Delete(_) => "delete",
                });
                shape.write(write);
            });
        }
        Request::FindAndModify(_, modify) => shape.find_and_modify(modify),
        Request::CreateIndexes(_, indexes) => {
            shape.push(" ");
            shape.list(indexes.iter(), |shape, index| shape.document(index.keys.raw(), 1));
        }
        Request::DropIndex(_, name) => {
            shape.push(" ");
            shape.name(name);
        }
        Request::EstimatedCount(_) | Request::ListIndexes(_) => {}
    }
    shape.text
}

/// As [`of_request`], of what a cursor reads.
pub(in crate::driver) fn of_query(query: &Query) -> String {
    let mut shape = Shape::new(query.name(), Some(query.collection()));
    match query {
        Query::Find(_, find) => shape.find(find),
        Query::Aggregate(_, aggregate) => shape.stages(aggregate.pipeline.raw()),
    }
    shape.text
}

/// What is written so far.
struct Shape {
    text: String,
    /// Fields that may still be looked at.
    fields: usize,
    /// It ends in `…`, and nothing is written any more.
    is_full: bool,
}

impl Shape {
    fn new(verb: &str, collection: Option<&Collection>) -> Self {
        let mut shape = Self { text: verb.to_owned(), fields: MAX_FIELDS, is_full: false };
        if let Some(collection) = collection {
            shape.push(" ");
            shape.name(collection.name());
        }
        shape
    }

    fn push(&mut self, text: &str) {
        if self.is_full {
            return;
        }
        self.text.push_str(text);
        if self.text.len() > MAX_BYTES {
            self.text.truncate(self.text.floor_char_boundary(MAX_BYTES));
            self.end();
        }
    }

    fn end(&mut self) {
        if !self.is_full {
            self.text.push('…');
            self.is_full = true;
        }
    }

    /// As it is, or in quotes where it could be taken for more than a name.
    fn name(&mut self, name: &str) {
        let kept = &name[..name.floor_char_boundary(MAX_NAME)];
        let is_plain = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$' | '.' | '-');
        if !kept.is_empty() && kept.chars().all(is_plain) {
            self.push(kept);
        } else {
            self.push(&format!("{kept:?}"));
        }
        if kept.len() < name.len() {
            self.push("…");
        }
    }

    /// A document of the request, with what it is for where that is not plain.
    fn part(&mut self, label: &str, document: &Bson) {
        self.push(" ");
        self.push(label);
        self.document(document.raw(), 1);
    }

    fn optional(&mut self, label: &str, document: Option<&Bson>) {
        if let Some(document) = document {
            self.part(label, document);
        }
    }

    /// Documents of a request, also none.
    fn stages(&mut self, stages: &RawArray) {
        self.push(" ");
        self.list(stages.into_iter().map_while(Result::ok), |shape, stage| shape.value(stage, 1));
    }

    fn find(&mut self, find: &Find) {
        self.part("", &find.filter);
        self.optional("projection: ", find.projection.as_ref());
        self.optional("sort: ", find.sort.as_ref());
    }

    fn write(&mut self, write: &Write) {
        match write {
            Write::Insert(document) => self.part("", document),
            Write::Update(Update { filter, change, many, upsert, array_filters, .. }) => {
                self.part("", filter);
                self.change(change, array_filters.raw());
                self.flags(&[("many", *many), ("upsert", *upsert)]);
            }
            Write::Delete(delete) => {
                self.part("", &delete.filter);
                self.flags(&[("many", delete.many)]);
            }
        }
    }

    fn change(&mut self, change: &Change, array_filters: &RawArray) {
        match change {
            Change::Operators(document) | Change::Replacement(document) => self.part("", document),
            Change::Pipeline(stages) => self.stages(stages.raw()),
        }
        if !array_filters.is_empty() {
            self.push(" array-filters:");
            self.stages(array_filters);
        }
    }

    fn find_and_modify(&mut self, modify: &FindAndModify) {
        self.part("", &modify.filter);
        match &modify.modification {
            Modification::Change(change) => self.change(change, modify.array_filters.raw()),
            Modification::Delete => self.push(" delete"),
        }
        self.optional("projection: ", modify.projection.as_ref());
        self.optional("sort: ", modify.sort.as_ref());
        self.flags(&[("upsert", modify.upsert)]);
    }

    fn flags(&mut self, flags: &[(&str, bool)]) {
        for (name, _) in flags.iter().filter(|(_, is_set)| *is_set) {
            self.push(" ");
            self.push(name);
        }
    }

    fn document(&mut self, document: &RawDocument, depth: usize) {
        if depth > MAX_DEPTH {
            return self.push("{…}");
        }
        self.push("{");
        for (index, (name, value)) in document.iter().map_while(Result::ok).enumerate() {
            if self.fields == 0 {
                self.end();
            }
            if self.is_full {
                return;
            }
            self.fields -= 1;
            if index > 0 {
                self.push(", ");
            }
            self.name(name.as_str());
            self.push(": ");
            self.value(value, depth);
        }
        self.push("}");
    }

    fn value(&mut self, value: RawBsonRef<'_>, depth: usize) {
        match value {
            RawBsonRef::Document(document) => self.document(document, depth + 1),
            RawBsonRef::Array(_) if depth >= MAX_DEPTH => self.push("[…]"),
            // An empty one is a list of values, too.
            RawBsonRef::Array(array) if array.is_empty() => self.push("[?, …]"),
            RawBsonRef::Array(array) => {
                self.list(array.into_iter().map_while(Result::ok), |shape, value| shape.value(value, depth + 1));
            }
            _ => self.push("?"),
        }
    }

    fn list<T>(&mut self, elements: impl Iterator<Item = T>, write: impl Fn(&mut Self, T)) {
        self.push("[");
        // Where the last one begins and ends.
        let mut last: Option<(usize, usize)> = None;
        for element in elements.take(MAX_ELEMENTS) {
            let end = self.text.len();
            if last.is_some() {
                self.push(", ");
            }
            let start = self.text.len();
            write(self, element);
            if self.is_full {
                return;
            }
            if last.is_some_and(|(from, to)| self.text[from..to] == self.text[start..]) {
                self.text.truncate(end);
                continue;
            }
            last = Some((start, self.text.len()));
            if &self.text[start..] == "?" {
                self.push(", …");
            }
        }
        self.push("]");
    }
}

#[cfg(test)]
mod tests;
