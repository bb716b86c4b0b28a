//! A statement without its values, for logs.

use super::lex::{Token, tokens};
use crate::driver::Engine;

/// What is kept of a text, in bytes.
const MAX: usize = 240;
/// More letters than any statement begins with.
const LONGEST_VERB: usize = 16;

/// The statement with every literal replaced by `?`, without comments, in one line, cut after 240 bytes.
///
/// In doubt more is replaced. What cannot be cut into tokens, or only by a setting of the session, ends in `…`. The tokens are
/// PostgreSQL's: of a text that another engine may cut elsewhere no more than the first word is shown there. Of documents the text is the
/// collection's name, which stays.
#[must_use]
pub fn redact(sql: &str, engine: Engine) -> String {
    if engine == Engine::Mongodb {
        return sql[..sql.floor_char_boundary(MAX)].to_owned();
    }
    let foreign = engine != Engine::Postgres;
    if foreign && is_cut_otherwise(sql) {
        let verb = sql.trim_start().chars().take_while(char::is_ascii_alphabetic).take(LONGEST_VERB);
        return verb.chain(['…']).collect();
    }
    let mut redacted = String::new();
    let mut tokens = tokens(sql);
    let mut number_end = None;
    while let Some(token) = tokens.next() {
        let doubtful = match token {
            Token::Malformed => true,
            Token::Escaped => foreign,
            // Without `standard_conforming_strings` it may go on behind the quote.
            Token::Text(text) => !foreign && text.contains('\\'),
            _ => false,
        };
        if doubtful || redacted.len() >= MAX {
            redacted.push('…');
            break;
        }
        let piece = match token {
            // The digits of `0x1F` and of `1_000`.
            Token::Word(text) if number_end == Some(tokens.offset() - text.len()) => continue,
            Token::Word(text) | Token::Operator(text) => text.to_owned(),
            Token::Quoted(name) => format!("\"{name}\""),
            Token::Punctuation(sign) => sign.to_string(),
            Token::Parameter => "$n".to_owned(),
            Token::Text(_) | Token::Escaped | Token::Number | Token::Malformed => "?".to_owned(),
        };
        number_end = (token == Token::Number).then(|| tokens.offset());
        let joined = redacted.is_empty()
            || matches!(token, Token::Punctuation(',' | ')' | ']' | '.' | ';'))
            || redacted.ends_with(['(', '[', '.']);
        if !joined {
            redacted.push(' ');
        }
        redacted.push_str(&piece);
    }
    redacted
}

/// Whether MySQL or SQLite may find a string, a name or a comment of this text to begin or to end elsewhere than PostgreSQL does.
fn is_cut_otherwise(sql: &str) -> bool {
    let dollars = || sql.split('$').skip(1).any(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()));
    sql.contains(['"', '`', '[', '\\', '#', '\r']) || sql.contains("--") || sql.contains("/*") || dollars()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_and_values_go() {
        let told = |sql| redact(sql, Engine::Postgres);
        assert_eq!(
            told("SELECT a.\"Name\",\n b -- secret\n FROM t /* secret */ WHERE x = 'secret' AND y > 12.5e3 AND z = $1"),
            "SELECT a.\"Name\", b FROM t WHERE x = ? AND y > ? AND z = $n"
        );
        assert_eq!(
            told("INSERT INTO t VALUES (E'se\\'cret', $$secret$$, U&'secret', -1)"),
            "INSERT INTO t VALUES (?, ?, ?, - ?)"
        );
        assert_eq!(told("SELECT 'never ends secret"), "SELECT…");
        assert_eq!(told("SELECT 0xDEAD_BEEF, 1_000, 2 AS a"), "SELECT ?, ?, ? AS a");
        assert_eq!(told("SELECT 'without standard_conforming_strings\\' secret'"), "SELECT…");
        assert_eq!(told(""), "");
        let long = told(&"SELECT a, ".repeat(100));
        assert!(long.len() < MAX + 20 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn what_other_engines_read_otherwise_is_left_out() {
        for engine in [Engine::Mysql, Engine::Sqlite] {
            let told = |sql| redact(sql, engine);
            assert_eq!(told("SELECT a FROM t WHERE b = 'it''s secret' AND c = $1"), "SELECT a FROM t WHERE b = ? AND c = $n");
            assert_eq!(told("SELECT E'x' || 'secret'"), "SELECT…");
            for sql in [
                "SELECT \"secret\"",
                "SELECT 'a\\' secret'",
                "SELECT a # it's secret",
                "SELECT `it's` = 'secret'",
                "SELECT [it's], 'secret'",
                "SELECT $a$, ' $a$ secret '",
                "SELECT 5--'\n secret'",
                "SELECT a -- '\r secret '",
                "SELECT 1 /* /* */, ' */ secret '",
            ] {
                assert_eq!(told(sql), "SELECT…", "{sql}");
            }
            assert_eq!(told("/* /* */ SELECT ' */ secret '"), "…");
        }
    }

    #[test]
    fn the_name_of_a_collection_stays() {
        assert_eq!(redact("it's 12 o'clock", Engine::Mongodb), "it's 12 o'clock");
        assert_eq!(redact(&"é".repeat(MAX), Engine::Mongodb).len(), MAX);
    }
}
