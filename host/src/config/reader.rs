//! Walks the parsed TOML, remembers where everything stood, and goes on after an error.
//!
//! Serde stops at the first error. Here a value that cannot be used is reported and its default takes its place, so that everything
//! behind it is looked at too; the result is thrown away in the end if anything was reported.

use std::{cell::RefCell, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    diagnostics::{Diagnostic, Diagnostics, Location},
    interpolate::{Environment, Problem, interpolate},
    recorder::{Kind, Recorder},
};

/// What [`is_name`] takes, as an expression of JSON Schema.
pub(super) const NAME_PATTERN: &str = "^[a-z][a-z0-9_-]{0,62}$";

/// What reading needs to know besides the table.
pub(super) struct Context<'a> {
    /// The file as it is, credentials included; never shown.
    pub(super) text: &'a str,
    /// What relative paths are relative to.
    pub(super) base: &'a Path,
    pub(super) environment: &'a Environment<'a>,
    pub(super) diagnostics: RefCell<Diagnostics>,
    /// Hears of every key that is asked for.
    pub(super) recorder: Option<&'a Recorder>,
}

impl Context<'_> {
    pub(super) fn error(&self, at: impl Into<Option<Location>>, message: impl Into<String>, hint: impl Into<String>) {
        self.diagnostics.borrow_mut().error(at, message, hint);
    }

    /// An error that shows a second place, or needs some other addition.
    pub(super) fn error_with(
        &self,
        at: impl Into<Option<Location>>,
        message: impl Into<String>,
        hint: impl Into<String>,
        add: impl FnOnce(&mut Diagnostic),
    ) {
        add(self.diagnostics.borrow_mut().error(at, message, hint));
    }

    /// An error that a syntax error elsewhere may have caused.
    pub(super) fn missing(&self, at: impl Into<Option<Location>>, message: impl Into<String>, hint: impl Into<String>) {
        self.error_with(at, message, hint, |diagnostic| {
            diagnostic.needs_whole_file();
        });
    }
}

/// A value with its place, and whether it can be trusted.
#[derive(Clone, Debug)]
pub(super) struct Field<T> {
    /// What was read, or the default.
    pub(super) value: T,
    /// Where it stands; the name of the table when it is a default.
    pub(super) at: Location,
    /// Whether it stands in the file.
    pub(super) given: bool,
    /// False when it was reported and replaced: comparing it with others would report what is not wrong.
    pub(super) sound: bool,
}

/// A string after interpolation.
pub(super) struct Text {
    pub(super) value: String,
    /// Whether the environment had a part in it; then it is not repeated in messages, it might be a secret.
    pub(super) from_environment: bool,
}

impl Text {
    /// The value for a message.
    pub(super) fn shown(&self) -> String {
        if self.from_environment { "the value from the environment".to_owned() } else { format!("`{}`", self.value) }
    }
}

/// One key with its value.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) key: &'a str,
    pub(super) key_at: Location,
    pub(super) at: Location,
    pub(super) value: &'a DeValue<'a>,
}

impl<'a> Entry<'a> {
    /// Reports a value of the wrong type.
    pub(super) fn wrong_type(&self, expected: &str) {
        let hint = match self.value {
            DeValue::String(text) if expected.contains("integer") && text.parse::<i64>().is_ok() => {
                format!("write it without quotes: `{} = {text}`", self.key)
            }
            DeValue::String(text) if expected.contains("boolean") && matches!(&**text, "true" | "false") => {
                format!("write it without quotes: `{} = {text}`", self.key)
            }
            DeValue::Integer(number) if expected.contains("duration") => {
                format!("write it with a unit, in quotes: `{} = \"{number}s\"`", self.key)
            }
            DeValue::Integer(number) if expected.contains("size") => {
                format!("write it with a unit, in quotes: `{} = \"{number}B\"`", self.key)
            }
            DeValue::String(_) if expected.contains("array") => format!("write it in brackets: `{} = [\"...\"]`", self.key),
            _ if expected.contains("integer") => "write a whole number".to_owned(),
            _ if expected.contains("boolean") => format!("write `{0} = true` or `{0} = false`", self.key),
            _ if expected.contains("table") => {
                format!("write `{} = {{ key = value }}`, or its keys below a header in brackets", self.key)
            }
            DeValue::Array(_) => "write one value, without brackets".to_owned(),
            _ => "write it in quotes".to_owned(),
        };
        let found = match self.value.type_str() {
            found @ ("integer" | "array") => format!("an {found}"),
            found => format!("a {found}"),
        };
        self.context.error(self.at, format!("`{}` must be {expected}, not {found}", self.key), hint);
    }

    /// The string with the environment put in; `None` when that was reported.
    pub(super) fn text(&self, expected: &str) -> Option<Text> {
        let DeValue::String(raw) = self.value else {
            self.wrong_type(expected);
            return None;
        };
        match interpolate(raw, self.context.environment) {
            Ok((value, from_environment)) => Some(Text { value, from_environment }),
            Err(problems) => {
                problems.iter().for_each(|problem| self.interpolation(problem));
                None
            }
        }
    }

    /// The elements of an array, each under this entry's key; `None` when that was reported.
    pub(super) fn items(&self, expected: &str) -> Option<Vec<Entry<'a>>> {
        let DeValue::Array(items) = self.value else {
            self.wrong_type(expected);
            return None;
        };
        Some(items.iter().map(|item| Entry { at: item.span().into(), value: item.get_ref(), ..*self }).collect())
    }

    fn interpolation(&self, problem: &Problem) {
        match problem {
            Problem::Unset { name } => self.context.error(
                self.narrow(&format!("${{{name}}}")),
                format!("environment variable `{name}` is not set"),
                format!("set it, or give a default: `${{{name}:-default}}`"),
            ),
            Problem::Malformed => self.context.error(
                self.narrow("${"),
                "`${` is not followed by the name of a variable",
                "write `${NAME}` or `${NAME:-default}` (no references inside the default), or `$${` for a literal `${`",
            ),
        }
    }

    /// The place of a part of the literal, or of the whole literal where escapes hide the part.
    fn narrow(&self, part: &str) -> Location {
        let span = self.at.span();
        let found = self.context.text.get(span.clone()).and_then(|literal| literal.find(part));
        found.map_or(self.at, |offset| (span.start + offset..span.start + offset + part.len()).into())
    }
}

/// A table whose keys are asked for one by one; whatever was not asked for is unknown.
pub(super) struct Table<'a> {
    pub(super) context: &'a Context<'a>,
    /// Where the table is named.
    pub(super) at: Location,
    /// What its keys begin with, seen from the top of the file, the dot included.
    prefix: String,
    /// `None` for a table that is not in the file.
    table: Option<&'a DeTable<'a>>,
    asked: Vec<&'static str>,
    /// Reported already, and not worth a hint.
    refused: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// The whole file.
    pub(super) fn root(context: &'a Context<'a>, table: &'a DeTable<'a>) -> Self {
        Self { table: Some(table), ..Self::empty(context, String::new()) }
    }

    /// A table that is not in the file.
    fn empty(context: &'a Context<'a>, prefix: String) -> Self {
        Self { context, at: (0..0).into(), prefix, table: None, asked: Vec::new(), refused: Vec::new() }
    }

    /// Whether the key is in the file; it must still be asked for.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Whether none of these keys is in the file, of which it needs one.
    pub(super) fn lacks(&self, keys: &[&'static str]) -> bool {
        if let Some(recorder) = self.context.recorder {
            recorder.needed.borrow_mut().push(keys.iter().map(|key| format!("{}{key}", self.prefix)).collect());
        }
        !keys.iter().any(|key| self.has(key))
    }

    /// The entry of a key that may hold such a thing, if it is there.
    pub(super) fn take(&mut self, key: &'static str, kind: Kind) -> Option<Entry<'a>> {
        self.asked.push(key);
        if let Some(recorder) = self.context.recorder {
            recorder.asked.borrow_mut().push((format!("{}{key}", self.prefix), kind));
        }
        let (key, value) = self.table?.get_key_value(key)?;
        Some(self.entry(key, value))
    }

    /// Reports a key that this version does not take.
    pub(super) fn refuse(&mut self, key: &'static str, message: &str, hint: &str) {
        self.refused.push(key);
        if let Some((key, value)) = self.table.and_then(|table| table.get_key_value(key)) {
            self.context.error(self.entry(key, value).key_at, message, hint);
        }
    }

    /// The table under a key; an empty one when it is absent or was reported.
    pub(super) fn table(&mut self, key: &'static str) -> Table<'a> {
        let prefix = format!("{}{key}.", self.prefix);
        let table = self.take(key, Kind::Table).and_then(|entry| entry.table(prefix.clone()));
        table.unwrap_or_else(|| Self::empty(self.context, prefix))
    }

    /// The named tables under a key in the order of the file; `None` when that is not a table and was reported.
    pub(super) fn tables(&mut self, key: &'static str, what: &str) -> Option<Vec<(&'a str, Table<'a>)>> {
        let Some(entry) = self.take(key, Kind::Tables) else { return Some(Vec::new()) };
        let parent = entry.table(format!("{}{key}.", self.prefix))?;
        let mut entries: Vec<Entry<'a>> =
            parent.table.iter().flat_map(|table| table.iter()).map(|(key, value)| parent.entry(key, value)).collect();
        entries.sort_by_key(|entry| entry.key_at);
        for entry in &entries {
            if !is_name(entry.key) {
                self.context.error(
                    entry.key_at,
                    format!("`{}` cannot be the name of a {what}", entry.key),
                    "names are 1 to 63 lower-case letters, digits, `-` and `_`, and begin with a letter",
                );
            }
        }
        let table = |entry: Entry<'a>| Some((entry.key, entry.table(format!("{}{}.", parent.prefix, entry.key))?));
        Some(entries.into_iter().filter_map(table).collect())
    }

    /// Reports every key that was not asked for.
    pub(super) fn finish(self) {
        for (key, value) in self.table.iter().flat_map(|table| table.iter()) {
            if self.asked.iter().chain(&self.refused).any(|asked| *asked == key.get_ref()) {
                continue;
            }
            let entry = self.entry(key, value);
            let hint = did_you_mean(entry.key, &self.asked).unwrap_or_else(|| format!("known keys: {}", list(&self.asked)));
            self.context.error(entry.key_at, format!("unknown key `{}`", entry.key), hint);
        }
    }

    fn entry(&self, key: &'a Spanned<std::borrow::Cow<'a, str>>, value: &'a Spanned<DeValue<'a>>) -> Entry<'a> {
        Entry {
            context: self.context,
            key: key.get_ref(),
            key_at: key.span().into(),
            at: value.span().into(),
            value: value.get_ref(),
        }
    }
}

impl<'a> Entry<'a> {
    fn table(self, prefix: String) -> Option<Table<'a>> {
        let DeValue::Table(table) = self.value else {
            self.wrong_type("a table");
            return None;
        };
        Some(Table { at: self.key_at, table: Some(table), ..Table::empty(self.context, prefix) })
    }
}

/// The hint for a misspelt word, if one of the known words is near.
pub(super) fn did_you_mean(word: &str, known: &[&str]) -> Option<String> {
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let distance = |known: &&&str| strsim::damerau_levenshtein(&plain(word), &plain(known));
    let nearest = known.iter().min_by_key(distance)?;
    (distance(&nearest) <= (nearest.len() / 3).max(1)).then(|| format!("did you mean `{nearest}`?"))
}

/// Words in a row, each in backquotes.
pub(super) fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|char: char| char.is_ascii_lowercase())
        && name.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || matches!(char, '-' | '_'))
}
