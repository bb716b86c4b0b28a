//! What can be said on the command line.

use clap::{Parser, ValueEnum, builder::RangedU64ValueParser};

const EXAMPLES: &str = "\
The command starts a PostgreSQL and a MariaDB of its own (or uses WHARF_TEST_POSTGRES_URL and WHARF_TEST_MYSQL_URL) and an
SQLite file, runs the host (WHARF_BIN, or the one that was just built) next to them, and makes the calls: good handlers and
hostile ones, every answer checked. From time to time it waits until the servers say that everything is at rest, and reads
the host's memory. In the end it stops the host and asks the servers what is left.

It fails when
  - an answer is not the one that is promised. The host may refuse a call because something is full (`overloaded`,
    `pool-exhausted`), at most once in a thousand calls; these are counted on their own;
  - a leak is found: a session that is busy, in a transaction or holds a lock although no call runs and the bounds of taking
    it back are over, one that the host itself says is left, or one that a server still lists when the host has ended;
  - a server ever shows more sessions than `max_connections` and the control connection;
  - what was written is not exactly what was answered for;
  - resident memory (VmRSS at rest) grows by more than 5 % after warm-up. Warm-up is the first quarter of the calls, at most
    100,000. From there to the end memory is read at 21 marks, the same number of calls apart; the median of the last five
    must not be more than 5 % above that of the first five. Runs of fewer than 20,000 calls print it and do not judge; longer
    ones begin with as many calls of each kind as there may be at once, so that the host has seen the worst crowds by then.
    The host runs with MALLOC_TRIM_THRESHOLD_=131072, where glibc begins; without it, glibc keeps up to 64 MiB an arena of what
    was freed, which comes and goes;
  - the host logs an error, does not end with exit code 0, or does not say `0 connections left` for each database.

Examples:
  tests/soak                              100,000 calls, as CI does
  tests/soak 1000000                      a million, for about forty minutes
  tests/soak 2000 --seed 7                the same calls in the same order as the last time with seed 7
  tests/soak 100000 --mix hostile         hostile handlers alone
  tests/soak 2000 --only transaction      what has `transaction` in its name
  tests/soak 100 --plant-leak             to see that a leak would be found

Exit codes: 0 fine, 1 something of the above is wrong, 2 bad arguments.";

/// Calls good and hostile handlers for a long time, and looks for what the host does not give back.
#[derive(Debug, Parser)]
#[command(name = "tests/soak", bin_name = "tests/soak", after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// How many calls to make
    #[arg(default_value_t = 100_000, value_parser = RangedU64ValueParser::<u64>::new().range(1..=1_000_000_000))]
    pub(crate) calls: u64,
    /// How many calls at once; the host is told to run three quarters of them, so that the rest queue
    #[arg(long, value_name = "CALLS", default_value_t = 64, value_parser = RangedU64ValueParser::<u64>::new().range(4..=256))]
    pub(crate) at_once: u64,
    /// Chooses the calls and their order; without it, a new one, which is printed
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Which handlers to call
    #[arg(long, value_enum, default_value_t = Mix::All)]
    pub(crate) mix: Mix,
    /// Only the kinds of calls with this in their name
    #[arg(long, value_name = "PART")]
    pub(crate) only: Option<String>,
    /// Opens a session of the host's role on each database and leaves it in a transaction, to see that it is reported
    #[arg(long)]
    pub(crate) plant_leak: bool,
}

/// Which handlers are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mix {
    /// Good and hostile ones.
    All,
    /// Only those that behave.
    Good,
    /// Only those that do not.
    Hostile,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn what_is_left_out_has_the_defaults_of_ci() {
        Arguments::command().debug_assert();
        let arguments = Arguments::parse_from(["tests/soak"]);
        assert_eq!((arguments.calls, arguments.at_once, arguments.seed, arguments.mix), (100_000, 64, None, Mix::All));
    }

    #[test]
    fn nonsense_exits_with_2() {
        for wrong in [["tests/soak", "none"], ["tests/soak", "0"], ["tests/soak", "--at-once=0"], ["tests/soak", "--mix=bad"]] {
            assert_eq!(Arguments::try_parse_from(wrong).expect_err("refused").exit_code(), 2, "{wrong:?}");
        }
    }
}
