//! Where is measured.

use std::{fs, thread};

/// Processors, system and memory, such as `2 x AMD EPYC, Linux 6.18.0, 24 GiB`.
pub(crate) fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let model = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let release = read("/proc/sys/kernel/osrelease");
    let memory = field(&read("/proc/meminfo"), "MemTotal").and_then(|total| total.split(' ').next()?.parse::<u64>().ok());
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let memory = memory.map_or(0, |kib| (kib + 512 * 1024) / (1024 * 1024));
    format!("{processors} x {model}, Linux {}, {memory} GiB", release.trim())
}

fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim().to_owned()))
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
        let machine = describe();
        assert!(machine.contains(" x ") && machine.contains("Linux") && machine.contains("GiB"), "{machine}");
    }
}
