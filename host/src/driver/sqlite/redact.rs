//! A statement of SQLite in pieces, of which it is certain what is a value.

use super::lex::{Token, tokens};
use crate::driver::redact::Piece;

/// The pieces of a statement; none follows a [`Piece::Doubt`].
pub(in crate::driver) fn pieces(sql: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut is_default = false;
    tokens(sql).map(move |token| {
        let was_default = is_default;
        is_default = matches!(token, Token::Word(word) if word.eq_ignore_ascii_case("DEFAULT"));
        match token {
            // A default may be a word that is its own text.
            Token::Word(word) if was_default && !word.eq_ignore_ascii_case("VALUES") => Piece::Value,
            Token::Quoted(..) if was_default => Piece::Value,
            Token::Word(word) => Piece::Word(word),
            Token::Quoted(quote, name) => Piece::Name(quote, name),
            Token::Text | Token::Number | Token::Parameter => Piece::Value,
            Token::Operator(operator) => Piece::Operator(operator),
            Token::Punctuation(sign) => Piece::Sign(sign),
            Token::Malformed => Piece::Doubt,
        }
    })
}
