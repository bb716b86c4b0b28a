//! A statement of MariaDB or MySQL in pieces, of which it is certain what is a value.

use super::lex::{Token, tokens};
use crate::driver::redact::{Piece, charset_doubt};

/// The pieces of a statement; none that counts follows a [`Piece::Doubt`].
pub(in crate::driver) fn pieces(sql: &str) -> impl Iterator<Item = Piece<'_>> {
    let (sure, rest) = sql.split_at(charset_doubt(sql));
    let pieces = tokens(sure).map(|token| match token {
        // Since MySQL 9 what stands between two `$tag$` is a string.
        Token::Word(word) if word.starts_with('$') => Piece::Doubt,
        // A name, or a number with something behind it.
        Token::Word(word) if word.starts_with(|first: char| first.is_ascii_digit()) => Piece::Value,
        Token::Word(word) => Piece::Word(word),
        Token::Quoted(name) => Piece::Name('`', name),
        Token::Text | Token::TextOrName | Token::Number | Token::Parameter => Piece::Value,
        Token::UserVariable => Piece::Prefix("@"),
        Token::SystemVariable => Piece::Prefix("@@"),
        Token::Call => Piece::Sign('('),
        Token::Other(sign) if sign.is_ascii_control() => Piece::Doubt,
        Token::Other(sign) => Piece::Sign(sign),
        Token::Doubt | Token::Malformed => Piece::Doubt,
    });
    pieces.chain((!rest.is_empty()).then_some(Piece::Doubt))
}
