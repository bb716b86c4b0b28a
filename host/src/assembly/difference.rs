//! What is different between two configurations, and what of it cannot change while a host runs.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{self, Config, Fact};

/// What a running host keeps as it was when it started: a change of any of these is refused, and with it the whole reload.
const KEPT: [&str; 25] = [
    "server.listen",
    "server.admin",
    "server.tls.certificate",
    "server.tls.key",
    "server.tls.check_interval",
    "admin.socket",
    "engine.cache",
    "log.level",
    "log.format",
    "audit.file",
    "audit.key",
    "audit.durability",
    "audit.sync_interval",
    "audit.when_unavailable",
    "audit.max_file_size",
    "audit.max_files",
    "audit.statement_bytes",
    "audit.head_interval",
    "audit.who_header",
    "metrics.max_series",
    "traces.endpoint",
    "traces.sample",
    "traces.max_spans_per_second",
    "traces.headers",
    "traces.timeout",
];

/// What is different.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Difference {
    /// A line each, by key.
    pub(super) changes: Vec<String>,
    /// Why it cannot be done while the host runs: a line each.
    pub(super) refused: Vec<String>,
}

/// Compares the configuration in force with another one. `most_instances` is what the host was started with room for.
pub(super) fn between(old: &Config, new: &Config, most_instances: u32) -> Difference {
    let (before, after) = (old.facts(), new.facts());
    let mut difference = Difference::default();
    let mut told = BTreeSet::new();
    for key in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let (from, to) = (before.get(key), after.get(key));
        if from == to {
            continue;
        }
        let section = section(key, [&before, &after]);
        let line = match (&section, from) {
            (Some(section), None) => format!("{section}: new"),
            (Some(section), Some(_)) => format!("{section}: gone"),
            (None, _) => changed(key, from, to),
        };
        if KEPT.contains(&key.as_str()) {
            difference.refused.push(format!("{line}: this cannot change while the host runs"));
        }
        // A section that comes or goes is one line, whatever it says.
        if section.is_none_or(|section| told.insert(section)) {
            difference.changes.push(line);
        }
    }
    for database in &new.databases {
        if old.databases.iter().any(|before| before.name == database.name && before.engine != database.engine) {
            let line = format!("databases.{}.url: the engine of a database cannot change while the host runs", database.name);
            difference.refused.push(line);
        }
    }
    if new.server.max_concurrency > most_instances {
        let line = format!(
            "server.max_concurrency: {} are more than the {most_instances} that the host has room for since it started",
            new.server.max_concurrency
        );
        difference.refused.push(line);
    }
    difference
}

/// Whether one of these changes is one of the plugin, or of a database that it may use.
pub(super) fn concern(changes: &[String], plugin: &config::Plugin) -> bool {
    let databases = plugin.databases.iter().map(|grant| format!("databases.{}", grant.database));
    let mut parts = databases.chain([format!("plugins.{}", plugin.name)]);
    let is_of = |line: &str, part: &str| line.strip_prefix(part).is_some_and(|rest| rest.starts_with(['.', ':']));
    parts.any(|part| changes.iter().any(|line| is_of(line, &part)))
}

fn changed(key: &str, from: Option<&Fact>, to: Option<&Fact>) -> String {
    let (from, to) = (from.unwrap_or(&Fact::Nothing), to.unwrap_or(&Fact::Nothing));
    match (from, to) {
        (Fact::Hidden(_), Fact::Hidden(_)) => format!("{key}: another secret"),
        _ => format!("{key}: {from} → {to}"),
    }
}

/// The database, plugin or grant that a key is of, if only one of the two has it.
fn section(key: &str, sides: [&BTreeMap<String, Fact>; 2]) -> Option<String> {
    let parts: Vec<&str> = key.split('.').collect();
    let lengths: &[usize] = match parts.as_slice() {
        ["plugins", _, "databases", ..] => &[2, 4],
        ["plugins" | "databases", ..] => &[2],
        _ => &[],
    };
    let sections = lengths.iter().filter_map(|length| Some(parts.get(..*length)?.join(".")));
    let has = |side: &BTreeMap<String, Fact>, section: &str| {
        let below = format!("{section}.");
        side.range(below.clone()..).next().is_some_and(|(key, _)| key.starts_with(&below))
    };
    sections.into_iter().find(|section| sides.iter().any(|side| !has(side, section)))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, time::Duration};

    use tempfile::TempDir;

    use super::*;
    use crate::config::{Kind, Setting};

    /// Everything that a key in [`other`] may point to.
    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in ["m/sqlite", "m/mongodb", "crate"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        fs::write(folder.path().join("crate/Cargo.toml"), "").unwrap();
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        for (name, text) in [("c", certified.cert.pem()), ("k", certified.signing_key.serialize_pem())] {
            for file in [format!("{name}.pem"), format!("other-{name}.pem")] {
                fs::write(folder.path().join(file), &text).unwrap();
            }
        }
        folder
    }

    fn load(folder: &Path, text: &str) -> Config {
        fs::write(folder.join(config::FILE_NAME), text).unwrap();
        config::load(folder, &|_| None).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
    }

    /// What goes with settings that mean nothing without it: how their paths begin, and one key a line.
    const BESIDE: [(&str, &str, &str); 7] = [
        ("server.tls", "server.tls.certificate", "\"c.pem\""),
        ("server.tls", "server.tls.key", "\"k.pem\""),
        ("server.forwarded_header", "server.trusted_proxies", "[\"192.0.2.1\"]"),
        ("audit", "audit.file", "\"audit.log\""),
        ("audit", "audit.key", "\"0123456789abcdef0123456789abcdef\""),
        ("audit.who_header", "server.trusted_proxies", "[\"192.0.2.1\"]"),
        ("traces", "traces.endpoint", "\"http://localhost:4318\""),
    ];

    /// What makes a whole configuration of which this may be one: key and value, one a line.
    fn whole(setting: &Setting) -> Vec<(String, String)> {
        let url = if setting.only == Some("MongoDB") { "mongodb://db.example/d" } else { "sqlite://d.db" };
        let keys = [
            ("databases.NAME.url", url),
            ("plugins.NAME.component", "p.wasm"),
            ("plugins.NAME.databases.NAME.access", "read-write"),
        ];
        let mut keys: Vec<_> = keys.into_iter().map(|(key, value)| (key.to_owned(), format!("{value:?}"))).collect();
        keys.push(("plugins.NAME.routes".to_owned(), "[\"/p\"]".to_owned()));
        let beside = BESIDE.into_iter().filter(|(of, ..)| setting.path.starts_with(of));
        keys.extend(beside.map(|(_, key, value)| (key.to_owned(), value.to_owned())));
        keys
    }

    fn text(keys: &[(String, String)]) -> String {
        let text: String = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        text.replace("plugins.NAME", "plugins.p").replace("databases.NAME", "databases.d")
    }

    /// Another value of a setting than the one that it has in [`whole`] or by default.
    fn other(setting: &Setting) -> String {
        const STEP: Duration = Duration::from_millis(1);
        let by_hand = match setting.path.as_str() {
            "server.listen" | "server.admin" => "127.0.0.1:9",
            "admin.token" => "0123456789abcdef",
            "admin.socket" => "other.sock",
            "engine.cache" | "plugins.NAME.component" => "other",
            "log.level" => "debug",
            "server.tls.certificate" => "other-c.pem",
            "server.tls.key" => "other-k.pem",
            "audit.file" => "other.log",
            "audit.key" => "fedcba9876543210fedcba9876543210",
            "audit.who_header" => "x-user",
            "traces.endpoint" => "http://localhost:4319",
            "traces.sample" => "0.5",
            "traces.headers" => "x-scope: clinic",
            "databases.NAME.url" => "sqlite://other.db",
            // They lead to the same file.
            "databases.NAME.control_url" | "databases.NAME.migrations_url" | "plugins.NAME.databases.NAME.url" => {
                "sqlite://./d.db"
            }
            "databases.NAME.migrations" | "databases.NAME.seed" => "m",
            "plugins.NAME.source" => "crate",
            "plugins.NAME.probe" => "/health",
            _ => "",
        };
        match &setting.kind {
            Kind::Number(bounds) => match bounds.default {
                Some(default) if default < bounds.most => (default + 1).to_string(),
                Some(default) => (default - 1).to_string(),
                None => bounds.least.to_string(),
            },
            Kind::Duration(bounds) => {
                let default = bounds.default.unwrap();
                let other = if default < bounds.most { default + STEP } else { default - STEP };
                format!("\"{}\"", humantime::format_duration(other))
            }
            Kind::Size(bounds) => {
                let default = bounds.default.unwrap();
                format!("\"{}B\"", if default < bounds.most { default + 1 } else { default - 1 })
            }
            Kind::Boolean(default) => (!default).to_string(),
            Kind::Choice { words, default } => {
                // Where one must be given it is the last.
                let default = default.unwrap_or("read-write");
                format!("{:?}", words.iter().find(|word| **word != default).unwrap())
            }
            Kind::List { of: "routes", .. } => "[\"/other\"]".to_owned(),
            Kind::List { of: "networks", .. } => "[\"192.0.2.7\"]".to_owned(),
            Kind::List { .. } => "[\"other\"]".to_owned(),
            _ if by_hand.is_empty() => panic!("what else may {} say?", setting.path),
            _ => format!("{by_hand:?}"),
        }
    }

    /// Every key that the code which reads the file asks for: none can be forgotten.
    #[test]
    fn every_setting_that_changes_is_told_and_what_is_kept_is_refused() {
        let folder = folder();
        let mut kept = BTreeSet::new();
        for setting in config::settings() {
            if matches!(setting.kind, Kind::Table | Kind::Tables | Kind::SecretFile { .. }) {
                continue;
            }
            let keys = whole(&setting);
            let old = load(folder.path(), &text(&keys));
            let mut changed: Vec<_> = keys.into_iter().filter(|(key, _)| *key != setting.path).collect();
            changed.push((setting.path.clone(), other(&setting)));
            let new = load(folder.path(), &text(&changed));
            let difference = between(&old, &new, old.server.max_concurrency + 1);
            let key = setting.path.replace("plugins.NAME", "plugins.p").replace("databases.NAME", "databases.d");
            let is_told = |lines: &[String]| lines.iter().any(|line| line.starts_with(&format!("{key}: ")));
            assert!(is_told(&difference.changes), "{key}: {difference:?}");
            assert_eq!(!difference.refused.is_empty(), is_told(&difference.refused), "{key}: {difference:?}");
            if is_told(&difference.refused) {
                kept.insert(setting.path);
            }
            assert_eq!(between(&new, &new, new.server.max_concurrency), Difference::default());
        }
        assert_eq!(kept.iter().map(String::as_str).collect::<BTreeSet<_>>(), KEPT.into());
    }

    #[test]
    fn what_comes_and_goes_is_a_line_and_secrets_are_not_shown() {
        let folder = folder();
        let plugin =
            |name: &str, grants: &str| format!("[plugins.{name}]\ncomponent = \"{name}.wasm\"\nroutes = [\"/{name}\"]\n{grants}");
        let grant = "databases.d.access = \"read-write\"\n";
        let database = "[databases.d]\nurl = \"postgres://app:hunter2@db/d\"\n";
        let old = load(folder.path(), &format!("{database}{}{}", plugin("a", grant), plugin("b", "")));
        let database = "[databases.d]\nurl = \"postgres://app:hunter3@db/d\"\n[databases.e]\nurl = \"sqlite://e.db\"\n";
        let new = load(folder.path(), &format!("{database}{}{}", plugin("a", ""), plugin("c", grant)));
        let difference = between(&old, &new, 256);
        let expected = [
            "databases.d.url: another secret",
            "databases.e: new",
            "plugins.a.databases.d: gone",
            "plugins.b: gone",
            "plugins.c: new",
        ];
        assert_eq!((difference.changes, difference.refused), (expected.map(str::to_owned).into(), Vec::new()));
    }

    #[test]
    fn a_change_concerns_the_plugin_that_it_names_or_that_may_use_its_database() {
        let folder = folder();
        let database = "[databases.d]\nurl = \"sqlite://d.db\"\n";
        let plugin = "[plugins.p]\ncomponent = \"p.wasm\"\nroutes = [\"/p\"]\ndatabases.d.access = \"read-write\"\n";
        let config = load(folder.path(), &format!("{database}{plugin}"));
        for (line, concerns) in [
            ("plugins.p.limits.fuel: 1 → 2", true),
            ("plugins.p: code a → b", true),
            ("databases.d: migrations", true),
            ("databases.d.url: another secret", true),
            ("plugins.p2: new", false),
            ("databases.d-2.url: another secret", false),
            ("server.max_body: 1B → 2B", false),
        ] {
            assert_eq!(concern(&[line.to_owned()], &config.plugins[0]), concerns, "{line}");
        }
    }

    #[test]
    fn a_database_keeps_its_engine_and_a_host_its_room() {
        let folder = folder();
        let with = |url: &str, most: u32| {
            let text = format!(
                "server.max_concurrency = {most}\ndatabases.d.url = {url:?}\n[plugins.p]\ncomponent = \"p.wasm\"\nroutes = [\"/p\"]\n"
            );
            load(folder.path(), &text)
        };
        let old = with("sqlite://d.db", 100);
        let refused = between(&old, &with("postgres://app@db/d", 101), 100).refused;
        assert_eq!(
            refused,
            [
                "databases.d.url: the engine of a database cannot change while the host runs",
                "server.max_concurrency: 101 are more than the 100 that the host has room for since it started",
            ]
        );
        assert_eq!(between(&old, &with("sqlite://d.db", 1), 100).refused, [""; 0]);
    }
}
