//! Tests of Wharf through its public doors.

#![expect(clippy::unwrap_used, reason = "tests say what went wrong by where they stand")]

mod budgets;
mod cancel;
mod check;
mod frozen;
mod guests;
mod hostile;
mod hygiene;
mod layers;
mod licences;
mod load;
mod readme;
mod reclaim;
mod start;
mod support_postgres;
mod tree;
