//! A statement of PostgreSQL in pieces, of which it is certain what is a value.

use std::iter;

use super::lex::{Token, tokens};
use crate::driver::redact::{Piece, charset_doubt};

/// The pieces of a statement; none that counts follows a [`Piece::Doubt`].
pub(in crate::driver) fn pieces(sql: &str) -> impl Iterator<Item = Piece<'_>> {
    let (sure, rest) = sql.split_at(charset_doubt(sql));
    let mut tokens = tokens(sure);
    let mut number_end = None;
    let pieces = iter::from_fn(move || {
        let token = tokens.next()?;
        let end = tokens.offset();
        // The digits of `0x1F` and of `1_000`.
        let is_number = match token {
            Token::Word(word) => number_end == Some(end - word.len()),
            token => token == Token::Number,
        };
        number_end = is_number.then_some(end);
        Some(match token {
            _ if is_number => Piece::Value,
            Token::Word(word) => Piece::Word(word),
            Token::Quoted(name) => Piece::Name('"', name),
            Token::Punctuation(sign) => Piece::Sign(sign),
            Token::Operator(operator) => Piece::Operator(operator),
            Token::Parameter => Piece::Parameter,
            // Without `standard_conforming_strings` it may go on behind the quote.
            Token::Text(text) if text.contains('\\') => Piece::Doubt,
            Token::Text(_) | Token::Escaped | Token::Number => Piece::Value,
            Token::Malformed => Piece::Doubt,
        })
    });
    pieces.chain((!rest.is_empty()).then_some(Piece::Doubt))
}
