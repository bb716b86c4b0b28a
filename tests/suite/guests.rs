//! Every guest is known, built as a component, and told apart from the others.

use std::collections::BTreeSet;

use support::guests;

use crate::tree;

#[test]
fn every_source_is_a_known_guest() {
    let known: BTreeSet<String> = guests::all().into_iter().map(|(name, _)| format!("tests/guests/examples/{name}.rs")).collect();
    let sources: BTreeSet<String> = tree::files("tests/guests/examples", "rs").into_iter().map(|(path, _)| path).collect();
    assert_eq!(known, sources);
}

#[test]
fn every_guest_is_built_as_a_component() {
    let manifest: toml::Table = tree::read("tests/guests/Cargo.toml").parse().unwrap();
    let examples = manifest["example"].as_array().unwrap();
    for (name, _) in guests::all() {
        let example = examples.iter().find(|example| example["name"].as_str() == Some(name));
        let example = example.unwrap_or_else(|| panic!("{name} is no example of tests/guests/Cargo.toml"));
        assert_eq!(example["crate-type"].as_array().map(Vec::as_slice), Some(&["cdylib".into()][..]), "{name}");
        // The preamble of a component, which differs from a module's in its layer.
        let preamble = std::fs::read(guests::component(name)).unwrap();
        assert_eq!(preamble.get(..8), Some(&b"\0asm\x0d\0\x01\0"[..]), "{name}");
    }
    assert_eq!(examples.len(), guests::all().len());
}
