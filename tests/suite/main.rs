//! Tests of Wharf through its public doors.

mod guests;
mod hygiene;
mod layers;
mod licences;
mod support_postgres;
mod tree;
