//! What the kernel says about the memory of a process, in KiB.

use std::fs;

use anyhow::{Context, Result};

/// What is resident.
///
/// # Errors
/// When there is no such process.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    status(pid, "VmRSS")
}

/// The most that was resident since it was started or [`forget_peak`] was called.
///
/// # Errors
/// When there is no such process.
pub(crate) fn peak(pid: u32) -> Result<u64> {
    status(pid, "VmHWM")
}

/// From now on, [`peak`] begins with what is resident now.
///
/// # Errors
/// When there is no such process, or it is somebody else's.
pub(crate) fn forget_peak(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    // What the kernel's documentation names for this.
    fs::write(&path, "5").with_context(|| path)
}

/// What is resident of compiled code: wasmtime's cache keeps it compressed, so it is copied to memory that belongs to no file, and made
/// read-only with the tables beside it.
///
/// # Errors
/// When there is no such process.
pub(crate) fn code(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps");
    Ok(read_only(&fs::read_to_string(&path).context(path)?))
}

/// The sum over mappings that can be read, cannot be written, and have no name.
fn read_only(smaps: &str) -> u64 {
    let (mut sum, mut counts) = (0, false);
    for line in smaps.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            // A mapping begins: addresses, permissions, place in the file, device, inode, name.
            [_, permissions, _, _, "0", ref name @ ..] if permissions.len() == 4 => {
                counts = permissions.starts_with("r-") && name.is_empty();
            }
            [_, permissions, _, _, _, _] if permissions.len() == 4 => counts = false,
            ["Rss:", kib, "kB"] if counts => sum += kib.parse::<u64>().unwrap_or_default(),
            _ => {}
        }
    }
    sum
}

/// KiB in MiB.
pub(crate) fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn status(pid: u32, field: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let told = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')?.split_whitespace().next());
    told.and_then(|kib| kib.parse().ok()).with_context(|| format!("{path} tells no {field}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_has_no_name_and_is_not_written_to() {
        let smaps = "7f00-7f10 r-xp 00000000 00:00 0 \nSize: 64 kB\nRss:                  40 kB\nVmFlags: rd ex mr\n\
                     7f10-7f20 r--p 00010000 00:00 0 \nRss: 20 kB\n7f20-7f30 rw-p 00000000 00:00 0 \nRss: 1 kB\n\
                     7f30-7f40 r-xp 00000000 fe:00 77 /usr/bin/wharf\nRss: 2 kB\n7f40-7f50 r-xp 00000000 00:00 0 [vdso]\nRss: 4 kB\n";
        assert_eq!(read_only(smaps), 60);
        assert!(code(std::process::id()).is_ok());
    }

    #[test]
    fn this_process_has_a_peak_that_can_be_forgotten() {
        let pid = std::process::id();
        let much = vec![7_u8; 64 << 20];
        assert!(peak(pid).unwrap() >= 64 << 10);
        drop(std::hint::black_box(much));
        forget_peak(pid).unwrap();
        let (peak, resident) = (peak(pid).unwrap(), resident(pid).unwrap());
        // Other tests of this process come and go.
        assert!(peak >= 1024 && peak + (32 << 10) >= resident, "{peak} {resident}");
        assert!(super::resident(u32::MAX).is_err());
    }
}
