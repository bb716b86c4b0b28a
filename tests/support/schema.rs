//! JSON Schema, as far as the host's own documents use it. What is not known here is a violation, so that nothing goes unchecked.

use serde_json::{Map, Value as Json};

/// Where a document is not what a schema says, each with its place; none, if it is.
#[must_use]
pub fn violations(schema: &Json, document: &Json) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, document, "", &mut found);
    found
}

fn check(schema: &Json, document: &Json, at: &str, found: &mut Vec<String>) {
    let nothing = Map::new();
    let fields = document.as_object().unwrap_or(&nothing);
    for (keyword, rule) in schema.as_object().unwrap_or(&nothing) {
        match keyword.as_str() {
            "$schema" | "title" | "description" => {}
            "type" => {
                let types = rule.as_array().map_or(std::slice::from_ref(rule), Vec::as_slice);
                if !types.iter().any(|of| of.as_str().is_some_and(|of| is_of(document, of))) {
                    found.push(format!("{at}: {document} is no {rule}"));
                }
            }
            "enum" => {
                if !rule.as_array().is_some_and(|allowed| allowed.contains(document)) {
                    found.push(format!("{at}: {document} is none of {rule}"));
                }
            }
            "minimum" => {
                if document.as_f64().zip(rule.as_f64()).is_some_and(|(number, least)| number < least) {
                    found.push(format!("{at}: {document} is less than {rule}"));
                }
            }
            "format" => {
                // Such as 2026-01-02T03:04:05.678Z.
                let is_time = |text: &str| text.len() == 24 && text.as_bytes()[10] == b'T' && text.ends_with('Z');
                if rule != "date-time" || document.as_str().is_some_and(|text| !is_time(text)) {
                    found.push(format!("{at}: {document} is no {rule}"));
                }
            }
            "items" => {
                for (place, item) in document.as_array().into_iter().flatten().enumerate() {
                    check(rule, item, &format!("{at}/{place}"), found);
                }
            }
            "properties" => {
                for (name, schema) in rule.as_object().unwrap_or(&nothing) {
                    if let Some(field) = fields.get(name) {
                        check(schema, field, &format!("{at}/{name}"), found);
                    }
                }
            }
            "required" => {
                let missing =
                    rule.as_array().into_iter().flatten().filter_map(Json::as_str).filter(|name| !fields.contains_key(*name));
                found.extend(missing.map(|name| format!("{at}: {name} is missing")));
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object().unwrap_or(&nothing);
                let unknown = fields.keys().filter(|name| *rule == Json::Bool(false) && !known.contains_key(*name));
                found.extend(unknown.map(|name| format!("{at}: {name} is not in the schema")));
            }
            _ => found.push(format!("{at}: {keyword} is not known here")),
        }
    }
}

fn is_of(document: &Json, of: &str) -> bool {
    match of {
        "null" => document.is_null(),
        "boolean" => document.is_boolean(),
        "integer" => document.is_i64() || document.is_u64(),
        "string" => document.is_string(),
        "array" => document.is_array(),
        "object" => document.is_object(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_is_not_as_the_schema_says_is_told_with_its_place() {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": { "type": "string", "enum": ["a", "b"] },
                "ages": { "type": "array", "items": { "type": ["integer", "null"], "minimum": 0 } },
                "at": { "type": "string", "format": "date-time" },
            },
            "required": ["name"],
            "additionalProperties": false,
        });
        let good = json!({ "name": "a", "ages": [1, null], "at": "2026-01-02T03:04:05.678Z" });
        assert_eq!(violations(&schema, &good), Vec::<String>::new());
        for (document, expected) in [
            (json!([]), ": [] is no \"object\""),
            (json!({}), ": name is missing"),
            (json!({ "name": "c" }), "/name: \"c\" is none of [\"a\",\"b\"]"),
            (json!({ "name": "a", "ages": [1, "x"] }), "/ages/1: \"x\" is no [\"integer\",\"null\"]"),
            (json!({ "name": "a", "ages": [-1] }), "/ages/0: -1 is less than 0"),
            (json!({ "name": "a", "at": "noon" }), "/at: \"noon\" is no \"date-time\""),
            (json!({ "name": "a", "more": 1 }), ": more is not in the schema"),
        ] {
            let found = violations(&schema, &document);
            assert!(found.iter().any(|violation| violation == expected), "{document}: {found:?}");
        }
        assert_eq!(violations(&json!({ "pattern": "x" }), &json!("x")), [": pattern is not known here"]);
    }
}
