//! `server.tls`, and what is believed of proxies.

use std::{fs, time::Duration};

use tempfile::TempDir;

use super::{PLUGIN, accepted, refused};
use crate::{config::Tls, server::ForwardedHeader};

/// A folder with a certificate for `localhost`, valid until the beginning of a year, and its key; and a table that names them.
fn certified(year: i32) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let (certificate_path, key_path) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    fs::write(&certificate_path, params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(&key_path, key.serialize_pem()).unwrap();
    let table = format!("certificate = {certificate_path:?}, key = {key_path:?}");
    (folder, table)
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let (_folder, config) = accepted(PLUGIN);
    assert!(config.server.tls.is_none() && config.server.trusted_proxies.is_empty());
    assert_eq!(config.server.forwarded_header, ForwardedHeader::XForwardedFor);
    assert_eq!(config.server.request_timeout, Duration::from_secs(3600));
    let (folder, table) = certified(2999);
    let (_folder, config) = accepted(&format!("[server]\ntls = {{ {table} }}\n{PLUGIN}"));
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    assert_eq!(config.server.tls, Some(Tls { certificate, key, check_interval: Duration::from_secs(10) }));
}

#[test]
fn everything_can_be_said() {
    let (_certified, table) = certified(2999);
    let (_folder, config) = accepted(&format!(
        "[server]\ntls = {{ {table}, check_interval = \"1m\" }}\nrequest_timeout = \"30s\"\nforwarded_header = \"forwarded\"\n\
         trusted_proxies = [\"10.0.0.0/8\", \"192.0.2.7\", \"fd00::/8\", \"2001:db8::1\"]\n{PLUGIN}"
    ));
    assert_eq!(config.server.tls.unwrap().check_interval, Duration::from_secs(60));
    assert_eq!(config.server.request_timeout, Duration::from_secs(30));
    assert_eq!(config.server.forwarded_header, ForwardedHeader::Forwarded);
    let networks: Vec<String> = config.server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8", "2001:db8::1/128"]);
}

#[test]
fn what_is_no_network_is_told_with_its_place() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[server]
trusted_proxies = ["proxy.internal", "10.0.0.5/8", "0.0.0.0/0", "::ffff:10.0.0.0/104", 10]
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `proxy.internal` is not a network
 --> wharf.toml:3:20
  |
3 | trusted_proxies = ["proxy.internal", "10.0.0.5/8", "0.0.0.0/0", "::ffff:10.0.0.0/104", 10]
  |                    ^^^^^^^^^^^^^^^^
  |
  = help: write an address, or one with the length of its prefix, such as "10.0.0.0/8"

error: `10.0.0.5/8` has more of an address than its prefix
 --> wharf.toml:3:38
  |
3 | trusted_proxies = ["proxy.internal", "10.0.0.5/8", "0.0.0.0/0", "::ffff:10.0.0.0/104", 10]
  |                                      ^^^^^^^^^^^^
  |
  = help: did you mean "10.0.0.0/8"?

error: `0.0.0.0/0` is everybody
 --> wharf.toml:3:52
  |
3 | trusted_proxies = ["proxy.internal", "10.0.0.5/8", "0.0.0.0/0", "::ffff:10.0.0.0/104", 10]
  |                                                    ^^^^^^^^^^^
  |
  = help: name the networks that your proxies are in, so that nobody else is believed

error: `::ffff:10.0.0.0/104` is IPv4 written as IPv6
 --> wharf.toml:3:65
  |
3 | trusted_proxies = ["proxy.internal", "10.0.0.5/8", "0.0.0.0/0", "::ffff:10.0.0.0/104", 10]
  |                                                                 ^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write it without `::ffff:`, such as "10.0.0.0/8"

error: `trusted_proxies` must be an array of networks, not an integer
 --> wharf.toml:3:88
  |
3 | trusted_proxies = ["proxy.internal", "10.0.0.5/8", "0.0.0.0/0", "::ffff:10.0.0.0/104", 10]
  |                                                                                        ^^
  |
  = help: write it in quotes

wharf.toml: 5 errors
"#);
}

#[test]
fn there_are_not_too_many_networks() {
    let networks = |count: usize| format!("[server]\ntrusted_proxies = [{}]\n{PLUGIN}", vec!["\"10.0.0.1\""; count].join(", "));
    accepted(&networks(64));
    assert!(refused(&networks(65)).contains("`trusted_proxies` has 65 networks"));
}

#[test]
fn a_header_that_nobody_is_trusted_to_write_is_refused() {
    let said = refused(&format!("[server]\nforwarded_header = \"forwarded\"\n{PLUGIN}"));
    assert!(said.contains("`forwarded_header` is given, and no proxy is trusted to write it"), "{said}");
    let said = refused(&format!("[server]\nforwarded_header = \"forwarded-for\"\ntrusted_proxies = [\"::1\"]\n{PLUGIN}"));
    assert!(said.contains("`forwarded-for` is not a value of `forwarded_header`"), "{said}");
}

#[test]
fn a_certificate_that_cannot_be_shown_is_refused() {
    let (good, expired) = (certified(2999), certified(2001));
    let path = |folder: &TempDir, name: &str| format!("{:?}", folder.path().join(name));
    let (certificate, key, other_key) = (path(&good.0, "c.pem"), path(&good.0, "k.pem"), path(&expired.0, "k.pem"));
    let cannot = "`server.tls` cannot be used:";
    for (table, expected) in [
        (expired.1.clone(), format!("{cannot} the certificate has expired")),
        (format!("certificate = {certificate}, key = {other_key}"), format!("{cannot} the key is not that of the certificate")),
        (format!("certificate = {key}, key = {key}"), "k.pem holds no certificate in PEM form".to_owned()),
        (format!("certificate = {certificate}, key = {certificate}"), "c.pem holds no private key in PEM form".to_owned()),
        (format!("certificate = {certificate}, key = \"none.pem\""), "none.pem cannot be read: no such file".to_owned()),
        (format!("certificate = \"empty\", key = {key}"), "empty cannot be read: it is not a file".to_owned()),
        (format!("certificate = {certificate}"), "`server.tls` has no `key`".to_owned()),
        (format!("key = {key}"), "`server.tls` has no `certificate`".to_owned()),
        (format!("{}, ca = 1", good.1), "unknown key `ca`".to_owned()),
    ] {
        let said = refused(&format!("[server]\ntls = {{ {table} }}\n{PLUGIN}"));
        assert!(said.contains(&expected), "{said}\n{expected}");
    }
}
