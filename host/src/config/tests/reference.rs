//! The reference of settings says what is enforced: its keys, its bounds, its defaults.

use std::{fs, path::Path, sync::Arc, time::Duration};

use bytesize::ByteSize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PLUGIN, environment, listener};
use crate::config::{
    Bounded, Config, Kind, Setting, Source, parse,
    reader::{NAME_PATTERN, is_name},
    schema, settings, settings_page,
};

/// What makes a whole configuration, one key a line; those of MongoDB have another URL.
const WHOLE: [(&str, &str); 4] = [
    ("databases.NAME.url", "\"sqlite://d.db\""),
    ("plugins.NAME.component", "\"p.wasm\""),
    ("plugins.NAME.routes", "[\"/p\"]"),
    ("plugins.NAME.databases.NAME.access", "\"read-write\""),
];

/// What goes with settings that mean nothing without it: how their paths begin, and one key a line.
const BESIDE: [(&str, &str, &str); 6] = [
    ("server.tls", "server.tls.certificate", "\"c.pem\""),
    ("server.tls", "server.tls.key", "\"k.pem\""),
    ("server.forwarded_header", "server.trusted_proxies", "[\"192.0.2.1\"]"),
    ("audit", "audit.file", "\"audit.log\""),
    ("audit", "audit.key", "\"0123456789abcdef0123456789abcdef\""),
    ("audit.who_header", "server.trusted_proxies", "[\"192.0.2.1\"]"),
];

/// A folder with everything that a configuration may point to, a certificate of the host's among it.
fn folder() -> TempDir {
    let folder = super::folder();
    listener::certify(folder.path(), 2999);
    folder
}

/// A configuration of those keys but for `without`, and of one more.
fn configuration(setting: &Setting, without: &[&str], last: &str) -> String {
    let line = |(path, value): (&str, &str)| {
        let is_of_mongodb = path == "databases.NAME.url" && setting.only == Some("MongoDB");
        let value = if is_of_mongodb { "\"mongodb://db.example/d\"" } else { value };
        format!("{path} = {value}\n")
    };
    let beside = BESIDE.into_iter().filter(|(of, ..)| setting.path.starts_with(of)).map(|(_, path, value)| (path, value));
    let text: String = WHOLE.into_iter().chain(beside).filter(|(path, _)| !without.contains(path)).map(line).collect();
    (text + last).replace("plugins.NAME", "plugins.p").replace("databases.NAME", "databases.d")
}

/// Everything by default, with one key set.
fn with(setting: &Setting, value: &str) -> String {
    let path = setting.path.as_str();
    let in_place_of = path.strip_suffix("_file").unwrap_or(path);
    configuration(setting, &[path, in_place_of], &format!("{path} = {value}\n"))
}

/// What is read, and all that is said about it.
fn read(folder: &Path, text: &str) -> (Config, Vec<String>) {
    let (mut config, said) = parse(&folder.join("wharf.toml"), "wharf.toml", text, &environment).unwrap();
    // It is compared with others.
    config.source = Arc::new(Source::new("", ""));
    (config, said.iter().map(|said| said.message().to_owned()).collect())
}

/// What the schema has against a configuration. Knows every word that the schema uses, and no other.
pub(super) fn violations(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    check(&schema(), &toml::from_str(text).unwrap(), "", &mut found);
    found
}

fn fits(schema: &Value, value: &Value) -> bool {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found.is_empty()
}

fn whole(value: &Value) -> Option<i128> {
    value.as_number()?.as_i128()
}

fn check(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let list = |word: &Value| word.as_array().unwrap().clone();
    let has = |key: &Value| value.as_object().is_none_or(|value| value.contains_key(key.as_str().unwrap()));
    let length = value.as_array().map_or(0, Vec::len) as u64;
    for (word, rule) in schema.as_object().unwrap() {
        let fits = match word.as_str() {
            "type" => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                other => panic!("unknown type {other}"),
            },
            "properties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if let Some(rule) = rule.get(key) {
                        check(rule, value, &format!("{at}/{key}"), found);
                    }
                }
                true
            }
            "patternProperties" => {
                let rules = rule.as_object().unwrap();
                assert_eq!(rules.keys().collect::<Vec<_>>(), [NAME_PATTERN]);
                for (key, value) in value.as_object().into_iter().flatten().filter(|(key, _)| is_name(key)) {
                    check(&rules[NAME_PATTERN], value, &format!("{at}/{key}"), found);
                }
                true
            }
            "additionalProperties" => {
                assert_eq!(*rule, json!(false));
                let is_known = |key: &str| match schema.get("properties") {
                    Some(properties) => properties.get(key).is_some(),
                    None => is_name(key),
                };
                value.as_object().into_iter().flatten().all(|(key, _)| is_known(key))
            }
            "items" => value.as_array().into_iter().flatten().all(|value| fits(rule, value)),
            "required" => list(rule).iter().all(has),
            "anyOf" => list(rule).iter().any(|rule| fits(rule, value)),
            "allOf" => list(rule).iter().all(|rule| fits(rule, value)),
            "not" => !fits(rule, value),
            "enum" => list(rule).contains(value),
            "pattern" => {
                assert_eq!(*rule, json!("\\$\\{"));
                value.as_str().is_some_and(|text| text.contains("${"))
            }
            "minimum" | "maximum" => {
                let bound = whole(rule).unwrap();
                whole(value).is_some_and(|value| if word == "minimum" { value >= bound } else { value <= bound })
            }
            "minItems" => length >= rule.as_u64().unwrap(),
            "maxItems" => length <= rule.as_u64().unwrap(),
            "$schema" | "title" | "description" | "default" | "x-least" | "x-most" => true,
            other => panic!("unknown word {other}"),
        };
        if !fits {
            found.push(format!("{at}: {word} {rule}"));
        }
    }
}

/// A setting's part of the schema.
fn in_schema(setting: &Setting) -> Value {
    let mut schema = schema();
    for key in setting.path.split('.') {
        let part = if key == "NAME" { "patternProperties" } else { "properties" };
        let key = if key == "NAME" { NAME_PATTERN } else { key };
        schema = schema[part][key].take();
    }
    assert!(schema.is_object(), "{} is not in the schema", setting.path);
    schema
}

fn key(setting: &Setting) -> &str {
    setting.path.rsplit('.').next().unwrap()
}

fn is_table(setting: &Setting) -> bool {
    matches!(setting.kind, Kind::Table | Kind::Tables)
}

/// Settings that are no tables.
fn values() -> impl Iterator<Item = Setting> {
    settings().into_iter().filter(|setting| !is_table(setting))
}

#[test]
fn every_key_of_the_schema_is_read_as_what_it_says() {
    let folder = folder();
    for setting in values() {
        let (right, wrong) = match &setting.kind {
            Kind::Number(Bounded { least, .. }) => (least.to_string(), "\"1\""),
            Kind::Duration(_) | Kind::Size(_) => (in_schema(&setting)["x-least"].to_string(), "1"),
            Kind::Boolean(_) => ("true".to_owned(), "1"),
            Kind::Choice { words, .. } => (format!("{:?}", words[0]), "1"),
            Kind::List { .. } => ("[\"x\"]".to_owned(), "1"),
            _ => ("\"x\"".to_owned(), "1"),
        };
        let (key, in_schema) = (key(&setting), in_schema(&setting));
        let of_type = format!("`{key}` must be ");
        for (value, is_right) in [(right.as_str(), true), (wrong, false)] {
            let (_, said) = read(folder.path(), &with(&setting, value));
            let unknown = ["unknown key", "is no key of", "is a key of"];
            assert!(!said.iter().any(|said| unknown.iter().any(|word| said.contains(word))), "{}: {said:?}", setting.path);
            assert_eq!(said.iter().any(|said| said.starts_with(&of_type)), !is_right, "{} = {value}: {said:?}", setting.path);
            let value: toml::Table = toml::from_str(&format!("value = {value}")).unwrap();
            assert_eq!(fits(&in_schema, &json!(value["value"])), is_right, "{} = {value:?}", setting.path);
        }
    }
}

#[test]
fn the_bounds_of_the_schema_are_those_that_are_enforced() {
    let folder = folder();
    let mut tried = 0;
    for setting in values() {
        let in_schema = in_schema(&setting);
        let written = |which: &str| in_schema[which].as_str().unwrap().to_owned();
        let tries: Vec<(String, bool)> = match setting.kind {
            Kind::Number(_) => {
                let bound = |which: &str| whole(&in_schema[which]).unwrap();
                let (least, most) = (bound("minimum"), bound("maximum"));
                [(least - 1, false), (least, true), (most, true), (most + 1, false)].map(|(n, fits)| (n.to_string(), fits)).into()
            }
            Kind::Duration(_) => {
                const STEP: Duration = Duration::from_nanos(1);
                let bound = |which: &str| humantime::parse_duration(&written(which)).unwrap();
                let (least, most) = (bound("x-least"), bound("x-most"));
                let below = least.checked_sub(STEP).map(|below| (below, false));
                let tries = below.into_iter().chain([(least, true), (most, true), (most + STEP, false)]);
                tries.map(|(duration, fits)| (format!("\"{}\"", humantime::format_duration(duration)), fits)).collect()
            }
            Kind::Size(_) => {
                let bound = |which: &str| written(which).parse::<ByteSize>().unwrap().as_u64();
                let (least, most) = (bound("x-least"), bound("x-most"));
                let below = least.checked_sub(1).map(|below| (below, false));
                let tries = below.into_iter().chain([(least, true), (most, true), (most + 1, false)]);
                tries.map(|(bytes, fits)| (format!("\"{bytes}B\""), fits)).collect()
            }
            _ => continue,
        };
        let out_of_range = format!("`{}` is out of range", key(&setting));
        for (value, is_within) in tries {
            let (_, said) = read(folder.path(), &with(&setting, &value));
            assert_eq!(!said.contains(&out_of_range), is_within, "{} = {value}: {said:?}", setting.path);
            tried += 1;
        }
    }
    assert!(tried > 150, "only {tried} tries");
}

#[test]
fn the_lengths_of_lists_are_those_that_are_enforced() {
    let folder = folder();
    let mut lists = 0;
    for setting in values() {
        let Kind::List { of, .. } = setting.kind else { continue };
        let in_schema = in_schema(&setting);
        let bound = |which: &str| usize::try_from(in_schema[which].as_u64().unwrap()).unwrap();
        let (least, most) = (bound("minItems"), bound("maxItems"));
        for (length, is_within) in
            [(least.checked_sub(1), false), (Some(least), true), (Some(most), true), (Some(most + 1), false)]
        {
            let Some(length) = length else { continue };
            let items = (0..length).map(|number| match of {
                "routes" => format!("/r{number}"),
                "networks" => format!("192.0.2.{number}"),
                _ => format!("h{number}"),
            });
            let text = with(&setting, &format!("{:?}", items.collect::<Vec<_>>()));
            let (_, said) = read(folder.path(), &text);
            assert_eq!(said.is_empty(), is_within, "{} with {length}: {said:?}", setting.path);
            assert_eq!(violations(&text).is_empty(), is_within, "{} with {length}", setting.path);
        }
        lists += 1;
    }
    assert_eq!(lists, 3);
}

#[test]
fn a_default_that_is_given_is_the_default() {
    let folder = folder();
    let mut tried = 0;
    for setting in values() {
        let Some(default) = setting.kind.default() else { continue };
        assert_eq!(in_schema(&setting)["default"], default);
        let text = with(&setting, &default.to_string());
        let (given, said) = read(folder.path(), &text);
        assert!(said.is_empty() && violations(&text).is_empty(), "{}: {said:?}", setting.path);
        let (left_out, said) = read(folder.path(), &configuration(&setting, &[], ""));
        assert!(said.is_empty(), "{said:?}");
        assert_eq!(format!("{given:?}"), format!("{left_out:?}"), "{}", setting.path);
        tried += 1;
    }
    assert!(tried > 40, "only {tried} defaults");
}

#[test]
fn what_is_needed_and_what_excludes_each_other_is_in_the_schema() {
    let folder = folder();
    let refused = |text: &str, what: &str| {
        assert!(!read(folder.path(), text).1.is_empty(), "{what} is read");
        assert!(!violations(text).is_empty(), "{what} fits the schema");
    };
    let mut needed = 0;
    for setting in settings() {
        let (table, key) = setting.path.rsplit_once('.').unwrap_or(("", setting.path.as_str()));
        if let Kind::SecretFile { of } = setting.kind {
            let both = format!("{table}.{of} = \"sqlite://d.db\"\n{table}.{key} = \"url.txt\"\n");
            let text = configuration(&setting, &[&format!("{table}.{of}")], &both);
            refused(&text, &format!("{} beside {of}", setting.path));
        }
        if !setting.needed.is_empty() && !is_table(&setting) {
            let group: Vec<String> = setting.needed.iter().map(|key| format!("{table}.{key}")).collect();
            let group: Vec<&str> = group.iter().map(String::as_str).collect();
            // What is left of the table must still be one.
            let rest = match table {
                "server.tls" => "check_interval = \"1s\"",
                "audit" => "max_files = 1",
                table if table.ends_with("databases.NAME") => "max_connections = 1",
                _ => "limits.fuel = 1",
            };
            let rest = format!("{table}.{rest}\n");
            refused(&configuration(&setting, &group, &rest), &format!("nothing of {group:?}"));
            needed += 1;
        }
    }
    assert_eq!(needed, 11);
    refused("[server]\n", "a file without plugins");
}

#[test]
fn no_table_takes_other_keys() {
    let folder = folder();
    for setting in settings() {
        let table = match setting.kind {
            Kind::Table => setting.path.clone(),
            Kind::Tables => format!("{}.NAME", setting.path),
            _ => continue,
        };
        let text = configuration(&setting, &[], &format!("{table}.no_such_key = 1\n"));
        assert_eq!(read(folder.path(), &text).1, ["unknown key `no_such_key`"], "{table}");
        assert_eq!(violations(&text).len(), 1, "{table}: {:?}", violations(&text));
    }
    let text = format!("no_such_key = 1\n{PLUGIN}");
    assert_eq!((read(folder.path(), &text).1.len(), violations(&text).len()), (1, 1));
}

#[test]
fn names_are_those_of_the_schema() {
    // As the expression has it; `is_name` stands for it in `check`.
    assert_eq!(NAME_PATTERN, "^[a-z][a-z0-9_-]{0,62}$");
    let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
    for (name, fits) in [
        ("a", true),
        ("a1_-", true),
        (&*longest, true),
        (&*too_long, false),
        ("1a", false),
        ("_a", false),
        ("A", false),
        ("aB", false),
        ("a.b", false),
        ("", false),
    ] {
        assert_eq!(is_name(name), fits, "{name}");
    }
}

#[test]
fn examples_fit_the_schema() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut read = 0;
    for example in fs::read_dir(examples).unwrap() {
        let Ok(text) = fs::read_to_string(example.unwrap().path().join("wharf.toml")) else { continue };
        assert_eq!(violations(&text), [""; 0]);
        read += 1;
    }
    assert!(read >= 2);
}

#[test]
fn the_files_of_the_reference_are_current() {
    let file = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference").join(name);
        fs::read_to_string(&path).unwrap_or_default()
    };
    assert!(
        file("settings.md") == settings_page(),
        "write it anew: cargo run --release -- settings > host/reference/settings.md"
    );
    assert!(
        serde_json::from_str::<Value>(&file("wharf.schema.json")).ok() == Some(schema()),
        "write it anew: cargo run --release -- schema > host/reference/wharf.schema.json"
    );
}
