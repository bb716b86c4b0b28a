//! What the system knows of this process, under the names that every program's metrics have.

use std::{fs, time::Duration};

use super::metrics::Text;

/// Ticks a second in `/proc`, whatever the kernel's own clock is.
const TICKS: u64 = 100;

/// What `/proc` says; what it does not say is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Processor time of all its threads.
    pub cpu: Option<Duration>,
    /// Memory that it has, in bytes.
    pub resident_bytes: Option<u64>,
    /// Addresses that it has taken, in bytes; most of them are reserved for instances, and cost nothing.
    pub virtual_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Files, sockets included, that it has open.
    pub open_files: Option<u64>,
    /// How many it may have open.
    pub max_files: Option<u64>,
    /// When it began, since the year 1970.
    pub started: Option<Duration>,
}

impl Process {
    /// As it is now. Reads some small files that are none.
    #[must_use]
    pub fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (stat, status, limits) = (read("/proc/self/stat"), read("/proc/self/status"), read("/proc/self/limits"));
        let open_files = fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64);
        Self { open_files, ..Self::of(&stat, &status, &limits, &read("/proc/stat")) }
    }

    fn of(stat: &str, status: &str, limits: &str, system: &str) -> Self {
        // Behind the program's name, which may have anything in it: fields from the third on.
        let (_, stat) = stat.rsplit_once(')').unwrap_or_default();
        let field = |number: usize| number_in(stat.split_whitespace().nth(number - 3));
        let line = |text: &str, start: &str, word: usize| {
            let line = text.lines().find_map(|line| line.strip_prefix(start));
            number_in(line.and_then(|line| line.split_whitespace().nth(word)))
        };
        let ticks = |ticks: u64| Duration::from_millis(ticks.saturating_mul(1_000 / TICKS));
        let kib = |start: &str| line(status, start, 0).map(|kib| kib.saturating_mul(1_024));
        Self {
            cpu: field(14).zip(field(15)).map(|(user, system)| ticks(user.saturating_add(system))),
            resident_bytes: kib("VmRSS:"),
            virtual_bytes: kib("VmSize:"),
            threads: field(20),
            open_files: None,
            max_files: line(limits, "Max open files", 0),
            started: line(system, "btime", 0).zip(field(22)).map(|(boot, since)| Duration::from_secs(boot) + ticks(since)),
        }
    }

    /// Tells what is known of it.
    pub fn tell(&self, text: &mut Text) {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(cpu) = self.cpu {
            text.counter("process_cpu_seconds_total", "Processor time.").seconds(&[], micros(cpu));
        }
        if let Some(started) = self.started {
            text.gauge("process_start_time_seconds", "When the process began, since 1970.").seconds(&[], micros(started));
        }
        for (name, help, number) in [
            ("process_resident_memory_bytes", "Memory that the process has.", self.resident_bytes),
            ("process_virtual_memory_bytes", "Addresses that it has taken, most of them without memory.", self.virtual_bytes),
            ("process_threads", "Threads.", self.threads),
            ("process_open_fds", "Files and sockets that are open.", self.open_files),
            ("process_max_fds", "Files and sockets that may be open.", self.max_files),
        ] {
            if let Some(number) = number {
                text.gauge(name, help).number(&[], number);
            }
        }
    }
}

fn number_in(word: Option<&str>) -> Option<u64> {
    word.and_then(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_understood() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 99 0 0 0 150 50 0 0 20 0 9 0 1234 4096 33 18446744073709551615";
        let status = "Name:\ta\nVmSize:\t    4096 kB\nVmRSS:\t      12 kB\nThreads:\t9\n";
        let limits = "Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 4096                 files\n";
        let told = Process::of(stat, status, limits, "cpu  1 2 3\nbtime 1700000000\n");
        let expected = Process {
            cpu: Some(Duration::from_secs(2)),
            resident_bytes: Some(12 << 10),
            virtual_bytes: Some(4 << 20),
            threads: Some(9),
            open_files: None,
            max_files: Some(1024),
            started: Some(Duration::from_millis(1_700_000_012_340)),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn what_it_does_not_say_is_missing() {
        assert_eq!(Process::of("", "", "Max open files unlimited unlimited files", ""), Process::default());
        let mut text = Text::new();
        Process::default().tell(&mut text);
        assert_eq!(text.finish(), "");
    }
}
