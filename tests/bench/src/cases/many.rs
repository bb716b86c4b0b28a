//! More than one row: what building columns and writing JSON costs; and several statements in one call.

use super::sides::{
    Engine::{Postgres, Sqlite},
    Setup, case,
};
use crate::{
    case::{Case, Target::AtLeast},
    contest::Question,
};

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let (postgres, sqlite) = (Setup::of(Postgres), Setup::of(Sqlite));
    let at_once = Setup { guest: "bench_sql_async", at_once: true, ..postgres };
    let (twenty, thousand, eight) = (Question::new("/rows/20", 32), Question::new("/rows/1000", 32), Question::new("/eight", 8));
    vec![
        case("rows-20/postgres", postgres, twenty, None),
        case("rows-20/sqlite", sqlite, twenty, None),
        case("rows-1000/postgres", postgres, thousand, Some(AtLeast(0.90))).close(),
        case("rows-1000/sqlite", sqlite, thousand, None),
        case("eight-statements/sequential", postgres, eight, None),
        case("eight-statements/concurrent", at_once, eight, None),
    ]
}
