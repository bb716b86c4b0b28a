//! What has changed since the reference was taken, and whether it may.

use std::{collections::BTreeSet, fmt};

use crate::counts::Counts;

/// Growth that fails, in per cent. Ten times what repeated counts differ by at the most.
const MOST: f64 = 5.0;

/// Counts beside those of the reference.
#[derive(Debug)]
pub(crate) struct Comparison {
    rows: Vec<Row>,
    /// Of each tool that is another one: its name, the version in the reference and the version now.
    differ: Vec<[String; 3]>,
}

#[derive(Debug)]
struct Row {
    name: String,
    reference: Option<u64>,
    now: u64,
}

/// What a row comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Grown,
    Same,
    Shrunk,
    /// There is nothing to compare with, so nothing would be noticed.
    Unknown,
}

impl Row {
    /// The change in per cent.
    fn change(&self) -> Option<f64> {
        self.reference.filter(|reference| *reference > 0).map(|reference| self.now as f64 / reference as f64 * 100.0 - 100.0)
    }

    fn verdict(&self) -> Verdict {
        match self.change() {
            None => Verdict::Unknown,
            Some(change) if change > MOST => Verdict::Grown,
            Some(change) if change < -MOST => Verdict::Shrunk,
            Some(_) => Verdict::Same,
        }
    }
}

impl Comparison {
    /// Compares what was counted now; what was not is not looked at.
    pub(crate) fn new(reference: &Counts, now: &Counts) -> Self {
        let rows = now.instructions.iter().map(|(name, count)| Row {
            name: name.clone(),
            reference: reference.instructions.get(name).copied(),
            now: *count,
        });
        let tools: BTreeSet<&String> = reference.versions.keys().chain(now.versions.keys()).collect();
        let version = |counts: &Counts, tool: &String| counts.versions.get(tool).map_or("unknown", String::as_str).to_owned();
        let differ = tools.into_iter().map(|tool| [tool.clone(), version(reference, tool), version(now, tool)]);
        Self { rows: rows.collect(), differ: differ.filter(|[_, before, now]| before != now).collect() }
    }

    /// Whether nothing has grown by more than may be, and everything has something to be compared with.
    pub(crate) fn holds(&self) -> bool {
        self.rows.iter().all(|row| matches!(row.verdict(), Verdict::Same | Verdict::Shrunk))
    }

    fn with(&self, verdict: Verdict) -> Option<String> {
        let names: Vec<&str> = self.rows.iter().filter(|row| row.verdict() == verdict).map(|row| row.name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<12} {:>12} {:>12} {:>9}", "instructions", "reference", "now", "change")?;
        for row in &self.rows {
            let reference = row.reference.map_or_else(|| "-".to_owned(), |reference| reference.to_string());
            let change = row.change().map_or_else(|| "-".to_owned(), |change| format!("{change:+.1} %"));
            let mark = if row.verdict() == Verdict::Grown { "  <" } else { "" };
            writeln!(f, "{:<12} {reference:>12} {:>12} {change:>9}{mark}", row.name, row.now)?;
        }
        if let Some(names) = self.with(Verdict::Grown) {
            writeln!(
                f,
                "{names}: grown by more than {MOST} %; if it has to be, tests/bench/instructions --renew makes it the reference"
            )?;
        }
        if let Some(names) = self.with(Verdict::Shrunk) {
            writeln!(f, "{names}: shrunk by more than {MOST} %; tests/bench/instructions --renew keeps it so")?;
        }
        if let Some(names) = self.with(Verdict::Unknown) {
            writeln!(f, "{names}: not in the reference; tests/bench/instructions --renew adds it")?;
        }
        for [tool, before, now] in &self.differ {
            writeln!(f, "the reference was taken with another {tool}: {before}, now {now}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rustc: &str, instructions: &[(&str, u64)]) -> Counts {
        let instructions = instructions.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Counts { versions: [("rustc".to_owned(), rustc.to_owned())].into(), instructions }
    }

    fn compared(reference: &[(&str, u64)], now: &[(&str, u64)]) -> Comparison {
        Comparison::new(&counts("1.95.0", reference), &counts("1.95.0", now))
    }

    #[test]
    fn growth_by_more_than_five_per_cent_fails() {
        assert!(compared(&[("call", 1_000)], &[("call", 1_050)]).holds());
        let grown = compared(&[("call", 1_000), ("acquire", 100)], &[("call", 1_051), ("acquire", 100)]);
        assert!(!grown.holds());
        let text = grown.to_string();
        assert!(text.contains("1051    +5.1 %  <\n") && text.contains("call: grown by more than 5 %"), "{text}");
        assert!(!text.contains("acquire:") && !text.contains("another"), "{text}");
    }

    #[test]
    fn what_shrank_by_more_holds_and_is_told() {
        assert!(!compared(&[("call", 1_000)], &[("call", 950)]).to_string().contains("shrunk"));
        let shrunk = compared(&[("call", 1_000)], &[("call", 949)]);
        assert!(shrunk.holds());
        assert!(shrunk.to_string().contains("call: shrunk by more than 5 %; tests/bench/instructions --renew"), "{shrunk}");
    }

    #[test]
    fn what_has_no_reference_fails() {
        for reference in [&[][..], &[("call", 0)]] {
            let unknown = compared(reference, &[("call", 1_000)]);
            assert!(!unknown.holds());
            assert!(unknown.to_string().contains("call: not in the reference"), "{unknown}");
        }
    }

    #[test]
    fn what_was_not_counted_is_not_looked_at() {
        assert!(compared(&[("call", 1_000), ("acquire", 100)], &[("acquire", 100)]).holds());
    }

    #[test]
    fn other_tools_are_named_and_compared_all_the_same() {
        let comparison = Comparison::new(&counts("1.95.0", &[("call", 1_000)]), &counts("1.96.0", &[("call", 2_000)]));
        assert!(!comparison.holds());
        assert!(comparison.to_string().contains("taken with another rustc: 1.95.0, now 1.96.0"), "{comparison}");
    }
}
