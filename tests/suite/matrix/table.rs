//! What came of the matrix, as a table: engine × peer, rows states, columns exits.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::{self, Write as _},
    time::Duration,
};

use super::axes::{Cell, DIFFERENCES, Engine, Exit, Guest, Peer, REASONS, Scale, Server, State};

/// What came of a cell.
pub(super) enum Entry {
    /// All held; after this long all capacity was free.
    Fine(Duration),
    /// The number of the reason.
    CannotBe(usize),
    Failed(String),
}

pub(super) struct Table {
    results: Vec<(Cell, Entry)>,
    took: Duration,
}

impl Table {
    pub(super) fn new(results: Vec<(Cell, Entry)>, took: Duration) -> Self {
        Self { results, took }
    }

    /// Cells that failed, and why.
    pub(super) fn failed(&self) -> Vec<String> {
        let failed = |(cell, entry): &(Cell, Entry)| match entry {
            Entry::Failed(why) => Some(format!("{cell}: {why}")),
            Entry::Fine(_) | Entry::CannotBe(_) => None,
        };
        self.results.iter().filter_map(failed).collect()
    }

    /// Past the test harness, which would keep the output of a test that passes.
    pub(super) fn print(&self) {
        // Whoever closed the output does not want it.
        let _ = io::stdout().write_all(self.text().as_bytes());
    }

    fn text(&self) -> String {
        let mut text = "\nThe matrix of faults: milliseconds until all capacity was free, or n/a and the number of the reason.\n\
                        * taken by the guest of WASI 0.3, which leaves while its own call is in flight; all others by that of 0.2.\n\
                        ** the same: it answers, and its call goes on in the background until the deadline.\n\
                        ° on the stand-in for MongoDB.\n"
            .to_owned();
        let mut reasons = BTreeSet::new();
        let kinds = Engine::ALL.iter().flat_map(|engine| {
            let small = Peer::ALL.map(|peer| (*engine, peer, Scale::Small));
            small.into_iter().chain([(*engine, engine.real_row().0, Scale::Real)])
        });
        for (engine, peer, scale) in kinds {
            self.part(&mut text, &mut reasons, engine, peer, scale);
        }
        for reason in reasons {
            let _ = writeln!(text, "n/a {}: {}", reason + 1, REASONS[reason]);
        }
        for (engine, difference) in DIFFERENCES {
            if self.results.iter().any(|(cell, _)| cell.engine == engine) {
                let _ = writeln!(text, "{}: {difference}", engine.name());
            }
        }
        let fine = self.results.iter().filter(|(_, entry)| matches!(entry, Entry::Fine(_))).count();
        let failed = self.failed();
        let cannot = self.results.len() - fine - failed.len();
        let _ = writeln!(text, "{fine} cells ok, {cannot} n/a, {} FAILED, in {:.1} s", failed.len(), self.took.as_secs_f64());
        for failed in failed {
            let _ = writeln!(text, "FAILED {failed}");
        }
        text
    }

    /// One engine with one peer; nothing when none of its cells ran.
    fn part(&self, text: &mut String, reasons: &mut BTreeSet<usize>, engine: Engine, peer: Peer, scale: Scale) {
        let of_part = |cell: &Cell| (cell.engine, cell.peer, cell.scale) == (engine, peer, scale);
        let cells: Vec<_> = self.results.iter().filter(|(cell, _)| of_part(cell)).collect();
        if cells.is_empty() {
            return;
        }
        let bounds = if scale == Scale::Real { ", the real bounds" } else { "" };
        let _ = write!(text, "\n{:<26}", format!("{}, {}{bounds}", engine.name(), peer.name()));
        for exit in Exit::ALL {
            let _ = write!(text, "{:>14}", exit.name());
        }
        text.push('\n');
        for state in State::ALL {
            let row: Vec<_> = cells.iter().filter(|(cell, _)| cell.state == state).collect();
            if row.is_empty() {
                continue;
            }
            let _ = write!(text, "  {:<24}", state.name());
            for exit in Exit::ALL {
                let entry = row.iter().find(|(cell, _)| cell.exit == exit);
                let told = match entry {
                    None => "-".to_owned(),
                    Some((_, Entry::CannotBe(reason))) => {
                        reasons.insert(*reason);
                        format!("n/a {}", reason + 1)
                    }
                    Some((cell, Entry::Fine(after))) => {
                        let mark = match cell.guest() {
                            Guest::Concurrent if cell.works_on() => "**",
                            Guest::Concurrent => "*",
                            Guest::Plain => "",
                        };
                        let stand_in = if cell.server() == Server::StandIn { "°" } else { "" };
                        format!("ok{mark}{stand_in} {:>5}", after.as_millis())
                    }
                    Some((_, Entry::Failed(_))) => "FAILED".to_owned(),
                };
                let _ = write!(text, "{told:>14}");
            }
            text.push('\n');
        }
    }
}
