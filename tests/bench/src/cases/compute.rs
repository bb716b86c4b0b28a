//! What computes: what compiled code, fuel and epochs cost beside machine code of the same source.

#[path = "../../../guests/src/compute.rs"]
#[expect(unreachable_pub, reason = "public where it is a library")]
mod work;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use rigs::compute::{Compute, Fuel};
use support::guests::component;

use crate::{
    bed::{Bed, Effort},
    case::{Case, Figure, Measured, Pair},
    contest::{self, Question},
    line::milliseconds,
    servers::{
        native,
        wharf::{self, Logging},
    },
    statistics::median,
};

/// Computations a turn of each, of which the median counts.
const TURN: usize = 15;

const FUEL: &str = "one computation on an engine with fuel; the reference is the same engine without, which the host has no switch for; both in the \
                    process of the benchmarks, by turns";

/// What is computed.
#[derive(Clone, Copy, Debug)]
struct Work {
    path: &'static str,
    /// A function of `bench_work`.
    function: &'static str,
    native: fn() -> String,
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("compute-hash", Work { path: "/hash", function: "hash", native: work::hash })
            .note("SHA-256 of 1 MiB; natively, the processor's own instructions"),
        case("compute-sort", Work { path: "/sort", function: "sort", native: work::sort }),
    ]
}

fn case(name: &'static str, work: Work) -> Case {
    let figures = vec![Figure::main("requests/s", None), Figure::named("fuel", "ms", None)];
    let takes = |effort: Effort| contest::takes(effort) + effort.pairs as f64 * 0.6 + 1.0;
    Case::new(name, figures, move |bed| measure(bed, work).boxed()).takes(takes)
}

async fn measure(bed: &Bed, work: Work) -> Result<Vec<Measured>> {
    let plugin = wharf::plugin("compute", "bench_compute", "");
    let mut wharf = wharf::start("", &plugin, Logging::Default).await?;
    let mut reference = native::start(&["compute"]).await?;
    let contest = contest::hold(bed, Question::new(work.path, 4), &mut wharf, &mut reference).await?;
    wharf.stop().await?;
    Ok(vec![contest.requests().note("with fuel on"), fuel(bed, work).await?])
}

/// The same work with fuel, without, and natively.
async fn fuel(bed: &Bed, work: Work) -> Result<Measured> {
    let bytes = std::fs::read(component("bench_work"))?;
    let mut on = Compute::new(&bytes, work.function, Fuel::On).await?;
    let mut off = Compute::new(&bytes, work.function, Fuel::Off).await?;
    let expected = (work.native)();
    let (mut pairs, mut natively) = (Vec::new(), Vec::new());
    // The first turn only warms up.
    for turn in 0..=bed.effort.pairs {
        let mut took: [Vec<f64>; 3] = Default::default();
        // One after the other, so that whatever else runs there meets all.
        for _ in 0..TURN {
            took[0].push(timed(on.compute(), &expected).await?);
            took[1].push(timed(off.compute(), &expected).await?);
            took[2].push(timed(async { Ok((work.native)()) }, &expected).await?);
        }
        let [on, off, native] = took.map(|took| median(&took).unwrap_or(f64::NAN));
        if turn > 0 {
            pairs.push(Pair { wharf: on, reference: off });
            natively.push(native);
        }
    }
    let natively = median(&natively).context("there are turns")?;
    Ok(Measured::pairs(pairs).note(format!("{FUEL}; natively {natively:.2} ms")))
}

/// Milliseconds.
async fn timed(compute: impl Future<Output = Result<String>>, expected: &str) -> Result<f64> {
    let started = Instant::now();
    let found = compute.await?;
    let took = milliseconds(started.elapsed());
    ensure!(found == expected, "{found} was computed instead of {expected}");
    Ok(took)
}
