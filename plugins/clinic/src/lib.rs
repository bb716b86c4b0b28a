//! Patients and visits over HTTP: the handler of the clinic example.
//!
//! The same component runs on SQLite and on PostgreSQL: its SQL keeps to what both take, and the SDK reads the types of either.

mod patients;
mod report;
mod visits;

use wharf_sdk::prelude::*;

wharf_sdk::handler!(
    Router::new()
        .get("/patients", patients::list)
        .post("/patients", patients::create)
        .get("/patients/{id}", patients::show)
        .put("/patients/{id}", patients::replace)
        .post("/patients/{id}/visits", visits::create)
        .get("/report/visits-by-month", report::visits_by_month)
);

/// The database that `wharf.toml` grants under this name.
fn clinic() -> Result<Database> {
    Database::open("clinic")
}

/// Refuses a text that is empty or longer than `max` characters, naming the field.
fn check_text(problem: Problem, field: &'static str, text: &str, max: usize) -> Problem {
    match text.trim().chars().count() {
        0 => problem.field(field, "must not be empty"),
        length if length > max => problem.field(field, format!("may have {max} characters, has {length}")),
        _ => problem,
    }
}

/// The problem if any field was found wrong.
fn accept(problem: Problem) -> Result<()> {
    if problem.has_field_errors() { Err(problem.into()) } else { Ok(()) }
}

fn no_such_patient(id: i64) -> Error {
    Error::not_found(format!("there is no patient {id}"))
}
