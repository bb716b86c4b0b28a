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
