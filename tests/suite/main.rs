//! Tests of Wharf through its public doors.

mod support_postgres;
