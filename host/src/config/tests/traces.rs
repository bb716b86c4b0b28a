//! `[traces]`.

use std::{fs, time::Duration};

use super::{PLUGIN, accepted, refused};
use crate::telemetry::trace::Endpoint;

const ENDPOINT: &str = "[traces]\nendpoint = \"http://localhost:4318\"\n";

#[test]
fn without_an_endpoint_nothing_is_traced() {
    assert!(accepted(PLUGIN).1.traces.is_none());
    assert!(accepted(&format!("[traces]\nsample = \"1\"\n{PLUGIN}")).1.traces.is_none());
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let traces = accepted(&format!("{ENDPOINT}{PLUGIN}")).1.traces.unwrap();
    assert_eq!(traces.endpoint, Endpoint::parse("http://localhost:4318/v1/traces").unwrap());
    assert_eq!((traces.sample, traces.max_spans_per_second), (0.1, 2_000));
    assert_eq!((traces.headers.len(), traces.timeout), (0, Duration::from_secs(5)));
}

#[test]
fn everything_can_be_said() {
    let (folder, _) = accepted(PLUGIN);
    let file = folder.path().join("headers.txt");
    fs::write(&file, "Authorization: Bearer hunter2\n\nx-scope:  clinic \n").unwrap();
    let (_folder, config) = accepted(&format!(
        "[traces]\nendpoint = \"https://otlp.example/x\"\nsample = \"0.25\"\nmax_spans_per_second = 7\ntimeout = \"1s\"\n\
         headers_file = {file:?}\n{PLUGIN}"
    ));
    assert!(!format!("{config:?}").contains("hunter2"));
    let traces = config.traces.unwrap();
    assert_eq!((traces.sample, traces.max_spans_per_second, traces.timeout), (0.25, 7, Duration::from_secs(1)));
    assert_eq!(traces.headers["authorization"], "Bearer hunter2");
    assert_eq!(traces.headers["x-scope"], "clinic");
    let (_folder, config) = accepted(&format!("{ENDPOINT}headers = \"x-key: ${{SECRET}}\"\n{PLUGIN}"));
    assert_eq!(config.traces.unwrap().headers["x-key"], "hunter2");
}

#[test]
fn shares_are_from_none_to_all() {
    for share in ["0", "1", "0.0001", "1e-3"] {
        accepted(&format!("{ENDPOINT}sample = \"{share}\"\n{PLUGIN}"));
    }
    for share in ["-0.1", "1.01", "NaN", "inf", "half", ""] {
        let said = refused(&format!("{ENDPOINT}sample = \"{share}\"\n{PLUGIN}"));
        assert!(said.contains("is no share") && said.contains("write a number from \"0\" to \"1\""), "{said}");
    }
    assert!(refused(&format!("{ENDPOINT}sample = 0.5\n{PLUGIN}")).contains("must be a share in quotes"));
}

#[test]
fn what_cannot_be_sent_to_is_refused_and_no_credential_shown() {
    for (endpoint, why) in [
        ("localhost:4318", "does not begin with"),
        ("grpc://localhost:4317", "does not begin with"),
        ("http://user:hunter2@localhost", "holds a credential, which belongs in `headers_file`"),
        ("http://localhost:0", "no port that there is"),
    ] {
        let said = refused(&format!("[traces]\nendpoint = \"{endpoint}\"\n{PLUGIN}"));
        assert!(said.contains("the value of `endpoint`") && said.contains(why), "{said}");
    }
    let said = refused(&format!("{ENDPOINT}timeout = \"0s\"\nmax_spans_per_second = 0\n{PLUGIN}"));
    assert!(said.contains("`timeout` is out of range") && said.contains("`max_spans_per_second` is out of range"), "{said}");
}

#[test]
fn headers_are_refused_by_their_lines_and_never_shown() {
    let many = (0..17).map(|number| format!("x-{number}: hunter2")).collect::<Vec<_>>().join("\\n");
    for (headers, why) in [
        ("hunter2", "line 1 of `headers` is no header"),
        ("a: b\\nx y: hunter2", "line 2 of `headers` is no header"),
        ("Content-Type: hunter2", "line 1 of `headers` is a header that the host writes itself"),
        ("a: hunter2\\nA: hunter2", "line 2 of `headers` says something a second time"),
        (many.as_str(), "`headers` has too many headers"),
        ("see https://hunter2", "line 1 of `headers` is no header"),
        ("", "`headers` is empty"),
    ] {
        let said = refused(&format!("{ENDPOINT}headers = \"{headers}\"\n{PLUGIN}"));
        assert!(said.contains(why), "{said}");
    }
    let both = format!("{ENDPOINT}headers = \"a: b\"\nheaders_file = \"url.txt\"\n{PLUGIN}");
    assert!(refused(&both).contains("exclude each other"));
}
