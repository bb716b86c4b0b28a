//! Opens connections until it is refused, and reports the refusal.

use guests::{
    json,
    plain::{Answer, Request, TransactionOptions},
};
use serde_json::json;

guests::handler!(answer);

/// `{"held": how many, "error": the refusal}`; never more than `?count=` (1,000).
fn answer(request: Request) -> Answer {
    let database = request.database();
    let most = request.number("count", 1000);
    let (mut connections, mut transactions) = (Vec::new(), Vec::new());
    let refusal = (0..most).find_map(|_| match request.variant() {
        "transactions" => {
            let options = TransactionOptions { isolation: None, read_only: true };
            database.begin(options).map(|transaction| transactions.push(transaction)).err()
        }
        _ => database.connect().map(|connection| connections.push(connection)).err(),
    });
    let held = connections.len() + transactions.len();
    Answer::json(&json!({ "held": held, "error": refusal.as_ref().map(json::error_to_json) }))
}
