//! `tests/soak`: calls good and hostile handlers for a long time, and looks for what the host does not give back.

mod arguments;
mod bed;
mod call;
mod check;
mod ground;
mod judge;
mod kinds;
mod load;
mod memory;
mod progress;
mod report;
mod watch;

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
use support::host::{Host, Signal};

use self::{
    arguments::Arguments,
    bed::Databases,
    judge::{Mark, Measured},
    kinds::Engine,
    load::{Load, Tally},
    memory::Memory,
    progress::{Progress, say},
    report::Run,
    watch::Watch,
};

/// How long the host may take to stop when no call runs.
const STOP: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let kinds = kinds::chosen(arguments.mix, arguments.only.as_deref());
    if kinds.is_empty() {
        say("no kind of call is left to make");
        return Ok(ExitCode::from(2));
    }
    let seed = arguments.seed.unwrap_or_else(new_seed);
    say(&format!("{} calls, {} at once, seed {seed}; starting the servers and the host ...", arguments.calls, arguments.at_once));

    let databases = Arc::new(Databases::create().await?);
    let host = bed::start(&databases, arguments.at_once * 3 / 4).await;
    let planted = if arguments.plant_leak { Some(databases.plant().await?) } else { None };
    let warm_up = judge::schedule(arguments.calls)[0];
    let load = Arc::new(Load::new(host.address(), kinds, seed, arguments.at_once).with_bursts(warm_up));

    let at_start = Memory::of(host.pid())?;
    let started = Instant::now();
    let mut measured = Measured { wanted: arguments.calls, ..Measured::default() };
    let (tally, at_end) = soak(&load, &host, &databases, &mut measured).await?;
    let took = started.elapsed();
    stop(host, &databases, &mut measured).await?;
    if let Some(planted) = planted {
        planted.pull().await?;
    }

    let run = Run { seed, at_once: arguments.at_once, kinds: &load.kinds, tally: &tally, took, at_start, at_end };
    print!("{}", report::text(&run, &measured));
    Ok(if measured.faults().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes the calls, with a rest at each mark, and then looks whether everything is there again.
async fn soak(
    load: &Arc<Load>,
    host: &Host,
    databases: &Arc<Databases>,
    measured: &mut Measured,
) -> anyhow::Result<(Tally, Memory)> {
    let pid = host.pid();
    let watch = Watch::start(Arc::clone(databases), pid);
    let progress = Progress::start(Arc::clone(load), measured.wanted, pid);
    let mut tally = Tally::default();
    for calls in judge::schedule(measured.wanted) {
        tally.add(load.run(calls).await);
        measured.restless = databases.rest().await?;
        watch.assert_looking();
        let memory = Memory::of(pid).context("the host has ended")?;
        measured.marks.push(Mark { calls: load.done(), memory });
        // What does not come back now never will, and what is wrong is clear.
        if !measured.restless.is_empty() || load.is_hopeless() {
            break;
        }
    }
    if measured.restless.is_empty() {
        let client = host.client();
        for engine in Engine::ALL {
            measured.restless.extend(ground::all_capacity_is_free(&client, engine).await);
        }
    }
    drop(progress);
    let total = tally.total();
    (measured.calls, measured.refused, measured.unexpected) = (total.calls(), total.refused, total.unexpected);
    measured.answered = tally.hits;
    measured.seen = watch.seen();
    Ok((tally, Memory::of(pid)?))
}

/// Stops the host and asks the servers what is left.
async fn stop(host: Host, databases: &Databases, measured: &mut Measured) -> anyhow::Result<()> {
    host.signal(Signal::Interrupt);
    let ended = host.ended(STOP).await;
    measured.listed = databases.listed().await;
    measured.exit = ended.code;
    measured.left = ended.stderr.lines().filter_map(connections_left).collect();
    measured.errors = ended.stderr.lines().filter(|line| is_error(line)).map(str::to_owned).collect();
    measured.written = databases.hits().await?;
    measured.changed = databases.changed_notes().await?;
    Ok(())
}

/// How many connections are left, out of a line such as `database main: 0 connections left, says PostgreSQL`.
fn connections_left(line: &str) -> Option<u64> {
    let (before, _) = line.strip_prefix("database ")?.split_once(" connections left")?;
    before.rsplit(' ').next()?.parse().ok()
}

/// Whether a line of the log, which is JSON where there is no terminal, tells an error.
fn is_error(line: &str) -> bool {
    line.starts_with('{') && line.contains("\"level\":\"ERROR\"") || line.contains("panicked at")
}

/// Different each time.
fn new_seed() -> u64 {
    u64::from_str_radix(&support::random::token(), 16).unwrap_or_default() % 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_the_host_are_understood() {
        assert_eq!(connections_left("database main: 0 connections left, says PostgreSQL"), Some(0));
        assert_eq!(connections_left("database a: 12 connections left; it could not be asked: lost"), Some(12));
        assert_eq!(connections_left("calls: 0 finished, 0 cut off"), None);
    }

    #[test]
    fn errors_of_the_log_are_told_from_the_rest() {
        assert!(is_error(r#"{"timestamp":"2026-01-01T00:00:00Z","level":"ERROR","message":"unconfirmed"}"#));
        assert!(is_error("thread 'main' panicked at src/main.rs:1:1:"));
        assert!(!is_error(r#"{"timestamp":"2026-01-01T00:00:00Z","level":"WARN","message":"trapped"}"#));
        assert!(!is_error("interrupted: finishing what runs"));
    }
}
