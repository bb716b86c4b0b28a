//! Tests of Wharf through its public doors.

#![expect(clippy::unwrap_used, reason = "tests say what went wrong by where they stand")]

mod guests;
mod hostile;
mod hygiene;
mod layers;
mod licences;
mod reclaim;
mod support_postgres;
mod tree;
