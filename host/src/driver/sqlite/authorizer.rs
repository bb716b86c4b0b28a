//! All that needs SQLite's raw handle: the authorizer above all, and the questions that sqlx does not ask.

#![expect(
    unsafe_code,
    reason = "sqlx offers no authorizer, limits, tail of a statement or declared types; SQLite's C interface does"
)]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_uint, c_void},
    ptr::{self, NonNull},
    sync::{Arc, atomic::Ordering},
};

use libsqlite3_sys as ffi;
use sqlx::sqlite::LockedSqliteHandle;

use super::{
    MARKER_FUNCTION, failure,
    policy::Action,
    shared::{Effects, Shared},
};
use crate::driver::{Failure, FailureKind};

/// A text or blob, and a row in a table, in bytes.
pub(super) const MAX_VALUE_BYTES: c_int = 16 * 1024 * 1024;
/// A statement, in bytes.
pub(super) const MAX_SQL_BYTES: usize = 1024 * 1024;
/// What SQLite may allocate in this process, all sessions together; a backstop against statements that build huge rows.
const MAX_HEAP_BYTES: i64 = 1024 * 1024 * 1024;

/// See <https://www.sqlite.org/limits.html>.
const LIMITS: &[(c_int, c_int)] = &[
    (ffi::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES),
    (ffi::SQLITE_LIMIT_SQL_LENGTH, MAX_SQL_BYTES as c_int),
    (ffi::SQLITE_LIMIT_COLUMN, 2_000),
    (ffi::SQLITE_LIMIT_EXPR_DEPTH, 500),
    (ffi::SQLITE_LIMIT_COMPOUND_SELECT, 100),
    (ffi::SQLITE_LIMIT_VDBE_OP, 1_000_000),
    (ffi::SQLITE_LIMIT_FUNCTION_ARG, 127),
    (ffi::SQLITE_LIMIT_ATTACHED, 0),
    (ffi::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
    (ffi::SQLITE_LIMIT_VARIABLE_NUMBER, 32_766),
    (ffi::SQLITE_LIMIT_TRIGGER_DEPTH, 100),
    (ffi::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// See <https://www.sqlite.org/c3ref/c_dbconfig_defensive.html>.
const SWITCHES: &[(c_int, c_int)] = &[
    (ffi::SQLITE_DBCONFIG_DEFENSIVE, 1),
    (ffi::SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
    (ffi::SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0),
    (ffi::SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0),
    (ffi::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0),
    (ffi::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, 0),
    (ffi::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, 0),
];

/// A statement as the engine's compiler sees it.
#[derive(Debug)]
pub(super) struct Compiled {
    /// Names and declared types of the columns.
    pub(super) columns: Vec<(String, Option<String>)>,
    /// Names of the placeholders from the first to the last, `None` for a plain `?`.
    pub(super) placeholders: Vec<Option<String>>,
    /// Running it changes nothing in the database.
    pub(super) read_only: bool,
    /// The rest of what it does.
    pub(super) effects: Effects,
    /// A row that it inserts gets a number that the engine makes.
    pub(super) makes_key: bool,
}

/// Puts limits and the authorizer on a handle. `attached` is dropped when the handle is gone, after its files are closed.
pub(super) fn guard(
    handle: &mut LockedSqliteHandle<'_>,
    shared: &Arc<Shared>,
    attached: impl Send + 'static,
) -> Result<(), Failure> {
    let database = handle.as_raw_handle().as_ptr();
    // SQLite destroys the data of a function last when it closes, after the files; the box is then the last owner of `shared`'s
    // pointer in the authorizer, and no statement can be compiled any more.
    let kept: *mut (Arc<Shared>, Box<dyn Send>) = Box::into_raw(Box::new((Arc::clone(shared), Box::new(attached))));
    let name = CString::new(MARKER_FUNCTION).unwrap_or_default();
    // SAFETY: the handle is open and ours while it is locked; `kept` is owned by SQLite from here, which calls `forget` also when
    // the call fails; the name is copied.
    let mut status = unsafe {
        ffi::sqlite3_create_function_v2(
            database,
            name.as_ptr(),
            0,
            ffi::SQLITE_UTF8 | ffi::SQLITE_DIRECTONLY as c_int,
            kept.cast(),
            Some(answer_null),
            None,
            None,
            Some(forget),
        )
    };
    for (name, count) in [(c"changes", changes as Function), (c"total_changes", total_changes as Function)] {
        let flags = ffi::SQLITE_UTF8 | ffi::SQLITE_INNOCUOUS as c_int;
        // SAFETY: as above; `shared` lives until `forget`, which comes after the last statement has ended.
        let set = unsafe {
            let shared = Arc::as_ptr(shared).cast_mut().cast();
            ffi::sqlite3_create_function_v2(database, name.as_ptr(), 0, flags, shared, Some(count), None, None, None)
        };
        status = if status == ffi::SQLITE_OK { set } else { status };
    }
    for &(limit, value) in LIMITS {
        // SAFETY: the handle is open and ours while it is locked.
        unsafe { ffi::sqlite3_limit(database, limit, value) };
    }
    for &(switch, value) in SWITCHES {
        // SAFETY: as above; these switches take an int and the address of an int, which may be null.
        let set = unsafe { ffi::sqlite3_db_config(database, switch, value, ptr::null_mut::<c_int>()) };
        status = if status == ffi::SQLITE_OK { set } else { status };
    }
    if status == ffi::SQLITE_OK {
        // SAFETY: as above; `shared` lives until `forget`, which comes after the last statement was compiled.
        status = unsafe { ffi::sqlite3_set_authorizer(database, Some(authorize), Arc::as_ptr(shared).cast_mut().cast()) };
    }
    // SAFETY: may be called at any time from any thread.
    unsafe { ffi::sqlite3_hard_heap_limit64(MAX_HEAP_BYTES) };
    match status {
        ffi::SQLITE_OK => Ok(()),
        status => Err(Failure::new(FailureKind::Disconnected, "the session cannot be guarded").code(status.to_string()).lost()),
    }
}

/// Compiles one statement, says what it is, and throws it away.
///
/// # Errors
/// [`FailureKind::Denied`] when the authorizer refuses, [`FailureKind::Invalid`] when it does not parse or is not exactly one
/// statement.
pub(super) fn compile(handle: &mut LockedSqliteHandle<'_>, shared: &Shared, sql: &str) -> Result<Compiled, Failure> {
    see_schema(handle);
    shared.describing();
    let first = first_statement(handle, shared, sql);
    let effects = shared.described();
    let (statement, rest) = first?;
    // What follows is only looked at to be refused.
    shared.describing();
    let several = has_statement(handle, rest);
    shared.described();
    if several {
        return Err(Failure::new(FailureKind::Invalid, "one statement a call"));
    }
    let database = handle.as_raw_handle();
    let makes_key =
        !effects.schema && !effects.updates && effects.inserts.as_deref().is_some_and(|table| has_rowid(database, table));
    Ok(Compiled {
        columns: statement.columns(),
        placeholders: statement.placeholders(),
        read_only: statement.read_only(),
        effects,
        makes_key,
    })
}

/// Whether a transaction is open, as the engine sees it.
pub(super) fn in_transaction(handle: &mut LockedSqliteHandle<'_>) -> bool {
    // SAFETY: the handle is open and ours while it is locked.
    unsafe { ffi::sqlite3_get_autocommit(handle.as_raw_handle().as_ptr()) == 0 }
}

/// Whether the session has tables, views or triggers of its own, as the engine sees it.
pub(super) fn has_temporary_objects(handle: &mut LockedSqliteHandle<'_>) -> bool {
    match prepare(handle, b"SELECT 1 FROM temp.sqlite_schema LIMIT 1") {
        // SAFETY: the statement lives to the end of the arm.
        Ok((Some(statement), _)) => unsafe { ffi::sqlite3_step(statement.0.as_ptr()) != ffi::SQLITE_DONE },
        _ => true,
    }
}

/// Makes `last_insert_rowid()`, `changes()` and `total_changes()` answer 0 again.
pub(super) fn forget_what_was_changed(handle: &mut LockedSqliteHandle<'_>, shared: &Shared) {
    let database = handle.as_raw_handle().as_ptr();
    // SAFETY: the handle is open and ours while it is locked.
    let total = unsafe {
        ffi::sqlite3_set_last_insert_rowid(database, 0);
        ffi::sqlite3_total_changes64(database)
    };
    shared.changes_before.store(total, Ordering::Release);
}

/// Makes the session notice what others changed in the schema: the compiler believes what it knows, only a running statement looks.
fn see_schema(handle: &mut LockedSqliteHandle<'_>) {
    if let Ok((Some(statement), _)) = prepare(handle, b"SELECT 1 FROM sqlite_schema LIMIT 1") {
        // SAFETY: the statement lives to the end of the block. If it fails, so will what comes next, and tell why.
        unsafe { ffi::sqlite3_step(statement.0.as_ptr()) };
    }
}

fn first_statement<'s>(handle: &mut LockedSqliteHandle<'_>, shared: &Shared, sql: &'s str) -> Result<(Raw, &'s [u8]), Failure> {
    let mut rest = sql.as_bytes();
    while !rest.is_empty() {
        match prepare(handle, rest) {
            Ok((Some(statement), used)) => return Ok((statement, &rest[used..])),
            // Blanks, a comment, an empty statement. Without progress there is nothing more to find.
            Ok((None, used)) if used > 0 => rest = &rest[used..],
            Ok((None, _)) => break,
            Err(()) => {
                let failure = match handle.last_error() {
                    Some(error) => failure::of_engine(&error, shared),
                    None => Failure::new(FailureKind::Invalid, "the statement cannot be compiled"),
                };
                return Err(match error_position(handle, sql, sql.len() - rest.len()) {
                    Some(position) if failure.kind == FailureKind::Invalid => failure.with("position", position),
                    _ => failure,
                });
            }
        }
    }
    Err(Failure::new(FailureKind::Invalid, "no statement"))
}

/// Whether anything but blanks and comments is left. What does not compile is something.
fn has_statement(handle: &mut LockedSqliteHandle<'_>, mut rest: &[u8]) -> bool {
    loop {
        rest = rest.trim_ascii();
        if rest.is_empty() {
            return false;
        }
        match prepare(handle, rest) {
            Ok((None, used)) if used > 0 => rest = &rest[used..],
            _ => return true,
        }
    }
}

/// Compiles the first statement of `sql` and tells how many bytes that took; `None` is an empty statement.
fn prepare(handle: &mut LockedSqliteHandle<'_>, sql: &[u8]) -> Result<(Option<Raw>, usize), ()> {
    let length = c_int::try_from(sql.len()).map_err(|_| ())?;
    let mut statement = ptr::null_mut();
    let mut tail: *const c_char = ptr::null();
    // SAFETY: the handle is open and ours while it is locked; `sql` is readable for `length` bytes and outlives the call.
    let status = unsafe {
        ffi::sqlite3_prepare_v2(handle.as_raw_handle().as_ptr(), sql.as_ptr().cast(), length, &raw mut statement, &raw mut tail)
    };
    if status != ffi::SQLITE_OK {
        return Err(());
    }
    let used = (tail as usize).saturating_sub(sql.as_ptr() as usize).min(sql.len());
    Ok((NonNull::new(statement).map(Raw), used))
}

/// The character, counted from 1, at which the last error of the compiler lies. `offset` is where the failed text begins.
fn error_position(handle: &mut LockedSqliteHandle<'_>, sql: &str, offset: usize) -> Option<usize> {
    // SAFETY: the handle is open and ours while it is locked.
    let at = unsafe { ffi::sqlite3_error_offset(handle.as_raw_handle().as_ptr()) };
    let before = sql.as_bytes().get(..offset + usize::try_from(at).ok()?)?;
    Some(String::from_utf8_lossy(before).chars().count() + 1)
}

/// Whether rows of `table` are numbered. False for views and for tables `WITHOUT ROWID`.
fn has_rowid(database: NonNull<ffi::sqlite3>, table: &str) -> bool {
    let Ok(table) = CString::new(table) else { return false };
    let none = ptr::null_mut();
    // SAFETY: the handle is open and locked by the caller; the names end with NUL; results that are not wanted may be null.
    let status = unsafe {
        ffi::sqlite3_table_column_metadata(
            database.as_ptr(),
            ptr::null(),
            table.as_ptr(),
            c"rowid".as_ptr(),
            ptr::null_mut(),
            ptr::null_mut(),
            none,
            none,
            none,
        )
    };
    status == ffi::SQLITE_OK
}

/// A compiled statement that is finalized when dropped. Lives shorter than the lock on its handle.
struct Raw(NonNull<ffi::sqlite3_stmt>);

impl Raw {
    fn columns(&self) -> Vec<(String, Option<String>)> {
        let statement = self.0.as_ptr();
        // SAFETY: the statement lives as long as `self`, and so do the texts, which are copied.
        unsafe {
            (0..ffi::sqlite3_column_count(statement))
                .map(|index| {
                    let name = owned(ffi::sqlite3_column_name(statement, index)).unwrap_or_default();
                    (name, owned(ffi::sqlite3_column_decltype(statement, index)))
                })
                .collect()
        }
    }

    fn placeholders(&self) -> Vec<Option<String>> {
        let statement = self.0.as_ptr();
        // SAFETY: as for the columns.
        unsafe {
            (1..=ffi::sqlite3_bind_parameter_count(statement))
                .map(|index| owned(ffi::sqlite3_bind_parameter_name(statement, index)))
                .collect()
        }
    }

    fn read_only(&self) -> bool {
        // SAFETY: the statement lives as long as `self`.
        unsafe { ffi::sqlite3_stmt_readonly(self.0.as_ptr()) != 0 }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: finalized only here.
        unsafe { ffi::sqlite3_finalize(self.0.as_ptr()) };
    }
}

/// # Safety
/// `text` is null or ends with NUL.
unsafe fn owned(text: *const c_char) -> Option<String> {
    // SAFETY: as the caller promises.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// # Safety
/// `text` is null, or ends with NUL and outlives `'a`.
unsafe fn borrowed<'a>(text: *const c_char) -> Option<&'a str> {
    // What is not UTF-8 must not pass for absent: an absent argument is what makes a pragma harmless.
    // SAFETY: as the caller promises.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_str().unwrap_or("\u{fffd}"))
}

/// SQLite asks this about each action while it compiles a statement.
unsafe extern "C" fn authorize(
    data: *mut c_void,
    code: c_int,
    first: *const c_char,
    second: *const c_char,
    _database: *const c_char,
    trigger: *const c_char,
) -> c_int {
    // SAFETY: `guard` passed the address of a `Shared` that lives as long as the handle; SQLite's texts are null or end with NUL and
    // outlive the call.
    let (shared, action) = unsafe {
        let action = Action { code, first: borrowed(first), second: borrowed(second), trigger: borrowed(trigger) };
        (&*data.cast::<Shared>(), action)
    };
    if shared.allows(&action) { ffi::SQLITE_OK } else { ffi::SQLITE_DENY }
}

type Function = unsafe extern "C" fn(*mut ffi::sqlite3_context, c_int, *mut *mut ffi::sqlite3_value);

/// `changes()`, which the engine itself would answer with what an earlier borrower did.
unsafe extern "C" fn changes(context: *mut ffi::sqlite3_context, _: c_int, _: *mut *mut ffi::sqlite3_value) {
    // SAFETY: SQLite calls this with a context of its own while the handle is open; `guard` passed the address of a `Shared`.
    unsafe {
        let database = ffi::sqlite3_context_db_handle(context);
        let shared = &*ffi::sqlite3_user_data(context).cast::<Shared>();
        let own = ffi::sqlite3_total_changes64(database) != shared.changes_before.load(Ordering::Acquire);
        // A statement of the borrower's own that changed nothing leaves the count at 0 too.
        ffi::sqlite3_result_int64(context, if own { ffi::sqlite3_changes64(database) } else { 0 });
    }
}

/// `total_changes()`, likewise.
unsafe extern "C" fn total_changes(context: *mut ffi::sqlite3_context, _: c_int, _: *mut *mut ffi::sqlite3_value) {
    // SAFETY: as above.
    unsafe {
        let total = ffi::sqlite3_total_changes64(ffi::sqlite3_context_db_handle(context));
        let shared = &*ffi::sqlite3_user_data(context).cast::<Shared>();
        ffi::sqlite3_result_int64(context, total.saturating_sub(shared.changes_before.load(Ordering::Acquire)));
    }
}

/// The body of the function that only exists for its data's sake.
unsafe extern "C" fn answer_null(_: *mut ffi::sqlite3_context, _: c_int, _: *mut *mut ffi::sqlite3_value) {}

/// SQLite calls this once, when the handle is gone.
unsafe extern "C" fn forget(kept: *mut c_void) {
    // SAFETY: `kept` came out of `Box::into_raw` with this type in `guard`.
    drop(unsafe { Box::from_raw(kept.cast::<(Arc<Shared>, Box<dyn Send>)>()) });
}

const _: () = assert!(MAX_SQL_BYTES <= c_int::MAX as usize && ffi::SQLITE_DIRECTONLY as c_uint <= c_int::MAX as c_uint);
