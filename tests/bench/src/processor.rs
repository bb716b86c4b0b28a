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

/// In how many of the kernel's ticks the processors of this machine had something to do since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticks {
    wanted: u64,
    /// Those of them in which others were let run that are on the same hardware.
    stolen: u64,
}

impl Ticks {
    /// Until now; `None` where the kernel does not say.
    pub(crate) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// The first line is of all processors: user, nice, system, idle, iowait, irq, softirq and steal; guests, behind these, are in user.
    fn parse(stat: &str) -> Option<Self> {
        let mut fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        let mut ticks = [0; 8];
        for tick in &mut ticks {
            *tick = fields.next()?.parse().ok()?;
        }
        let [user, nice, system, _idle, _iowait, irq, softirq, stolen] = ticks;
        Some(Self { wanted: user + nice + system + irq + softirq + stolen, stolen })
    }

    /// The share that was stolen since `before`, in percent; `None` when nothing was to be done.
    pub(crate) fn stolen_percent(self, before: Self) -> Option<f64> {
        let ticks = |now: u64, before: u64| u32::try_from(now.checked_sub(before)?).ok();
        let (wanted, stolen) = (ticks(self.wanted, before.wanted)?, ticks(self.stolen, before.stolen)?);
        (wanted > 0).then(|| 100.0 * f64::from(stolen) / f64::from(wanted))
    }
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
    fn what_is_stolen_is_a_share_of_what_was_wanted() {
        let ticks = |stat: &str| Ticks::parse(stat);
        let before = ticks("cpu  100 20 30 4000 5 6 7 10 99 0\ncpu0 1").unwrap();
        assert_eq!(before, Ticks { wanted: 173, stolen: 10 });
        let after = ticks("cpu  185 20 30 4900 50 6 7 25 99 0\n").unwrap();
        assert_eq!((after.stolen_percent(before), before.stolen_percent(before)), (Some(15.0), None));
        for other in ["", "cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 3", "cpu  1 2 3 4 5 6 7 x"] {
            assert_eq!(ticks(other), None, "{other}");
        }
        assert!(Ticks::now().is_some_and(|now| now.wanted > 0));
    }

    #[test]
    fn this_process_has_one() {
        assert!(time(std::process::id()).is_ok() && time(u32::MAX).is_err());
        assert!(this_thread().is_ok() && children().is_ok());
    }
}
