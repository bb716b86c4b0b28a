//! A statement without its values, for logs.

use super::lex::{Token, tokens};
use crate::driver::Engine;

/// What is kept of a text, in bytes.
const MAX: usize = 240;

/// The statement with every literal replaced by `?`, without comments, in one line, cut after 240 bytes.
///
/// In doubt more is replaced: what cannot be cut into tokens ends in `…`, and on MySQL, where double quotes make strings and a
/// backslash may carry a string past its quote, a text with either shows no more than its first words. Of documents the text is the
/// collection's name, which stays.
#[must_use]
pub fn redact(sql: &str, engine: Engine) -> String {
    if engine == Engine::Mongodb {
        return sql[..sql.floor_char_boundary(MAX)].to_owned();
    }
    let mut redacted = String::new();
    let foreign = |token: &Token<'_>| engine == Engine::Mysql && (matches!(token, Token::Quoted(_)) || sql.contains(['\\', '#']));
    for (count, token) in tokens(sql).enumerate() {
        if redacted.len() >= MAX || token == Token::Malformed || (foreign(&token) && count > 0) {
            redacted.push('…');
            break;
        }
        let piece = match token {
            Token::Word(text) | Token::Operator(text) => text.to_owned(),
            Token::Quoted(name) => format!("\"{name}\""),
            Token::Punctuation(sign) => sign.to_string(),
            Token::Parameter => "$n".to_owned(),
            Token::Text(_) | Token::Escaped | Token::Number | Token::Malformed => "?".to_owned(),
        };
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
        assert_eq!(told(""), "");
        let long = told(&"SELECT a, ".repeat(100));
        assert!(long.len() < MAX + 20 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn what_mysql_reads_otherwise_is_left_out() {
        let told = |sql| redact(sql, Engine::Mysql);
        assert_eq!(told("SELECT a FROM t WHERE b = 'secret'"), "SELECT a FROM t WHERE b = ?");
        assert_eq!(told("SELECT \"secret\""), "SELECT…");
        assert_eq!(told("SELECT 'a\\' secret'"), "SELECT…");
        assert_eq!(told("SELECT a # it's secret"), "SELECT…");
    }

    #[test]
    fn the_name_of_a_collection_stays() {
        assert_eq!(redact("it's 12 o'clock", Engine::Mongodb), "it's 12 o'clock");
        assert_eq!(redact(&"é".repeat(MAX), Engine::Mongodb).len(), MAX);
    }
}
