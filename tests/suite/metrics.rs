//! What Prometheus' own tool says of our metrics.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use wharf::telemetry::metrics::{Bounds, Histogram, Text};

use crate::tree;

static BOUNDS: Bounds = Bounds::micros(&[500, 5_000, 1_000_000]);

/// Runs `promtool` in a folder with something to read; whether it was content, and all that it said.
pub(crate) fn promtool(arguments: &[&str], folder: &Path, input: &str) -> (bool, String) {
    let mut promtool = Command::new("promtool");
    promtool.args(arguments).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool, which tests/setup.sh installs");
    // What reads no input may have ended already.
    let written = promtool.stdin.take().unwrap().write_all(input.as_bytes());
    let output = promtool.wait_with_output().unwrap();
    assert!(written.is_ok() || input.is_empty(), "{written:?}");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

/// Its complaints, none if there are none.
pub(crate) fn complaints(metrics: &str) -> String {
    let (is_content, said) = promtool(&["check", "metrics"], &tree::root(), metrics);
    assert_eq!(is_content, said.is_empty(), "{said}");
    said
}

#[test]
fn prometheus_finds_nothing_wrong_with_the_text() {
    let histogram = Histogram::new(&BOUNDS);
    for millis in [0, 5, 250, 1_500] {
        histogram.record(Duration::from_millis(millis));
    }
    let hostile = "a \"quoted\" name\nwith \\ and {} and ä";
    let mut text = Text::new();
    text.counter("wharf_calls_total", "Calls that ended,\nby \\ and \".").number(&[("plugin", hostile)], 7).number(&[], u64::MAX);
    text.gauge("wharf_calls_running", "Calls that run.").number(&[("plugin", "a"), ("kind", "")], 0);
    text.gauge("wharf_compile_seconds", "How long it took.").seconds(&[], 1_500);
    text.gauge("wharf_nothing", "A metric without a series.");
    let mut durations = text.histogram("wharf_call_duration_seconds", "How long calls took.");
    durations.durations(&[("plugin", hostile)], &histogram).durations(&[("plugin", "b")], &Histogram::new(&BOUNDS));
    let text = text.finish();
    assert_eq!(complaints(&text), "", "{text}");
}

#[test]
fn prometheus_would_say_what_is_wrong() {
    let mut text = Text::new();
    text.gauge("wharf_calls_total", "Not what the name says.").number(&[], 1);
    assert_ne!(complaints(&text.finish()), "");
    assert_ne!(complaints("wharf_calls{plugin=\"a} 1\n"), "");
}
