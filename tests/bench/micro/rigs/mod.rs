//! What is measured, set up so that nothing else is: calls without HTTP, a pool without a database, columns without a query,
//! computations without a host.
//!
//! The benchmarks take its time, the program `instructions` counts what it executes; both run the same.

pub mod calls;
pub mod columns;
pub mod compute;
pub mod pools;
mod ready;

/// wasmtime's error, which is none of the standard library's.
fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:?}")
}
