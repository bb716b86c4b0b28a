//! `wharf audit verify`: finds what was done to an audit log.

use std::{
    env,
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::Context;

use super::{Failure, Verify, print};
use crate::telemetry::audit::{self, End, Key, Report, Verifier};

/// Where the key is, unless a file is named.
const KEY_VARIABLE: &str = "WHARF_AUDIT_KEY";
/// Bytes of a file with a key, at most.
const MAX_KEY_FILE: u64 = 64 << 10;

/// Reads the log, and tells on stdout what is wrong with it and what that does not show.
///
/// # Errors
/// [`Failure::Usage`] when there is no key or a file cannot be read, [`Failure::Running`] when something is wrong with the log.
pub(super) fn verify(arguments: &Verify) -> Result<(), Failure> {
    let key = key(arguments.key_file.as_deref()).map_err(Failure::Usage)?;
    let verifier = Verifier::new(key, arguments.heads.clone());
    let verifier = if arguments.whole { verifier.whole() } else { verifier };
    let report = audit::verify_with(&arguments.files, verifier).map_err(|error| Failure::Usage(error.into()))?;
    let text =
        if arguments.json { serde_json::to_string(&report).context("cannot be said as JSON")? + "\n" } else { told(&report) };
    print(&text)?;
    if report.is_intact() {
        return Ok(());
    }
    let count = report.findings.len() as u64 + report.further_findings;
    Err(anyhow::anyhow!("the audit log is not intact: {count} finding{}", if count == 1 { "" } else { "s" }).into())
}

fn key(file: Option<&Path>) -> anyhow::Result<Key> {
    let text = match file {
        Some(path) => read_key(path).with_context(|| format!("cannot read {}", path.display()))?,
        None => env::var(KEY_VARIABLE).with_context(|| format!("no key: give --key-file, or set {KEY_VARIABLE}"))?,
    };
    Ok(Key::new(&text)?)
}

fn read_key(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_KEY_FILE).read_to_string(&mut text)?;
    Ok(text)
}

/// For eyes: findings, then what one should know of a log that has none.
fn told(report: &Report) -> String {
    let mut text = String::new();
    let mut say = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    for finding in &report.findings {
        say(finding.to_string());
    }
    if report.further_findings > 0 {
        say(format!("and {} more", report.further_findings));
    }
    let first = report.first.unwrap_or_default();
    if report.is_intact() {
        say(format!("intact: {} lines, seq {first}\u{2013}{}", report.lines, report.last.seq));
    }
    say(format!("head: {}", report.last));
    if first > 1 {
        say(format!("note: begins with seq {first}; what was before is in files that were not given"));
    }
    match &report.end {
        End::Open => say("note: does not end with a stop: the host runs, or was killed".to_owned()),
        End::Closed => {}
        End::Rotated(_) => say("note: a file follows this one, which was not given".to_owned()),
    }
    match report.vouched {
        Some(seq) if seq == report.last.seq => {}
        Some(seq) => say(format!("note: no head was given that vouches for lines after seq {seq}")),
        None => say("note: nothing vouches for the end: lines cut off there are seen with --head only".to_owned()),
    }
    for seq in &report.not_covered {
        say(format!("note: head {seq} is of a line before those that were given"));
    }
    if report.unclean_starts > 0 {
        say(format!(
            "note: {} starts of a host that had not been stopped, {} with half a line",
            report.unclean_starts, report.healed
        ));
    }
    if report.unknown > 0 {
        let lines: Vec<String> = report.unknown_lines.iter().map(u64::to_string).collect();
        let more = if report.unknown > lines.len() as u64 { ", \u{2026}" } else { "" };
        say(format!("note: {} operations without an outcome, begun at seq {}{more}", report.unknown, lines.join(", ")));
    }
    text
}
