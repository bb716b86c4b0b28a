//! `deny.toml` is true: no licence in the tree that it does not allow, and none allowed that is not there.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value as Json;

use crate::tree;

/// Whether an SPDX expression can be met with what is allowed; notes what was needed for it.
fn met(expression: &str, allowed: &[String], used: &mut BTreeSet<String>) -> bool {
    // `A/B` is an old way to write `A OR B`.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (met, rest) = any(&words, allowed, used);
    assert!(rest.is_empty(), "not understood: {expression}");
    met
}

fn any<'a>(words: &'a [&'a str], allowed: &[String], used: &mut BTreeSet<String>) -> (bool, &'a [&'a str]) {
    let (mut met, mut rest) = all(words, allowed, used);
    while let Some(("OR", after)) = rest.split_first().map(|(first, after)| (*first, after)) {
        let (also, after) = all(after, allowed, used);
        (met, rest) = (met || also, after);
    }
    (met, rest)
}

fn all<'a>(words: &'a [&'a str], allowed: &[String], used: &mut BTreeSet<String>) -> (bool, &'a [&'a str]) {
    let (mut met, mut rest) = one(words, allowed, used);
    while let Some(("AND", after)) = rest.split_first().map(|(first, after)| (*first, after)) {
        let (also, after) = one(after, allowed, used);
        (met, rest) = (met && also, after);
    }
    (met, rest)
}

fn one<'a>(words: &'a [&'a str], allowed: &[String], used: &mut BTreeSet<String>) -> (bool, &'a [&'a str]) {
    match words {
        ["(", inner @ ..] => {
            let (met, rest) = any(inner, allowed, used);
            (met, rest.strip_prefix(&[")"]).expect("a closing parenthesis"))
        }
        [licence, "WITH", exception, rest @ ..] => (is_allowed(&format!("{licence} WITH {exception}"), allowed, used), rest),
        [licence, rest @ ..] => (is_allowed(licence, allowed, used), rest),
        [] => panic!("a licence"),
    }
}

fn is_allowed(licence: &str, allowed: &[String], used: &mut BTreeSet<String>) -> bool {
    let is_allowed = allowed.iter().any(|known| known == licence);
    if is_allowed {
        used.insert(licence.to_owned());
    }
    is_allowed
}

#[test]
fn every_crate_has_an_allowed_licence_and_source() {
    let deny: toml::Table = tree::read("deny.toml").parse().unwrap();
    let allowed: Vec<String> =
        deny["licenses"]["allow"].as_array().unwrap().iter().map(|licence| licence.as_str().unwrap().to_owned()).collect();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1"])
        .current_dir(tree::root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Json = serde_json::from_slice(&output.stdout).unwrap();
    let mut used = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = &package["name"];
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{name} has no licence"));
        assert!(met(licence, &allowed, &mut used), "{name}: {licence}");
        if let Some(source) = package["source"].as_str() {
            assert_eq!(source, "registry+https://github.com/rust-lang/crates.io-index", "{name}");
        }
        let banned = ["openssl-sys", "native-tls"];
        assert!(!banned.iter().any(|banned| name == banned), "{name} is banned");
    }
    assert_eq!(used, allowed.into_iter().collect(), "deny.toml allows what nobody uses");
}

#[test]
fn expressions_are_understood() {
    let allowed = ["MIT".to_owned(), "Unicode-3.0".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
    let mut used = BTreeSet::new();
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-2.0", false),
        ("GPL-2.0 OR MIT", true),
        ("GPL-2.0/MIT", true),
        ("GPL-2.0 AND MIT", false),
        ("(MIT OR GPL-2.0) AND Unicode-3.0", true),
        ("(MIT OR GPL-2.0) AND Zlib", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
        ("GPL-2.0 AND Zlib OR MIT", true),
    ] {
        assert_eq!(met(expression, &allowed, &mut used), expected, "{expression}");
    }
}
