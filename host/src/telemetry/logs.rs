//! Where log lines go, and how they look.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, BufWriter, IsTerminal, Stderr, Write},
    panic::{self, PanicHookInfo},
    sync::mpsc,
    thread,
    time::Duration,
};

use tracing::{
    field::display,
    subscriber::{SetGlobalDefaultError, set_global_default},
};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, ParseError},
    fmt,
    layer::SubscriberExt,
};

use super::json::JsonLines;

/// What is logged unless the operator says otherwise.
///
/// The texts of guests stay out: sqlx writes the SQL of slow statements at `warn` under `sqlx::query`, and the notices that a statement
/// raised under `sqlx::postgres::notice`.
pub const DEFAULT_FILTER: &str =
    "info,sqlx=warn,sqlx::query=off,sqlx::postgres::notice=off,hyper=warn,h2=warn,wasmtime=warn,cranelift=warn";

/// The target of what panics say, which no filter silences.
const PANICS: &str = "panic";

/// Lines that wait to be written; further ones are dropped and counted. A log that nobody reads must not stop the host.
const MAX_LINES: usize = 16_384;
/// How long lines are gathered before they are written together.
const GATHERED_FOR: Duration = Duration::from_millis(10);
/// How long the end of the process waits for lines that are still to be written; somewhat more than their thread's own guard.
const LAST_LINES: Duration = Duration::from_millis(1_200);

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Human on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For eyes.
    Human,
    /// One JSON object a line.
    Json,
}

/// Whether human lines are coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The filter cannot be read.
    #[error("the log filter cannot be read: {0}")]
    Filter(#[from] ParseError),
    /// A word of the filter is no level. By itself it would be the name of a part of the host, of which everything is logged: a misspelt
    /// level, most of the time.
    #[error("the log filter cannot be read: `{0}` is neither a level nor `part=level`")]
    Word(String),
    /// Something else in this process takes the log lines already.
    #[error("logging is set up already")]
    AlreadySet(#[from] SetGlobalDefaultError),
}

/// The thread that writes the lines. Dropping it waits for a second or so at most until those that were logged are written.
#[derive(Debug)]
pub struct Logs {
    lost: ErrorCounter,
    // After `drop` has said how many were lost.
    _last: LastLines,
}

/// Waits for the last lines of a thread that writes them, for 1.2 s at most.
///
/// The guard does so by itself, but where the thread is stuck it says so on stdout, and nobody may read that either.
#[derive(Debug)]
pub struct LastLines(Option<WorkerGuard>);

impl LastLines {
    /// To be dropped when no more lines come.
    #[must_use]
    pub fn new(guard: WorkerGuard) -> Self {
        Self(Some(guard))
    }
}

impl Drop for LastLines {
    fn drop(&mut self) {
        let guard = self.0.take();
        let (told, written) = mpsc::channel();
        let waiting = thread::Builder::new().spawn(move || {
            drop(guard);
            // Nobody waits any more if it took too long.
            let _ = told.send(());
        });
        if waiting.is_ok() {
            // Written, or not in time.
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let lost = self.lost.dropped_lines();
        if lost > 0 {
            tracing::warn!(lost, "log lines were lost, because stderr did not take them in time");
        }
    }
}

/// Sends log lines of the whole process, and what panics say, to stderr, until what is returned is dropped. No line is waited for.
///
/// `filter` is put on top of [`DEFAULT_FILTER`], in the syntax of [`EnvFilter`] (`debug`, `info,wharf::pool=debug`): what is off there stays
/// off unless it is named.
///
/// # Errors
/// Those of [`check`], and [`InitError::AlreadySet`] the second time.
pub fn init(format: Format, filter: &str, color: Color) -> Result<Logs, InitError> {
    check(filter)?;
    let filter = EnvFilter::try_new(format!("{DEFAULT_FILTER},{filter},{PANICS}=error"))?;
    let terminal = std::io::stderr().is_terminal();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    // The filter is the whole subscriber's, not this layer's, so that `tracing::enabled!` is one cheap check.
    let subscriber = tracing_subscriber::registry().with(filter);
    let pause = if terminal { Duration::ZERO } else { GATHERED_FOR };
    let thread = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(MAX_LINES).thread_name("wharf-logs");
    let (writer, guard) = thread.finish(Gathering { out: BufWriter::with_capacity(64 << 10, io::stderr()), pause });
    let lost = writer.error_counter();
    let lines: Box<dyn Layer<_> + Send + Sync> = if is_human(format, terminal) {
        fmt::layer().with_writer(writer).with_ansi(is_colored(color, terminal, no_color)).boxed()
    } else {
        fmt::layer().json().event_format(JsonLines).with_writer(writer).boxed()
    };
    set_global_default(subscriber.with(lines))?;
    panic::set_hook(Box::new(log_panic));
    Ok(Logs { lost, _last: LastLines::new(guard) })
}

/// Whether [`init`] takes a filter.
///
/// # Errors
/// [`InitError::Filter`] or [`InitError::Word`] for one that cannot be read.
pub fn check(filter: &str) -> Result<(), InitError> {
    EnvFilter::try_new(filter)?;
    let is_level = |part: &str| part.is_empty() || part.parse::<LevelFilter>().is_ok();
    match filter.split(',').find(|part| !part.contains('=') && !is_level(part)) {
        Some(word) => Err(InitError::Word(word.to_owned())),
        None => Ok(()),
    }
}

/// A line like others, which nobody waits for either.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| display(backtrace));
    let thread = thread::current();
    tracing::error!(target: PANICS, thread = thread.name(), backtrace, "{panic}");
}

/// What the thread writes to. It is flushed when no line waits any more; the pause after that lets some gather, so that a line costs its call
/// neither a write of its own nor the waking of the thread. There is none on a terminal.
struct Gathering {
    out: BufWriter<Stderr>,
    pause: Duration,
}

impl Write for Gathering {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()?;
        thread::sleep(self.pause);
        Ok(())
    }
}

fn is_human(format: Format, terminal: bool) -> bool {
    match format {
        Format::Auto => terminal,
        Format::Human => true,
        Format::Json => false,
    }
}

fn is_colored(color: Color, terminal: bool, no_color: bool) -> bool {
    match color {
        Color::Auto => terminal && !no_color,
        Color::Always => true,
        Color::Never => false,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    pub(in crate::telemetry) struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Sink {
        pub(in crate::telemetry) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_default_filter_keeps_sql_out() {
        let sink = Sink::default();
        let writer = sink.clone();
        let filter = EnvFilter::try_new(DEFAULT_FILTER).unwrap();
        let lines = fmt::layer().json().with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(filter).with(lines), || {
            tracing::warn!(target: "sqlx::query", "SELECT secret");
            tracing::warn!(target: "sqlx::postgres::notice", "raised");
            tracing::warn!(target: "sqlx::pool", "seen-pool");
            tracing::info!(target: "hyper::proto", "unseen");
            tracing::info!(target: "access", "seen-access");
        });
        let text = sink.text();
        assert!(!text.contains("secret") && !text.contains("raised") && !text.contains("unseen"), "{text}");
        assert!(text.contains("seen-pool") && text.contains("seen-access"), "{text}");
    }

    #[test]
    fn auto_follows_the_terminal() {
        assert!(is_human(Format::Auto, true) && !is_human(Format::Auto, false));
        assert!(is_human(Format::Human, false) && !is_human(Format::Json, true));
        assert!(is_colored(Color::Auto, true, false) && !is_colored(Color::Auto, true, true));
        assert!(!is_colored(Color::Auto, false, false) && is_colored(Color::Always, false, true));
    }

    #[test]
    fn a_bad_filter_is_an_error() {
        assert!(matches!(init(Format::Json, "wharf=notalevel", Color::Never), Err(InitError::Filter(_))));
        assert!(matches!(init(Format::Json, "inof", Color::Never), Err(InitError::Word(word)) if word == "inof"));
        for filter in ["", "off", "WARN", "info,,wharf::pool=debug", "wharf=error,debug"] {
            assert!(check(filter).is_ok(), "{filter}");
        }
    }
}
