//! Answers properly, and never drops what it holds.

use std::mem::forget;

use guests::plain::{Answer, Engine, Request, TransactionOptions, Value};

guests::handler!(answer);

const ANY: TransactionOptions = TransactionOptions { isolation: None, read_only: false };

/// What is written goes to the table `notes(note text)`; nothing of it may stay.
fn answer(request: Request) -> Answer {
    let database = request.database();
    let note = [Value::Text("written and never committed".to_owned())];
    let insert = match database.engine() {
        Engine::Postgres => "INSERT INTO notes (note) VALUES ($1)",
        _ => "INSERT INTO notes (note) VALUES (?)",
    };
    match request.variant() {
        "transaction" => {
            let transaction = database.begin(ANY).expect("a transaction");
            transaction.execute(insert, &note).expect("a row");
            forget(transaction);
        }
        "cursor" => {
            let cursor = database.cursor("SELECT note FROM notes", &[]).expect("a cursor");
            forget(cursor);
        }
        "connections" => {
            for _ in 0..request.number("count", 2) {
                forget(database.connect().expect("a connection"));
            }
        }
        // Inner handles outlive the outer ones they came from.
        "all" => {
            let connection = database.connect().expect("a connection");
            let transaction = connection.begin(ANY).expect("a transaction");
            transaction.execute(insert, &note).expect("a row");
            let cursor = transaction.cursor("SELECT note FROM notes", &[]).expect("a cursor");
            cursor.next(1).expect("a batch");
            drop(connection);
            drop(transaction);
            forget(cursor);
        }
        other => return Answer::unknown(other),
    }
    Answer::text("leaked")
}
