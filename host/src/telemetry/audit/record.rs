//! What a line says. Each text in it has a bound, so that a line has one: [`MAX_LINE`].
//!
//! Values of parameters have no place here, nor has anything that a database said.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeSeq};

/// Bytes of a line with its line break, at most.
pub const MAX_LINE: usize = 4 << 10;
/// Bytes of a statement in a line, at most; the setting may be lower.
pub const MAX_STATEMENT: usize = 2 << 10;

/// Bytes of a name, of a request's id, and of who asked.
const MAX_NAME: usize = 128;
/// Bytes of a digest, a fingerprint, a verb, a code.
const MAX_WORD: usize = 64;
/// Parameters whose types are told.
const MAX_TYPES: usize = 32;
/// Bytes of a type's name.
const MAX_TYPE: usize = 20;

/// On whose behalf something is done.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Actor<'a> {
    /// The request's id.
    #[serde(serialize_with = "name")]
    pub request: &'a str,
    /// The plugin's name.
    #[serde(serialize_with = "name")]
    pub plugin: &'a str,
    /// The digest of its component.
    #[serde(serialize_with = "word")]
    pub digest: &'a str,
    /// What a trusted proxy says of who asked.
    #[serde(serialize_with = "name_if_any", skip_serializing_if = "Option::is_none")]
    pub who: Option<&'a str>,
}

/// A statement or a request to a document database, without its literals.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statement<'a> {
    /// What kind it is.
    pub verb: &'a str,
    /// The same for all statements of this form; of the whole text, however much of it is told.
    pub fingerprint: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// Names of the types of parameters, as many as are told.
#[derive(Clone, Debug, Default)]
pub struct Types {
    names: Vec<&'static str>,
    more: usize,
}

impl FromIterator<&'static str> for Types {
    fn from_iter<I: IntoIterator<Item = &'static str>>(all: I) -> Self {
        let mut all = all.into_iter();
        Self { names: all.by_ref().take(MAX_TYPES).collect(), more: all.count() }
    }
}

/// What is asked of a database.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// On whose behalf.
    pub actor: Actor<'a>,
    /// The database's name in the configuration.
    pub database: &'a str,
    /// What it is to do.
    pub statement: Statement<'a>,
    /// Of the parameters.
    pub types: &'a Types,
}

/// What became of it, as far as the host knows.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Outcome<'a> {
    /// `done`, or the kind of the error.
    #[serde(serialize_with = "word")]
    pub outcome: &'a str,
    /// The code of the error.
    #[serde(serialize_with = "word_if_any", skip_serializing_if = "Option::is_none")]
    pub code: Option<&'a str>,
    /// Rows that came back or were changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// A connection that was taken back with something open on it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Reclaim<'a> {
    /// Whose connection it was.
    #[serde(flatten)]
    pub actor: Actor<'a>,
    /// The database's name in the configuration.
    #[serde(serialize_with = "name")]
    pub database: &'a str,
    /// Why it was taken back.
    #[serde(serialize_with = "word")]
    pub reason: &'a str,
    /// How far that had to go: `rolled-back`, `killed`.
    #[serde(serialize_with = "word")]
    pub step: &'a str,
}

/// [`Request`], cut to what a line has room for.
#[derive(Debug, Serialize)]
pub(super) struct Asked<'a> {
    #[serde(flatten)]
    actor: Actor<'a>,
    #[serde(serialize_with = "name")]
    database: &'a str,
    #[serde(serialize_with = "word")]
    verb: &'a str,
    statement: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    cut: bool,
    #[serde(serialize_with = "word")]
    print: &'a str,
    types: &'a Types,
}

impl<'a> Asked<'a> {
    pub(super) fn new(request: &Request<'a>, statement_bytes: usize) -> Self {
        let Statement { verb, fingerprint, text } = request.statement;
        let statement = fit(text, statement_bytes.min(MAX_STATEMENT));
        let cut = statement.len() < text.len();
        Self { actor: request.actor, database: request.database, verb, statement, cut, print: fingerprint, types: request.types }
    }
}

/// Bytes after the last whole line of a file, which were cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Torn {
    pub(super) bytes: u64,
    /// The beginning of their digest.
    pub(super) sha256: String,
}

/// The file that this one follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Previous {
    pub(super) file: String,
    pub(super) mac: String,
}

/// Every kind of line.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Record<'a> {
    /// The first line of a file.
    Open {
        chain: &'a str,
        key: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        previous: Option<&'a Previous>,
    },
    /// A host begins; `clean` if the log was new or ended with [`Record::Close`]. Numbers of operations may come again from here on.
    Start {
        clean: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        torn: Option<&'a Torn>,
    },
    /// An operation is about to begin.
    Intent {
        op: u64,
        #[serde(flatten)]
        asked: Asked<'a>,
    },
    /// It has ended.
    Outcome {
        op: u64,
        #[serde(flatten)]
        outcome: Outcome<'a>,
        us: u64,
    },
    /// One that never began.
    Refused {
        #[serde(flatten)]
        asked: Asked<'a>,
        #[serde(flatten)]
        outcome: Outcome<'a>,
    },
    /// See [`Reclaim`].
    Reclaim(Reclaim<'a>),
    /// The log could not be written for a while, and so many lines are not in it.
    Gap { lines: u64, since: &'a str },
    /// The last line of a file that another one follows; the name that this one then has.
    Rotate { to: &'a str },
    /// The host has stopped, and has said everything.
    Close,
}

impl Record<'_> {
    /// What the line says between its number and its MAC. The time in it is now.
    pub(super) fn render(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Timed<'a> {
            at: &'a str,
            #[serde(flatten)]
            record: &'a Record<'a>,
        }
        let timed = Timed { at: &now(), record: self };
        let mut line = serde_json::to_vec(&timed).expect("texts and numbers become JSON");
        // The chain puts the number before it and the MAC after it.
        line.remove(0);
        line.pop();
        line
    }
}

/// The time as lines have it: UTC, in microseconds.
pub(super) fn now() -> String {
    format!("{:.6}", Timestamp::now())
}

/// What of a line is looked at when a log is read.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) kind: String,
    pub(super) op: Option<u64>,
    pub(super) chain: Option<String>,
    pub(super) key: Option<String>,
    pub(super) previous: Option<Previous>,
    pub(super) clean: Option<bool>,
    pub(super) torn: Option<Torn>,
    pub(super) lines: Option<u64>,
    pub(super) to: Option<String>,
}

/// As much of a text from its start as takes up to `max` bytes of JSON.
fn fit(text: &str, max: usize) -> &str {
    let mut bytes = 0;
    for (at, character) in text.char_indices() {
        bytes += match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            _ => character.len_utf8(),
        };
        if bytes > max {
            return &text[..at];
        }
    }
    text
}

fn name<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(fit(text, MAX_NAME))
}

fn word<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(fit(text, MAX_WORD))
}

fn name_if_any<S: Serializer>(text: &Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    name(text.unwrap_or_default(), serializer)
}

fn word_if_any<S: Serializer>(text: &Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    word(text.unwrap_or_default(), serializer)
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Serialize for Types {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for name in &self.names {
            list.serialize_element(fit(name, MAX_TYPE))?;
        }
        if self.more > 0 {
            list.serialize_element(&format_args!("+{}", self.more))?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::chain::{Chain, Head, Key, Mac};
    use super::*;

    fn rendered(record: &Record<'_>) -> Value {
        let mut line = serde_json::from_str::<Value>(&format!("{{{}}}", str::from_utf8(&record.render()).unwrap())).unwrap();
        let at = line.as_object_mut().unwrap().remove("at").unwrap();
        let at = at.as_str().unwrap();
        assert!(at.len() == "2026-01-01T00:00:00.000000Z".len() && at.parse::<Timestamp>().is_ok(), "{at}");
        line
    }

    fn request<'a>(types: &'a Types, text: &'a str) -> Request<'a> {
        let actor = Actor { request: "r1", plugin: "patients", digest: "3f", who: None };
        Request { actor, database: "clinic", statement: Statement { verb: "query", fingerprint: "9c", text }, types }
    }

    #[test]
    fn lines_say_who_asked_for_what_and_what_became_of_it() {
        let types = ["signed", "text"].into_iter().collect();
        let request = request(&types, "SELECT name FROM patients WHERE id = $n");
        assert_eq!(
            rendered(&Record::Intent { op: 7, asked: Asked::new(&request, MAX_STATEMENT) }),
            json!({ "kind": "intent", "op": 7, "request": "r1", "plugin": "patients", "digest": "3f", "database": "clinic",
                "verb": "query", "statement": "SELECT name FROM patients WHERE id = $n", "print": "9c", "types": ["signed", "text"] })
        );
        let outcome = Outcome { outcome: "done", code: None, rows: Some(1) };
        assert_eq!(
            rendered(&Record::Outcome { op: 7, outcome, us: 812 }),
            json!({ "kind": "outcome", "op": 7, "outcome": "done", "rows": 1, "us": 812 })
        );
        let actor = Actor { who: Some("dr.who"), ..request.actor };
        let reclaim = Reclaim { actor, database: "clinic", reason: "trapped", step: "rolled-back" };
        assert_eq!(
            rendered(&Record::Reclaim(reclaim)),
            json!({ "kind": "reclaim", "request": "r1", "plugin": "patients", "digest": "3f", "who": "dr.who", "database": "clinic",
                "reason": "trapped", "step": "rolled-back" })
        );
        assert_eq!(rendered(&Record::Close), json!({ "kind": "close" }));
    }

    #[test]
    fn a_statement_is_cut_by_what_it_takes_in_the_line() {
        let types = Types::default();
        let asked = |text, max| rendered(&Record::Intent { op: 1, asked: Asked::new(&request(&types, text), max) });
        assert_eq!(asked("äöü", 6).get("cut"), None);
        assert_eq!((&asked("äöü", 5)["statement"], &asked("äöü", 5)["cut"]), (&json!("äö"), &json!(true)));
        assert_eq!(asked("a\"\u{1}b", 9)["statement"], json!("a\"\u{1}"));
        assert_eq!(asked("a\"\u{1}b", 8)["statement"], json!("a\""));
    }

    #[test]
    fn the_longest_line_has_room() {
        let long = "\u{1}\"ä".repeat(4096);
        let names = std::iter::repeat_n("a type with a very long name", 100_000);
        let types: Types = names.collect();
        let actor = Actor { request: &long, plugin: &long, digest: &long, who: Some(&long) };
        let statement = Statement { verb: &long, fingerprint: &long, text: &long };
        let request = Request { actor, database: &long, statement, types: &types };
        let outcome = Outcome { outcome: &long, code: Some(&long), rows: Some(u64::MAX) };
        let asked = || Asked::new(&request, usize::MAX);
        let reclaim = Reclaim { actor, database: &long, reason: &long, step: &long };
        let records = [
            Record::Intent { op: u64::MAX, asked: asked() },
            Record::Refused { asked: asked(), outcome },
            Record::Outcome { op: u64::MAX, outcome, us: u64::MAX },
            Record::Reclaim(reclaim),
        ];
        let key = Key::new(&"k".repeat(32)).unwrap();
        for record in records {
            let mut text = Vec::new();
            let head = Head { seq: u64::MAX - 1, mac: Mac::NONE };
            Chain::new(&key, "chain", head).append(&mut text, &record.render());
            assert!(text.len() <= MAX_LINE, "{record:?}: {}", text.len());
            let line: Line = serde_json::from_slice(&text).unwrap();
            assert_eq!(line.seq, u64::MAX);
        }
    }
}
