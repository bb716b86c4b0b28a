//! Asks the catalog whether a statement that looks harmless is: every name in it must be a plain table or nothing that runs code.

use std::collections::BTreeSet;

use sqlx::postgres::PgConnection;

use super::{
    residue::Verdict,
    simple::{self, is_true},
};
use crate::driver::sql::classify::{Conditions, expression_moves_sequence};

/// Numbers from here on belong to objects that were made after `initdb`.
const FIRST_USER_OID: u32 = 16_384;

/// `'a', 'b'`, or a null where there is nothing. The names consist of letters, digits, underscores, double quotes, points and operator
/// characters: see [`Conditions`].
fn list(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return "NULL".to_owned();
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    quoted.join(", ")
}

/// Up to three round trips. The session is in no transaction and has its settings of connect, so names are found as the next borrower
/// finds them.
pub(super) async fn confirm(link: &mut PgConnection, conditions: &Conditions) -> Result<Verdict, sqlx::Error> {
    match code(link, conditions).await? {
        Verdict::Harmless => {}
        verdict => return Ok(verdict),
    }
    let relations = simple::run(link, relations_sql(conditions)).await?;
    let mut moves_sequence = conditions.moves_sequence;
    for row in &relations {
        let text = |column: usize| row.get(column).and_then(Option::as_deref).unwrap_or("?");
        let holds = |column: usize| row.get(column).is_none_or(is_true);
        match text(0) {
            // Named, but never read as a table: indexes, sequences, out-of-line storage.
            "i" | "I" | "S" | "t" => continue,
            // A row type is read as a value, and with it its columns.
            "r" | "p" | "m" | "c" => {}
            _ => return Ok(Verdict::SchemaCode),
        }
        let (temporary, rules, row_security, user_types) = (text(1) == "t", holds(2), holds(3), holds(4));
        if temporary || rules || row_security || user_types {
            return Ok(Verdict::SchemaCode);
        }
        if conditions.writes {
            let (children, partition, triggers, identity, depends) = (holds(5), holds(6), holds(7), holds(10), holds(11));
            let cascades = (conditions.updates && holds(8)) || (conditions.deletes && holds(9));
            if text(0) != "r" || children || partition || triggers || cascades || depends {
                return Ok(Verdict::SchemaCode);
            }
            moves_sequence |= identity;
        }
    }
    if conditions.writes {
        for row in simple::run(link, expressions_sql(conditions)).await? {
            let expression = row.first().and_then(Option::as_deref).unwrap_or_default();
            match expression_moves_sequence(expression) {
                Some(moves) => moves_sequence |= moves,
                None => return Ok(Verdict::SchemaCode),
            }
        }
    }
    Ok(if moves_sequence { Verdict::MovesSequence } else { Verdict::Harmless })
}

/// Looks whether a name of the statement is a function, a type or an operator with code behind it that is not known: built in, as
/// `set_config` is, or of the schema. A cast names no function: if any between types that a statement may use has one, that will do.
async fn code(link: &mut PgConnection, conditions: &Conditions) -> Result<Verdict, sqlx::Error> {
    let Conditions { functions, not_functions, names, operators, .. } = conditions;
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid < {FIRST_USER_OID} AND proname IN ({not_functions})), \
                EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid >= {FIRST_USER_OID} AND proname IN ({functions})) \
             OR EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid >= {FIRST_USER_OID} AND proname IN ({not_functions})) \
             OR EXISTS (SELECT FROM pg_catalog.pg_type WHERE oid >= {FIRST_USER_OID} AND typname IN ({names}) \
                           AND typtype NOT IN ('c', 'e')) \
             OR EXISTS (SELECT FROM pg_catalog.pg_operator o \
                          LEFT JOIN pg_catalog.pg_type l ON l.oid = o.oprleft LEFT JOIN pg_catalog.pg_type r ON r.oid = o.oprright \
                         WHERE o.oid >= {FIRST_USER_OID} AND o.oprname IN ({operators}) \
                           AND (o.oprleft < {FIRST_USER_OID} OR l.typtype IN ('c', 'e')) \
                           AND (o.oprright < {FIRST_USER_OID} OR r.typtype IN ('c', 'e'))) \
             OR EXISTS (SELECT FROM pg_catalog.pg_cast k \
                          JOIN pg_catalog.pg_type s ON s.oid = k.castsource JOIN pg_catalog.pg_type t ON t.oid = k.casttarget \
                         WHERE k.castfunc >= {FIRST_USER_OID} AND (s.typtype IN ('c', 'e') OR t.typtype IN ('c', 'e')))",
        functions = list(functions),
        not_functions = list(not_functions),
        names = list(names),
        operators = list(operators),
    );
    let rows = simple::run(link, sql).await?;
    Ok(match rows.first().map(Vec::as_slice) {
        Some([built_in, _]) if is_true(built_in) => Verdict::Unknown,
        Some([_, schema]) if is_true(schema) => Verdict::SchemaCode,
        Some([_, _]) => Verdict::Harmless,
        _ => Verdict::Unknown,
    })
}

/// The relations that the statement may name, each found as the statement finds it.
fn named(conditions: &Conditions) -> String {
    let values: Vec<String> = conditions.relations.iter().map(|name| format!("('{name}')")).collect();
    let values = if values.is_empty() { "(NULL)".to_owned() } else { values.join(", ") };
    format!("(SELECT DISTINCT pg_catalog.to_regclass(name)::oid AS oid FROM (VALUES {values}) names(name)) named")
}

fn relations_sql(conditions: &Conditions) -> String {
    format!(
        "SELECT c.relkind, c.relpersistence, c.relhasrules, c.relrowsecurity, \
                EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
                         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                           AND t.oid >= {FIRST_USER_OID} AND t.typtype <> 'e'), \
                c.relhassubclass, c.relispartition, \
                EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal), \
                EXISTS (SELECT FROM pg_catalog.pg_constraint k \
                         WHERE k.confrelid = c.oid AND k.contype = 'f' AND k.confupdtype IN ('c', 'n', 'd')), \
                EXISTS (SELECT FROM pg_catalog.pg_constraint k \
                         WHERE k.confrelid = c.oid AND k.contype = 'f' AND k.confdeltype IN ('c', 'n', 'd')), \
                EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attidentity <> ''), \
                EXISTS (SELECT FROM pg_catalog.pg_depend d \
                         WHERE d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass, \
                                                'pg_catalog.pg_opclass'::regclass, 'pg_catalog.pg_opfamily'::regclass) \
                           AND (d.classid = 'pg_catalog.pg_attrdef'::regclass \
                                AND d.objid IN (SELECT oid FROM pg_catalog.pg_attrdef WHERE adrelid = c.oid) \
                             OR d.classid = 'pg_catalog.pg_constraint'::regclass \
                                AND d.objid IN (SELECT oid FROM pg_catalog.pg_constraint WHERE conrelid = c.oid) \
                             OR d.classid = 'pg_catalog.pg_class'::regclass \
                                AND d.objid IN (SELECT indexrelid FROM pg_catalog.pg_index WHERE indrelid = c.oid))) \
           FROM {} JOIN pg_catalog.pg_class c ON c.oid = named.oid",
        named(conditions)
    )
}

/// Every expression that runs when one of the tables is written.
fn expressions_sql(conditions: &Conditions) -> String {
    let named = named(conditions);
    format!(
        "SELECT pg_catalog.pg_get_expr(x.adbin, x.adrelid) FROM {named} JOIN pg_catalog.pg_attrdef x ON x.adrelid = named.oid \
         UNION ALL \
         SELECT pg_catalog.pg_get_expr(x.conbin, x.conrelid) FROM {named} JOIN pg_catalog.pg_constraint x ON x.conrelid = named.oid \
          WHERE x.conbin IS NOT NULL \
         UNION ALL \
         SELECT pg_catalog.pg_get_expr(x.indexprs, x.indrelid) FROM {named} JOIN pg_catalog.pg_index x ON x.indrelid = named.oid \
          WHERE x.indexprs IS NOT NULL \
         UNION ALL \
         SELECT pg_catalog.pg_get_expr(x.indpred, x.indrelid) FROM {named} JOIN pg_catalog.pg_index x ON x.indrelid = named.oid \
          WHERE x.indpred IS NOT NULL"
    )
}
