//! The `wharf` command.

use std::process::ExitCode;

use clap::Parser;
use wharf::cli::{Arguments, run};

fn main() -> ExitCode {
    run(&Arguments::parse())
}
