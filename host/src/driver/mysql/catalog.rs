//! Asks the catalog whether a statement that looks harmless is: every name in it must be a plain table, or none that runs code.

use sqlx::mysql::MySqlConnection;

use super::{
    host,
    residue::Verdict,
    text::{Conditions, is_harmless_expression},
};

/// The tables that a statement may name: the server compares with the names in its folders and opens nothing.
///
/// Names consist of letters, digits and underscores: see [`Conditions`].
fn tables(conditions: &Conditions) -> String {
    let mut places: Vec<String> = Vec::new();
    if !conditions.names.is_empty() {
        let names: Vec<String> = conditions.names.iter().map(|name| format!("'{name}'")).collect();
        places.push(format!("(TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ({}))", names.join(", ")));
    }
    places.extend(
        conditions.qualified.iter().map(|(schema, name)| format!("(TABLE_SCHEMA = '{schema}' AND TABLE_NAME = '{name}')")),
    );
    if places.is_empty() {
        places.push("FALSE".to_owned());
    }
    let places = places.join(" OR ");
    format!("SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, DATABASE() FROM information_schema.TABLES WHERE {places}")
}

/// Everything that may run when the tables are read or written: one row for each column that has an expression, and one with the number
/// of triggers for each table.
///
/// Each table, given as two literals, by itself: in a join the server would open every table of every database.
pub(super) fn runs(tables: &[(String, String)], writes: bool) -> String {
    let mut selects = Vec::new();
    for (schema, name) in tables {
        selects.push(format!(
            "SELECT 0, COLUMN_DEFAULT, GENERATION_EXPRESSION FROM information_schema.COLUMNS \
              WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {name} \
                AND (COLUMN_DEFAULT LIKE '%(%' OR GENERATION_EXPRESSION <> '')"
        ));
        if writes {
            selects.push(format!(
                "SELECT COUNT(*), NULL, NULL FROM information_schema.TRIGGERS \
                  WHERE EVENT_OBJECT_SCHEMA = {schema} AND EVENT_OBJECT_TABLE = {name}"
            ));
        }
    }
    selects.join("; ")
}

/// Two round trips, or one for a statement that names no table. The session has its settings and its database of connect.
///
/// `sees_triggers` tells whether the user may see all triggers of the session's database; of others it is not known.
pub(super) async fn confirm(
    link: &mut MySqlConnection,
    conditions: &Conditions,
    sees_triggers: bool,
) -> Result<Verdict, sqlx::Error> {
    if conditions.writes && !sees_triggers {
        return Ok(Verdict::Unknown);
    }
    let mut found = Vec::new();
    for row in host::run(link, tables(conditions)).await? {
        let text = |column: usize| row.get(column).and_then(Option::as_deref);
        // Views may call functions, sequences are remembered by the session.
        let plain = matches!(text(2), Some("BASE TABLE" | "SYSTEM VIEW" | "SYSTEM VERSIONED"));
        let (Some(schema), Some(name), true) = (text(0), text(1), plain) else { return Ok(Verdict::Unknown) };
        // Elsewhere triggers may be hidden.
        if conditions.writes && text(3) != Some(schema) {
            return Ok(Verdict::Unknown);
        }
        found.push((host::literal(schema), host::literal(name)));
    }
    if !found.is_empty() {
        for row in host::run(link, runs(&found, conditions.writes)).await? {
            let text = |column: usize| row.get(column).and_then(Option::as_deref);
            let triggers = text(0) != Some("0");
            let expressions = [text(1), text(2)].into_iter().flatten().all(is_harmless_expression);
            if triggers || !expressions {
                return Ok(Verdict::Unknown);
            }
        }
    }
    Ok(if conditions.writes { Verdict::Wrote } else { Verdict::Harmless })
}
