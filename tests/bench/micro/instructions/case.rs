//! What is counted: each case sets itself up, warms up, and repeats itself between two marks.

use std::{fmt, hint::black_box};

use anyhow::ensure;
use clap::ValueEnum;
use rigs::{calls::Calls, pools::Pool};

/// Repetitions that are counted.
pub(crate) const REPETITIONS: u64 = 500;

/// Repetitions before them, in which is made what is made once.
const WARM_UP: u64 = 100;

/// A piece of the hot path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// A whole call of a handler that says hello, but for HTTP
    Call,
    /// wasmtime's own share of a call: a Store and an instance, made and dropped
    Instantiate,
    /// A connection is borrowed, given back and taken back by its slot
    Acquire,
    /// A statement goes to the task of a connection that is leased, and its answer comes back
    HandOver,
    /// A connection is leased for one statement
    Statement,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No variant is skipped.
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

impl Case {
    /// Repeats itself on this thread alone.
    pub(crate) fn repeat(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        runtime.block_on(async {
            match self {
                Self::Call => {
                    let calls = Calls::new()?;
                    counted(|| calls.call()).await
                }
                Self::Instantiate => {
                    let calls = Calls::new()?;
                    counted(|| calls.instantiate()).await
                }
                Self::Acquire => {
                    let pool = Pool::open(1).await?;
                    counted(|| pool.acquire_and_release()).await?;
                    at_once(&pool)
                }
                Self::HandOver => {
                    let pool = Pool::open(1).await?;
                    let connection = pool.connect().await?;
                    counted(|| pool.hand_over(&connection)).await
                }
                Self::Statement => {
                    let pool = Pool::open(1).await?;
                    counted(|| pool.statement()).await?;
                    at_once(&pool)
                }
            }
        })
    }
}

/// Whoever waits takes another way than the one that is counted.
fn at_once(pool: &Pool) -> anyhow::Result<()> {
    ensure!(pool.waited() == 0, "the connection was not idle again in time {} times", pool.waited());
    Ok(())
}

async fn counted<F: Future<Output = anyhow::Result<()>>>(once: impl Fn() -> F) -> anyhow::Result<()> {
    for _ in 0..WARM_UP {
        once().await?;
    }
    counting_begins();
    for _ in 0..REPETITIONS {
        once().await?;
    }
    counting_ends();
    Ok(())
}

/// Callgrind begins to count when it sees this name.
#[inline(never)]
fn counting_begins() {
    black_box("begins");
}

/// Callgrind writes down what it has counted when it sees this name.
#[inline(never)]
fn counting_ends() {
    black_box("ends");
}
