//! What was measured, and what of it is wrong.

use crate::{bed::POOL, kinds::Engine, memory::Memory, watch::Seen};

/// Sessions that a server may show: those of the pool, and the control connection.
pub(crate) const MOST_SESSIONS: usize = POOL + 1;

/// Memory may grow by so much after warm-up.
pub(crate) const GROWTH: f64 = 0.05;

/// Runs of fewer calls say nothing about memory.
pub(crate) const LEAST_CALLS: u64 = 20_000;

/// Warm-up is a quarter of the calls, and no more than this.
const LONGEST_WARM_UP: u64 = 100_000;

/// Readings of memory after warm-up.
const MARKS: u64 = 21;

/// Readings at either end that are compared.
pub(crate) const COMPARED: usize = 5;

/// One refusal in so many calls is taken.
const REFUSED_OF: u64 = 1_000;

/// All that a run came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Calls that were to be made.
    pub(crate) wanted: u64,
    pub(crate) calls: u64,
    pub(crate) refused: u64,
    pub(crate) unexpected: u64,
    pub(crate) seen: Seen,
    /// What was not at rest although no call ran, or could not be lent again.
    pub(crate) restless: Vec<String>,
    /// How many connections are left of each database, as the host itself says.
    pub(crate) left: Vec<u64>,
    /// What the servers listed after the end of the host.
    pub(crate) listed: Vec<String>,
    pub(crate) exit: Option<i32>,
    /// Lines of the host's log that tell an error.
    pub(crate) errors: Vec<String>,
    /// Memory at rest, from the end of warm-up on.
    pub(crate) marks: Vec<Mark>,
    /// Hits that were answered for and hits that are there, by engine.
    pub(crate) answered: [u64; 3],
    pub(crate) written: [i64; 3],
    /// Tables that nobody may write and somebody has written.
    pub(crate) changed: Vec<Engine>,
}

/// Memory at rest after so many calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) calls: u64,
    pub(crate) memory: Memory,
}

/// How many calls are made before each mark, the end of warm-up first and all calls last.
pub(crate) fn schedule(calls: u64) -> Vec<u64> {
    let warm_up = (calls / 4).clamp(1, LONGEST_WARM_UP);
    let mut marks: Vec<u64> = (0..MARKS).map(|mark| warm_up + (calls - warm_up) * mark / (MARKS - 1)).collect();
    marks.dedup();
    marks
}

/// Resident KiB right after warm-up and in the end: the median of some marks each. `None` where there are too few.
pub(crate) fn ends(marks: &[Mark]) -> Option<(u64, u64)> {
    let median = |marks: &[Mark]| {
        let mut resident: Vec<u64> = marks.iter().map(|mark| mark.memory.resident_kib).collect();
        resident.sort_unstable();
        resident[resident.len() / 2]
    };
    (marks.len() >= 2 * COMPARED).then(|| (median(&marks[..COMPARED]), median(&marks[marks.len() - COMPARED..])))
}

/// By how much it is more in the end, as a fraction.
#[expect(clippy::cast_precision_loss, reason = "KiB of a process are far below 2^52")]
pub(crate) fn growth((before, after): (u64, u64)) -> f64 {
    after as f64 / before as f64 - 1.0
}

impl Measured {
    /// All that was not given back.
    pub(crate) fn leaks(&self) -> u64 {
        self.restless.len() as u64 + self.left.iter().sum::<u64>() + self.listed.len() as u64
    }

    /// What is wrong, a line each; nothing if all is well.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |wrong: bool, what: &dyn Fn() -> String| {
            if wrong {
                faults.push(what());
            }
        };
        fault(self.calls != self.wanted, &|| format!("{} of {} calls were made", self.calls, self.wanted));
        fault(self.unexpected > 0, &|| format!("{} answers were not as expected", self.unexpected));
        fault(self.refused * REFUSED_OF > self.calls, &|| {
            format!("{} calls were refused, more than one of {REFUSED_OF}", self.refused)
        });
        fault(self.leaks() > 0, &|| format!("{} leaks", self.leaks()));
        for (engine, most) in [(Engine::Postgres, self.seen.postgres), (Engine::Mariadb, self.seen.mariadb)] {
            fault(most > MOST_SESSIONS, &|| {
                format!("{} showed {most} sessions, and not {MOST_SESSIONS} at most", engine.title())
            });
        }
        fault(self.seen.looks == 0, &|| "nobody looked at the sessions".to_owned());
        for engine in Engine::ALL {
            let (answered, written) = (self.answered[engine as usize], self.written[engine as usize]);
            fault(u64::try_from(written) != Ok(answered), &|| {
                format!("{}: {answered} writes were answered for, and {written} are there", engine.title())
            });
        }
        for engine in &self.changed {
            fault(true, &|| format!("{}: somebody wrote into `notes`", engine.title()));
        }
        if let Some(ends) = ends(&self.marks) {
            let grown = growth(ends);
            fault(self.wanted >= LEAST_CALLS && grown > GROWTH, &|| {
                format!("memory grew by {:.1} % after warm-up, more than {:.0} %", grown * 100.0, GROWTH * 100.0)
            });
        } else {
            fault(self.wanted >= LEAST_CALLS, &|| format!("memory was read {} times only", self.marks.len()));
        }
        fault(self.exit != Some(0), &|| format!("the host ended with {:?}, and not with 0", self.exit));
        fault(self.left.len() != Engine::ALL.len(), &|| {
            format!("the host told of {} databases what is left, and not of {}", self.left.len(), Engine::ALL.len())
        });
        fault(!self.errors.is_empty(), &|| format!("the host logged {} errors", self.errors.len()));
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(calls: u64, resident_kib: u64) -> Mark {
        Mark { calls, memory: Memory { resident_kib, ..Memory::default() } }
    }

    /// A run without a fault.
    fn good() -> Measured {
        Measured {
            wanted: 100_000,
            calls: 100_000,
            refused: 90,
            seen: Seen { looks: 1000, postgres: MOST_SESSIONS, mariadb: MOST_SESSIONS, busy: 3, files: 8 },
            left: vec![0, 0, 0],
            exit: Some(0),
            marks: schedule(100_000).into_iter().map(|calls| mark(calls, 50_000)).collect(),
            answered: [1, 2, 3],
            written: [1, 2, 3],
            ..Measured::default()
        }
    }

    #[track_caller]
    fn is_a_fault(change: impl FnOnce(&mut Measured), expected: &str) {
        let mut measured = good();
        change(&mut measured);
        assert_eq!(measured.faults(), [expected]);
    }

    #[test]
    fn a_good_run_has_no_fault() {
        assert_eq!(good().faults(), [] as [String; 0]);
    }

    #[test]
    fn an_unexpected_answer_is_a_fault_and_so_are_calls_that_were_not_made() {
        is_a_fault(|run| run.unexpected = 1, "1 answers were not as expected");
        is_a_fault(|run| run.calls = 99_990, "99990 of 100000 calls were made");
    }

    #[test]
    fn more_than_a_few_refusals_are_a_fault() {
        is_a_fault(|run| run.refused = 101, "101 calls were refused, more than one of 1000");
    }

    #[test]
    fn every_leak_is_a_fault_wherever_it_is_seen() {
        is_a_fault(|run| run.restless.push("PostgreSQL: idle in transaction".to_owned()), "1 leaks");
        is_a_fault(|run| run.left = vec![0, 2, 0], "2 leaks");
        is_a_fault(|run| run.listed.push("MariaDB: session 7".to_owned()), "1 leaks");
    }

    #[test]
    fn more_sessions_than_allowed_are_a_fault_and_so_is_not_to_look() {
        is_a_fault(|run| run.seen.postgres += 1, "PostgreSQL showed 10 sessions, and not 9 at most");
        is_a_fault(|run| run.seen.mariadb += 1, "MariaDB showed 10 sessions, and not 9 at most");
        is_a_fault(|run| run.seen.looks = 0, "nobody looked at the sessions");
    }

    #[test]
    fn a_write_too_many_or_too_few_is_a_fault() {
        is_a_fault(|run| run.written[1] = 3, "MariaDB: 2 writes were answered for, and 3 are there");
        is_a_fault(|run| run.written[2] = 2, "SQLite: 3 writes were answered for, and 2 are there");
        is_a_fault(|run| run.changed.push(Engine::Sqlite), "SQLite: somebody wrote into `notes`");
    }

    #[test]
    fn memory_that_grows_is_a_fault_and_one_reading_is_not() {
        let steps = |run: &mut Measured, step: u64| {
            for (index, mark) in run.marks.iter_mut().enumerate() {
                mark.memory.resident_kib += step * index as u64;
            }
        };
        // From the third mark to the nineteenth.
        is_a_fault(|run| steps(run, 160), "memory grew by 5.1 % after warm-up, more than 5 %");
        let mut measured = good();
        steps(&mut measured, 150);
        measured.marks[19].memory.resident_kib *= 2;
        assert_eq!(measured.faults(), [] as [String; 0]);
        is_a_fault(|run| run.marks.truncate(9), "memory was read 9 times only");
        let mut short = good();
        (short.wanted, short.calls, short.refused) = (LEAST_CALLS - 1, LEAST_CALLS - 1, 0);
        steps(&mut short, 1000);
        assert_eq!(short.faults(), [] as [String; 0]);
    }

    #[test]
    fn a_host_that_does_not_end_well_is_a_fault() {
        is_a_fault(|run| run.exit = Some(1), "the host ended with Some(1), and not with 0");
        is_a_fault(|run| run.exit = None, "the host ended with None, and not with 0");
        is_a_fault(|run| run.left = vec![0, 0], "the host told of 2 databases what is left, and not of 3");
        is_a_fault(|run| run.errors.push("the host panicked".to_owned()), "the host logged 1 errors");
    }

    #[test]
    fn marks_are_evenly_spread_from_the_end_of_warm_up_to_the_last_call() {
        let marks = schedule(100_000);
        assert_eq!((marks.len(), marks[0], marks[1], marks[20]), (21, 25_000, 28_750, 100_000));
        let marks = schedule(1_000_000);
        assert_eq!((marks.len(), marks[0], marks[1], marks[20]), (21, 100_000, 145_000, 1_000_000));
        assert_eq!(schedule(1), [1]);
        assert_eq!(schedule(3), [1, 2, 3]);
    }
}
