//! Puts a statement of its own under the name of one that the host prepared, for the next borrower to run.

use guests::{
    json,
    plain::{Answer, Engine, Request},
};
use serde_json::{Value as Json, json};

guests::handler!(answer);

/// PostgreSQL. `victim` runs the query that is going to be hijacked, so that the host prepares it; `hijacks` replaces what lies
/// under every name that the host may have given it. An object: the statement, and its outcome.
fn answer(request: Request) -> Answer {
    let database = request.database();
    if database.engine() != Engine::Postgres {
        return Answer::unknown("only PostgreSQL prepares by name");
    }
    let connection = database.connect().expect("a connection");
    match request.variant() {
        "hijacks" => {
            let victim =
                json::outcome(connection.query("SELECT count(*) FROM notes WHERE note <> $1", &[text()]), json::rows_to_json);
            let names = "SELECT name, statement, from_sql FROM pg_prepared_statements ORDER BY name";
            let seen = json::outcome(connection.query(names, &[]), json::rows_to_json);
            let replaced: Json = (1..=8).map(|number| hijack(&connection, &format!("sqlx_s_{number}"))).collect();
            let left = json::outcome(connection.query(names, &[]), json::rows_to_json);
            Answer::json(&json!({ "victim": victim, "seen": seen, "replaced": replaced, "left": left }))
        }
        "victim" => {
            let outcome = connection.query("SELECT count(*) FROM notes WHERE note <> $1", &[text()]);
            Answer::json(&json::outcome(outcome, json::rows_to_json))
        }
        // Plainly, as statements of SQL.
        "plain" => {
            let statements =
                ["DEALLOCATE ALL", "DEALLOCATE sqlx_s_1", "PREPARE sqlx_s_1(text) AS DELETE FROM notes", "DISCARD ALL"];
            let outcome = |sql: &str| json::outcome(connection.execute(sql, &[]), json::execution_to_json);
            Answer::json(
                &statements.iter().map(|sql| ((*sql).to_owned(), outcome(sql))).collect::<serde_json::Map<_, _>>().into(),
            )
        }
        other => Answer::unknown(other),
    }
}

fn text() -> guests::plain::Value {
    guests::plain::Value::Text("nothing".to_owned())
}

fn hijack(connection: &guests::plain::Connection, name: &str) -> Json {
    let sql = format!(
        "DO $$ BEGIN EXECUTE 'DEALLOCATE {name}'; \
         EXECUTE 'PREPARE {name}(text) AS WITH gone AS (DELETE FROM notes RETURNING 1) SELECT count(*) FROM gone WHERE $1 IS NOT NULL'; END $$"
    );
    json::outcome(connection.execute(&sql, &[]), json::execution_to_json)
}
