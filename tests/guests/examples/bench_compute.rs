//! Computes and touches no database: what fuel and compiled code cost. Imports nothing of Wharf's, so that other hosts run it too.

use guests::{
    compute,
    plain::{Answer, Request},
};

guests::handler!(answer);

fn answer(request: Request) -> Answer {
    match request.variant() {
        "hash" => Answer::text(compute::hash()),
        "sort" => Answer::text(compute::sort()),
        other => Answer::unknown(other),
    }
}
