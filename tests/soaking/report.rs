//! What a run came to, for people.

use std::{fmt::Write, time::Duration};

use crate::{
    bed::POOL,
    judge::{COMPARED, GROWTH, LEAST_CALLS, MOST_SESSIONS, Mark, Measured, ends, growth},
    kinds::{Engine, Kind, Nature},
    load::Tally,
    memory::Memory,
};

/// Lines of a list that are shown.
const SHOWN: usize = 20;

/// How a run was made.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) seed: u64,
    pub(crate) at_once: u64,
    pub(crate) kinds: &'a [&'static Kind],
    pub(crate) tally: &'a Tally,
    pub(crate) took: Duration,
    pub(crate) at_start: Memory,
    pub(crate) at_end: Memory,
}

/// The whole report.
pub(crate) fn text(run: &Run<'_>, measured: &Measured) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, run, measured);
    text
}

fn write(text: &mut String, run: &Run<'_>, measured: &Measured) -> std::fmt::Result {
    kinds(text, run)?;
    let Measured { calls, refused, unexpected, seen, .. } = measured;
    let seconds = run.took.as_secs_f64();
    writeln!(text)?;
    writeln!(
        text,
        "calls      {calls} in {seconds:.0} s, {:.0} a second, {} at once, seed {}",
        per(*calls, seconds),
        run.at_once,
        run.seed
    )?;
    let hostile = run.kinds.iter().zip(&run.tally.counts).filter(|(kind, _)| kind.nature == Nature::Hostile);
    let hostile: u64 = hostile.map(|(_, count)| count.calls()).sum();
    writeln!(text, "           {} good, {hostile} hostile ({:.1} %)", calls - hostile, percent(hostile, *calls))?;
    let limits: Vec<String> = run.tally.refusals.iter().map(|(limit, count)| format!("{limit} {count}")).collect();
    let limits = if limits.is_empty() { String::new() } else { format!(" ({})", limits.join(", ")) };
    writeln!(
        text,
        "answers    {} as expected, {refused} refused{limits}, {unexpected} unexpected",
        calls - refused - unexpected
    )?;
    list(text, "           ", &run.tally.unexpected)?;
    writeln!(text, "leaks      {}", measured.leaks())?;
    list(text, "           not at rest: ", &measured.restless)?;
    list(text, "           still listed: ", &measured.listed)?;
    writeln!(
        text,
        "sessions   at most {} of {MOST_SESSIONS} on PostgreSQL, {} of {MOST_SESSIONS} on MariaDB ({POOL} and a control connection each)",
        seen.postgres, seen.mariadb
    )?;
    writeln!(
        text,
        "           {} of them busy at most, {} open files of SQLite at most, looked {} times",
        seen.busy, seen.files, seen.looks
    )?;
    let written: Vec<String> =
        Engine::ALL.iter().map(|engine| format!("{} {}", engine.title(), measured.written[*engine as usize])).collect();
    writeln!(text, "writes     {}", written.join(", "))?;
    memory(text, run, &measured.marks)?;
    let left: Vec<String> = measured.left.iter().map(u64::to_string).collect();
    let exit = measured.exit.map_or("none".to_owned(), |code| code.to_string());
    writeln!(text, "host       exit code {exit}, connections left as it says: {}", left.join(", "))?;
    list(text, "           ", &measured.errors)?;
    let faults = measured.faults();
    writeln!(text, "\n{}", if faults.is_empty() { "passed" } else { "FAILED" })?;
    list(text, "  ", &faults)
}

fn kinds(text: &mut String, run: &Run<'_>) -> std::fmt::Result {
    let calls = run.tally.total().calls();
    let widest = run.kinds.iter().map(|kind| kind.name.len()).max().unwrap_or_default();
    writeln!(text, "{:widest$}           share    calls  refused  unexpected", "kind")?;
    for (kind, count) in run.kinds.iter().zip(&run.tally.counts) {
        let nature = match kind.nature {
            Nature::Good => "good",
            Nature::Hostile => "hostile",
        };
        let share = percent(count.calls(), calls);
        writeln!(
            text,
            "{:widest$}  {nature:7}  {share:5.1} %  {:7}  {:7}  {:10}",
            kind.name,
            count.calls(),
            count.refused,
            count.unexpected
        )?;
    }
    Ok(())
}

fn memory(text: &mut String, run: &Run<'_>, marks: &[Mark]) -> std::fmt::Result {
    write!(text, "RSS        {:.1} MiB at start", mib(run.at_start.resident_kib))?;
    if let Some((before, after)) = ends(marks) {
        let judged = if run.tally.total().calls() >= LEAST_CALLS {
            format!("{:.0} % allowed", GROWTH * 100.0)
        } else {
            format!("not judged below {LEAST_CALLS} calls")
        };
        write!(
            text,
            ", {:.1} MiB after warm-up, {:.1} MiB at the end: {:+.1} % ({judged}; medians of {COMPARED} readings at rest)",
            mib(before),
            mib(after),
            growth((before, after)) * 100.0
        )?;
    }
    writeln!(text, "; at most {:.1} MiB", mib(run.at_end.peak_kib))?;
    let readings: Vec<String> = marks.iter().map(|mark| format!("{} {:.1}", mark.calls, mib(mark.memory.resident_kib))).collect();
    writeln!(text, "           at rest, after so many calls: {}", readings.join(", "))?;
    writeln!(
        text,
        "           threads {} at start, {} at the end; open files and sockets {}, {}",
        run.at_start.threads, run.at_end.threads, run.at_start.descriptors, run.at_end.descriptors
    )
}

fn list(text: &mut String, before: &str, lines: &[String]) -> std::fmt::Result {
    for line in lines.iter().take(SHOWN) {
        writeln!(text, "{before}{line}")?;
    }
    if lines.len() > SHOWN {
        writeln!(text, "{before}and {} more", lines.len() - SHOWN)?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "calls are far below 2^52")]
fn per(calls: u64, seconds: f64) -> f64 {
    calls as f64 / seconds.max(0.001)
}

#[expect(clippy::cast_precision_loss, reason = "calls are far below 2^52")]
fn percent(part: u64, of: u64) -> f64 {
    part as f64 * 100.0 / of.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "KiB of a process are far below 2^52")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
