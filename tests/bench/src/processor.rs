//! How long a process has kept processors busy.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// What the kernel counts in towards programs, whatever it does itself.
const TICK: Duration = Duration::from_millis(10);

/// Of all its threads, in user mode and in the kernel.
///
/// # Errors
/// When there is no such process.
pub(crate) fn time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let told = fs::read_to_string(&path).with_context(|| path.clone())?;
    parse(&told).with_context(|| format!("{path} cannot be read: {told}"))
}

/// The 14th and the 15th field. The second is a name in parentheses, which may hold anything.
fn parse(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u32>().ok()?.checked_add(fields.next()?.parse().ok()?)?;
    Some(TICK * ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_behind_a_name_with_anything_in_it() {
        let stat = "1234 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 4 0";
        assert_eq!(parse(stat), Some(Duration::from_secs(3)));
        assert_eq!((parse("1234 (a) S 1"), parse("")), (None, None));
    }

    #[test]
    fn this_process_has_one() {
        assert!(time(std::process::id()).is_ok() && time(u32::MAX).is_err());
    }
}
