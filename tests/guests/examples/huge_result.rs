//! Asks for more rows and bytes than anybody should hold in memory.

use guests::{
    json,
    plain::{Answer, Engine, Request},
};
use serde_json::json;

guests::handler!(answer);

/// `{"rows": how many came}` or `{"error": …}`.
fn answer(request: Request) -> Answer {
    let database = request.database();
    let rows = request.number("rows", 100_000_000);
    let bytes = request.number("bytes", 1 << 30);
    let postgres = database.engine() == Engine::Postgres;
    // MariaDB's, for a recursive query ends after a thousand rounds there.
    let mariadb = database.engine() == Engine::Mysql;
    let sql = match request.variant() {
        "huge_result" if postgres => format!("SELECT generate_series(1, {rows})"),
        "huge_result" if mariadb => format!("SELECT seq FROM seq_1_to_{rows}"),
        "huge_result" => {
            format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {rows}) SELECT i FROM n")
        }
        // One cell alone is too much.
        "cell" if postgres => format!("SELECT repeat('x', {})", bytes.min(1 << 29)),
        "cell" if mariadb => format!("SELECT REPEAT('x', {})", bytes.min(1 << 28)),
        "cell" => format!("SELECT hex(zeroblob({}))", bytes.min(1 << 30) / 2),
        // Few rows of many bytes.
        "wide" if postgres => format!("SELECT repeat('x', 1000000) FROM generate_series(1, {})", bytes / 1_000_000),
        "wide" if mariadb => format!("SELECT REPEAT('x', 1000000) FROM seq_1_to_{}", bytes / 1_000_000),
        "wide" => format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {}) SELECT hex(zeroblob(500000)) FROM n",
            bytes / 1_000_000
        ),
        other => return Answer::unknown(other),
    };
    Answer::json(&match database.query(&sql, &[]) {
        Ok(rows) => json!({ "rows": rows.batch.row_count }),
        Err(error) => json!({ "error": json::error_to_json(&error) }),
    })
}
