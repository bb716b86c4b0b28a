//! Cuts SQL into tokens as SQLite does.

/// One token; white space and comments are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword or an unquoted name, as written.
    Word(&'a str),
    /// A name in backticks or brackets: the first of them, and what stands between.
    Quoted(char, &'a str),
    /// A string or a blob. What stands in double quotes is a string where nothing has it for a name.
    Text,
    /// `?`, `?1`, `:a`, `@a`, `$a`.
    Parameter,
    Number,
    Operator(&'a str),
    /// One of `, ( ) . ;`.
    Punctuation(char),
    /// Something that no statement may contain, or that never ends.
    Malformed,
}

/// The tokens of a text, one by one; ends after [`Token::Malformed`].
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    sql: &'a str,
    at: usize,
}

/// The longer ones before what they begin with.
const OPERATORS: &[&str] =
    &["->>", "->", "||", "<=", "<>", "<<", ">=", ">>", "==", "!=", "<", ">", "=", "|", "-", "+", "*", "/", "%", "&", "~"];

/// Starts at the beginning of `sql`.
pub(super) fn tokens(sql: &str) -> Tokens<'_> {
    Tokens { sql, at: 0 }
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

impl<'a> Tokens<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.sql.as_bytes()[self.at..]
    }

    fn malformed(&mut self) -> Token<'a> {
        self.at = self.sql.len();
        Token::Malformed
    }

    /// Steps over white space and comments. A comment may end with the text.
    fn skip(&mut self) {
        loop {
            match self.rest() {
                [space, ..] if is_space(*space) => self.at += 1,
                // A mark of the byte order.
                [0xEF, 0xBB, 0xBF, ..] => self.at += 3,
                [b'-', b'-', rest @ ..] => {
                    self.at += 2 + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                }
                [b'/', b'*', inside @ ..] if !inside.is_empty() => {
                    let end = inside.windows(2).position(|pair| pair == b"*/");
                    self.at += 2 + end.map_or(inside.len(), |end| end + 2);
                }
                _ => return,
            }
        }
    }

    /// What stands between the quote at `self.at` and its partner; a doubled quote does not end it.
    fn quoted(&mut self, quote: u8) -> Option<&'a str> {
        let start = self.at + 1;
        let bytes = self.sql.as_bytes();
        let mut end = start;
        loop {
            end += bytes[end..].iter().position(|byte| *byte == quote)?;
            if bytes.get(end + 1) != Some(&quote) {
                break;
            }
            end += 2;
        }
        self.at = end + 1;
        self.sql.get(start..end)
    }

    /// `x'41'`.
    fn blob(&mut self) -> Token<'a> {
        let digits = self.rest()[2..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits % 2 == 1 || self.rest().get(2 + digits) != Some(&b'\'') {
            return self.malformed();
        }
        self.at += 2 + digits + 1;
        Token::Text
    }

    /// Takes more for a number than the engine does, which refuses what is none.
    fn number(&mut self) -> Token<'a> {
        loop {
            self.at += self.rest().iter().take_while(|byte| in_word(**byte) || **byte == b'.').count();
            let exponent = matches!(self.sql.as_bytes()[self.at - 1], b'e' | b'E');
            match self.rest() {
                [b'+' | b'-', digit, ..] if exponent && digit.is_ascii_digit() => self.at += 1,
                _ => return Token::Number,
            }
        }
    }

    /// A parameter with a name, which may have a suffix in parentheses as in Tcl: anything without white space, quotes included.
    fn named(&mut self) -> Token<'a> {
        let bytes = self.rest();
        let (mut length, mut is_named) = (1, false);
        loop {
            match &bytes[length..] {
                [byte, ..] if in_word(*byte) => (length, is_named) = (length + 1, true),
                [b':', b':', ..] => length += 2,
                [b'(', inside @ ..] if is_named => {
                    match inside.iter().position(|byte| *byte == b')' || is_space(*byte)) {
                        Some(end) if inside[end] == b')' => self.at += length + 1 + end + 1,
                        _ => return self.malformed(),
                    }
                    return Token::Parameter;
                }
                _ if is_named => {
                    self.at += length;
                    return Token::Parameter;
                }
                _ => return self.malformed(),
            }
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip();
        let rest = self.rest();
        let first = *rest.first()?;
        Some(match first {
            b'\'' | b'"' => match self.quoted(first) {
                Some(_) => Token::Text,
                None => self.malformed(),
            },
            b'`' => match self.quoted(first) {
                Some(name) => Token::Quoted('`', name),
                None => self.malformed(),
            },
            b'[' => match rest.iter().position(|byte| *byte == b']') {
                Some(end) => {
                    let start = self.at + 1;
                    self.at += end + 1;
                    Token::Quoted('[', &self.sql[start..self.at - 1])
                }
                None => self.malformed(),
            },
            b'x' | b'X' if rest.get(1) == Some(&b'\'') => self.blob(),
            b'?' => {
                self.at += 1 + rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                Token::Parameter
            }
            b'$' | b'@' | b':' | b'#' => self.named(),
            b'0'..=b'9' => self.number(),
            b'.' if rest.get(1).is_some_and(u8::is_ascii_digit) => self.number(),
            b',' | b'(' | b')' | b'.' | b';' => {
                self.at += 1;
                Token::Punctuation(char::from(first))
            }
            _ if in_word(first) => {
                let start = self.at;
                self.at += rest.iter().take_while(|byte| in_word(**byte)).count();
                Token::Word(&self.sql[start..self.at])
            }
            _ => match OPERATORS.iter().find(|operator| rest.starts_with(operator.as_bytes())) {
                Some(operator) => {
                    self.at += operator.len();
                    Token::Operator(operator)
                }
                None => self.malformed(),
            },
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
    fn comments_do_not_nest_and_may_end_with_the_text() {
        assert_eq!(all("/* /* */ x"), [Token::Word("x")]);
        assert_eq!(all("x /* open"), [Token::Word("x")]);
        assert_eq!(all("x /*/ y"), [Token::Word("x")]);
        assert_eq!(all("x /*"), [Token::Word("x"), Token::Operator("/"), Token::Operator("*")]);
        assert_eq!(all("-- a\rb\nx --"), [Token::Word("x")]);
        assert_eq!(all("\u{feff}x"), [Token::Word("x")]);
    }

    #[test]
    fn strings_and_names_keep_their_ends() {
        assert_eq!(all(r"'it''s' 'a\' x"), [Token::Text, Token::Text, Token::Word("x")]);
        assert_eq!(all(r#""a""b" x"#), [Token::Text, Token::Word("x")]);
        assert_eq!(all("`a``b`.[it's]"), [Token::Quoted('`', "a``b"), Token::Punctuation('.'), Token::Quoted('[', "it's")]);
        assert_eq!(all("x'41' X''"), [Token::Text, Token::Text]);
        assert_eq!(all("E'a' ax'41'"), [Token::Word("E"), Token::Text, Token::Word("ax"), Token::Text]);
        for sql in ["'open", "\"open", "`open", "[open", "x'4'", "x'4g'", "{", "\\", "a\0", "!", "@", "$a(b c)", "$a("] {
            assert_eq!(all(sql).last(), Some(&Token::Malformed), "{sql}");
        }
    }

    #[test]
    fn parameters_numbers_and_operators() {
        assert_eq!(all("? ?1 :a @a $a $a::b(it's) #a"), [Token::Parameter; 7]);
        assert_eq!(all("1 1.5e-3 .5 0x1F 1_000 5E+1"), [Token::Number; 6]);
        assert_eq!(
            all("a->>1-1||b!=c"),
            [
                Token::Word("a"),
                Token::Operator("->>"),
                Token::Number,
                Token::Operator("-"),
                Token::Number,
                Token::Operator("||"),
                Token::Word("b"),
                Token::Operator("!="),
                Token::Word("c")
            ]
        );
        assert_eq!(all("a$b caf\u{e9}"), [Token::Word("a$b"), Token::Word("caf\u{e9}")]);
    }
}
