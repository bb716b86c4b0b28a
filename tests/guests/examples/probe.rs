//! A well-behaved handler that does what the test writes in its request, and reports what came of it.

use std::collections::HashMap;

use guests::{
    json,
    plain::{Answer, Connection, Cursor, Database, Guest, IncomingRequest, Request, ResponseOutparam, Transaction, Writer},
};
use serde_json::{Value as Json, json};

struct Probe;

impl Guest for Probe {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let request = Request::new(request);
        match request.variant() {
            // Streams are answered while the request is still being read.
            "echo" => echo(&request, outparam),
            "stream" => stream(&request, outparam),
            _ => answer(&request).send(outparam),
        }
    }
}

guests::plain::export!(Probe);

fn answer(request: &Request) -> Answer {
    match request.variant() {
        "hello" => Answer::text("hello"),
        "scheme" => Answer::text(if request.is_https() { "https" } else { "http" }),
        "request" => Answer::json(&json!({ "body": String::from_utf8_lossy(&request.body()) })),
        // The values of the header `?name=`.
        "header" => Answer::json(&json!(request.header(&request.parameter("name").unwrap_or_default()))),
        // `?sql=`, without parameters.
        "query" => Answer::json(&json::outcome(request.database().query(&request.sql(), &[]), json::rows_to_json)),
        // The body is a list of steps; the answer is the list of their outcomes.
        "run" => {
            let mut handles = Handles::default();
            let outcomes: Json = request.json().as_array().into_iter().flatten().map(|step| handles.step(step)).collect();
            Answer::json(&outcomes)
        }
        // As `run`, and then a trap with everything still in hand.
        "run-and-trap" => {
            let mut handles = Handles::default();
            request.json().as_array().into_iter().flatten().for_each(|step| drop(handles.step(step)));
            std::process::abort()
        }
        // With `?code=` as its status.
        "status" => Answer::text("as asked").status(u16::try_from(request.number("code", 200)).expect("a status")),
        other => Answer::unknown(other),
    }
}

/// Sends back what comes, chunk by chunk.
fn echo(request: &Request, outparam: ResponseOutparam) {
    let (_body, stream) = request.stream();
    let mut writer = Writer::start(outparam, 200, "application/octet-stream");
    while let Ok(chunk) = stream.blocking_read(16 * 1024) {
        if writer.write(&chunk).is_err() {
            break;
        }
    }
    writer.finish();
}

/// The rows of `?sql=` through a cursor, `?batch=` (100) at a time, one JSON text a line.
fn stream(request: &Request, outparam: ResponseOutparam) {
    let size = u32::try_from(request.number("batch", 100)).unwrap_or(u32::MAX);
    let cursor = match request.database().cursor(&request.sql(), &[]) {
        Ok(cursor) => cursor,
        Err(error) => return Answer::json(&json!({ "error": json::error_to_json(&error) })).send(outparam),
    };
    let mut writer = Writer::start(outparam, 200, "application/x-ndjson");
    loop {
        let line = match cursor.next(size) {
            Ok(Some(batch)) => json::batch_to_json(&batch),
            Ok(None) => break,
            Err(error) => json!({ "error": json::error_to_json(&error) }),
        };
        if writer.write(format!("{line}\n").as_bytes()).is_err() || line.is_object() {
            break;
        }
    }
    writer.finish();
}

/// What the steps have opened so far, by the name that they gave it.
#[derive(Default)]
struct Handles(HashMap<String, Handle>);

enum Handle {
    Database(Database),
    Connection(Connection),
    Transaction(Transaction),
    Cursor(Cursor),
}

impl Handles {
    /// Does `{"do": what, "on": handle, "as": name for what it opens, …}`. Without `on`, the database is the one named `main`;
    /// steps that the handle does not know are an error of the test.
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
                Err(error) => return json!({ "error": json::error_to_json(&error) }),
            };
        }
        let sql = step["sql"].as_str().unwrap_or("SELECT 1");
        let options = json::transaction_options(&step["options"]);
        let name = step["name"].as_str().unwrap_or("point");
        let Some(handle) = self.0.get(on) else {
            return json!({ "error": { "kind": "no-handle", "message": format!("{on} was not opened") } });
        };
        let opened = match (handle, what) {
            (Handle::Database(database), "connect") => database.connect().map(Handle::Connection),
            (Handle::Database(database), "begin") => database.begin(options).map(Handle::Transaction),
            (Handle::Database(database), "cursor") => database.cursor(sql, &json::values(&step["params"])).map(Handle::Cursor),
            (Handle::Connection(connection), "begin") => connection.begin(options).map(Handle::Transaction),
            (Handle::Transaction(transaction), "cursor") => {
                transaction.cursor(sql, &json::values(&step["params"])).map(Handle::Cursor)
            }
            (Handle::Database(database), "engine") => return json!({ "ok": format!("{:?}", database.engine()) }),
            (Handle::Connection(connection), "close") => return json::outcome(connection.close(), nothing),
            (Handle::Transaction(transaction), "savepoint") => return json::outcome(transaction.savepoint(name), nothing),
            (Handle::Transaction(transaction), "rollback-to") => return json::outcome(transaction.rollback_to(name), nothing),
            (Handle::Transaction(transaction), "release") => return json::outcome(transaction.release(name), nothing),
            (Handle::Transaction(transaction), "commit") => return json::outcome(transaction.commit(), nothing),
            (Handle::Transaction(transaction), "rollback") => return json::outcome(transaction.rollback(), nothing),
            (Handle::Cursor(cursor), "columns") => return json!({ "ok": json::columns_to_json(cursor.columns()) }),
            (Handle::Cursor(cursor), "close") => return json::outcome(cursor.close(), nothing),
            (Handle::Cursor(cursor), "next") => {
                let rows = u32::try_from(step["rows"].as_u64().unwrap_or(100)).expect("32 bits");
                return json::outcome(cursor.next(rows), |batch| batch.as_ref().map_or(Json::Null, json::batch_to_json));
            }
            (handle, statement) => return handle.statement(statement, sql, &step["params"]),
        };
        self.keep(step, opened)
    }

    /// Keeps what was opened under the name that `as` gives.
    fn keep(&mut self, step: &Json, opened: Result<Handle, guests::plain::Error>) -> Json {
        json::outcome(opened, |handle| {
            self.0.insert(step["as"].as_str().expect("a name for what is opened").to_owned(), handle);
            Json::Null
        })
    }
}

impl Handle {
    /// `query`, `execute` and `execute-many`, which databases, connections and transactions know alike.
    fn statement(&self, what: &str, sql: &str, params: &Json) -> Json {
        let lists = || params.as_array().into_iter().flatten().map(json::values).collect::<Vec<_>>();
        match (self, what) {
            (Self::Database(it), "query") => json::outcome(it.query(sql, &json::values(params)), json::rows_to_json),
            (Self::Connection(it), "query") => json::outcome(it.query(sql, &json::values(params)), json::rows_to_json),
            (Self::Transaction(it), "query") => json::outcome(it.query(sql, &json::values(params)), json::rows_to_json),
            (Self::Database(it), "execute") => json::outcome(it.execute(sql, &json::values(params)), json::execution_to_json),
            (Self::Connection(it), "execute") => json::outcome(it.execute(sql, &json::values(params)), json::execution_to_json),
            (Self::Transaction(it), "execute") => json::outcome(it.execute(sql, &json::values(params)), json::execution_to_json),
            (Self::Database(it), "execute-many") => json::outcome(it.execute_many(sql, &lists()), json::execution_to_json),
            (Self::Connection(it), "execute-many") => json::outcome(it.execute_many(sql, &lists()), json::execution_to_json),
            (Self::Transaction(it), "execute-many") => json::outcome(it.execute_many(sql, &lists()), json::execution_to_json),
            _ => panic!("this handle cannot do {what}"),
        }
    }
}

fn nothing((): ()) -> Json {
    Json::Null
}
