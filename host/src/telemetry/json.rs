//! One log line as JSON: time, level, what was said, target.
//!
//! What `tracing_subscriber`'s own formatter writes, without spans, of which there are none here. That one checks the text and grows the line
//! for every quote and comma, at some 19,000 instructions a line of the access log.

use std::fmt;

use serde::ser::{SerializeMap, Serializer};
use tracing::{Event, Subscriber};
use tracing_serde::{AsSerde, SerdeMapVisitor};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// Bytes that a line of the access log fits into.
const LINE_BYTES: usize = 512;

/// Formats events as lines of JSON.
#[derive(Debug)]
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut timestamp = String::with_capacity(32);
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let line = line(&timestamp, event).map_err(|_| fmt::Error)?;
        writer.write_str(std::str::from_utf8(&line).map_err(|_| fmt::Error)?)
    }
}

fn line(timestamp: &str, event: &Event<'_>) -> serde_json::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(LINE_BYTES);
    let mut serializer = serde_json::Serializer::new(&mut line);
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("timestamp", timestamp)?;
    map.serialize_entry("level", &event.metadata().level().as_serde())?;
    let mut visitor = SerdeMapVisitor::new(map);
    event.record(&mut visitor);
    let mut map = visitor.take_serializer()?;
    map.serialize_entry("target", event.metadata().target())?;
    map.end()?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{fmt::layer, layer::SubscriberExt};

    use super::super::logs::tests::Sink;
    use super::*;

    #[test]
    fn a_line_is_what_the_library_writes() {
        let written = |make: &dyn Fn(Sink) -> Box<dyn Subscriber + Send + Sync>| {
            let sink = Sink::default();
            tracing::subscriber::with_default(make(sink.clone()), || {
                tracing::warn!(target: "access", path = "/a\"b\u{1}ä", status = 200_u16, ms = 1.5, gone = true, why = ?Some(1), "said");
                tracing::info!("only words");
            });
            let text = sink.text();
            text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect::<Vec<_>>()
        };
        let ours = written(&|sink| {
            let lines = layer().json().event_format(JsonLines).with_writer(move || sink.clone());
            Box::new(tracing_subscriber::registry().with(lines))
        });
        let theirs = written(&|sink| {
            let lines = layer().json().flatten_event(true).with_writer(move || sink.clone());
            Box::new(tracing_subscriber::registry().with(lines))
        });
        assert_eq!(ours.len(), 2);
        for (mut ours, mut theirs) in ours.into_iter().zip(theirs) {
            for line in [&mut ours, &mut theirs] {
                let timestamp = line["timestamp"].take();
                assert!(timestamp.as_str().unwrap().ends_with('Z'), "{timestamp}");
            }
            assert_eq!(ours, theirs);
        }
    }
}
