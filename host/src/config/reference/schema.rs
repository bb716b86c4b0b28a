//! The reference of settings as a JSON Schema, for editors.

use serde_json::{Map, Value, json};

use super::{Kind, Setting, settings, texts};
use crate::config::reader::NAME_PATTERN;

/// The JSON Schema of `wharf.toml` (draft 7, which editors of TOML take).
///
/// JSON Schema has no words for the bounds of a text with a unit; `x-least` and `x-most` tell them.
#[must_use]
pub fn schema() -> Value {
    let mut schema = object("", &settings());
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("wharf.toml");
    schema
}

fn object(table: &str, settings: &[Setting]) -> Value {
    let own = || settings.iter().filter(|setting| setting.table() == table);
    let properties: Map<String, Value> = own().map(|setting| (setting.key().to_owned(), property(setting, settings))).collect();
    let mut object = json!({
        "type": "object",
        "description": texts::of_table(table),
        "properties": properties,
        "additionalProperties": false,
    });
    let required: Vec<&str> = own().filter(|setting| setting.needed.len() == 1).map(Setting::key).collect();
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    let mut rules: Vec<Value> = Vec::new();
    for setting in own() {
        if let Kind::SecretFile { of } = setting.kind {
            rules.push(json!({ "not": { "required": [of, setting.key()] } }));
        }
        if setting.needed.len() > 1 {
            let one: Vec<Value> = setting.needed.iter().map(|key| json!({ "required": [key] })).collect();
            let rule = json!({ "anyOf": one });
            // Each key of the group says it.
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    }
    if !rules.is_empty() {
        object["allOf"] = json!(rules);
    }
    object
}

fn property(setting: &Setting, settings: &[Setting]) -> Value {
    let inside = || object(&setting.inside().unwrap_or_default(), settings);
    let mut property = match &setting.kind {
        Kind::Table => return inside(),
        Kind::Tables => {
            return json!({
                "type": "object",
                "patternProperties": { NAME_PATTERN: inside() },
                "additionalProperties": false,
            });
        }
        Kind::Number(bounds) => json!({ "type": "integer", "minimum": bounds.least, "maximum": bounds.most }),
        Kind::Duration(_) | Kind::Size(_) => {
            let (least, most) = setting.kind.written_bounds().unwrap_or_default();
            json!({ "type": "string", "x-least": least, "x-most": most })
        }
        Kind::Boolean(_) => json!({ "type": "boolean" }),
        // Any text may come from the environment.
        Kind::Choice { words, .. } => json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": "\\$\\{" }] }),
        Kind::List { least, most, .. } => {
            json!({ "type": "array", "items": { "type": "string" }, "minItems": least, "maxItems": most })
        }
        Kind::Text { .. } | Kind::Secret | Kind::SecretFile { .. } => json!({ "type": "string" }),
    };
    let only = setting.only.map(|only| format!("{only} databases only. ")).unwrap_or_default();
    property["description"] = json!(format!("{only}{}", setting.text));
    if let Some(default) = setting.kind.default() {
        property["default"] = default;
    }
    property
}
