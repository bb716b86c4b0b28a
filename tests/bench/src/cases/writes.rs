//! What is written: a row in a transaction, and many at once.

use super::sides::{
    Engine::{Postgres, Sqlite},
    Setup, case,
};
use crate::{case::Case, contest::Question};

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let (postgres, sqlite) = (Setup::of(Postgres), Setup::of(Sqlite));
    let loops = "a hundred rows in a transaction; natively, a statement after the other";
    vec![
        // Every answer has a key of its own.
        case("insert/postgres", postgres, Question::new("/insert", 32).but_for_digits(), None),
        case("insert/sqlite", sqlite, Question::new("/insert", 1).but_for_digits(), None)
            .note("one client: SQLite has one writer at a time"),
        case("batch-100/postgres", postgres, Question::new("/batch", 8), None).note(loops),
        case("batch-100/sqlite", sqlite, Question::new("/batch", 1), None).note(loops),
    ]
}
