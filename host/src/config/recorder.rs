//! What a key of `wharf.toml` may hold, and the list of all keys that were asked for, of which the reference is made.

use std::{cell::RefCell, time::Duration};

use serde_json::{Value, json};

use super::values::format_size;

/// What a key may hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A table, whose keys are settings of their own.
    Table,
    /// Tables under names that the operator chooses.
    Tables,
    /// A whole number.
    Number(Bounded<u64>),
    /// A duration with its unit.
    Duration(Bounded<Duration>),
    /// A number of bytes with its unit.
    Size(Bounded<usize>),
    /// `true` or `false`, and which of them when it is left out.
    Boolean(bool),
    /// One of several words.
    Choice {
        /// All of them.
        words: Vec<&'static str>,
        /// `None` where it must be given.
        default: Option<&'static str>,
    },
    /// Some other text.
    Text {
        /// What it must be.
        form: &'static str,
        /// `None` where its comment says what happens without it.
        default: Option<String>,
    },
    /// An array of texts, none when it is left out.
    List {
        /// What they are.
        of: &'static str,
        /// How many at least.
        least: usize,
        /// How many at most.
        most: usize,
    },
    /// A text that is never shown.
    Secret,
    /// The path of a file with a secret.
    SecretFile {
        /// The key in whose place it is.
        of: &'static str,
    },
}

/// A value with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounded<T> {
    /// The least that is taken.
    pub least: T,
    /// The most that is taken.
    pub most: T,
    /// What holds when it is left out; `None` where another setting says it.
    pub default: Option<T>,
}

impl Kind {
    /// What it is when it is left out, as far as it is a value of its own. JSON and TOML write it alike.
    #[must_use]
    pub fn default(&self) -> Option<Value> {
        match self {
            Self::Number(bounds) => bounds.default.map(Value::from),
            Self::Duration(bounds) => bounds.default.map(|default| json!(written(default))),
            Self::Size(bounds) => bounds.default.map(|default| json!(format_size(default))),
            Self::Boolean(default) => Some(json!(default)),
            Self::Choice { default, .. } => default.map(Value::from),
            Self::Text { default, .. } => default.clone().map(Value::from),
            Self::Table | Self::Tables | Self::List { .. } | Self::Secret | Self::SecretFile { .. } => None,
        }
    }

    /// The least and the most as they are written in the file, of what has a unit.
    pub(super) fn written_bounds(&self) -> Option<(String, String)> {
        match self {
            Self::Duration(bounds) => Some((written(bounds.least), written(bounds.most))),
            Self::Size(bounds) => Some((format_size(bounds.least), format_size(bounds.most))),
            _ => None,
        }
    }

    /// How the comment of the code must end, for readers of the code to be told what is enforced.
    pub(super) fn facts(&self) -> String {
        match self {
            Self::Number(bounds) => bounds.facts(grouped),
            Self::Duration(bounds) => bounds.facts(spoken),
            Self::Size(bounds) => bounds.facts(spoken_size),
            Self::Boolean(default) => format!("Default {default}."),
            Self::Choice { default: Some(default), .. } => format!("Default `{default}`."),
            Self::Text { default: Some(default), .. } => format!("Default `{default}`."),
            Self::List { least: 0, most, .. } => format!("At most {most}."),
            Self::List { least, most, .. } => format!("{least} to {most}."),
            _ => String::new(),
        }
    }
}

impl<T: Copy> Bounded<T> {
    fn facts(&self, spoken: fn(T) -> String) -> String {
        let default = self.default.map_or_else(String::new, |default| format!("; default {}", spoken(default)));
        format!("{} to {}{default}.", spoken(self.least), spoken(self.most))
    }
}

/// Every key that was asked for, in that order, by its path from the top of the file.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    pub(super) asked: RefCell<Vec<(String, Kind)>>,
    /// Keys of each of which groups one must be given.
    pub(super) needed: RefCell<Vec<Vec<String>>>,
}

/// As it is written in the file.
pub(super) fn written(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// In the largest unit that leaves no fraction, days not among them.
fn spoken(duration: Duration) -> String {
    const UNITS: [(u128, &str); 4] = [(3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    let ms = duration.as_millis();
    let (unit, name) = match ms {
        0 => (1_000, "s"),
        ms => UNITS.into_iter().find(|(unit, _)| ms.is_multiple_of(*unit)).unwrap_or((1, "ms")),
    };
    format!("{} {name}", ms / unit)
}

fn spoken_size(bytes: usize) -> String {
    let text = format_size(bytes);
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic()).len();
    format!("{} {}", &text[..digits], &text[digits..])
}

/// With a comma before each three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_spoken_as_in_comments() {
        let number = |default| Kind::Number(Bounded { least: 1, most: 1_000_000, default });
        assert_eq!(number(Some(1_000)).facts(), "1 to 1,000,000; default 1,000.");
        assert_eq!(number(None).facts(), "1 to 1,000,000.");
        let seconds = Duration::from_secs;
        let duration = Bounded { least: Duration::ZERO, most: seconds(24 * 3600), default: Some(seconds(90)) };
        assert_eq!(Kind::Duration(duration).facts(), "0 s to 24 h; default 90 s.");
        let duration = Bounded { least: Duration::from_millis(1), most: seconds(60), default: Some(Duration::from_millis(1500)) };
        assert_eq!(Kind::Duration(duration).facts(), "1 ms to 1 min; default 1500 ms.");
        let size = Bounded { least: 0, most: 1 << 30, default: Some(1024) };
        assert_eq!(Kind::Size(size).facts(), "0 B to 1 GiB; default 1 KiB.");
        assert_eq!((grouped(0), grouped(999), grouped(12_345)), ("0".to_owned(), "999".to_owned(), "12,345".to_owned()));
    }
}
