//! Uses handles after they ended, and reports what each use came to.

use guests::{
    json,
    plain::{Answer, Engine, Request, TransactionOptions},
};
use serde_json::{Value as Json, json};

guests::handler!(answer);

const ANY: TransactionOptions = TransactionOptions { isolation: None, read_only: false };

/// An object: the use, and its outcome.
fn answer(request: Request) -> Answer {
    let database = request.database();
    let done = |()| Json::Null;

    let connection = database.connect().expect("a connection");
    connection.close().expect("closed");
    let query_after_close = json::outcome(connection.query("SELECT 1", &[]), json::rows_to_json);
    let begin_after_close = json::outcome(connection.begin(ANY), |_| Json::Null);
    let close_after_close = json::outcome(connection.close(), done);

    let transaction = database.begin(ANY).expect("a transaction");
    let cursor = transaction.cursor("SELECT 1", &[]).expect("a cursor");
    if database.engine() != Engine::Postgres {
        // Elsewhere an open cursor owns the connection, and not even a commit gets past it.
        cursor.close().expect("closed");
    }
    transaction.commit().expect("committed");
    let next_after_commit = json::outcome(cursor.next(1), |batch| batch.is_some().into());
    let query_after_commit = json::outcome(transaction.query("SELECT 1", &[]), json::rows_to_json);
    let commit_after_commit = json::outcome(transaction.commit(), done);
    let rollback_after_commit = json::outcome(transaction.rollback(), done);

    let connection = database.connect().expect("a connection");
    let transaction = connection.begin(ANY).expect("a transaction");
    let query_beside_transaction = json::outcome(connection.query("SELECT 1", &[]), json::rows_to_json);
    drop(connection);
    let query_after_parent = json::outcome(transaction.query("SELECT 1", &[]), json::rows_to_json);
    drop(transaction);

    let cursor = database.cursor("SELECT 1", &[]).expect("a cursor");
    cursor.close().expect("closed");
    let next_after_close = json::outcome(cursor.next(1), |batch| batch.is_some().into());
    let close_twice = json::outcome(cursor.close(), done);

    Answer::json(&json!({
        "query after close": query_after_close,
        "begin after close": begin_after_close,
        "close after close": close_after_close,
        "next after commit": next_after_commit,
        "query after commit": query_after_commit,
        "commit after commit": commit_after_commit,
        "rollback after commit": rollback_after_commit,
        "query beside transaction": query_beside_transaction,
        "query after parent": query_after_parent,
        "next after close": next_after_close,
        "cursor close after close": close_twice,
    }))
}
