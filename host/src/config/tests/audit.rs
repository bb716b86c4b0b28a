//! `[audit]`.

use std::{fs, time::Duration};

use super::{PLUGIN, accepted, refused};
use crate::telemetry::audit::{Durability, WhenUnavailable};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const PROXY: &str = "[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n";

/// A configuration with these settings besides file and key.
fn with(settings: &str) -> String {
    format!("[audit]\nfile = \"audit.log\"\nkey = \"{KEY}\"\n{settings}\n{PLUGIN}")
}

#[test]
fn no_log_is_kept_unless_it_is_asked_for() {
    assert_eq!(accepted(PLUGIN).1.audit, None);
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let (folder, config) = accepted(&with(""));
    let audit = config.audit.as_ref().unwrap();
    assert_eq!((&audit.file, audit.key.expose()), (&folder.path().join("audit.log"), KEY));
    assert_eq!((audit.durability, audit.when_unavailable), (Durability::Written, WhenUnavailable::Refuse));
    assert_eq!((audit.sync_interval, audit.head_interval), (Duration::from_secs(1), Duration::from_secs(60)));
    assert_eq!((audit.max_file_size, audit.max_files, audit.statement_bytes), (256 << 20, 0, 2 << 10));
    assert_eq!(audit.who_header, None);
    assert!(!format!("{config:?}").contains(KEY));
}

#[test]
fn everything_can_be_said() {
    let settings = "durability = \"synced\"\nsync_interval = \"20ms\"\nwhen_unavailable = \"continue\"\nmax_file_size = \"8MiB\"\n\
         max_files = 7\nstatement_bytes = \"0B\"\nhead_interval = \"1s\"\nwho_header = \"X-Forwarded-User\"";
    let (_folder, config) = accepted(&format!("{PROXY}{}", with(settings)));
    let audit = config.audit.unwrap();
    assert_eq!((audit.durability, audit.when_unavailable), (Durability::Synced, WhenUnavailable::Continue));
    assert_eq!((audit.sync_interval, audit.head_interval), (Duration::from_millis(20), Duration::from_secs(1)));
    assert_eq!((audit.max_file_size, audit.max_files, audit.statement_bytes), (8 << 20, 7, 0));
    assert_eq!(audit.who_header.unwrap(), "x-forwarded-user");
}

#[test]
fn a_key_comes_from_a_file_too() {
    let (folder, _) = accepted(PLUGIN);
    let file = folder.path().join("key.txt");
    fs::write(&file, format!("{KEY}\n")).unwrap();
    let (_folder, config) = accepted(&format!("[audit]\nfile = \"audit.log\"\nkey_file = {file:?}\n{PLUGIN}"));
    assert_eq!(config.audit.unwrap().key.expose(), KEY);
}

#[test]
fn a_log_without_a_place_or_a_key_is_none() {
    let said = refused(&format!("[audit]\n{PLUGIN}"));
    assert!(said.contains("`audit` has no `file`") && said.contains("`audit` has no `key`"), "{said}");
    // Neither is any of it shown, whatever it is called by.
    let short = &KEY[1..];
    let said = refused(&format!("[audit]\nfile = \"away/audit.log\"\nkey = \"{short}\"\n{PLUGIN}"));
    assert!(said.contains("the folder of `away/audit.log` does not exist"), "{said}");
    assert!(said.contains("the key of `key` has fewer than 32 bytes") && !said.contains(short), "{said}");
}

#[test]
fn who_asks_is_not_taken_from_anybody_or_from_credentials() {
    let untrusted = "`who_header` is given, and no proxy is trusted to write it";
    for (proxies, header, problem) in [
        ("", "x-user", untrusted),
        (PROXY, "x user", "`x user` is not the name of a header"),
        (PROXY, "Authorization", "`who_header` is `Authorization`, in which credentials are"),
        (PROXY, "cookie", "`who_header` is `cookie`, in which credentials are"),
    ] {
        let said = refused(&format!("{proxies}{}", with(&format!("who_header = \"{header}\""))));
        assert!(said.contains(problem), "{said}");
    }
}
