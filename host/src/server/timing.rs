//! `Server-Timing`: tells a client what the time of its answer went into until that began.

use std::{fmt::Write, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Exchange;
use crate::telemetry::timing::Part;

const NAME: HeaderName = HeaderName::from_static("server-timing");

/// As it is called in the header.
fn name(part: Part) -> &'static str {
    match part {
        Part::Queue => "queue",
        Part::Instance => "instance",
        Part::Database => "db",
    }
}

/// Adds the header, beside what a handler says itself, if the client is to be told. What is not of the named parts is the handler's own work
/// and the server's.
pub(super) fn tell(exchange: &Exchange, headers: &mut HeaderMap) {
    let Some(timing) = exchange.timing() else { return };
    let mut text = String::with_capacity(80);
    for part in Part::ALL {
        add(&mut text, name(part), timing.so_far(part));
        text.push_str(", ");
    }
    // Last, so that what is still under way is never more than it.
    add(&mut text, "total", exchange.started().elapsed());
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.append(NAME, value);
    }
}

/// In milliseconds, cut to whole microseconds: the parts are never more than the whole.
fn add(text: &mut String, name: &str, duration: Duration) {
    let micros = duration.as_micros();
    // Writing to a String cannot fail.
    let _ = write!(text, "{name};dur={}.{:03}", micros / 1000, micros % 1000);
}
