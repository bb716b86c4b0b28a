//! What may be shown of an operation: its text without values, and a fingerprint of that.
//!
//! What a value is depends on the dialect: each cuts a statement into pieces by its own lexer (`sql::redact` for PostgreSQL, `mysql::redact`,
//! `sqlite::redact`), and what is put together of them here is the same for all. Of documents `documents::shape` tells names and operators.
//! Names are taken for names: what a handler puts into an alias, a field's name or a collection's is shown.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{Engine, Operation, Source, documents::shape, mysql, sql, sqlite};

/// Bytes without values that are looked at; longer statements that begin alike are taken for the same.
pub(super) const MAX_BYTES: usize = 16 << 10;

/// More letters than any statement begins with.
const LONGEST_VERB: usize = 16;

/// Behind these a sign belongs to the number that follows.
const BEFORE_SIGNS: [&str; 13] =
    ["AND", "BETWEEN", "BY", "ELSE", "LIKE", "LIMIT", "NOT", "OFFSET", "OR", "RETURN", "SELECT", "THEN", "WHEN"];

/// An operation without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted {
    /// One line, without comments, with `?` for every value.
    pub text: String,
    /// The first word of a statement in capital letters, or what a request to a document database does; empty where it cannot be told.
    pub verb: String,
    /// Of the whole, also where `text` is cut.
    pub fingerprint: Fingerprint,
}

/// What statements have in common that differ only in values, in how many there are in `IN (…)`, in comments and in white space.
///
/// It is made of what may be shown, never of a value: a short value could be found again by trying. So statements of which little
/// can be shown have it in common as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(u128);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Redacted {
    fn new(verb: String, whole: String, max: usize) -> Self {
        let digest = Sha256::digest(&whole);
        let fingerprint = Fingerprint(digest.iter().take(16).fold(0, |number, byte| (number << 8) | u128::from(*byte)));
        let text = if whole.len() > max { format!("{}…", &whole[..whole.floor_char_boundary(max)]) } else { whole };
        Self { text, verb, fingerprint }
    }
}

/// A statement of a guest's without its values; of a document database the text is a collection's name, which stays.
///
/// In doubt more is left out: what cannot be cut into tokens, or only by a setting of the session, ends in `…`.
///
/// # Bounds
/// One pass over `text`; what is kept of it has `max` bytes, and `…` where it is cut.
#[must_use]
pub fn statement(engine: Engine, text: &str, max: usize) -> Redacted {
    let shown = match engine {
        Engine::Postgres => Shown::of(sql::redact::pieces(text)),
        Engine::Mysql => Shown::of(mysql::redact::pieces(text)),
        Engine::Sqlite => Shown::of(sqlite::redact::pieces(text)),
        Engine::Mongodb => Shown { text: text.to_owned(), ..Shown::default() },
    };
    Redacted::new(shown.verb, shown.text, max)
}

/// What an operation is about without its values, where that can be told; of requests to a document database the shape.
///
/// # Bounds
/// As for [`statement`]; of a request a few thousand fields are looked at.
#[must_use]
pub fn operation(engine: Engine, operation: &Operation, max: usize) -> Option<Redacted> {
    let (verb, shape) = match operation {
        Operation::Documents(request, _) => (request.name(), shape::of_request(request)),
        Operation::OpenCursor(_, Source::Documents(query)) => (query.name(), shape::of_query(query)),
        _ => return operation.text().map(|sql| statement(engine, sql, max)),
    };
    Some(Redacted::new(verb.to_owned(), shape, max))
}

/// Where a text begins to depend on the character set of the client: in some a byte that is no ASCII takes the backslash or the
/// backtick behind it for its second half.
pub(super) fn charset_doubt(sql: &str) -> usize {
    let doubtful = |pair: &[u8]| !pair[0].is_ascii() && matches!(pair[1], b'\\' | b'`');
    sql.as_bytes().windows(2).position(doubtful).map_or(sql.len(), |at| at + 1)
}

/// A piece of a statement, as its dialect reads it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Piece<'a> {
    /// A keyword, or a name without quotes.
    Word(&'a str),
    /// What stands between quotes, of which this is the first one, and is certainly a name.
    Name(char, &'a str),
    /// A literal, or a placeholder that looks like one here.
    Value,
    /// `$1`.
    Parameter,
    /// A character by itself.
    Sign(char),
    Operator(&'a str),
    /// What belongs to the name behind it.
    Prefix(&'static str),
    /// From here on nobody can tell what is a value without knowing the session.
    Doubt,
}

/// Whether words stand for values: settings and pragmas take them without quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Words {
    #[default]
    Names,
    /// Until `=` or TO.
    NamesFirst,
    Values,
}

/// An `IN (…)` in which only values were seen.
#[derive(Clone, Copy, Debug)]
struct List {
    /// Where the text behind its parenthesis begins.
    start: usize,
    depth: u32,
}

/// What is put together of the pieces.
#[derive(Debug, Default)]
struct Shown<'a> {
    text: String,
    verb: String,
    /// The first word of the statement that is read, where another one came before it.
    later_verb: Option<String>,
    /// Anything of that statement was seen that may follow no verb.
    begun: bool,
    last: Option<Piece<'a>>,
    list: Option<List>,
    words: Words,
}

impl<'a> Shown<'a> {
    fn of(pieces: impl Iterator<Item = Piece<'a>>) -> Self {
        let mut shown = Self::default();
        let mut pieces = pieces.peekable();
        while let Some(piece) = pieces.next() {
            if piece == Piece::Doubt || shown.text.len() >= MAX_BYTES {
                shown.text.push('…');
                break;
            }
            let is_sign = matches!(piece, Piece::Sign('-' | '+') | Piece::Operator("-" | "+"));
            if is_sign && pieces.peek() == Some(&Piece::Value) && shown.takes_sign() {
                continue;
            }
            shown.push(piece);
        }
        shown
    }

    fn push(&mut self, piece: Piece<'a>) {
        let piece = if self.is_value(piece) { Piece::Value } else { piece };
        self.learn(piece);
        if piece == Piece::Value {
            match self.last {
                // Strings one after the other are one; so are the digits of a number.
                Some(Piece::Value) => return,
                Some(Piece::Sign('.')) if self.text.ends_with("?.") => {
                    self.text.pop();
                    self.last = Some(piece);
                    return;
                }
                _ => {}
            }
        }
        if !self.joins(piece) {
            self.text.push(' ');
        }
        match piece {
            Piece::Word(word) => self.name(word),
            Piece::Operator(text) | Piece::Prefix(text) => self.text.push_str(text),
            Piece::Name(quote, name) => {
                self.text.push(quote);
                self.name(name);
                self.text.push(if quote == '[' { ']' } else { quote });
            }
            Piece::Value => self.text.push('?'),
            Piece::Parameter => self.text.push_str("$n"),
            Piece::Sign(sign) => {
                if let (')', Some(List { start, depth: 1 })) = (sign, self.list) {
                    self.text.truncate(start);
                    self.text.push_str("?, …");
                }
                self.text.push(sign);
            }
            Piece::Doubt => self.text.push('…'),
        }
        self.list = self.list_behind(piece);
        self.last = Some(piece);
    }

    /// In one line.
    fn name(&mut self, name: &str) {
        self.text.extend(name.chars().map(|character| if character.is_control() { ' ' } else { character }));
    }

    fn list_behind(&self, piece: Piece<'a>) -> Option<List> {
        match (piece, self.list) {
            (Piece::Sign('('), Some(list)) => Some(List { depth: list.depth + 1, ..list }),
            (Piece::Sign('('), None) if self.is_behind(&["IN"]) => Some(List { start: self.text.len(), depth: 1 }),
            (Piece::Sign(')'), Some(list)) => (list.depth > 1).then_some(List { depth: list.depth - 1, ..list }),
            // A point is that of a number, since what has names in it is no such list.
            (Piece::Value | Piece::Parameter | Piece::Sign(',' | '.'), list) => list,
            _ => None,
        }
    }

    /// Whether the last piece is one of these words.
    fn is_behind(&self, words: &[&str]) -> bool {
        matches!(self.last, Some(Piece::Word(last)) if words.iter().any(|word| word.eq_ignore_ascii_case(last)))
    }

    fn takes_sign(&self) -> bool {
        match self.last {
            Some(Piece::Word(_)) => self.is_behind(&BEFORE_SIGNS),
            Some(Piece::Name(..) | Piece::Value | Piece::Parameter | Piece::Sign(')' | ']')) => false,
            _ => true,
        }
    }

    /// Whether something that looks like a name stands for a value.
    fn is_value(&self, piece: Piece<'a>) -> bool {
        match piece {
            Piece::Word(_) | Piece::Name(..) if self.words == Words::Values => true,
            Piece::Word(word) => {
                ["TRUE", "FALSE", "NULL"].iter().any(|value| value.eq_ignore_ascii_case(word)) && !self.is_behind(&["IS", "NOT"])
            }
            _ => false,
        }
    }

    fn learn(&mut self, piece: Piece<'a>) {
        match piece {
            Piece::Word(word) if !self.begun => {
                let verb = self.later_verb.as_mut().unwrap_or(&mut self.verb);
                if word.len() <= LONGEST_VERB && word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                    *verb = word.to_ascii_uppercase();
                }
                match verb.as_str() {
                    "SET" | "PRAGMA" => self.words = Words::NamesFirst,
                    "ATTACH" => self.words = Words::Values,
                    _ => {}
                }
            }
            Piece::Word(word) if word.eq_ignore_ascii_case("SET") && self.has_verb(&["ALTER", "CREATE"]) => {
                self.words = Words::NamesFirst;
            }
            // The text of the error may be a word.
            Piece::Sign('(') if self.is_behind(&["RAISE"]) => self.words = Words::Values,
            _ if self.words != Words::NamesFirst => {}
            Piece::Word(word) if word.eq_ignore_ascii_case("TO") => self.words = Words::Values,
            Piece::Sign('=') | Piece::Operator("=") => self.words = Words::Values,
            Piece::Sign('(') if self.has_verb(&["PRAGMA"]) => self.words = Words::Values,
            _ => {}
        }
        match piece {
            Piece::Sign(';') if self.begun => (self.later_verb, self.begun) = (Some(String::new()), false),
            Piece::Sign('(' | ';') => {}
            _ => self.begun = true,
        }
    }

    /// Whether the first statement begins with one of these words, or the one that is read.
    fn has_verb(&self, verbs: &[&str]) -> bool {
        verbs.contains(&self.verb.as_str()) || self.later_verb.as_ref().is_some_and(|verb| verbs.contains(&verb.as_str()))
    }

    /// Whether no space stands before a piece.
    fn joins(&self, piece: Piece<'a>) -> bool {
        let opens = matches!(self.last, None | Some(Piece::Sign('(' | '[' | '.') | Piece::Prefix(_)));
        let closes = matches!(piece, Piece::Sign(',' | ')' | ']' | '.' | ';'));
        // An operator that comes by characters.
        let goes_on = matches!(self.last, Some(Piece::Sign('<' | '>' | '=' | '!' | '|' | '&' | ':' | '-')))
            && matches!(piece, Piece::Sign('<' | '>' | '=' | '|' | '&' | ':'));
        opens || closes || goes_on
    }
}

#[cfg(test)]
mod tests;
