//! What the kernel says about a process.

use std::{fs, io, path::Path};

/// Memory and more of a process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// `VmRSS`.
    pub(crate) resident_kib: u64,
    /// `VmHWM`, the most that was ever resident.
    pub(crate) peak_kib: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// Open files and sockets.
    pub(crate) descriptors: u64,
}

impl Memory {
    /// Of a process by its number.
    ///
    /// # Errors
    /// When there is no such process.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
        Ok(Self { resident_kib: number("VmRSS"), peak_kib: number("VmHWM"), threads: number("Threads"), descriptors })
    }
}

/// How often a process has a file open.
pub(crate) fn times_open(pid: u32, file: &Path) -> usize {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map(|entries| entries.flatten().collect()).unwrap_or_default();
    let descriptors: Vec<fs::DirEntry> = descriptors;
    descriptors.iter().filter(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|target| target == file)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_threads_and_the_file_that_it_opens() {
        let pid = std::process::id();
        let memory = Memory::of(pid).expect("this process");
        assert!(memory.resident_kib > 1000 && memory.peak_kib >= memory.resident_kib, "{memory:?}");
        assert!(memory.threads >= 1 && memory.descriptors >= 3, "{memory:?}");
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(times_open(pid, file.path()), 1);
    }
}
