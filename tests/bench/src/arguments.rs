//! What can be said on the command line.

use clap::{CommandFactory, Parser, builder::RangedU64ValueParser, error::ErrorKind};

use crate::case::Case;

const EXAMPLES: &str = "\
Each case is measured in pairs: Wharf, the reference, Wharf, the reference, and so on, on this machine, in this run. A pair gives
a ratio; what counts is their median. References are a native server (axum with a pool of the same size, of sqlx or of MongoDB's
driver, or plain hyper) and `wasmtime serve` of the version that Wharf is built with. The database is a PostgreSQL with a
configuration of its own, or an SQLite file; documents are asked of a stand-in for MongoDB that answers canned bytes, and rows of
`documents-alone` say what that and SecantusDB give to the driver alone. What metrics, traces and the audit log cost is measured beside
the same host without. The load is made by wrk. Overload, reclaim, cold starts and
growth are measured of Wharf alone, by a client that tells latencies by the status of the answer. Figures depend on the machine, and
on what else runs there: let it be quiet. What others on the same hardware are given of a virtual machine's time is told; a case of
reclaim during which that was over 0.5 % is measured again at the end, three times at most, and the time with least of it counts.

The table goes to stdout, everything else to stderr; target/bench/latest.json has all of it, and what --case leaves out stays there as it
was. What --quick measures is in target/bench/quick.json. WHARF_BIN names another host than the one that is built; the result says so.

Examples:
  tests/bench/run                             everything, for some three quarters of an hour
  tests/bench/run --quick                     every case once and shortly, to see that it works; not to be compared
  tests/bench/run --case hello                what begins with `hello`
  tests/bench/run --case hello-03 --case row  several
  tests/bench/run --list                      what there is, with its target
  tests/bench/run --markdown                  the table for a README

Exit codes: 0 measured (the table tells what missed its target), 1 something could not be measured, 2 bad arguments.";

/// Measures Wharf beside a native server and `wasmtime serve`.
#[derive(Debug, Parser)]
#[command(name = "tests/bench/run", bin_name = "tests/bench/run", after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only the cases that begin with this; may be given several times
    #[arg(long = "case", value_name = "NAME")]
    pub(crate) cases: Vec<String>,
    /// One short pair a case; the figures are marked as not comparable
    #[arg(long)]
    pub(crate) quick: bool,
    /// How many pairs a case; three times as many in the few whose target was seen to lie within their spread
    #[arg(long, value_name = "PAIRS", default_value_t = 5, value_parser = RangedU64ValueParser::<usize>::new().range(5..=99), conflicts_with = "quick")]
    pub(crate) pairs: usize,
    /// Prints the table as Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
    /// Says which cases there are, and measures nothing
    #[arg(long)]
    pub(crate) list: bool,
}

impl Arguments {
    /// The cases that are asked for.
    ///
    /// # Errors
    /// When somebody asks for what there is not; the message says what there is.
    pub(crate) fn choose(&self, all: Vec<Case>) -> Result<Vec<Case>, clap::Error> {
        if let Some(unknown) = self.cases.iter().find(|part| !all.iter().any(|case| case.is_called(part))) {
            let known = all.iter().fold(String::new(), |text, case| text + "\n  " + case.name);
            let message = format!("no case begins with `{unknown}`; there are:{known}\n");
            return Err(Self::command().error(ErrorKind::InvalidValue, message));
        }
        let chosen = |case: &Case| self.cases.is_empty() || self.cases.iter().any(|part| case.is_called(part));
        Ok(all.into_iter().filter(chosen).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    fn chosen(arguments: &[&str]) -> Result<Vec<&'static str>, clap::Error> {
        let arguments = Arguments::try_parse_from([&["run"], arguments].concat())?;
        Ok(arguments.choose(cases::all())?.iter().map(|case| case.name).collect())
    }

    #[test]
    fn what_is_left_out_means_everything() {
        Arguments::command().debug_assert();
        assert_eq!(chosen(&[]).unwrap().len(), cases::all().len());
    }

    #[test]
    fn a_case_is_chosen_by_how_it_begins() {
        let hello = chosen(&["--case", "hello-02"]).unwrap();
        assert!(!hello.is_empty() && hello.iter().all(|name| name.starts_with("hello-02")), "{hello:?}");
        assert!(chosen(&["--case", "hello-02", "--case", "row"]).unwrap().len() > hello.len());
    }

    #[test]
    fn an_unknown_case_is_refused_with_what_there_is() {
        let error = chosen(&["--case", "nothing"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains("no case begins with `nothing`") && text.contains("hello-02/native"), "{text}");
    }

    #[test]
    fn nonsense_exits_with_2() {
        for wrong in [&["--pairs", "4"][..], &["--pairs", "many"], &["--quick", "--pairs", "7"], &["everything"]] {
            assert_eq!(chosen(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }
}
