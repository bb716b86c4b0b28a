//! Runs a case under callgrind.
//!
//! Callgrind counts from one mark to another, so that neither starting nor compiling is counted. Not by switching collection on and off
//! in a function: that follows the stack, and guests run on stacks of their own.

use std::{env, ffi::OsString, fs, process::Command};

use anyhow::{Context, ensure};

use crate::case::{Case, REPETITIONS};

/// Instructions of one repetition, of all threads in user space.
pub(crate) fn count(case: Case) -> anyhow::Result<u64> {
    let folder = tempfile::tempdir()?;
    let profile = folder.path().join("profile");
    let mut into = OsString::from("--callgrind-out-file=");
    into.push(&profile);
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--zero-before=*counting_begins*", "--dump-before=*counting_ends*"])
        .arg(into)
        .arg(env::current_exe()?)
        .args(["repeat", &case.to_string()])
        .output()
        .context("valgrind cannot be run; tests/bench/instructions installs it")?;
    ensure!(run.status.success(), "{case} failed:\n{}", String::from_utf8_lossy(&run.stderr));
    // The first part; what follows is the end of the process.
    let part = profile.with_extension("1");
    let text = fs::read_to_string(&part).context("callgrind has not seen the marks")?;
    let total = total(&text).context("callgrind has not said a total")?;
    Ok(total / REPETITIONS)
}

/// The sum that a profile has in its last lines.
fn total(profile: &str) -> Option<u64> {
    profile.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found() {
        assert_eq!(total("events: Ir\nsummary: 7\n\nfn=(1) main\n3 5\n\ntotals: 2332249\n"), Some(2_332_249));
        assert_eq!(total("events: Ir\nsummary: 7\n"), None);
    }
}
