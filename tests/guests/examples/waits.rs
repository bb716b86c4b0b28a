//! Waits in a host call: for a statement, a lock, a clock, or a body that never ends.

use guests::{
    json,
    plain::{Answer, Engine, Request, TransactionOptions, monotonic_clock},
};
use serde_json::Value as Json;

guests::handler!(answer);

fn answer(request: Request) -> Answer {
    let seconds = request.number("seconds", 60);
    match request.variant() {
        "waits" => {
            let database = request.database();
            let sql = statement(&request, database.engine(), seconds);
            Answer::json(&json::outcome(database.query(&sql, &[]), json::rows_to_json))
        }
        "connection" => {
            let database = request.database();
            let sql = statement(&request, database.engine(), seconds);
            let connection = database.connect().expect("a connection");
            Answer::json(&json::outcome(connection.query(&sql, &[]), json::rows_to_json))
        }
        "transaction" => {
            let database = request.database();
            let sql = statement(&request, database.engine(), seconds);
            let options = TransactionOptions { isolation: None, read_only: false };
            let transaction = database.begin(options).expect("a transaction");
            Answer::json(&json::outcome(transaction.query(&sql, &[]), json::rows_to_json))
        }
        "cursor" => {
            let database = request.database();
            let sql = statement(&request, database.engine(), seconds);
            let next = database.cursor(&sql, &[]).and_then(|cursor| cursor.next(1));
            Answer::json(&json::outcome(next, |batch| batch.map_or(Json::Null, |batch| json::batch_to_json(&batch))))
        }
        "clock" => {
            monotonic_clock::subscribe_duration(seconds * 1_000_000_000).block();
            Answer::text("awake")
        }
        // While it holds a transaction open without a statement running.
        "clock-in-transaction" => {
            let options = TransactionOptions { isolation: None, read_only: false };
            let transaction = request.database().begin(options).expect("a transaction");
            monotonic_clock::subscribe_duration(seconds * 1_000_000_000).block();
            Answer::json(&json::outcome(transaction.commit(), |()| Json::Null))
        }
        // For the rest of a body that the client does not send.
        "body" => Answer::text(format!("{} bytes", request.body().len())),
        other => Answer::unknown(other),
    }
}

/// `?sql=`, or a statement that takes its time on any engine.
fn statement(request: &Request, engine: Engine, seconds: u64) -> String {
    request.parameter("sql").unwrap_or_else(|| match engine {
        Engine::Postgres => format!("SELECT pg_sleep({seconds})"),
        Engine::Mysql => format!("SELECT sleep({seconds})"),
        // Emits its only row after hours.
        Engine::Sqlite => "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000000000) \
                           SELECT count(*) FROM n"
            .to_owned(),
    })
}
