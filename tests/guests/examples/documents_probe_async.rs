//! The twin of `documents_probe` for WASI 0.3: many things at once, batches as a stream, calls that are given up half-way.

use std::collections::HashMap;

use futures::{
    FutureExt,
    future::{self, Either},
};
use guests::{
    concurrent::{self, ErrorCode, Guest, IncomingRequest, Request, Response},
    documents::{
        Error, ask,
        concurrent::{Collection, Cursor, Database, Transaction},
        tell,
    },
};
use serde_json::{Value as Json, json};

struct DocumentsProbeAsync;

/// The body is a list of steps, or one.
impl Guest for DocumentsProbeAsync {
    async fn handle(request: IncomingRequest) -> Result<Response, ErrorCode> {
        let request = Request::new(request);
        let variant = request.variant().to_owned();
        if variant == "hello" {
            return Ok(concurrent::text(200, "hello"));
        }
        let steps: Json = serde_json::from_slice(&request.body().await).unwrap_or_default();
        Ok(concurrent::json(&match variant.as_str() {
            "run" => in_order(&mut Handles::default(), &steps).await,
            "concurrent" => at_once(&steps).await,
            "stream" => stream(&steps).await,
            "cancel" => cancel(&steps).await,
            "run-and-trap" => {
                let mut handles = Handles::default();
                in_order(&mut handles, &steps).await;
                std::process::abort()
            }
            other => return Ok(concurrent::text(404, format!("no variant {other}"))),
        }))
    }
}

guests::concurrent::export!(DocumentsProbeAsync);

fn main_database() -> Database {
    Database::open("main").unwrap_or_else(|error| panic!("no database: {error:?}"))
}

fn collection_name(step: &Json) -> &str {
    step["in"].as_str().unwrap_or("notes")
}

/// One after the other; the list of their outcomes.
async fn in_order(handles: &mut Handles, steps: &Json) -> Json {
    let mut outcomes = Vec::new();
    for step in steps.as_array().into_iter().flatten() {
        outcomes.push(handles.step(step).await);
    }
    outcomes.into()
}

/// All at once, each on the database itself; the list of their outcomes.
async fn at_once(steps: &Json) -> Json {
    let database = &main_database();
    let steps = steps.as_array().into_iter().flatten().map(|step| async move {
        match database.collection(collection_name(step)) {
            Ok(collection) => on_collection(&collection, step).await,
            Err(error) => tell::failure(&error),
        }
    });
    future::join_all(steps).await.into()
}

/// The batches of one cursor, `max` documents each, and how it ended.
async fn stream(step: &Json) -> Json {
    let collection = main_database().collection(collection_name(step)).expect("a collection");
    let opened = collection.cursor(ask::document(&step["filter"]), ask::find_options(step)).await;
    let opened = opened.and_then(|cursor| cursor.batches(ask::max_documents(step)).map(|batches| (cursor, batches)));
    let (cursor, (mut batches, ended)) = match opened {
        Ok(opened) => opened,
        Err(error) => return tell::failure(&error),
    };
    let mut told = Vec::new();
    while let Some(batch) = batches.next().await {
        told.push(tell::batch(&batch));
    }
    let ended = tell::outcome(ended.await, tell::nothing);
    let again = tell::outcome(cursor.batches(1).map(drop), tell::nothing);
    json!({ "batches": told, "ended": ended, "again": again })
}

/// Gives up on one step once the collection `give-up` has a document; then the database answers as before.
async fn cancel(step: &Json) -> Json {
    let database = main_database();
    let collection = database.collection(collection_name(step)).expect("a collection");
    let given_up = {
        let told = until_told(&database).boxed_local();
        matches!(future::select(on_collection(&collection, step).boxed_local(), told).await, Either::Right(_))
    };
    let after = tell::outcome(collection.find_one(ask::document(&Json::Null), ask::find_options(&Json::Null)).await, |found| {
        tell::document(found.as_deref())
    });
    json!({ "given up": given_up, "after": after })
}

async fn until_told(database: &Database) {
    let told = database.collection("give-up").expect("a collection");
    while told.find_one(ask::document(&Json::Null), ask::find_options(&Json::Null)).await.expect("an answer").is_none() {}
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
    /// As in `documents_probe`.
    async fn step(&mut self, step: &Json) -> Json {
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
            (Handle::Database(database), "begin") => {
                database.begin(ask::transaction_options(step)).await.map(Handle::Transaction)
            }
            (Handle::Database(database), "list-collections") => {
                let listed = database.list_collections(ask::optional(&step["filter"])).await;
                return tell::outcome(listed, |documents| tell::list(&documents));
            }
            (Handle::Transaction(transaction), "commit") => return tell::outcome(transaction.commit().await, tell::nothing),
            (Handle::Transaction(transaction), "abort") => return tell::outcome(transaction.abort().await, tell::nothing),
            (Handle::Cursor(cursor), "next") => {
                let next = cursor.next(ask::max_documents(step)).await;
                return tell::outcome(next, |batch| batch.as_ref().map_or(Json::Null, tell::batch));
            }
            (Handle::Cursor(cursor), "close") => return tell::outcome(cursor.close().await, tell::nothing),
            (Handle::Cursor(_), other) => panic!("a cursor cannot do {other}"),
            (Handle::Collection(collection), "cursor" | "aggregate-cursor") => open(collection, step).await,
            (Handle::Collection(collection), _) => return on_collection(collection, step).await,
            (Handle::Database(_) | Handle::Transaction(_), _) => match (handle.collection(step), what) {
                (Ok(collection), "collection") => Ok(Handle::Collection(collection)),
                (Ok(collection), "cursor" | "aggregate-cursor") => open(&collection, step).await,
                (Ok(collection), _) => return on_collection(&collection, step).await,
                (Err(error), _) => Err(error),
            },
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
        let name = collection_name(step);
        match self {
            Self::Database(database) => database.collection(name),
            Self::Transaction(transaction) => transaction.collection(name),
            Self::Collection(_) | Self::Cursor(_) => panic!("neither has collections"),
        }
    }
}

/// A cursor over what is found or made.
async fn open(on: &Collection, step: &Json) -> Result<Handle, Error> {
    let opened = if step["do"] == "cursor" {
        on.cursor(ask::document(&step["filter"]), ask::find_options(step)).await
    } else {
        on.aggregate_cursor(ask::bytes(&step["pipeline"]), ask::aggregate_options(step)).await
    };
    opened.map(Handle::Cursor)
}

/// What a step on a collection comes to that opens nothing.
async fn on_collection(on: &Collection, step: &Json) -> Json {
    let filter = ask::document(&step["filter"]);
    let name = step["name"].as_str().unwrap_or_default().to_owned();
    match step["do"].as_str().unwrap_or_default() {
        "find" => tell::outcome(on.find(filter, ask::find_options(step)).await, |batch| tell::batch(&batch)),
        "find-one" => tell::outcome(on.find_one(filter, ask::find_options(step)).await, |found| tell::document(found.as_deref())),
        "aggregate" => {
            let found = on.aggregate(ask::bytes(&step["pipeline"]), ask::aggregate_options(step)).await;
            tell::outcome(found, |batch| tell::batch(&batch))
        }
        "count" => tell::outcome(on.count(filter, ask::count_options(step)).await, Json::from),
        "estimated-count" => tell::outcome(on.estimated_count().await, Json::from),
        "distinct" => {
            let found = on.distinct(name, filter, ask::distinct_options(step)).await;
            tell::outcome(found, |found| tell::document(Some(&found)))
        }
        "insert" => {
            let inserted = on.insert(ask::bytes(&step["documents"]), ask::insert_options(step)).await;
            tell::outcome(inserted, |done| tell::done(&done))
        }
        "update" => {
            let updated = on.update(filter, ask::update(step), ask::update_options(step)).await;
            tell::outcome(updated, |done| tell::done(&done))
        }
        "replace" => {
            let replaced = on.replace(filter, ask::document(&step["replacement"]), ask::replace_options(step)).await;
            tell::outcome(replaced, |done| tell::done(&done))
        }
        "delete" => tell::outcome(on.delete(filter, ask::delete_options(step)).await, |done| tell::done(&done)),
        "find-and-modify" => {
            let found = on.find_and_modify(filter, ask::modification(step), ask::find_and_modify_options(step)).await;
            tell::outcome(found, |found| tell::document(found.as_deref()))
        }
        "bulk-write" => {
            let written = on.bulk_write(ask::writes(step), ask::bulk_options(step)).await;
            tell::outcome(written, |done| tell::done(&done))
        }
        "create-indexes" => tell::outcome(on.create_indexes(ask::indexes(step)).await, Json::from),
        "drop-index" => tell::outcome(on.drop_index(name).await, tell::nothing),
        "list-indexes" => tell::outcome(on.list_indexes().await, |documents| tell::list(&documents)),
        other => panic!("a collection cannot do {other}"),
    }
}
