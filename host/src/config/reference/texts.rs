//! What is said of a setting: the first paragraph above the field or the type that it is read into.

use super::{Kind, Setting};
use crate::config::dialect::{DOCUMENTS, SQL};

const MODEL: &str = include_str!("../model.rs");
const POOL: &str = include_str!("../../pool/settings.rs");
const DRIVER: &str = include_str!("../../driver/settings.rs");

/// The types whose fields the keys of a table are, each with its file; the first speaks for the table as well.
const TYPES: [(&str, &[(&str, &str)]); 12] = [
    ("", &[(MODEL, "Config")]),
    ("server", &[(MODEL, "Server")]),
    ("admin", &[(MODEL, "Admin")]),
    ("engine", &[(MODEL, "Engine")]),
    ("log", &[(MODEL, "Log")]),
    ("databases.NAME", &[(MODEL, "Database"), (POOL, "Settings"), (DRIVER, "Settings")]),
    ("databases.NAME.bounds", &[(POOL, "Bounds")]),
    ("databases.NAME.statement_cache", &[(DRIVER, "StatementCache")]),
    ("plugins.NAME", &[(MODEL, "Plugin")]),
    ("plugins.NAME.limits", &[(MODEL, "Limits")]),
    ("plugins.NAME.instances", &[(MODEL, "Instances")]),
    ("plugins.NAME.databases.NAME", &[(MODEL, "Grant")]),
];

/// The text of a setting, or of the table that it is; empty when nothing is said.
pub(super) fn of(setting: &Setting) -> String {
    if let Some(table) = setting.inside() {
        return of_table(&table);
    }
    if let Kind::SecretFile { of } = setting.kind {
        return format!("A file that holds `{of}`, which is left out then.");
    }
    // Where the key is not called as the field.
    let field = match setting.key() {
        key if key == DOCUMENTS.most => SQL.most,
        key if key == DOCUMENTS.least => SQL.least,
        key if key == DOCUMENTS.idle => SQL.idle,
        "text_size" => "text_bytes",
        key => key,
    };
    let comment = types(setting.table()).iter().find_map(|(file, name)| {
        let (_, body) = definition(file, name)?;
        Some(last_comment(body.split_once(&format!("    pub {field}: "))?.0))
    });
    comment.unwrap_or_default()
}

/// The text of a table.
pub(super) fn of_table(table: &str) -> String {
    let first = types(table).first().and_then(|(file, name)| definition(file, name));
    first.map_or_else(String::new, |(before, _)| last_comment(before))
}

fn types(table: &str) -> &'static [(&'static str, &'static str)] {
    TYPES.iter().find(|(name, _)| *name == table).map_or(&[], |(_, types)| *types)
}

/// What stands before a type, and in it.
fn definition<'a>(file: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let (before, after) = file.split_once(&format!("pub struct {name} {{\n"))?;
    Some((before, after.split_once("\n}")?.0))
}

/// The first paragraph of the comment that the text ends with.
fn last_comment(text: &str) -> String {
    let is_above = |line: &&str| line.starts_with("///") || line.starts_with("#[");
    let mut lines: Vec<&str> = text.lines().rev().map(str::trim).take_while(is_above).collect();
    lines.reverse();
    let words = lines.into_iter().filter_map(|line| line.strip_prefix("///")).map(str::trim);
    words.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings;

    #[test]
    fn every_setting_is_explained_with_what_is_enforced() {
        for setting in settings() {
            let Setting { path, kind, text, .. } = &setting;
            assert!(!text.is_empty(), "{path} is not explained");
            assert!(text.ends_with(&kind.facts()), "{path}: {text:?} does not end with {:?}", kind.facts());
            assert!(text.ends_with('.') && !text.contains("[`") && !text.contains('|'), "{path}: {text:?} is for Rust only");
        }
    }

    #[test]
    fn every_table_has_keys_and_every_type_a_table() {
        let settings = settings();
        let tables: Vec<String> = settings.iter().filter_map(Setting::inside).collect();
        for table in &tables {
            assert!(settings.iter().any(|setting| setting.table() == table), "[{table}] has no keys");
        }
        for (table, _) in TYPES.iter().filter(|(table, _)| !table.is_empty()) {
            assert!(tables.iter().any(|known| known == table), "there is no [{table}]");
        }
    }
}
