//! Counts the instructions of Wharf's hot path under callgrind, and compares them with the reference in the repository. Instructions are
//! stable where seconds are not.
//!
//! In the order data flows: `case` is what is counted, in a process of its own that `callgrind` runs; `counts` are the figures of one
//! machine's tools, as the reference has them; `comparison` says what has changed.

mod callgrind;
mod case;
mod comparison;
mod counts;

use std::{path::Path, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};

use crate::{case::Case, comparison::Comparison, counts::Counts};

/// The reference, which is part of the repository.
const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.toml");

/// Counts the instructions of the hot path and compares them with the reference.
#[derive(Debug, Parser)]
#[command(name = "tests/bench/instructions", args_conflicts_with_subcommands = true)]
struct Arguments {
    /// What to count; everything unless something is named.
    cases: Vec<Case>,
    /// Makes what is counted now the reference.
    #[arg(long)]
    renew: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What is counted, to be run by callgrind.
    #[command(hide = true)]
    Repeat {
        /// What.
        case: Case,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let Arguments { mut cases, renew, command } = Arguments::parse();
    if let Some(Command::Repeat { case }) = command {
        case.repeat()?;
        return Ok(ExitCode::SUCCESS);
    }
    if cases.is_empty() {
        cases = Case::value_variants().to_vec();
    }
    let reference = Counts::read(Path::new(REFERENCE))?;
    let mut now = Counts::none()?;
    for case in cases {
        eprintln!("counting {case}");
        now.instructions.insert(case.to_string(), callgrind::count(case)?);
    }
    if renew {
        // What was not counted stays.
        let kept = reference.instructions.into_iter().filter(|(name, _)| !now.instructions.contains_key(name));
        now.instructions.extend(kept.collect::<Vec<_>>());
        now.write(Path::new(REFERENCE))?;
        println!("{REFERENCE} has been renewed");
        return Ok(ExitCode::SUCCESS);
    }
    let comparison = Comparison::new(&reference, &now);
    print!("{comparison}");
    Ok(if comparison.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
