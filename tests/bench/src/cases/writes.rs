//! What is written: a row in a transaction, and many at once.

use futures::FutureExt;

use super::sides::{
    Engine::{Postgres, Sqlite},
    Setup,
};
use crate::{
    case::{Case, Figure},
    contest::Question,
};

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let (postgres, sqlite) = (Setup::of(Postgres), Setup::of(Sqlite));
    let loops = "a hundred rows in a transaction; natively, a statement after the other";
    vec![
        // Every answer has a key of its own.
        case("insert/postgres", postgres, Question::new("/insert", 32).but_for_digits()),
        case("insert/sqlite", sqlite, Question::new("/insert", 1).but_for_digits())
            .note("one client: SQLite has one writer at a time"),
        case("batch-100/postgres", postgres, Question::new("/batch", 8)).note(loops),
        case("batch-100/sqlite", sqlite, Question::new("/batch", 1)).note(loops),
    ]
}

fn case(name: &'static str, setup: Setup, question: Question) -> Case {
    let figures = vec![Figure::main("requests/s", None)];
    Case::new(name, figures, move |bed| async move { Ok(vec![setup.contest(bed, question).await?.requests()]) }.boxed())
}
