//! The reference of settings as a page to read.

use std::fmt::Write;

use super::{Kind, Setting, settings, texts};
use crate::config::recorder::{Bounded, grouped};

const HEAD: &str = "\
# Settings

Every key of `wharf.toml`, as `wharf settings` prints them out of the code that reads them. `wharf.schema.json` beside this page is the same for
editors (`wharf schema`).

- Durations and sizes are texts with a unit: `\"250ms\"`, `\"5s\"`, `\"2m\"`, `\"1h\"`; `\"512B\"`, `\"64KiB\"`, `\"10MiB\"`, `\"1GiB\"`.
- In every text `${VARIABLE}` and `${VARIABLE:-default}` stand for what the environment says; `$${` for a literal `${`.
- Relative paths begin at the folder of `wharf.toml`.
- `NAME` is chosen by the operator: 1 to 63 lower-case letters, digits, `-` and `_`, beginning with a letter. One plugin at least is needed.
- Unknown keys are errors. `wharf check` tells all that is wrong at once.
";

/// The page, in Markdown.
#[must_use]
pub fn settings_page() -> String {
    let settings = settings();
    let mut page = HEAD.to_owned();
    section(&mut page, "", &settings);
    for table in settings.iter().filter_map(Setting::inside) {
        section(&mut page, &table, &settings);
    }
    page
}

fn section(page: &mut String, table: &str, settings: &[Setting]) {
    let rows: String =
        settings.iter().filter(|setting| setting.table() == table && setting.inside().is_none()).map(row).collect();
    // Such as a table of tables, which has no keys of its own.
    if rows.is_empty() {
        return;
    }
    let title = if table.is_empty() { "At the top".to_owned() } else { format!("`[{table}]`") };
    let text = texts::of_table(table);
    // Writing to a String cannot fail.
    let _ = write!(page, "\n## {title}\n\n{text}\n\n| key | may be | default | |\n|---|---|---|---|\n{rows}");
}

fn row(setting: &Setting) -> String {
    let default = match (setting.needed.as_slice(), setting.kind.default()) {
        ([], None) => String::new(),
        ([], Some(default)) => format!("`{default}`"),
        ([_], _) => "needed".to_owned(),
        (keys, _) => format!("one of {} is needed", keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")),
    };
    let only = setting.only.map(|only| format!("{only} databases only. ")).unwrap_or_default();
    // Columns of their own have what the text ends with.
    let text = setting.text.strip_suffix(&setting.kind.facts()).unwrap_or(&setting.text).trim_end();
    format!("| `{}` | {} | {default} | {only}{text} |\n", setting.key(), may_be(&setting.kind))
}

fn may_be(kind: &Kind) -> String {
    match kind {
        Kind::Number(Bounded { least, most, .. }) => format!("{} to {}", grouped(*least), grouped(*most)),
        Kind::Duration(_) | Kind::Size(_) => {
            let (least, most) = kind.written_bounds().unwrap_or_default();
            format!("`\"{least}\"` to `\"{most}\"`")
        }
        Kind::Boolean(_) => "`true`, `false`".to_owned(),
        Kind::Choice { words, .. } => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
        Kind::Text { form, .. } => (*form).to_owned(),
        Kind::List { of, least: 0, most } => format!("{most} {of} at most"),
        Kind::List { of, least, most } => format!("{least} to {most} {of}"),
        Kind::Secret => "a text, which is never shown".to_owned(),
        Kind::SecretFile { .. } => "a path".to_owned(),
        Kind::Table | Kind::Tables => String::new(),
    }
}
