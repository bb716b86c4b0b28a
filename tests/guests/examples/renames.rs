//! Takes away the name by which the host might know its sessions, and more of what a session remembers.

use guests::{
    json,
    plain::{Answer, Engine, Request},
};
use serde_json::json;

guests::handler!(answer);

/// PostgreSQL; an object: the statement, and its outcome. Then, by variant, returns, waits or traps.
fn answer(request: Request) -> Answer {
    let database = request.database();
    if database.engine() != Engine::Postgres {
        return Answer::unknown("only PostgreSQL sessions have names");
    }
    let connection = database.connect().expect("a connection");
    let statements = [
        "SET application_name = 'somebody else'",
        "SELECT set_config('application_name', 'somebody else', false)",
        "SET statement_timeout = 0",
        "SET idle_in_transaction_session_timeout = 0",
        "SET client_connection_check_interval = 0",
        "SET search_path = pg_temp",
        "CREATE TEMPORARY TABLE residue (note text)",
        "LISTEN gossip",
        "SELECT pg_advisory_lock(4711)",
        "SET ROLE NONE",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    ];
    let outcomes: serde_json::Map<_, _> = statements
        .iter()
        .map(|sql| ((*sql).to_owned(), json::outcome(connection.execute(sql, &[]), json::execution_to_json)))
        .collect();
    match request.variant() {
        "waits" => Answer::json(&json::outcome(connection.query("SELECT pg_sleep(60)", &[]), json::rows_to_json)),
        "traps" => std::process::abort(),
        _ => Answer::json(&json!(outcomes)),
    }
}
