//! A well-behaved handler that does to a document database what the test writes in its request, and reports what came of it.

use std::collections::HashMap;

use guests::{
    documents::{Collection, Cursor, Database, Error, Transaction, ask, tell},
    plain::{Answer, Request, monotonic_clock},
};
use serde_json::{Value as Json, json};

guests::handler!(answer);

/// Longer than any call may last.
const MINUTE: u64 = 60_000_000_000;

/// The body is a list of steps, and `run` answers the list of their outcomes; the others do something else with everything still in hand.
fn answer(request: Request) -> Answer {
    if request.variant() == "hello" {
        return Answer::text("hello");
    }
    let mut handles = Handles::default();
    let steps = request.json();
    let outcomes: Json = steps.as_array().into_iter().flatten().map(|step| handles.step(step)).collect();
    match request.variant() {
        "run" => Answer::json(&outcomes),
        "run-and-trap" => std::process::abort(),
        "run-and-spin" => loop {
            std::hint::black_box(());
        },
        "run-and-wait" => {
            monotonic_clock::subscribe_duration(MINUTE).block();
            Answer::json(&outcomes)
        }
        "run-and-leak" => {
            std::mem::forget(handles);
            Answer::json(&outcomes)
        }
        other => Answer::unknown(other),
    }
}

/// What the steps have opened so far, by the name that they gave it.
#[derive(Default)]
struct Handles(HashMap<String, Handle>);

enum Handle {
    Database(Database),
    Collection(Collection),
    Transaction(Transaction),
    Cursor(Cursor),
}

impl Handles {
    /// Does `{"do": what, "on": handle, "in": collection, "as": name for what it opens, …}`. Without `on`, the database is the one named
    /// `main`, without `in`, the collection `notes`; steps that the handle does not know are an error of the test.
    fn step(&mut self, step: &Json) -> Json {
        let what = step["do"].as_str().expect("a step says what to do");
        let on = step["on"].as_str().unwrap_or("main");
        match what {
            "open" => {
                let name = step["database"].as_str().unwrap_or("main");
                return self.keep(step, Database::open(name).map(Handle::Database));
            }
            "drop" => {
                self.0.remove(on);
                return json!({ "ok": null });
            }
            _ => {}
        }
        if on == "main" && !self.0.contains_key("main") {
            match Database::open("main") {
                Ok(database) => self.0.insert("main".to_owned(), Handle::Database(database)),
                Err(error) => return tell::failure(&error),
            };
        }
        let Some(handle) = self.0.get(on) else {
            return json!({ "error": { "kind": "no-handle", "message": format!("{on} was not opened") } });
        };
        let opened = match (handle, what) {
            (Handle::Database(database), "begin") => database.begin(&ask::transaction_options(step)).map(Handle::Transaction),
            (Handle::Database(database), "list-collections") => {
                let filter = ask::optional(&step["filter"]);
                return tell::outcome(database.list_collections(filter.as_deref()), |documents| tell::list(&documents));
            }
            (Handle::Transaction(transaction), "commit") => return tell::outcome(transaction.commit(), tell::nothing),
            (Handle::Transaction(transaction), "abort") => return tell::outcome(transaction.abort(), tell::nothing),
            (Handle::Cursor(cursor), "next") => return next(cursor, step),
            (Handle::Cursor(cursor), "close") => return tell::outcome(cursor.close(), tell::nothing),
            (Handle::Collection(collection), _) => match Opened::of(collection, what, step) {
                Opened::Cursor(cursor) => cursor.map(Handle::Cursor),
                Opened::Nothing(outcome) => return outcome,
            },
            (Handle::Database(_) | Handle::Transaction(_), _) => match handle.collection(step) {
                Ok(collection) if what == "collection" => Ok(Handle::Collection(collection)),
                Ok(collection) => match Opened::of(&collection, what, step) {
                    Opened::Cursor(cursor) => cursor.map(Handle::Cursor),
                    Opened::Nothing(outcome) => return outcome,
                },
                Err(error) => Err(error),
            },
            (Handle::Cursor(_), other) => panic!("a cursor cannot do {other}"),
        };
        self.keep(step, opened)
    }

    /// Keeps what was opened under the name that `as` gives.
    fn keep(&mut self, step: &Json, opened: Result<Handle, Error>) -> Json {
        tell::outcome(opened, |handle| {
            if let Some(name) = step["as"].as_str() {
                self.0.insert(name.to_owned(), handle);
            }
            Json::Null
        })
    }
}

impl Handle {
    /// The collection that `in` names, of a database or a transaction.
    fn collection(&self, step: &Json) -> Result<Collection, Error> {
        let name = step["in"].as_str().unwrap_or("notes");
        match self {
            Self::Database(database) => database.collection(name),
            Self::Transaction(transaction) => transaction.collection(name),
            Self::Collection(_) | Self::Cursor(_) => panic!("neither has collections"),
        }
    }
}

fn next(cursor: &Cursor, step: &Json) -> Json {
    tell::outcome(cursor.next(ask::max_documents(step)), |batch| batch.as_ref().map_or(Json::Null, tell::batch))
}

/// What a step on a collection has opened.
enum Opened {
    Cursor(Result<Cursor, Error>),
    /// With its outcome.
    Nothing(Json),
}

impl Opened {
    fn of(on: &Collection, what: &str, step: &Json) -> Self {
        let filter = ask::document(&step["filter"]);
        let name = || step["name"].as_str().unwrap_or_default();
        Self::Nothing(match what {
            "cursor" => return Self::Cursor(on.cursor(&filter, &ask::find_options(step))),
            "aggregate-cursor" => {
                return Self::Cursor(on.aggregate_cursor(&ask::bytes(&step["pipeline"]), &ask::aggregate_options(step)));
            }
            "find" => tell::outcome(on.find(&filter, &ask::find_options(step)), |batch| tell::batch(&batch)),
            "find-one" => tell::outcome(on.find_one(&filter, &ask::find_options(step)), |found| tell::document(found.as_deref())),
            "aggregate" => {
                let found = on.aggregate(&ask::bytes(&step["pipeline"]), &ask::aggregate_options(step));
                tell::outcome(found, |batch| tell::batch(&batch))
            }
            "count" => tell::outcome(on.count(&filter, &ask::count_options(step)), Json::from),
            "estimated-count" => tell::outcome(on.estimated_count(), Json::from),
            "distinct" => {
                let found = on.distinct(name(), &filter, &ask::distinct_options(step));
                tell::outcome(found, |found| tell::document(Some(&found)))
            }
            "insert" => {
                let inserted = on.insert(&ask::bytes(&step["documents"]), &ask::insert_options(step));
                tell::outcome(inserted, |done| tell::done(&done))
            }
            "update" => {
                let updated = on.update(&filter, &ask::update(step), &ask::update_options(step));
                tell::outcome(updated, |done| tell::done(&done))
            }
            "replace" => {
                let replaced = on.replace(&filter, &ask::document(&step["replacement"]), &ask::replace_options(step));
                tell::outcome(replaced, |done| tell::done(&done))
            }
            "delete" => tell::outcome(on.delete(&filter, &ask::delete_options(step)), |done| tell::done(&done)),
            "find-and-modify" => {
                let found = on.find_and_modify(&filter, &ask::modification(step), &ask::find_and_modify_options(step));
                tell::outcome(found, |found| tell::document(found.as_deref()))
            }
            "bulk-write" => {
                let written = on.bulk_write(&ask::writes(step), &ask::bulk_options(step));
                tell::outcome(written, |done| tell::done(&done))
            }
            "create-indexes" => tell::outcome(on.create_indexes(&ask::indexes(step)), Json::from),
            "drop-index" => tell::outcome(on.drop_index(name()), tell::nothing),
            "list-indexes" => tell::outcome(on.list_indexes(), |documents| tell::list(&documents)),
            other => panic!("a collection cannot do {other}"),
        })
    }
}
