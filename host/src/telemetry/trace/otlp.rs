//! Spans as OTLP writes them in JSON: numbers of traces and spans in hexadecimal, whole numbers in quotes.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::span::{Kind, Record, Value};

/// What all spans of this process have in common.
#[derive(Debug)]
pub(super) struct Resource {
    instance: String,
}

impl Resource {
    pub(super) fn new() -> Self {
        Self { instance: format!("{:032x}", rand::random::<u128>()) }
    }

    /// A request that hands these spans over.
    pub(super) fn document(&self, records: &[Record]) -> Json {
        let version = env!("CARGO_PKG_VERSION");
        let about = [("service.name", "wharf"), ("service.version", version), ("service.instance.id", self.instance.as_str())];
        let about: Vec<Json> = about.into_iter().map(|(key, text)| attribute(key, &text.into())).collect();
        let spans: Vec<Json> = records.iter().map(span).collect();
        json!({
            "resourceSpans": [{
                "resource": { "attributes": about },
                "scopeSpans": [{ "scope": { "name": "wharf", "version": version }, "spans": spans }],
            }],
        })
    }
}

fn span(record: &Record) -> Json {
    let Record { context, parent, name, kind, start, end, attributes, events, failure } = record;
    let kind = match kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
    };
    let mut attributes: Vec<Json> = attributes.iter().map(|(key, value)| attribute(key, value)).collect();
    attributes.extend(failure.as_deref().map(|why| attribute("error.type", &why.into())));
    let events: Vec<Json> = events.iter().map(|(name, at)| json!({ "timeUnixNano": nanos(*at), "name": name })).collect();
    json!({
        "traceId": format!("{:032x}", context.trace_id),
        "spanId": format!("{:016x}", context.span_id),
        "parentSpanId": parent.map_or_else(String::new, |parent| format!("{parent:016x}")),
        "flags": context.flags(),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": nanos(*start),
        "endTimeUnixNano": nanos(*end),
        "attributes": attributes,
        "events": events,
        // Neither well nor badly, unless it is known to have failed.
        "status": { "code": if failure.is_some() { 2 } else { 0 } },
    })
}

fn attribute(key: &str, value: &Value) -> Json {
    let value = match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
    };
    json!({ "key": key, "value": value })
}

fn nanos(time: Duration) -> String {
    time.as_nanos().to_string()
}

/// How many spans the receiver did not want, of those that it has taken note of.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let answer: Json = serde_json::from_slice(answer).unwrap_or_default();
    let rejected = &answer["partialSuccess"]["rejectedSpans"];
    rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{super::Tracer, *};

    #[test]
    fn spans_are_written_as_the_protocol_has_them() {
        let tracer = Tracer::new(1.0, 10);
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_static("00-0000000000000000000000000000000a-000000000000000b-01"));
        let mut call = tracer.begin(&mut headers, false).unwrap();
        call.rename("GET patients".to_owned());
        call.add("wharf.fuel", u64::MAX);
        call.add("url.path", "ä".repeat(300));
        call.event("cancelled");
        call.fail("deadline-exceeded");
        call.fail("client-gone");
        drop(call.trace().span("statement", Kind::Client, Duration::ZERO));
        drop(call);
        let document = Resource::new().document(&tracer.take());
        let resource = &document["resourceSpans"][0];
        assert_eq!(resource["resource"]["attributes"][0], json!({ "key": "service.name", "value": { "stringValue": "wharf" } }));
        let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
        let [below, call] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!((&call["traceId"], &call["parentSpanId"]), (&json!(format!("{:032x}", 10)), &json!("000000000000000b")));
        assert_eq!((&below["traceId"], &below["parentSpanId"]), (&call["traceId"], &call["spanId"]));
        assert_eq!((&call["kind"], &below["kind"], &call["flags"]), (&json!(2), &json!(3), &json!(1)));
        assert_eq!(
            (&call["name"], &call["status"], &below["status"]),
            (&json!("GET patients"), &json!({ "code": 2 }), &json!({ "code": 0 }))
        );
        let attributes = call["attributes"].as_array().unwrap();
        assert_eq!(attributes[0], json!({ "key": "wharf.fuel", "value": { "intValue": i64::MAX.to_string() } }));
        let path = attributes[1]["value"]["stringValue"].as_str().unwrap();
        assert!(path.len() <= 256 && path.ends_with("ä…"), "{path}");
        assert_eq!(attributes[2], json!({ "key": "error.type", "value": { "stringValue": "deadline-exceeded" } }));
        let time = |span: &Json, key: &str| span[key].as_str().unwrap().parse::<u128>().unwrap();
        let (start, end) = (time(call, "startTimeUnixNano"), time(call, "endTimeUnixNano"));
        // After 2020, in nanoseconds.
        assert!(start > 1_577_836_800_000_000_000 && start <= end);
        let event = &call["events"][0];
        assert_eq!(event["name"], "cancelled");
        assert!((start..=end).contains(&time(event, "timeUnixNano")));
    }

    #[test]
    fn what_a_receiver_does_not_want_is_counted() {
        for (answer, expected) in [
            ("{}", 0),
            ("", 0),
            ("not JSON", 0),
            ("{\"partialSuccess\":{}}", 0),
            ("{\"partialSuccess\":{\"rejectedSpans\":\"7\"}}", 7),
            ("{\"partialSuccess\":{\"rejectedSpans\":7,\"errorMessage\":\"why\"}}", 7),
        ] {
            assert_eq!(rejected(answer.as_bytes()), expected, "{answer}");
        }
    }
}
