//! Borrowing a connection that is idle, and giving it back: what the pool itself costs, without a database.

use std::time::Instant;

use anyhow::{Result, ensure};
use futures::FutureExt;
use rigs::pools::Pool;
use tokio::{runtime::Builder, task::spawn_blocking};

use crate::{
    bed::Bed,
    case::{Case, Figure, Measured, Target},
    statistics::{least, median, most},
};

/// Loans a round; those of the first round do not count.
const LOANS: usize = 20_000;

const NOTED: &str = "a connection is borrowed, given back and taken back by its slot, all on one thread, in the process of the benchmarks, whose \
                     profile is release; median";

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let figures = vec![Figure::main("µs", Some(Target::AtMost(2.0)))];
    vec![Case::new("acquire-release", figures, |bed| measure(bed).boxed()).takes(|_| 2.0)]
}

async fn measure(bed: &Bed) -> Result<Vec<Measured>> {
    let rounds = bed.effort.of(25, 5);
    let took = spawn_blocking(move || lend(rounds)).await??;
    let [least, median, most] = [least, median, most].map(|of| of(&took).unwrap_or(f64::NAN));
    Ok(vec![Measured::alone(median).note(format!("{NOTED}; {least:.2} to {most:.2} µs in {rounds} rounds of {LOANS} loans"))])
}

/// Microseconds a loan, by round.
fn lend(rounds: usize) -> Result<Vec<f64>> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        let pool = Pool::open(1).await?;
        let mut took = Vec::new();
        for round in 0..=rounds {
            let started = Instant::now();
            for _ in 0..LOANS {
                pool.acquire_and_release().await?;
            }
            if round > 0 {
                took.push(started.elapsed().as_secs_f64() * 1e6 / LOANS as f64);
            }
        }
        ensure!(pool.waited() == 0, "the connection was not idle again in time {} times", pool.waited());
        Ok(took)
    })
}
