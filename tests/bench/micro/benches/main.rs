//! Micro-benchmarks of the hot path: `cargo bench -p micro --features criterion`, or with a part of a name behind it.

mod calls;
mod columns;
mod config;
mod pools;

use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use tokio::runtime::{Builder, Runtime};

fn main() {
    // There are many, and each is short.
    let mut criterion =
        Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3)).configure_from_args();
    calls::benchmark(&mut criterion);
    pools::benchmark(&mut criterion);
    columns::benchmark(&mut criterion);
    config::benchmark(&mut criterion);
    criterion.final_summary();
}

/// A runtime of one thread, on which nothing waits for another one to wake up.
fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// Measures something that is done over and over by one task.
fn repeat<F>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, runtime: &Runtime, once: impl Fn() -> F)
where
    F: Future<Output = anyhow::Result<()>>,
{
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let started = Instant::now();
                for _ in 0..times {
                    once().await.expect("what is expected");
                }
                started.elapsed()
            })
        });
    });
}
