//! One row by its key: the smallest thing that is asked of a database.

use anyhow::Result;
use futures::FutureExt;

use super::sides::{
    Engine::{self, Postgres, Sqlite},
    Setup,
};
use crate::{
    bed::Bed,
    case::{
        Case, Figure, Measured,
        Target::{self, AtLeast, AtMost},
    },
    contest::Question,
    servers::wharf::Logging,
};

const ONE_KEY: &str = "always the row of the same key";

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let (postgres, sqlite) = (Setup::of(Postgres), Setup::of(Sqlite));
    let quiet = Setup { logging: Logging::Quiet, ..postgres };
    let (near, far, tail) = (Some(AtLeast(0.95)), Some(AtLeast(0.80)), Some(AtMost(1.3)));
    let file = Some(AtLeast(0.75));
    vec![
        case("row-postgres/1", postgres, 1, None, None),
        case("row-postgres/32", postgres, 32, near, tail).close(),
        case("row-postgres/32-log-off", quiet, 32, None, None),
        case("row-postgres/256", postgres, 256, None, None),
        case("row-postgres/pool-8", Setup { pool: 8, ..postgres }, 32, far, tail),
        case("row-postgres/03", Setup { guest: "bench_sql_async", ..postgres }, 32, None, None),
        case("row-sqlite/1", sqlite, 1, file, None),
        case("row-sqlite/32", sqlite, 32, file, None),
        case("row-sqlite/256", sqlite, 256, file, None),
    ]
}

fn case(name: &'static str, setup: Setup, connections: usize, rate: Option<Target>, tail: Option<Target>) -> Case {
    let figures = vec![Figure::main("requests/s", rate), Figure::named("p99", "ms", tail)];
    let question = Question::new("/row/4711", connections);
    Case::new(name, figures, move |bed| measure(bed, setup, question).boxed()).note(note(setup.engine))
}

async fn measure(bed: &Bed, setup: Setup, question: Question) -> Result<Vec<Measured>> {
    let contest = setup.contest(bed, question).await?;
    Ok(vec![contest.requests(), contest.tail()])
}

fn note(engine: Engine) -> &'static str {
    match engine {
        Postgres => ONE_KEY,
        Sqlite => "always the row of the same key; each side has a thread a connection",
    }
}
