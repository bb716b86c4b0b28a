//! Cuts SQL into tokens as MariaDB and MySQL do, and says so where how they do it depends on a setting or a version.

/// One token; white space and comments are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword or an unquoted name, as written.
    Word(&'a str),
    /// A name in backticks: what stands between them, with doubled backticks still doubled.
    Quoted(&'a str),
    /// A string in single quotes without a backslash: it ends where it seems to under every setting.
    Text,
    /// Something in double quotes without a backslash: a string, or a name under `ANSI_QUOTES`. It ends where it seems to.
    TextOrName,
    /// Something whose reading depends on `sql_mode`, the character set or the server's version: a string with a backslash, an
    /// executable comment, a hint with quotes in it, a bracket.
    Doubt,
    /// `?`.
    Parameter,
    /// `@name`, whatever the name is; the name follows as a token of its own.
    UserVariable,
    /// `@@`; the name follows.
    SystemVariable,
    Number,
    /// A parenthesis that opens directly behind a word or a number.
    Call,
    /// Any other character.
    Other(char),
    /// Something that never ends.
    Malformed,
}

/// The tokens of a text, one by one; ends after [`Token::Malformed`].
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    sql: &'a str,
    at: usize,
}

/// Starts at the beginning of `sql`.
pub(super) fn tokens(sql: &str) -> Tokens<'_> {
    Tokens { sql, at: 0 }
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

impl<'a> Tokens<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.sql.as_bytes()[self.at..]
    }

    fn malformed(&mut self) -> Token<'a> {
        self.at = self.sql.len();
        Token::Malformed
    }

    /// Nothing behind it can be told.
    fn doubt(&mut self) -> Token<'a> {
        self.at = self.sql.len();
        Token::Doubt
    }

    fn skip_line(&mut self) {
        let rest = self.rest();
        self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }

    /// Steps over what stands between two quotes, doubled ones included; what it was, and whether it holds a backslash.
    fn quoted(&mut self, quote: u8) -> Option<(&'a str, bool)> {
        let start = self.at + 1;
        let bytes = self.sql.as_bytes();
        let (mut end, mut backslash) = (start, false);
        loop {
            match bytes.get(end)? {
                // The next byte may be a quote that ends nothing. Where it ends in truth is doubtful, and the token says so.
                b'\\' if quote != b'`' => {
                    backslash = true;
                    end += 2;
                }
                byte if *byte == quote && bytes.get(end + 1) == Some(&quote) => end += 2,
                byte if *byte == quote => break,
                _ => end += 1,
            }
        }
        self.at = end + 1;
        Some((self.sql.get(start..end)?, backslash))
    }

    /// Steps over white space and comments; what is left of it, where that is a token.
    fn skip(&mut self) -> Option<Token<'a>> {
        loop {
            match self.rest() {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, ..] => self.at += 1,
                [b'#', ..] => self.skip_line(),
                // Only with white space or a control character behind it; `1--1` is arithmetic.
                [b'-', b'-'] => self.at += 2,
                [b'-', b'-', space, ..] if *space <= b' ' || *space == 0x7f => self.skip_line(),
                // Some character sets have spaces there.
                [b'-', b'-', other, ..] if !other.is_ascii() => return Some(self.doubt()),
                [b'/', b'*', b'!', ..] | [b'/', b'*', b'M', b'!', ..] => {
                    // Whether it runs depends on the version that it names, and where it ends on what is in it.
                    return Some(self.doubt());
                }
                [b'/', b'*', inside @ ..] => match inside.windows(2).position(|pair| pair == b"*/") {
                    // MySQL reads strings and names in a hint, and does not look for its end in them.
                    Some(end) if inside[0] == b'+' && inside[..end].iter().any(|byte| matches!(byte, b'\'' | b'"' | b'`')) => {
                        return Some(self.doubt());
                    }
                    Some(end) => self.at += 2 + end + 2,
                    None => return Some(self.malformed()),
                },
                _ => return None,
            }
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if let Some(token) = self.skip() {
            return Some(token);
        }
        let first = *self.rest().first()?;
        Some(match first {
            b'\'' => match self.quoted(b'\'') {
                Some((_, false)) => Token::Text,
                Some((_, true)) => Token::Doubt,
                None => self.malformed(),
            },
            b'"' => match self.quoted(b'"') {
                Some((_, false)) => Token::TextOrName,
                Some((_, true)) => Token::Doubt,
                None => self.malformed(),
            },
            b'`' => match self.quoted(b'`') {
                Some((name, _)) => Token::Quoted(name),
                None => self.malformed(),
            },
            b'@' => {
                let system = self.rest().starts_with(b"@@");
                self.at += if system { 2 } else { 1 };
                if system { Token::SystemVariable } else { Token::UserVariable }
            }
            b'?' => {
                self.at += 1;
                Token::Parameter
            }
            // With `sql_mode = MSSQL` a name stands in brackets.
            b'[' => self.doubt(),
            b'(' if self.at.checked_sub(1).is_some_and(|before| in_word(self.sql.as_bytes()[before])) => {
                self.at += 1;
                Token::Call
            }
            byte if in_word(byte) => {
                let start = self.at;
                self.at += self.rest().iter().take_while(|byte| in_word(**byte)).count();
                let word = &self.sql[start..self.at];
                // A name may begin with a digit, but not consist of digits only.
                let digits = word.trim_start_matches(|character: char| character.is_ascii_digit());
                let number = digits.is_empty() || (digits.len() < word.len() && matches!(digits.as_bytes(), [b'e' | b'E', ..]));
                let hex = word.starts_with("0x") || word.starts_with("0b");
                if number || hex { Token::Number } else { Token::Word(word) }
            }
            _ => {
                self.at += 1;
                Token::Other(char::from(first))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(sql: &str) -> Vec<Token<'_>> {
        tokens(sql).collect()
    }

    #[test]
    fn comments_end_where_the_server_ends_them() {
        assert_eq!(all("# a\nx"), [Token::Word("x")]);
        assert_eq!(all("-- a\nx"), [Token::Word("x")]);
        assert_eq!(all("--\nx --"), [Token::Word("x")]);
        assert_eq!(all("1--1"), [Token::Number, Token::Other('-'), Token::Other('-'), Token::Number]);
        assert_eq!(all("/* /* */ x"), [Token::Word("x")]);
        assert_eq!(all("/* open"), [Token::Malformed]);
        // Hints change one statement only.
        assert_eq!(all("/*+ MAX_EXECUTION_TIME(1) */x"), [Token::Word("x")]);
    }

    #[test]
    fn what_depends_on_settings_or_versions_is_doubt() {
        assert_eq!(all("/*! COMMIT */"), [Token::Doubt]);
        assert_eq!(all("/*M!100000 COMMIT */"), [Token::Doubt]);
        assert_eq!(all(r"'a\' b' c"), [Token::Doubt, Token::Word("c")]);
        assert_eq!(all("\"a\"\"b\" c"), [Token::TextOrName, Token::Word("c")]);
        assert_eq!(all("\"a\\\" c\" d"), [Token::Doubt, Token::Word("d")]);
        assert_eq!(all("x [it's] y"), [Token::Word("x"), Token::Doubt]);
        assert_eq!(all("/*+ SET_VAR(a = '*/ x') */"), [Token::Doubt]);
        assert_eq!(all("1--\u{280}'"), [Token::Number, Token::Doubt]);
        assert_eq!(all("--\u{7f} '\nx"), [Token::Word("x")]);
        assert_eq!(all("'a''b' c"), [Token::Text, Token::Word("c")]);
        assert_eq!(all("'open"), [Token::Malformed]);
    }

    #[test]
    fn names_variables_and_numbers() {
        assert_eq!(all("`a``b`.c"), [Token::Quoted("a``b"), Token::Other('.'), Token::Word("c")]);
        assert_eq!(
            all("@a := @@b"),
            [
                Token::UserVariable,
                Token::Word("a"),
                Token::Other(':'),
                Token::Other('='),
                Token::SystemVariable,
                Token::Word("b")
            ]
        );
        assert_eq!(all("a(b ("), [Token::Word("a"), Token::Call, Token::Word("b"), Token::Other('(')]);
        assert_eq!(all("1e5 0x1F 1a ?"), [Token::Number, Token::Number, Token::Word("1a"), Token::Parameter]);
        assert_eq!(all("caf\u{e9}"), [Token::Word("caf\u{e9}")]);
    }
}
