//! The audit log of what calls do to databases: each operation has a line before it and one after it, whatever comes of it, and what a call
//! leaves open has a line that says how it ended.

mod hosts;
mod leases;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;
use wharf::telemetry::audit::{Key, verify};

/// The key of all logs here, which is no secret.
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The lines of the log `audit.log` of a folder, whose host has stopped. All that is promised of any log holds: nothing was done to it, and
/// each line before an operation is followed by one after it.
pub(crate) fn lines(folder: &Path) -> Result<Vec<Json>, String> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("audit.log")));
    files.retain(|path| path.extension().is_some_and(|extension| extension != "lock"));
    let report = verify(&files, Key::new(KEY).unwrap(), Vec::new()).map_err(|error| error.to_string())?;
    if !report.is_intact() || report.unknown > 0 {
        return Err(format!("{report:?}"));
    }
    // The one that has no number is the last.
    files.sort();
    files.rotate_left(1);
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let lines: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    match lines.last() {
        Some(last) if last["kind"] == "close" => Ok(lines),
        last => Err(format!("the last line is {last:?}")),
    }
}

/// Whether every transaction that began was ended by its call, or by the host.
pub(crate) fn all_end(lines: &[Json]) -> Result<(), String> {
    let mut intents: HashMap<Option<u64>, &Json> = HashMap::new();
    let mut open: HashMap<Option<&str>, i64> = HashMap::new();
    for line in lines {
        let (of, change) = match line["kind"].as_str() {
            Some("intent") => {
                intents.insert(line["op"].as_u64(), line);
                continue;
            }
            Some("outcome") => {
                let intent = *intents.get(&line["op"].as_u64()).ok_or_else(|| format!("nothing begins before {line}"))?;
                match intent["verb"].as_str() {
                    Some("begin") if line["outcome"] == "done" => (intent, 1),
                    Some("commit" | "rollback") => (intent, -1),
                    _ => continue,
                }
            }
            Some("reclaim") => (line, -1),
            _ => continue,
        };
        *open.entry(of["request"].as_str()).or_default() += change;
    }
    let open: Vec<_> = open.into_iter().filter(|(_, open)| *open > 0).collect();
    if open.is_empty() { Ok(()) } else { Err(format!("transactions without an end: {open:?}")) }
}

/// What a log says that was done, in its order: `query begins`, `query done 1`, `refused query limit-exceeded`, `reclaim lost killed`.
fn story(lines: &[Json]) -> Vec<String> {
    let word = |line: &Json, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let mut verbs: HashMap<Option<u64>, String> = HashMap::new();
    let mut story = Vec::new();
    for line in lines {
        story.push(match line["kind"].as_str() {
            Some("intent") => {
                verbs.insert(line["op"].as_u64(), word(line, "verb"));
                format!("{} begins", word(line, "verb"))
            }
            Some("outcome") => {
                let rows = line["rows"].as_u64().map_or_else(String::new, |rows| format!(" {rows}"));
                format!("{} {}{rows}", verbs[&line["op"].as_u64()], word(line, "outcome"))
            }
            Some("refused") => format!("refused {} {}", word(line, "verb"), word(line, "outcome")),
            Some("reclaim") => format!("reclaim {} {}", word(line, "reason"), word(line, "step")),
            _ => continue,
        });
    }
    story
}

/// An operation of which nothing else comes in between.
fn pair(verb: &str, outcome: &str) -> [String; 2] {
    [format!("{verb} begins"), format!("{verb} {outcome}")]
}
