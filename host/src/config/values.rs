//! Reads single values: numbers, durations, sizes, choices, paths and secrets, each within its bounds.

use std::{fmt::Display, fs, io::Read, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use toml::de::DeValue;

use super::{
    diagnostics::Location,
    reader::{Context, Entry, Field, Table, Text, did_you_mean, list},
    recorder::{Bounded, Kind, written},
    secret::Secret,
};

/// The least of most durations: a wait of zero would never be kept.
pub(super) const LEAST: Duration = Duration::from_millis(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) const KIB: usize = 1024;
pub(super) const MIB: usize = 1024 * KIB;
pub(super) const GIB: usize = 1024 * MIB;

/// What stands for something that is not there.
pub(super) const OFF: &str = "off";

const RELATIVE: &str = "relative paths begin at the folder of wharf.toml";

/// A secret in a file of its own is no longer than this.
const MAX_SECRET_FILE: u64 = 64 * 1024;

/// Numbers that are read.
pub(super) trait Whole: TryFrom<u64> + TryInto<u64> + Copy + PartialOrd + Display {}

impl<T: TryFrom<u64> + TryInto<u64> + Copy + PartialOrd + Display> Whole for T {}

fn wide(number: impl TryInto<u64>) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}

impl Table<'_> {
    /// A whole number from `least` to `most`.
    pub(super) fn number<T: Whole>(&mut self, key: &'static str, default: T, least: T, most: T) -> Field<T> {
        self.whole(key, Some(wide(default)), default, least, most)
    }

    /// The same, where `default` is what another setting says.
    pub(super) fn number_or<T: Whole>(&mut self, key: &'static str, default: T, least: T, most: T) -> Field<T> {
        self.whole(key, None, default, least, most)
    }

    fn whole<T: Whole>(&mut self, key: &'static str, told: Option<u64>, default: T, least: T, most: T) -> Field<T> {
        let kind = Kind::Number(Bounded { least: wide(least), most: wide(most), default: told });
        self.bounded(key, kind, default, (least, &least), (most, &most), |entry| {
            let DeValue::Integer(number) = entry.value else {
                entry.wrong_type("an integer");
                return None;
            };
            let number = i128::from_str_radix(number.as_str(), number.radix()).ok();
            let number = number.and_then(|number| T::try_from(u64::try_from(number).ok()?).ok());
            if number.is_none() {
                entry.out_of_range(&least, &most);
            }
            number
        })
    }

    /// A duration with a unit, from `least` to `most`.
    pub(super) fn duration(&mut self, key: &'static str, default: Duration, least: Duration, most: Duration) -> Field<Duration> {
        let kind = Kind::Duration(Bounded { least, most, default: Some(default) });
        self.bounded(key, kind, default, (least, &written(least)), (most, &written(most)), |entry| {
            let text = entry.text("a duration, such as \"5s\"")?;
            let parsed = humantime::parse_duration(text.value.trim()).ok();
            if parsed.is_none() {
                let message = format!("{} is not a duration", text.shown());
                entry.context.error(entry.at, message, "write a number with a unit: \"250ms\", \"5s\", \"2m\", \"1h\"");
            }
            parsed
        })
    }

    /// A size with a unit, from `least` to `most` bytes.
    pub(super) fn size(&mut self, key: &'static str, default: usize, least: usize, most: usize) -> Field<usize> {
        let kind = Kind::Size(Bounded { least, most, default: Some(default) });
        self.bounded(key, kind, default, (least, &format_size(least)), (most, &format_size(most)), |entry| {
            let text = entry.text("a size, such as \"64MiB\"")?;
            let has_unit = text.value.trim().ends_with(|char: char| char.is_ascii_alphabetic());
            let parsed = text.value.trim().parse::<ByteSize>().ok().filter(|_| has_unit);
            let parsed = parsed.and_then(|size| usize::try_from(size.as_u64()).ok());
            if parsed.is_none() {
                let message = format!("{} is not a size", text.shown());
                entry.context.error(entry.at, message, "write a number with a unit: \"512B\", \"64KiB\", \"10MiB\", \"1GiB\"");
            }
            parsed
        })
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> Field<bool> {
        self.read(key, Kind::Boolean(default), default, |entry| {
            let DeValue::Boolean(value) = entry.value else {
                entry.wrong_type("a boolean");
                return None;
            };
            Some(*value)
        })
    }

    /// One of several words.
    pub(super) fn choice<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        default: T,
        choices: &[(&'static str, T)],
    ) -> Field<T> {
        let words: Vec<&'static str> = choices.iter().map(|(word, _)| *word).collect();
        let default_word = choices.iter().find(|(_, value)| *value == default).map(|(word, _)| *word);
        self.read(key, Kind::Choice { words: words.clone(), default: default_word }, default, |entry| {
            let text = entry.text(&format!("one of {}", list(&words)))?;
            let found = choices.iter().find(|(word, _)| *word == text.value);
            if found.is_none() {
                let allowed = format!("allowed: {}", list(&words));
                let hint = match did_you_mean(&text.value, &words) {
                    Some(near) if !text.from_environment => format!("{near} ({allowed})"),
                    _ => allowed,
                };
                entry.context.error(entry.at, format!("{} is not a value of `{key}`", text.shown()), hint);
            }
            found.map(|(_, value)| *value)
        })
    }

    /// A path, relative to the folder of the configuration; nothing is looked up.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathText> {
        self.take(key, Kind::Text { form: "a path", default: None })?.path()
    }

    /// An existing folder.
    pub(super) fn folder(&mut self, key: &'static str) -> Option<PathText> {
        let path = self.take(key, Kind::Text { form: "a folder that is there", default: None })?.path()?;
        if path.value.is_dir() {
            return Some(path);
        }
        let what = if path.value.exists() { "is not a folder" } else { "does not exist" };
        self.context.error(path.at, format!("{} {what}", path.shown), RELATIVE);
        None
    }

    /// A secret: literally, from the environment, or from the file that `key_file` names.
    pub(super) fn secret(&mut self, key: &'static str, key_file: &'static str) -> Option<SecretText> {
        let (literal, file) = (self.take(key, Kind::Secret), self.take(key_file, Kind::SecretFile { of: key }));
        if let (Some(literal), Some(file)) = (literal, file) {
            self.context.error_with(
                file.key_at,
                format!("`{key}` and `{key_file}` exclude each other"),
                "keep one of them",
                |error| {
                    error.also(literal.key_at, "also given here");
                },
            );
            return None;
        }
        if let Some(entry) = literal {
            let text = entry.text("a string")?;
            return SecretText { at: entry.at, key, text: Secret::new(text.value) }.not_empty(&entry);
        }
        let entry = file?;
        let text = entry.path()?.read_secret(entry.context)?;
        SecretText { at: entry.at, key: key_file, text: Secret::new(text) }.not_empty(&entry)
    }

    fn bounded<T: Copy + PartialOrd>(
        &mut self,
        key: &'static str,
        kind: Kind,
        default: T,
        least: (T, &dyn Display),
        most: (T, &dyn Display),
        parse: impl FnOnce(&Entry<'_>) -> Option<T>,
    ) -> Field<T> {
        self.read(key, kind, default, |entry| {
            let value = parse(entry)?;
            if value < least.0 || value > most.0 {
                entry.out_of_range(least.1, most.1);
                return None;
            }
            Some(value)
        })
    }

    /// Whatever `parse` makes of the value; it reports what it refuses.
    fn read<T>(&mut self, key: &'static str, kind: Kind, default: T, parse: impl FnOnce(&Entry<'_>) -> Option<T>) -> Field<T> {
        let Some(entry) = self.take(key, kind) else {
            return Field { value: default, at: self.at, given: false, sound: true };
        };
        let parsed = parse(&entry);
        Field { sound: parsed.is_some(), value: parsed.unwrap_or(default), at: entry.at, given: true }
    }
}

impl Entry<'_> {
    fn path(&self) -> Option<PathText> {
        self.path_of(&self.text("a path")?)
    }

    /// The path that the entry's text is.
    pub(super) fn path_of(&self, text: &Text) -> Option<PathText> {
        if text.value.is_empty() || text.value.contains('\0') {
            self.context.error(self.at, format!("`{}` is not a path", self.key), RELATIVE);
            return None;
        }
        let value = self.context.base.join(&text.value);
        let shown = if text.from_environment { text.shown() } else { format!("`{}`", value.display()) };
        Some(PathText { value, at: self.at, shown })
    }

    fn out_of_range(&self, least: &dyn Display, most: &dyn Display) {
        self.context.error(self.at, format!("`{}` is out of range", self.key), format!("allowed: {least} to {most}"));
    }
}

/// A path with its place.
pub(super) struct PathText {
    pub(super) value: PathBuf,
    pub(super) at: Location,
    /// The path for a message, unless the environment had a part in it.
    pub(super) shown: String,
}

impl PathText {
    fn read_secret(&self, context: &Context<'_>) -> Option<String> {
        let read = fs::File::open(&self.value).and_then(|file| {
            let mut text = String::new();
            file.take(MAX_SECRET_FILE + 1).read_to_string(&mut text)?;
            Ok(text)
        });
        match read {
            Ok(text) if text.len() as u64 > MAX_SECRET_FILE => {
                context.error(self.at, format!("{} is too long for a secret", self.shown), "64KiB at most");
                None
            }
            // Editors and `echo` end a file with a line break that is no part of the secret.
            Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => {
                context.error(self.at, format!("cannot read {}: {}", self.shown, reason(&error)), RELATIVE);
                None
            }
        }
    }
}

/// A secret with its place.
pub(super) struct SecretText {
    pub(super) text: Secret,
    pub(super) at: Location,
    /// The key it stands under, which may be the `..._file` one.
    pub(super) key: &'static str,
}

impl SecretText {
    fn not_empty(self, entry: &Entry<'_>) -> Option<Self> {
        if !self.text.expose().trim().is_empty() {
            return Some(self);
        }
        entry.context.error(entry.at, format!("`{}` is empty", entry.key), "an empty environment variable counts as set");
        None
    }
}

/// As in the file, in the largest unit that leaves no fraction.
pub(super) fn format_size(bytes: usize) -> String {
    let (unit, name) = [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")]
        .into_iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .unwrap_or((1, "B"));
    format!("{}{name}", bytes / unit)
}

/// What the operating system said, without its error number.
pub(super) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
