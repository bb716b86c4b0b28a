//! What Prometheus' own tool says of our metrics.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use wharf::telemetry::metrics::{Bounds, Histogram, Text};

static BOUNDS: Bounds = Bounds::micros(&[500, 5_000, 1_000_000]);

/// Its complaints, none if there are none.
fn complaints(metrics: &str) -> String {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool, which tests/setup.sh installs");
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.success(), told.is_empty(), "{told}");
    told
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
