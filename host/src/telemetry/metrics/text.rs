//! Metrics as Prometheus reads them: its text format, version 0.0.4.

use std::fmt::Write as _;

use super::Histogram;

/// What the text is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Names and values that tell a series from the others of its metric. Values may be anything.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text, metric by metric.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a metric that only goes up; its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Numbers<'_> {
        debug_assert!(name.ends_with("_total"), "{name}");
        self.begin(name, "counter", help);
        Numbers { text: &mut self.0, name }
    }

    /// Begins a metric that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Numbers<'_> {
        self.begin(name, "gauge", help);
        Numbers { text: &mut self.0, name }
    }

    /// Begins a metric of durations; its name ends in `_seconds`.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> Histograms<'_> {
        debug_assert!(name.ends_with("_seconds"), "{name}");
        self.begin(name, "histogram", help);
        Histograms { text: &mut self.0, name }
    }

    /// All of it.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
    }

    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        let Self(text) = self;
        text.extend(["# HELP ", name, " "]);
        escape(text, help, false);
        text.extend(["\n# TYPE ", name, " ", kind, "\n"]);
    }
}

/// The series of a counter or a gauge.
#[derive(Debug)]
pub struct Numbers<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Numbers<'_> {
    /// One series.
    pub fn number(&mut self, labels: Labels<'_>, value: u64) -> &mut Self {
        line(self.text, self.name, "", labels, None, &value.to_string());
        self
    }

    /// One series, in seconds.
    pub fn seconds(&mut self, labels: Labels<'_>, micros: u64) -> &mut Self {
        line(self.text, self.name, "", labels, None, &seconds(micros));
        self
    }
}

/// The series of a histogram.
#[derive(Debug)]
pub struct Histograms<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Histograms<'_> {
    /// One series.
    pub fn durations(&mut self, labels: Labels<'_>, histogram: &Histogram) -> &mut Self {
        let Self { text, name } = self;
        let mut count = 0;
        for (bound, within) in histogram.within() {
            let bound = bound.map_or_else(|| "+Inf".to_owned(), seconds);
            line(text, name, "_bucket", labels, Some(&bound), &within.to_string());
            count = within;
        }
        line(text, name, "_sum", labels, None, &seconds(histogram.sum_micros()));
        // That of the last bucket, which it has to equal, whatever was counted meanwhile.
        line(text, name, "_count", labels, None, &count.to_string());
        self
    }
}

fn line(text: &mut String, name: &str, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: &str) {
    text.extend([name, suffix]);
    let mut separator = '{';
    for (label, value) in labels.iter().copied().chain(bound.map(|bound| ("le", bound))) {
        text.push(separator);
        text.extend([label, "=\""]);
        escape(text, value, true);
        text.push('"');
        separator = ',';
    }
    text.extend([if separator == '{' { " " } else { "} " }, value, "\n"]);
}

fn escape(text: &mut String, value: &str, in_quotes: bool) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if in_quotes => text.push_str("\\\""),
            other => text.push(other),
        }
    }
}

/// Without what a float would add or lose.
fn seconds(micros: u64) -> String {
    let mut text = (micros / 1_000_000).to_string();
    let fraction = micros % 1_000_000;
    if fraction > 0 {
        // Writing to a String cannot fail.
        let _ = write!(text, ".{fraction:06}");
        text.truncate(text.trim_end_matches('0').len());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::Bounds, *};

    #[test]
    fn a_metric_says_what_it_is_before_its_series() {
        static BOUNDS: Bounds = Bounds::micros(&[5_000, 1_000_000]);
        let histogram = Histogram::new(&BOUNDS);
        for millis in [5, 250, 1_500] {
            histogram.record(Duration::from_millis(millis));
        }
        let mut text = Text::new();
        text.counter("calls_total", "Calls that ended.").number(&[("plugin", "a"), ("outcome", "answered")], 7).number(&[], 1);
        text.gauge("age_seconds", "A line\nand a \\ and a \".").seconds(&[("name", "a \"quoted\"\\\nname")], 10_000_000);
        text.histogram("call_duration_seconds", "How long.").durations(&[("plugin", "a")], &histogram).durations(&[], &histogram);
        let expected = r#"# HELP calls_total Calls that ended.
# TYPE calls_total counter
calls_total{plugin="a",outcome="answered"} 7
calls_total 1
# HELP age_seconds A line\nand a \\ and a ".
# TYPE age_seconds gauge
age_seconds{name="a \"quoted\"\\\nname"} 10
# HELP call_duration_seconds How long.
# TYPE call_duration_seconds histogram
call_duration_seconds_bucket{plugin="a",le="0.005"} 1
call_duration_seconds_bucket{plugin="a",le="1"} 2
call_duration_seconds_bucket{plugin="a",le="+Inf"} 3
call_duration_seconds_sum{plugin="a"} 1.755
call_duration_seconds_count{plugin="a"} 3
call_duration_seconds_bucket{le="0.005"} 1
call_duration_seconds_bucket{le="1"} 2
call_duration_seconds_bucket{le="+Inf"} 3
call_duration_seconds_sum 1.755
call_duration_seconds_count 3
"#;
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn seconds_are_exact() {
        let told = [0, 1, 500, 1_000_000, 1_000_100, u64::MAX].map(seconds);
        assert_eq!(told, ["0", "0.000001", "0.0005", "1", "1.0001", "18446744073709.551615"]);
    }
}
