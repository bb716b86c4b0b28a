//! Where is measured, and what.

use std::{collections::BTreeMap, fmt, fs, path::Path, process::Command, thread};

use serde::Serialize;
use support::guests::target_folder;

use crate::servers::{wasmtime, wharf};

/// The machine, and the programs that are measured on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Machine {
    processors: usize,
    model: String,
    kernel: String,
    memory_gib: u64,
    /// What ran there over the last 1, 5 and 15 minutes when the case began, as `/proc/loadavg` has it.
    load_average: String,
    /// How much of the time in which its processors had something to do was given to others on the same hardware, while the case was measured.
    pub(crate) stolen_percent: Option<f64>,
    /// The host's binary, which need not be of this commit when `WHARF_BIN` names it.
    wharf_binary: String,
    /// Of the source; `-dirty` when it was changed since.
    commit: String,
    /// What programs say of themselves, by their names.
    pub(crate) versions: BTreeMap<&'static str, String>,
}

impl Machine {
    /// This one.
    pub(crate) fn describe() -> Self {
        let model = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        let memory = field(&read("/proc/meminfo"), "MemTotal").and_then(|total| total.split(' ').next()?.parse::<u64>().ok());
        let wharf = wharf::binary();
        let programs = [
            ("wharf", said(&wharf, &["--version"])),
            ("wasmtime", said(&wasmtime::binary(), &["--version"])),
            ("rustc", said("rustc".as_ref(), &["--version"])),
        ];
        Self {
            processors: thread::available_parallelism().map_or(1, usize::from),
            model,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_gib: memory.map_or(0, |kib| (kib + 512 * 1024) / (1024 * 1024)),
            load_average: load_average(),
            stolen_percent: None,
            wharf_binary: wharf.display().to_string(),
            commit: said("git".as_ref(), &["describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]).unwrap_or_default(),
            versions: programs.into_iter().filter_map(|(name, said)| Some((name, said?))).collect(),
        }
    }

    /// The same machine, with as much as runs there now.
    pub(crate) fn now(&self) -> Self {
        Self { load_average: load_average(), ..self.clone() }
    }
}

/// Such as `2 x AMD EPYC, Linux 6.18.0, 24 GiB, at commit 0123456789ab`.
impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processors, model, kernel, memory_gib, commit, .. } = self;
        write!(formatter, "{processors} x {model}, Linux {kernel}, {memory_gib} GiB, at commit {commit}")?;
        // Whoever has named another one is told so.
        let built = target_folder().join("dist/wharf");
        if Path::new(&self.wharf_binary) == built { Ok(()) } else { write!(formatter, ", with {}", self.wharf_binary) }
    }
}

fn load_average() -> String {
    read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim().to_owned()))
}

/// What a program says in one line, asked in the folder of this source; `None` when it cannot be run.
fn said(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_their_names() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\nMemTotal:       24000000 kB\n";
        assert_eq!(field(text, "model name").as_deref(), Some("AMD EPYC"));
        assert_eq!(field(text, "MemTotal").as_deref(), Some("24000000 kB"));
        assert_eq!(field(text, "model"), None);
    }

    #[test]
    fn this_machine_has_a_description() {
        let machine = Machine::describe();
        let text = machine.to_string();
        assert!(text.contains(" x ") && text.contains("Linux") && text.contains("GiB"), "{text}");
        assert_eq!(machine.load_average.split(' ').count(), 3, "{machine:?}");
        assert!(machine.versions["rustc"].starts_with("rustc "), "{machine:?}");
    }
}
