//! Tells whether a statement's columns come from a `*`, which is all that its text cannot tell about their number.

/// Whether there is a `*` where a list of columns may have one: after SELECT, DISTINCT, ALL, RETURNING, a comma or a point.
/// A star between two operands multiplies, one after a parenthesis counts.
pub(super) fn selects_all(sql: &str) -> bool {
    let bytes = sql.as_bytes();
    let mut at = 0;
    let mut before: &[u8] = b"";
    while let Some(&byte) = bytes.get(at) {
        let end = match byte {
            b if b.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at = find(bytes, at, b"\n");
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at = find(bytes, at + 2, b"*/");
                continue;
            }
            b'\'' | b'"' | b'`' => find(bytes, at + 1, &[byte]),
            b'[' => find(bytes, at + 1, b"]"),
            b'*' if opens_columns(before) => return true,
            b if is_word(b) => at + bytes[at..].iter().take_while(|&&byte| is_word(byte)).count(),
            _ => at + 1,
        };
        before = &bytes[at..end];
        at = end;
    }
    false
}

fn opens_columns(before: &[u8]) -> bool {
    matches!(before, b"," | b".")
        || [&b"select"[..], b"distinct", b"all", b"returning"].iter().any(|word| before.eq_ignore_ascii_case(word))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
}

/// Just behind the next `wanted`, or the end.
fn find(bytes: &[u8], from: usize, wanted: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(wanted.len()).position(|window| window == wanted).map_or(bytes.len(), |at| from + at + wanted.len())
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
