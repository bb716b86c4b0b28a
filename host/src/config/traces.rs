//! Reads `[traces]`: which calls are traced, and who takes their spans.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    model::Traces,
    reader::Table,
    recorder::Kind,
    values::{LEAST, MINUTE},
};
use crate::telemetry::trace::Endpoint;

const SAMPLE: f64 = 0.1;
const MAX_HEADERS: usize = 16;

/// Headers that say what a request holds and how it is sent, which the host knows better.
const OWN: [&str; 6] = ["connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding"];

/// Everything is looked at, also where there is no endpoint.
pub(super) fn read(root: &mut Table<'_>) -> Option<Traces> {
    let mut table = root.table("traces");
    let endpoint = read_endpoint(&mut table);
    let sample = read_sample(&mut table).unwrap_or(SAMPLE);
    let max_spans_per_second = table.number("max_spans_per_second", 2_000, 1, 100_000).value;
    let headers = read_headers(&mut table);
    let timeout = table.duration("timeout", Duration::from_secs(5), LEAST, MINUTE).value;
    table.finish();
    Some(Traces { endpoint: endpoint?, sample, max_spans_per_second, headers, timeout })
}

fn read_endpoint(table: &mut Table<'_>) -> Option<Endpoint> {
    let entry = table.take("endpoint", Kind::Text { form: "a URL", default: None })?;
    let text = entry.text("a URL, such as \"http://localhost:4318\"")?;
    let parsed = Endpoint::parse(&text.value);
    if let Err(why) = parsed {
        // It is not shown: it may hold a credential.
        let hint = "write \"http://HOST:4318\", or \"https://HOST/PATH\"";
        entry.context.error(entry.at, format!("the value of `endpoint` {why}"), hint);
    }
    parsed.ok()
}

fn read_sample(table: &mut Table<'_>) -> Option<f64> {
    let kind = Kind::Text { form: "a share from `\"0\"` to `\"1\"`", default: Some(SAMPLE.to_string()) };
    let entry = table.take("sample", kind)?;
    let text = entry.text("a share in quotes, such as \"0.1\"")?;
    let sample = text.value.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    if sample.is_none() {
        entry.context.error(entry.at, format!("{} is no share", text.shown()), "write a number from \"0\" to \"1\"");
    }
    sample
}

fn read_headers(table: &mut Table<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(secret) = table.secret("headers", "headers_file") else { return headers };
    let lines = || secret.text.expose().lines().filter(|line| !line.trim().is_empty());
    // By their numbers, since what is in a line may be a credential.
    let wrong = |number: usize, why: &str| {
        let message = format!("line {} of `{}` {why}", number + 1, secret.key);
        // In a file `${TOKEN}` would stand for itself.
        table.context.error(secret.at, message, "write a header a line, such as \"Authorization: Bearer TOKEN\"");
    };
    for (number, line) in lines().enumerate() {
        match header(line) {
            None => wrong(number, "is no header"),
            Some((name, _)) if OWN.contains(&name.as_str()) => wrong(number, "is a header that the host writes itself"),
            Some((name, _)) if headers.contains_key(&name) => wrong(number, "says something a second time"),
            Some((name, mut value)) => {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
    }
    if lines().count() > MAX_HEADERS {
        let message = format!("`{}` has too many headers", secret.key);
        table.context.error(secret.at, message, format!("allowed: {MAX_HEADERS} at most"));
    }
    headers
}

fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
}
