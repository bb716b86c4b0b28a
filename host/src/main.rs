//! The `wharf` command.

use std::process::ExitCode;

use clap::Parser;
use wharf::cli::{Arguments, run};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    run(&Arguments::parse())
}
