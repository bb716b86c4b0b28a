//! Tells how far a compilation is: a spinner on a terminal, plain lines elsewhere. All of it goes to stderr.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::Path,
    time::{Duration, Instant},
};

use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressStyle};

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// One compilation that is going on.
pub(super) struct Progress {
    name: String,
    started: Instant,
    /// `None` where there is no terminal, or others write to it as well.
    spinner: Option<ProgressBar>,
}

impl Progress {
    /// With a spinner where there is a terminal, if nothing else is written there.
    pub(super) fn start(name: &str, is_alone: bool) -> Self {
        let spinner = (is_alone && io::stderr().is_terminal()).then(|| {
            let spinner = ProgressBar::new_spinner().with_message(format!("building {name}"));
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(TICK);
            spinner
        });
        if spinner.is_none() {
            line(&format!("building {name} ..."));
        }
        Self { name: name.to_owned(), started: Instant::now(), spinner }
    }

    /// What the compiler is doing: shown until the next, and only on a terminal.
    pub(super) fn status(&self, status: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(format!("building {}: {}", self.name, status.trim()));
        }
    }

    /// Lines that stay.
    pub(super) fn print(&self, text: &str) {
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| line(text)),
            None => line(text),
        }
    }

    /// Done; `wasm` is what came of it.
    pub(super) fn built(self, wasm: &Path) {
        self.clear();
        let size = fs::metadata(wasm).map_or(0, |file| file.len());
        line(&format!(
            "built {} in {:.1} s ({})",
            self.name,
            self.started.elapsed().as_secs_f64(),
            ByteSize::b(size).display().iec()
        ));
    }

    /// Nothing came of it.
    pub(super) fn failed(self) {
        self.clear();
    }

    fn clear(&self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

/// Progress that nobody reads is no reason to stop.
fn line(text: &str) {
    drop(writeln!(io::stderr(), "{}", text.trim_end_matches('\n')));
}
