//! How long programs have kept processors busy, in user mode and in the kernel.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// What the kernel counts in towards programs, whatever it does itself.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// The fields for a program itself, and for those of its children that have ended; each is followed by that for the kernel.
const ITSELF: usize = 14;
const CHILDREN: usize = 16;

/// All threads of a process.
///
/// # Errors
/// When there is no such process.
pub(crate) fn time(pid: u32) -> Result<Duration> {
    read(&format!("/proc/{pid}/stat"), ITSELF)
}

/// This thread.
///
/// # Errors
/// When the kernel does not say.
pub(crate) fn this_thread() -> Result<Duration> {
    read("/proc/thread-self/stat", ITSELF)
}

/// The children of this process that have ended.
///
/// # Errors
/// When the kernel does not say.
pub(crate) fn children() -> Result<Duration> {
    read("/proc/self/stat", CHILDREN)
}

fn read(path: &str, field: usize) -> Result<Duration> {
    let told = fs::read_to_string(path).with_context(|| path.to_owned())?;
    parse(&told, field).with_context(|| format!("{path} cannot be read: {told}"))
}

/// The second field is a name in parentheses, which may hold anything.
fn parse(stat: &str, field: usize) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(field - 3);
    let ticks = fields.next()?.parse::<u32>().ok()?.checked_add(fields.next()?.parse().ok()?)?;
    Some(TICK * ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_behind_a_name_with_anything_in_it() {
        let stat = "1234 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 7 3 20 0 4 0";
        assert_eq!(parse(stat, ITSELF), Some(Duration::from_secs(3)));
        assert_eq!(parse(stat, CHILDREN), Some(Duration::from_millis(100)));
        assert_eq!((parse("1234 (a) S 1", ITSELF), parse("", ITSELF)), (None, None));
    }

    #[test]
    fn this_process_has_one() {
        assert!(time(std::process::id()).is_ok() && time(u32::MAX).is_err());
        assert!(this_thread().is_ok() && children().is_ok());
    }
}
