//! Traps while the database still has work of its own.

use guests::plain::{Answer, Request, TransactionOptions, Value};

guests::handler!(answer);

const ANY: TransactionOptions = TransactionOptions { isolation: None, read_only: false };

/// Every variant but `connection` writes `note` into the table `notes(note text)` first; nothing of it may stay.
fn answer(request: Request) -> Answer {
    let database = request.database();
    let note = [Value::Text("written before the trap".to_owned())];
    let insert = match database.engine() {
        guests::plain::Engine::Postgres => "INSERT INTO notes (note) VALUES ($1)",
        _ => "INSERT INTO notes (note) VALUES (?)",
    };
    match request.variant() {
        "traps" => {
            let transaction = database.begin(ANY).expect("a transaction");
            transaction.execute(insert, &note).expect("a row");
            trap()
        }
        "savepoint" => {
            let transaction = database.begin(ANY).expect("a transaction");
            transaction.savepoint("before").expect("a savepoint");
            transaction.execute(insert, &note).expect("a row");
            trap()
        }
        "cursor" => {
            let transaction = database.begin(ANY).expect("a transaction");
            transaction.execute(insert, &note).expect("a row");
            let cursor = transaction.cursor("SELECT note FROM notes", &[]).expect("a cursor");
            cursor.next(1).expect("a batch");
            trap()
        }
        "aborted" => {
            let transaction = database.begin(ANY).expect("a transaction");
            transaction.execute(insert, &note).expect("a row");
            let _ = transaction.execute("INSERT INTO no_such_table VALUES (1)", &[]);
            trap()
        }
        "connection" => {
            let connection = database.connect().expect("a connection");
            connection.query("SELECT 1", &[]).expect("one row");
            trap()
        }
        other => Answer::unknown(other),
    }
}

/// An `unreachable` instruction, without the words of a panic.
fn trap() -> ! {
    std::process::abort()
}
