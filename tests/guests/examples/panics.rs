//! Panics, with and without leases in hand.

use guests::plain::{Answer, Request};

guests::handler!(answer);

fn answer(request: Request) -> Answer {
    match request.variant() {
        "panics" => panic!("the secret of the handler"),
        "connection" => {
            let connection = request.database().connect().expect("a connection");
            connection.query("SELECT 1", &[]).expect("one row");
            panic!("with a connection");
        }
        // Ends the instance without a trap of its own making.
        "exit" => std::process::exit(0),
        "exit-with-failure" => std::process::exit(1),
        other => Answer::unknown(other),
    }
}
