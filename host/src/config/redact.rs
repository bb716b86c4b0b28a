//! Masks credentials in the text of a configuration before any of it can be shown.
//!
//! A diagnostic shows whole lines of the file. Whoever wrote a password into it literally, perhaps under a misspelt key, in a comment
//! or with a syntax error behind it, must not find it in the log of a build server. So this errs on the side of masking too much, and
//! works on the text, not on what could be parsed of it.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Keys whose values are credentials, whatever section they are in.
const WORDS: [&str; 10] =
    ["password", "passwd", "secret", "token", "credential", "api_key", "api-key", "apikey", "authorization", "private_key"];

/// Another one, but not as a part of a word: that of the audit log, and of whoever puts what is in a file into the configuration itself.
const KEY: &str = "key";

/// The text with every credential replaced by as many bytes of `*`. References to the environment (`${NAME}`) stay readable.
pub(super) fn redact(text: &str, table: &DeTable<'_>) -> String {
    let mut hidden = vec![false; text.len()];
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        for range in secrets_of_line(line) {
            hidden[start + range.start..start + range.end].fill(true);
        }
        start += line.len();
    }
    hide_values(text, table, &mut hidden);
    show_references(text, &mut hidden);
    mask(text, &hidden)
}

/// A line that was not read from the file but may quote it.
pub(super) fn redact_line(line: &str) -> String {
    let mut hidden = vec![false; line.len()];
    secrets_of_line(line).into_iter().for_each(|range| hidden[range].fill(true));
    mask(line, &hidden)
}

fn mask(text: &str, hidden: &[bool]) -> String {
    text.char_indices()
        .flat_map(|(index, char)| {
            let masked = hidden[index] && !char.is_whitespace() && !matches!(char, '"' | '\'');
            let (char, count) = if masked { ('*', char.len_utf8()) } else { (char, 1) };
            std::iter::repeat_n(char, count)
        })
        .collect()
}

/// What is secret in a line by its looks: between a scheme and the last `@`, and after a word such as `password =`.
fn secrets_of_line(line: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    ranges.extend(userinfo(line));
    let lower = line.to_ascii_lowercase();
    for word in WORDS {
        for (index, _) in lower.match_indices(word) {
            let tail = &lower[index + word.len()..];
            let rest_of_key =
                tail.find(|char: char| !char.is_ascii_alphanumeric() && !matches!(char, '_' | '-')).unwrap_or(tail.len());
            let after = tail[rest_of_key..].trim_start_matches(['"', '\'', ' ', '\t']);
            if after.starts_with(['=', ':']) && !tail[..rest_of_key].ends_with("_file") {
                ranges.push(lower.len() - after.len() + 1..line.len());
            }
        }
    }
    for (index, _) in lower.match_indices(KEY) {
        let is_part = lower[..index].ends_with(|char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-'));
        let after = lower[index + KEY.len()..].trim_start_matches(['"', '\'', ' ', '\t']);
        if !is_part && after.starts_with('=') {
            ranges.push(lower.len() - after.len() + 1..line.len());
        }
    }
    ranges
}

/// Between a scheme and the last `@`; without one, what stands where a port should and is none: the host may have been forgotten.
fn userinfo(line: &str) -> Option<Range<usize>> {
    let start = line.find("://")? + 3;
    if let Some(at) = line.rfind('@').filter(|at| *at > start) {
        return Some(start..at);
    }
    let authority = line[start..].split(['/', '?', '"', '\'', ' ', '`']).next()?;
    let (host, port) = authority.split_once(':')?;
    let is_port = port.is_empty() || port.starts_with("${") || port.bytes().all(|byte| byte.is_ascii_digit());
    (!is_port && !host.starts_with('[')).then(|| start + host.len() + 1..line.len())
}

/// Values of keys that hold addresses or credentials: all of them, unless they are one-line addresses with a scheme, of which
/// [`secrets_of_line`] has found the secret part.
fn hide_values(text: &str, table: &DeTable<'_>, hidden: &mut [bool]) {
    for (key, value) in table {
        let key = key.get_ref().to_ascii_lowercase();
        let is_headers = key == "headers";
        let is_named_so = key == KEY || key.contains("url") || WORDS.iter().any(|word| key.contains(word));
        let is_secret = is_headers || (!key.ends_with("_file") && is_named_so);
        visit_strings(value, is_secret, &mut |range, is_secret| {
            let literal = text.get(range.clone()).unwrap_or_default();
            let is_address = literal.contains("://") || literal.trim_start_matches(['"', '\'']).starts_with("sqlite:");
            if is_secret && (is_headers || !is_address || literal.contains('\n')) {
                hidden[range].fill(true);
            }
        });
        visit_tables(value.get_ref(), &mut |table| hide_values(text, table, hidden));
    }
}

fn visit_strings(value: &toml::Spanned<DeValue<'_>>, is_secret: bool, visit: &mut dyn FnMut(Range<usize>, bool)) {
    match value.get_ref() {
        DeValue::String(_) => visit(value.span(), is_secret),
        DeValue::Array(items) => items.iter().for_each(|item| visit_strings(item, is_secret, visit)),
        _ => {}
    }
}

fn visit_tables(value: &DeValue<'_>, visit: &mut dyn FnMut(&DeTable<'_>)) {
    match value {
        DeValue::Table(table) => visit(table),
        DeValue::Array(items) => items.iter().for_each(|item| visit_tables(item.get_ref(), visit)),
        _ => {}
    }
}

/// Names of environment variables are what the reader needs to see; only their defaults stay masked.
fn show_references(text: &str, hidden: &mut [bool]) {
    for (start, _) in text.match_indices("${") {
        if text[..start].ends_with('$') {
            continue;
        }
        let name = text[start + 2..].find(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        let Some(after) = name.map(|length| start + 2 + length) else { continue };
        if after == start + 2 {
            continue;
        }
        if text[after..].starts_with('}') {
            hidden[start..=after].fill(false);
        } else if text[after..].starts_with(":-")
            && let Some(close) = text[after..].find(['}', '\n'])
        {
            hidden[start..after + 2].fill(false);
            hidden[after + close] = false;
        }
    }
}
