//! YAML, as far as the manifests of the examples use it: mappings and lists by indentation, of plain and quoted scalars. What is not known here
//! fails, so that nothing is read as something else.

use serde_json::{Map, Value as Json};

/// The documents of a text.
///
/// # Panics
/// When it uses anything else of YAML.
#[must_use]
pub fn documents(text: &str) -> Vec<Json> {
    text.split("\n---\n").map(document).collect()
}

/// How far a line is indented, and what it says besides a comment.
type Line<'a> = (usize, &'a str);

fn document(text: &str) -> Json {
    let lines = text.lines().filter_map(|line| {
        let said = line.trim_start();
        if said.is_empty() || said.starts_with('#') {
            return None;
        }
        assert!(!line.contains('\t') && !said.contains(" #"), "not understood: {line}");
        Some((line.len() - said.len(), said.trim_end()))
    });
    let mut lines: Vec<Line<'_>> = lines.collect();
    let (value, used) = block(&mut lines);
    assert_eq!(used, lines.len(), "not understood: {:?}", lines.get(used));
    value
}

/// What begins with the first line and is indented like it, and how many lines that is.
fn block(lines: &mut [Line<'_>]) -> (Json, usize) {
    let (indent, first) = lines[0];
    if first.starts_with("- ") {
        let (mut items, mut at) = (Vec::new(), 0);
        while let Some((_, item)) = lines.get(at).copied().filter(|(found, said)| *found == indent && said.starts_with("- ")) {
            // What follows the dash begins a block of its own.
            lines[at] = (indent + 2, &item[2..]);
            let (value, used) = block(&mut lines[at..]);
            items.push(value);
            at += used;
        }
        return (Json::Array(items), at);
    }
    if field(first).is_none() {
        return (scalar(first), 1);
    }
    let (mut fields, mut at) = (Map::new(), 0);
    while let Some((_, said)) = lines.get(at).copied().filter(|(found, _)| *found == indent) {
        let (key, value) = field(said).unwrap_or_else(|| panic!("not understood: {said}"));
        at += 1;
        let is_nested = value.is_empty() && lines.get(at).is_some_and(|(deeper, _)| *deeper > indent);
        let value = if is_nested {
            let (value, used) = block(&mut lines[at..]);
            at += used;
            value
        } else {
            scalar(value)
        };
        assert!(fields.insert(key.to_owned(), value).is_none(), "{key} comes twice");
    }
    (Json::Object(fields), at)
}

/// Key and value of a line; the value is empty when it follows on lines of its own.
fn field(said: &str) -> Option<(&str, &str)> {
    let is_key = |key: &str| key.chars().all(|of| of.is_alphanumeric() || matches!(of, '.' | '/' | '-' | '_'));
    let (key, value) = said.split_once(": ").or_else(|| Some((said.strip_suffix(':')?, "")))?;
    is_key(key).then_some((key, value.trim()))
}

fn scalar(said: &str) -> Json {
    if let Some(quoted) = said.strip_prefix('"') {
        let text = quoted.strip_suffix('"').filter(|text| !text.contains(['"', '\\']));
        return text.unwrap_or_else(|| panic!("not understood: {said}")).into();
    }
    assert!(!said.is_empty() && !said.starts_with(|of: char| "[]{}&*!|>%@`'?,".contains(of)), "not understood: {said:?}");
    match said {
        "true" => true.into(),
        "false" => false.into(),
        // What YAML takes for something else than a text.
        "null" | "~" | "yes" | "no" | "on" | "off" => panic!("not understood: {said}"),
        _ => said.parse::<u64>().map_or_else(|_| said.into(), Json::from),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mappings_lists_and_scalars_are_read_by_their_indentation() {
        let text =
            "# about it\na:\n  b: 1\n  c:\n    - x\n    - k: \"0.0:1\"\n      l:\n        m: true\n\nd: 1Gi\n---\n- 7\n- false";
        let first = json!({ "a": { "b": 1, "c": ["x", { "k": "0.0:1", "l": { "m": true } }] }, "d": "1Gi" });
        assert_eq!(documents(text), [first, json!([7, false])]);
    }

    #[test]
    fn what_is_not_known_fails() {
        for text in
            ["a: [1]", "a: |\n  text", "a: 'x'", "a: yes", "a: &b c", "a:\n  b: 1\n   c: 2", "a: 1\na: 2", "a: b # c", "a:"]
        {
            assert!(std::panic::catch_unwind(|| documents(text)).is_err(), "{text}");
        }
    }
}
