//! Asks the catalog whether a statement that looks harmless is: every name in it must be a plain table, or none that runs code.

use sqlx::mysql::MySqlConnection;

use super::{
    host,
    residue::Verdict,
    text::{Conditions, is_harmless_expression},
};

/// The tables that the statement may name, with everything that may run when they are read or written: one row for each column that has
/// an expression, at least one for each table.
///
/// Names consist of letters, digits and underscores: see [`Conditions`].
fn sql(conditions: &Conditions) -> String {
    let mut places: Vec<String> = Vec::new();
    if !conditions.names.is_empty() {
        let names: Vec<String> = conditions.names.iter().map(|name| format!("'{name}'")).collect();
        places.push(format!("(t.TABLE_SCHEMA = DATABASE() AND t.TABLE_NAME IN ({}))", names.join(", ")));
    }
    places.extend(
        conditions.qualified.iter().map(|(schema, name)| format!("(t.TABLE_SCHEMA = '{schema}' AND t.TABLE_NAME = '{name}')")),
    );
    if places.is_empty() {
        places.push("FALSE".to_owned());
    }
    let triggers = if conditions.writes {
        "EXISTS (SELECT 1 FROM information_schema.TRIGGERS g \
           WHERE g.EVENT_OBJECT_SCHEMA = t.TABLE_SCHEMA AND g.EVENT_OBJECT_TABLE = t.TABLE_NAME)"
    } else {
        "0"
    };
    format!(
        "SELECT t.TABLE_TYPE, {triggers}, c.COLUMN_DEFAULT, c.GENERATION_EXPRESSION \
           FROM information_schema.TABLES t LEFT JOIN information_schema.COLUMNS c \
             ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME \
            AND (c.COLUMN_DEFAULT LIKE '%(%' OR c.GENERATION_EXPRESSION <> '') \
          WHERE {}",
        places.join(" OR ")
    )
}

/// One round trip. The session has its settings and its database of connect.
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
    for row in host::run(link, sql(conditions)).await? {
        let text = |column: usize| row.get(column).and_then(Option::as_deref);
        // Views may call functions, sequences are remembered by the session.
        let plain = matches!(text(0), Some("BASE TABLE" | "SYSTEM VIEW" | "SYSTEM VERSIONED"));
        let triggers = text(1) != Some("0");
        let expressions = [text(2), text(3)].into_iter().flatten().all(is_harmless_expression);
        if !plain || triggers || !expressions {
            return Ok(Verdict::Unknown);
        }
    }
    Ok(if conditions.writes { Verdict::Wrote } else { Verdict::Harmless })
}
