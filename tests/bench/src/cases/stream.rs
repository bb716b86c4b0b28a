//! A hundred thousand rows through a cursor, while they are read: how fast, and in how much memory.

use std::time::Duration;

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
        Target::{AtLeast, AtMost},
    },
    contest::{self, Question},
    memory::{self, mib},
    wrk,
};

/// Readers at once.
const READERS: usize = 2;

/// Rows of an answer.
const ROWS: f64 = 100_000.0;

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    vec![case("stream-100000/postgres", Postgres), case("stream-100000/sqlite", Sqlite)]
}

fn case(name: &'static str, engine: Engine) -> Case {
    let aims = engine == Postgres;
    let figures = vec![
        Figure::main("rows/s", aims.then_some(AtLeast(0.80))),
        Figure::named("rss-growth", "MiB", aims.then_some(AtMost(16.0))),
    ];
    let note = "two readers at once; growth is from the host after many small answers to its most while it streams";
    Case::new(name, figures, move |bed| measure(bed, engine).boxed()).note(note)
}

async fn measure(bed: &Bed, engine: Engine) -> Result<Vec<Measured>> {
    let mut sides = Setup::of(engine).start(bed).await?;
    // All that a host makes once: connections, threads, instances, the buffers of its sockets.
    wrk::load(sides.wharf.address(), "/row/4711", 32, 1, Duration::from_secs(1)).await?;
    let pid = sides.wharf.pid()?;
    let before = memory::resident(pid)?;
    memory::forget_peak(pid)?;
    let contest = contest::hold(bed, Question::streaming("/stream", READERS), &mut sides.wharf, &mut sides.native).await?;
    let growth = mib(memory::peak(pid)?.saturating_sub(before));
    sides.stop().await?;
    let size = contest.answer_bytes;
    let rate = contest.pairs(|load| load.bytes_per_second / size * ROWS);
    Ok(vec![Measured::pairs(rate), Measured::alone(growth)])
}
