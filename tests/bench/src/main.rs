//! `tests/bench/run`: measures Wharf beside a native server and `wasmtime serve`, and says how they compare.

mod arguments;
mod bed;
mod case;
mod cases;
mod collections;
mod contest;
mod copies;
mod crowd;
mod line;
mod machine;
mod memory;
mod processor;
mod progress;
mod report;
mod results;
mod row;
mod schema;
mod servers;
mod setup;
mod sink;
mod statistics;
mod wrk;

use std::{
    panic::AssertUnwindSafe,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use clap::Parser;
use futures::FutureExt;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    arguments::Arguments,
    bed::{Bed, Effort},
    case::{Case, Measured},
    machine::Machine,
    processor::Ticks,
    progress::{Progress, say},
    results::Results,
    row::Row,
};

/// How often a delicate case is measured at the most.
const TIMES: usize = 3;

/// What a shell tells of a program that was ended by a signal.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let chosen = arguments.choose(cases::all()).unwrap_or_else(|error| error.exit());
    if arguments.list {
        list(&chosen);
        return Ok(ExitCode::SUCCESS);
    }
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // Dropped, whatever is under way ends its servers and removes its folders.
    let rows = tokio::select! {
        rows = run(&chosen, &arguments) => rows?,
        _ = interrupt.recv() => return Ok(stopped("interrupted", INTERRUPTED)),
        _ = terminate.recv() => return Ok(stopped("terminated", TERMINATED)),
    };
    print!("{}", if arguments.markdown { report::markdown(&rows) } else { report::text(&rows) });
    Ok(if rows.iter().any(|row| row.failed.is_some()) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn stopped(how: &str, code: u8) -> ExitCode {
    say(how);
    ExitCode::from(code)
}

/// Says what there is.
fn list(cases: &[Case]) {
    for case in cases {
        for figure in &case.figures {
            let target = figure.target.map_or_else(String::new, |target| format!("target {target}"));
            println!("{:<44}{:<14}{target}", case.row(figure), figure.unit);
        }
    }
}

/// Measures one case after the other, and those again at the end that are delicate and were disturbed. One that fails does not keep the
/// others from being measured.
async fn run(cases: &[Case], arguments: &Arguments) -> Result<Vec<Row>> {
    ensure!(wrk::is_installed().await, "wrk is missing; tests/bench/run installs it (Debian: apt-get install wrk)");
    let effort = if arguments.quick { Effort::quick() } else { Effort::full(arguments.pairs) };
    let results = Results::open(arguments.quick, arguments.cases.is_empty())?;
    let planned = cases.iter().map(|case| Duration::from_secs_f64((case.takes)(case.effort(effort)))).collect();
    let (mut bed, machine) = (Bed::new(effort, Progress::new(planned)), Machine::describe());
    say(&format!("on {machine}"));
    let mut measured = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        bed.progress.begin(number);
        bed.effort = case.effort(effort);
        say(&format!("{}: {}, {}", case.name, bed.progress.place(), bed.progress.left(0.0)));
        measured.push(rows(case, &bed, &machine).await);
        results.write(&measured.concat())?;
    }
    for time in 2..=TIMES {
        for (case, before) in cases.iter().zip(&mut measured) {
            let Some(stolen) = before.iter().find_map(|row| row.disturbed(case)) else { continue };
            say(&format!("{}: again, since others on the same hardware were given {stolen:.1} % of the processors", case.name));
            bed.effort = case.effort(effort);
            let again = rows(case, &bed, &machine).await;
            let failed = again.iter().any(|row| row.failed.is_some());
            // Which one counts is decided by what was stolen, and not by what came of it.
            if failed || again.iter().any(|row| row.machine.stolen_percent < Some(stolen)) {
                *before = again;
            }
            before.iter_mut().for_each(|row| row.times = time);
        }
        results.write(&measured.concat())?;
    }
    Ok(measured.concat())
}

/// Measures a case and tells what came of it.
async fn rows(case: &Case, bed: &Bed, machine: &Machine) -> Vec<Row> {
    let (started, before, mut machine) = (Instant::now(), Ticks::now(), machine.now());
    let measured = measure(case, bed).await;
    machine.stolen_percent = Ticks::now().zip(before).and_then(|(now, before)| now.stolen_percent(before));
    machine.versions.extend(bed.postgres_version().await.map(|version| ("postgres", version)));
    let comparable = !bed.effort.quick;
    let rows = match measured {
        Ok(measured) => {
            let figures = case.figures.iter().zip(&measured);
            figures.map(|(figure, measured)| Row::new(case, figure, measured, &machine, comparable)).collect()
        }
        Err(error) => {
            let why = format!("{error:#}");
            say(&format!("  FAILED: {why}"));
            case.figures.iter().map(|figure| Row::failed(case, figure, &why, &machine, comparable)).collect()
        }
    };
    say(&format!("  {:.1} s", started.elapsed().as_secs_f64()));
    rows
}

/// Measures a case. A panic, with which servers of the tests tell what is wrong, fails it.
async fn measure(case: &Case, bed: &Bed) -> Result<Vec<Measured>> {
    let measured = AssertUnwindSafe((case.measure)(bed)).catch_unwind().await;
    let measured = measured.map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        anyhow!("{}", said.unwrap_or("a panic"))
    })??;
    ensure!(measured.len() == case.figures.len(), "{} values were measured for {} figures", measured.len(), case.figures.len());
    Ok(measured)
}
