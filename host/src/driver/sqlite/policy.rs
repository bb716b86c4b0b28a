//! What a guest's SQL may do, judged action by action as the engine's own compiler names them.
//!
//! Everything that is not allowed here is refused, so an action that a later SQLite adds is refused too.

use libsqlite3_sys as ffi;

use crate::driver::settings::Access;

/// One thing that a statement would do, as `sqlite3_set_authorizer` describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Action<'a> {
    /// `SQLITE_INSERT`, `SQLITE_PRAGMA` and so on.
    pub(super) code: i32,
    /// Mostly the object's name.
    pub(super) first: Option<&'a str>,
    /// The pragma's argument, the function's or the module's name.
    pub(super) second: Option<&'a str>,
    /// The innermost trigger or view that causes the action.
    pub(super) trigger: Option<&'a str>,
}

/// What an allowed action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing but reading.
    Reads,
    /// Inserts rows.
    Inserts,
    /// Changes or deletes rows.
    Updates,
    /// Changes the schema, of the file or of the session's temporary objects; the engine does not always tell which.
    Schema,
}

/// Pragmas that only read, with any argument.
const READING_PRAGMAS: &[&str] = &[
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Pragmas that only read as long as they have no argument.
const ASKING_PRAGMAS: &[&str] = &[
    "application_id",
    "data_version",
    "encoding",
    "foreign_keys",
    "freelist_count",
    "journal_mode",
    "page_count",
    "page_size",
    "schema_version",
    "user_version",
];

/// Functions that reach outside the database, should a build of SQLite have them, or that are the host's own.
const REFUSED_FUNCTIONS: &[&str] = &["edit", "fts3_tokenizer", "load_extension", "readfile", "writefile", super::MARKER_FUNCTION];

/// Modules of virtual tables that keep all they have in the database.
const MODULES: &[&str] = &["fts3", "fts4", "fts4aux", "fts5", "fts5vocab", "rtree", "rtree_i32"];

/// Whether a guest may do this, and what it does; else what is refused, for the message.
pub(super) fn judge(action: &Action<'_>, access: Access) -> Result<Effect, &'static str> {
    let effect = match action.code {
        ffi::SQLITE_SELECT | ffi::SQLITE_READ | ffi::SQLITE_RECURSIVE => Effect::Reads,
        ffi::SQLITE_FUNCTION if listed(REFUSED_FUNCTIONS, action.second) => return Err("this function"),
        ffi::SQLITE_FUNCTION => Effect::Reads,
        ffi::SQLITE_PRAGMA if listed(READING_PRAGMAS, action.first) => Effect::Reads,
        ffi::SQLITE_PRAGMA if listed(ASKING_PRAGMAS, action.first) && action.second.is_none() => Effect::Reads,
        ffi::SQLITE_PRAGMA => return Err("this PRAGMA"),
        ffi::SQLITE_ATTACH => return Err("ATTACH or VACUUM"),
        ffi::SQLITE_DETACH => return Err("DETACH"),
        ffi::SQLITE_TRANSACTION | ffi::SQLITE_SAVEPOINT => return Err("transaction control as SQL"),
        ffi::SQLITE_INSERT => Effect::Inserts,
        ffi::SQLITE_UPDATE | ffi::SQLITE_DELETE => Effect::Updates,
        ffi::SQLITE_CREATE_VTABLE if !listed(MODULES, action.second) => return Err("this virtual table module"),
        ffi::SQLITE_CREATE_VTABLE
        | ffi::SQLITE_DROP_VTABLE
        | ffi::SQLITE_CREATE_INDEX
        | ffi::SQLITE_CREATE_TABLE
        | ffi::SQLITE_CREATE_TRIGGER
        | ffi::SQLITE_CREATE_VIEW
        | ffi::SQLITE_DROP_INDEX
        | ffi::SQLITE_DROP_TABLE
        | ffi::SQLITE_DROP_TRIGGER
        | ffi::SQLITE_DROP_VIEW
        | ffi::SQLITE_ALTER_TABLE
        | ffi::SQLITE_REINDEX
        | ffi::SQLITE_ANALYZE
        | ffi::SQLITE_CREATE_TEMP_INDEX
        | ffi::SQLITE_CREATE_TEMP_TABLE
        | ffi::SQLITE_CREATE_TEMP_TRIGGER
        | ffi::SQLITE_CREATE_TEMP_VIEW
        | ffi::SQLITE_DROP_TEMP_INDEX
        | ffi::SQLITE_DROP_TEMP_TABLE
        | ffi::SQLITE_DROP_TEMP_TRIGGER
        | ffi::SQLITE_DROP_TEMP_VIEW => Effect::Schema,
        _ => return Err("this kind of statement"),
    };
    match (access, effect) {
        (Access::ReadOnly, Effect::Inserts | Effect::Updates | Effect::Schema) => Err("writing"),
        _ => Ok(effect),
    }
}

fn listed(names: &[&str], name: Option<&str>) -> bool {
    name.is_some_and(|name| names.iter().any(|listed| listed.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action<'a>(code: i32, first: Option<&'a str>, second: Option<&'a str>) -> Action<'a> {
        Action { code, first, second, trigger: None }
    }

    #[test]
    fn pragmas_only_read() {
        let pragma = |name, argument| judge(&action(ffi::SQLITE_PRAGMA, Some(name), argument), Access::ReadWrite);
        assert_eq!(pragma("table_info", Some("patients")), Ok(Effect::Reads));
        assert_eq!(pragma("USER_VERSION", None), Ok(Effect::Reads));
        assert_eq!(pragma("user_version", Some("1")), Err("this PRAGMA"));
        for name in ["query_only", "journal_mode", "writable_schema", "trusted_schema", "database_list", "wal_checkpoint"] {
            assert_eq!(pragma(name, Some("0")), Err("this PRAGMA"), "{name}");
        }
        assert_eq!(pragma("database_list", None), Err("this PRAGMA"));
    }

    #[test]
    fn a_reader_may_do_nothing_but_read() {
        for code in 0..64 {
            let reads = matches!(code, ffi::SQLITE_SELECT | ffi::SQLITE_READ | ffi::SQLITE_RECURSIVE | ffi::SQLITE_FUNCTION);
            let verdict = judge(&action(code, Some("t"), Some("fts5")), Access::ReadOnly);
            assert_eq!(verdict == Ok(Effect::Reads), reads, "action {code}");
            assert!(reads || verdict.is_err(), "action {code}");
        }
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for code in [0, ffi::SQLITE_COPY, 34, 99, -1] {
            assert!(judge(&action(code, None, None), Access::ReadWrite).is_err(), "action {code}");
        }
        assert!(judge(&action(ffi::SQLITE_FUNCTION, None, Some("LOAD_EXTENSION")), Access::ReadWrite).is_err());
        assert!(judge(&action(ffi::SQLITE_CREATE_VTABLE, Some("t"), Some("csv")), Access::ReadWrite).is_err());
    }
}
