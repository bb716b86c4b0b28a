//! A module of the host imports only modules below it.

use std::collections::BTreeSet;

use crate::tree;

/// From top to bottom, as in ARCHITECTURE.md.
const LAYERS: [&str; 17] = [
    "main",
    "cli",
    "assembly",
    "config",
    "server",
    "admin",
    "router",
    "call",
    "plugin",
    "engine",
    "interface",
    "lease",
    "pool",
    "driver",
    "shards",
    "telemetry",
    "sync",
];

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| *layer == module)
}

/// The top-level module that a file of the host belongs to.
fn module(path: &str) -> &str {
    let path = path.strip_prefix("host/src/").expect("a file of the host");
    path.split('/').next().and_then(|first| first.split('.').next()).expect("a name")
}

/// Without comments and the contents of strings, in which anything may be said. Characters that look like the start of a string
/// (`'"'`) are taken care of.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("'\"'") {
            3
        } else if first == '"' {
            string_end(rest)
        } else if let Some(hashes) = raw_string_hashes(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len())
        } else {
            code.push(first);
            first.len_utf8()
        };
        rest = &rest[skip..];
    }
    code
}

/// The hashes of a raw string that starts here.
fn raw_string_hashes(text: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    (hashes > 0 && after[hashes..].starts_with('"')).then_some(hashes)
}

fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// The names that follow `prefix` directly: `a` of `crate::a::b`, `a` and `c` of `crate::{a::b, c::{d, e}}`.
fn imports(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        // Not in the middle of a longer name, such as `mycrate::`.
        if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let mut depth = 0_u32;
        let mut fresh = true;
        for (offset, character) in rest.char_indices() {
            match character {
                '{' => (depth, fresh) = (depth + 1, depth == 0),
                '}' if depth > 0 => depth -= 1,
                ',' if depth == 1 => fresh = true,
                _ if character.is_whitespace() => {}
                _ if fresh && (character.is_alphabetic() || character == '_') => {
                    names.insert(rest[offset..].chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect());
                    fresh = false;
                }
                _ => {}
            }
            if depth == 0 && (!fresh || !(character.is_whitespace() || character == '{')) {
                break;
            }
        }
    }
    names
}

#[test]
fn modules_import_only_what_lies_below_them() {
    let mut wrong = Vec::new();
    for (path, text) in tree::files("host/src", "rs") {
        let from = module(&path);
        if from == "lib" {
            continue;
        }
        let Some(own) = rank(from) else {
            wrong.push(format!("{path}: the module {from} is in no layer"));
            continue;
        };
        let code = code(&text);
        // The binary sees the library from outside.
        let names = imports(&code, "crate::").into_iter().chain(imports(&code, "wharf::"));
        for name in names.filter(|name| name != from) {
            match rank(&name) {
                Some(other) if other > own => {}
                Some(_) => wrong.push(format!("{path}: {from} imports {name}, which lies above it")),
                // Bindings have modules of the same name as the crate (`wharf::sql`); macros and items of the root have no layer.
                None if ["sql", "sql_async", "documents", "documents_async"].contains(&name.as_str()) => {}
                None => wrong.push(format!("{path}: {name} is in no layer")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_of_the_library_has_a_layer() {
    let library = tree::read("host/src/lib.rs");
    let modules = library.lines().filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")));
    for module in modules.map(|module| module.trim_end_matches(';')) {
        assert!(rank(module).is_some(), "{module}");
    }
}

#[test]
fn imports_are_found_in_every_form() {
    let text = r##"
        use crate::pool::settings;
        use crate::{driver::{self, types::Batch}, lease::{Scope, End}, telemetry};
        // use crate::server;
        fn f() { let _ = crate::call::run("crate::cli"); mycrate::engine(); }
        /* crate::admin */ const S: &str = r#"crate::router "quoted" "#;
        const Q: char = '"'; use crate::plugin; const R: char = '"';
    "##;
    let found: Vec<String> = imports(&code(text), "crate::").into_iter().collect();
    assert_eq!(found, ["call", "driver", "lease", "plugin", "pool", "telemetry"]);
}
