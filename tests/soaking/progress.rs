//! Tells how far a run is: a bar on a terminal, a line every ten seconds elsewhere. All of it goes to stderr.

use std::{
    io::{self, IsTerminal, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::{task::JoinHandle, time::interval};

use crate::{load::Load, memory::Memory};

/// How often the bar moves, and how often a line comes.
const TICK: Duration = Duration::from_millis(500);
const LINE: Duration = Duration::from_secs(10);

/// Tells until it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    task: JoinHandle<()>,
}

impl Progress {
    pub(crate) fn start(load: Arc<Load>, calls: u64, pid: u32) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(calls);
            if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} calls, {per_sec}, {msg}, {eta} left") {
                bar.set_style(style);
            }
            bar
        });
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            let started = Instant::now();
            let mut ticks = interval(if shown.is_some() { TICK } else { LINE });
            // The first comes at once.
            ticks.tick().await;
            loop {
                ticks.tick().await;
                let (done, seconds) = (load.done(), started.elapsed().as_secs().max(1));
                let resident = Memory::of(pid).map_or(0, |memory| memory.resident_kib) / 1024;
                match &shown {
                    Some(bar) => {
                        bar.set_position(done);
                        bar.set_message(format!("{resident} MiB"));
                    }
                    None => {
                        say(&format!("{done} of {calls} calls after {seconds} s, {} a second, {resident} MiB", done / seconds))
                    }
                }
            }
        });
        Self { bar, task }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Progress that nobody reads is no reason to stop.
pub(crate) fn say(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}
