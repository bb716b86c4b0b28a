//! Tells whether a statement's columns come from a `*`, which is all that its text cannot tell about their number.

use super::lex::{Token, tokens};

/// Whether there is a `*` where a list of columns may have one: after SELECT, DISTINCT, ALL, RETURNING, a comma or a point.
/// A star between two operands multiplies, one after a parenthesis counts.
pub(super) fn selects_all(sql: &str) -> bool {
    let mut before = None;
    for token in tokens(sql) {
        if token == Token::Operator("*") && before.is_some_and(opens_columns) {
            return true;
        }
        before = Some(token);
    }
    false
}

fn opens_columns(before: Token<'_>) -> bool {
    match before {
        Token::Punctuation(',' | '.') => true,
        Token::Word(word) => ["SELECT", "DISTINCT", "ALL", "RETURNING"].iter().any(|opening| opening.eq_ignore_ascii_case(word)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::selects_all;

    #[test]
    fn stars_of_columns_are_told_from_the_others() {
        for sql in [
            "SELECT * FROM t",
            "select/* all */* from t",
            "SELECT a, * FROM t",
            "SELECT t.* FROM t",
            "SELECT t . * FROM t",
            "SELECT DISTINCT * FROM t",
            "INSERT INTO t VALUES (1) RETURNING *",
            "SELECT a -- b\n, * FROM t",
            "SELECT '''', * FROM t",
            "SELECT 1 UNION ALL SELECT * FROM t",
        ] {
            assert!(selects_all(sql), "{sql}");
        }
        for sql in [
            "",
            "SELECT count(*), count( * ) FROM t",
            "SELECT a * b, 2*3, (a)*b FROM t",
            "SELECT 'x, *', \".*\", [, *] FROM t",
            "SELECT a /* , * */ FROM t -- , *",
            "SELECT a FROM t WHERE b = ',' * 2",
        ] {
            assert!(!selects_all(sql), "{sql}");
        }
    }
}
