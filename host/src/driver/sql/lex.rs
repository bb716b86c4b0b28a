//! Cuts SQL into tokens by PostgreSQL's own rules.
//!
//! A general SQL tokenizer differs from the server in corners (a carriage return ends a `--` comment, a no-break space is a letter, an
//! operator loses its trailing sign), and in such a corner a statement could pass for another. This one follows the server's
//! `scan.l` under `standard_conforming_strings`, and says so where a text depends on that setting.

/// One token; white space and comments are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// A keyword or an unquoted identifier, as written.
    Word(&'a str),
    /// An identifier in double quotes: what stands between them, with `""` still doubled.
    Quoted(&'a str),
    /// A plain string in single quotes, without the quotes.
    Text(&'a str),
    /// A string whose reading needs more than its quotes: `E''`, `U&''`, `U&""`, dollar quotes.
    Escaped,
    /// `$1`.
    Parameter,
    /// Digits, with point and exponent.
    Number,
    /// A run of operator characters.
    Operator(&'a str),
    /// One of `, ( ) [ ] . ; :`.
    Punctuation(char),
    /// Something that no statement may contain, or that never ends.
    Malformed,
}

/// The tokens of a text, one by one; ends after [`Token::Malformed`].
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    sql: &'a str,
    at: usize,
}

const OPERATORS: &[u8] = b"~!@#^&|`?+-*/%<>=";

fn starts_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn continues_word(byte: u8) -> bool {
    starts_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Starts at the beginning of `sql`.
#[must_use]
pub fn tokens(sql: &str) -> Tokens<'_> {
    Tokens { sql, at: 0 }
}

impl<'a> Tokens<'a> {
    /// Where the token that was returned last ends.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    fn bytes(&self) -> &'a [u8] {
        &self.sql.as_bytes()[self.at..]
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.sql.as_bytes().get(self.at + ahead).copied()
    }

    /// Steps over white space and comments; `false` when a comment never ends.
    fn skip(&mut self) -> bool {
        loop {
            match self.bytes() {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, ..] => self.at += 1,
                [b'-', b'-', rest @ ..] => {
                    self.at += 2 + rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
                }
                [b'/', b'*', ..] => {
                    self.at += 2;
                    let mut depth = 1;
                    while depth > 0 {
                        match self.bytes() {
                            [b'/', b'*', ..] => (self.at, depth) = (self.at + 2, depth + 1),
                            [b'*', b'/', ..] => (self.at, depth) = (self.at + 2, depth - 1),
                            [_, ..] => self.at += 1,
                            [] => return false,
                        }
                    }
                }
                _ => return true,
            }
        }
    }

    fn malformed(&mut self) -> Token<'a> {
        self.at = self.sql.len();
        Token::Malformed
    }

    /// What stands between the quote at `self.at` and its partner; a doubled quote does not end it.
    fn quoted(&mut self, quote: u8) -> Option<&'a str> {
        let start = self.at + 1;
        let mut end = start;
        loop {
            end += self.sql.as_bytes()[end..].iter().position(|byte| *byte == quote)?;
            if self.sql.as_bytes().get(end + 1) != Some(&quote) {
                break;
            }
            end += 2;
        }
        self.at = end + 1;
        self.sql.get(start..end)
    }

    /// `E''`: a backslash takes the next byte with it.
    fn escaped(&mut self) -> Token<'a> {
        let mut bytes = self.bytes().iter().enumerate().skip(1).peekable();
        while let Some((index, byte)) = bytes.next() {
            match byte {
                b'\\' => _ = bytes.next(),
                b'\'' if bytes.peek().is_some_and(|(_, next)| **next == b'\'') => _ = bytes.next(),
                b'\'' => {
                    self.at += index + 1;
                    return Token::Escaped;
                }
                _ => {}
            }
        }
        self.malformed()
    }

    fn dollar(&mut self) -> Token<'a> {
        let tag = self.bytes()[1..].iter().take_while(|byte| continues_word(**byte) && **byte != b'$').count();
        if self.peek(1).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1 + self.bytes()[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            return Token::Parameter;
        }
        if self.peek(1 + tag) != Some(b'$') {
            return self.malformed();
        }
        let delimiter = &self.bytes()[..tag + 2];
        let body = &self.bytes()[tag + 2..];
        match body.windows(delimiter.len()).position(|window| window == delimiter) {
            Some(end) => {
                self.at += delimiter.len() * 2 + end;
                Token::Escaped
            }
            None => self.malformed(),
        }
    }

    fn number(&mut self) -> Token<'a> {
        let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits(self.bytes());
        // `1..10` is a number and two points.
        if self.peek(0) == Some(b'.') && self.peek(1) != Some(b'.') {
            self.at += 1;
            self.at += digits(self.bytes());
        }
        if matches!(self.peek(0), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.peek(1), Some(b'+' | b'-')));
            let exponent = digits(self.bytes().get(1 + sign..).unwrap_or_default());
            if exponent > 0 {
                self.at += 1 + sign + exponent;
            }
        }
        Token::Number
    }

    fn operator(&mut self) -> Token<'a> {
        let bytes = self.bytes();
        let mut len = bytes.iter().take_while(|byte| OPERATORS.contains(byte)).count();
        // A comment ends an operator.
        if let Some(comment) = (1..len).find(|at| matches!(&bytes[*at..], [b'-', b'-', ..] | [b'/', b'*', ..])) {
            len = comment;
        }
        // As the SQL standard wants `a=-1` to be read: only an operator with an unusual character may end in a sign.
        if !bytes[..len].iter().any(|byte| b"~!@#^&|`?%".contains(byte)) {
            while len > 1 && matches!(bytes[len - 1], b'+' | b'-') {
                len -= 1;
            }
        }
        let start = self.at;
        self.at += len;
        Token::Operator(&self.sql[start..self.at])
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if !self.skip() {
            return Some(self.malformed());
        }
        let first = self.peek(0)?;
        Some(match first {
            b'\'' => match self.quoted(b'\'') {
                Some(text) => Token::Text(text),
                None => self.malformed(),
            },
            b'"' => match self.quoted(b'"') {
                Some(name) => Token::Quoted(name),
                None => self.malformed(),
            },
            b'e' | b'E' if self.peek(1) == Some(b'\'') => {
                self.at += 1;
                self.escaped()
            }
            b'u' | b'U' if self.peek(1) == Some(b'&') && matches!(self.peek(2), Some(b'\'' | b'"')) => {
                self.at += 2;
                let quote = self.bytes()[0];
                match self.quoted(quote) {
                    Some(_) => Token::Escaped,
                    None => self.malformed(),
                }
            }
            b'b' | b'B' | b'x' | b'X' | b'n' | b'N' if self.peek(1) == Some(b'\'') => {
                self.at += 1;
                match self.quoted(b'\'') {
                    Some(text) => Token::Text(text),
                    None => self.malformed(),
                }
            }
            b'$' => self.dollar(),
            b'.' if self.peek(1).is_some_and(|byte| byte.is_ascii_digit()) => self.number(),
            b'0'..=b'9' => self.number(),
            b',' | b'(' | b')' | b'[' | b']' | b'.' | b';' | b':' => {
                self.at += 1;
                Token::Punctuation(char::from(first))
            }
            _ if OPERATORS.contains(&first) => self.operator(),
            _ if starts_word(first) => {
                let start = self.at;
                self.at += self.bytes().iter().take_while(|byte| continues_word(**byte)).count();
                Token::Word(&self.sql[start..self.at])
            }
            _ => self.malformed(),
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
    fn comments_nest_and_end_where_the_server_ends_them() {
        assert_eq!(all("/* a /* b */ c */ x"), [Token::Word("x")]);
        assert_eq!(all("-- a\rx"), [Token::Word("x")]);
        assert_eq!(all("/* /* */ x"), [Token::Malformed]);
        assert_eq!(all("1--x\n+2"), [Token::Number, Token::Operator("+"), Token::Number]);
        assert_eq!(all("a+/*x*/b"), [Token::Word("a"), Token::Operator("+"), Token::Word("b")]);
    }

    #[test]
    fn strings_and_names_keep_their_ends() {
        assert_eq!(all("'it''s' x"), [Token::Text("it''s"), Token::Word("x")]);
        assert_eq!(all("E'a\\'b' x"), [Token::Escaped, Token::Word("x")]);
        assert_eq!(all("\"a\"\"b\".c"), [Token::Quoted("a\"\"b"), Token::Punctuation('.'), Token::Word("c")]);
        assert_eq!(all("$a$ ' $$ $a$ x"), [Token::Escaped, Token::Word("x")]);
        assert_eq!(all("$1 + $$x$$"), [Token::Parameter, Token::Operator("+"), Token::Escaped]);
        assert_eq!(all("U&'x' U&\"y\""), [Token::Escaped, Token::Escaped]);
        assert_eq!(all("'open"), [Token::Malformed]);
        assert_eq!(all("a\u{a0}b"), [Token::Word("a\u{a0}b")]);
        assert_eq!(all("x\0y"), [Token::Word("x"), Token::Malformed]);
    }

    #[test]
    fn operators_lose_a_trailing_sign_as_on_the_server() {
        assert_eq!(all("a=-1"), [Token::Word("a"), Token::Operator("="), Token::Operator("-"), Token::Number]);
        assert_eq!(all("a@-1"), [Token::Word("a"), Token::Operator("@-"), Token::Number]);
        assert_eq!(all("1.5e-3 .5 1..2"), [Token::Number, Token::Number, Token::Number, Token::Punctuation('.'), Token::Number]);
    }
}
