//! What came of a step, as JSON.

use serde_json::{Map, Value as Json, json};

use super::{Batch, Error, ErrorKind, WriteError, WriteOutcome};

/// `{"ok": …}` or `{"error": …}`.
pub fn outcome<T>(result: Result<T, Error>, to_json: impl FnOnce(T) -> Json) -> Json {
    match result {
        Ok(value) => json!({ "ok": to_json(value) }),
        Err(error) => failure(&error),
    }
}

/// `{"error": …}`, with everything that is in it.
#[must_use]
pub fn failure(error: &Error) -> Json {
    let details: Map<_, _> = error.details.iter().map(|detail| (detail.key.clone(), Json::from(detail.value.as_str()))).collect();
    let write_errors: Json = error.write_errors.iter().map(write_error).collect();
    json!({ "error": {
        "kind": kind_name(error.kind),
        "code": error.code,
        "code-name": error.code_name,
        "message": error.message,
        "details": details,
        "info": error.info.as_deref().map(hex),
        "transient": error.transient,
        "write-errors": write_errors,
        "done": error.done.as_ref().map(done),
    } })
}

fn write_error(error: &WriteError) -> Json {
    json!({
        "index": error.index,
        "kind": kind_name(error.kind),
        "code": error.code,
        "message": error.message,
        "info": error.info.as_deref().map(hex),
    })
}

/// The name of the kind, as in the WIT.
#[must_use]
pub fn kind_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PoolExhausted => "pool-exhausted",
        ErrorKind::DeadlineExceeded => "deadline-exceeded",
        ErrorKind::Denied => "denied",
        ErrorKind::LimitExceeded => "limit-exceeded",
        ErrorKind::Disconnected => "disconnected",
        ErrorKind::CommitUnknown => "commit-unknown",
        ErrorKind::TransactionAborted => "transaction-aborted",
        ErrorKind::DuplicateKey => "duplicate-key",
        ErrorKind::Validation => "validation",
        ErrorKind::WriteConcern => "write-concern",
        ErrorKind::WriteConflict => "write-conflict",
        ErrorKind::NotPrimary => "not-primary",
        ErrorKind::Conversion => "conversion",
        ErrorKind::Invalid => "invalid",
        ErrorKind::Database => "database",
        ErrorKind::ShuttingDown => "shutting-down",
        ErrorKind::Other => "other",
    }
}

/// Nothing to tell.
#[must_use]
pub fn nothing((): ()) -> Json {
    Json::Null
}

/// What writes have done.
#[must_use]
pub fn done(outcome: &WriteOutcome) -> Json {
    json!({
        "inserted": outcome.inserted,
        "matched": outcome.matched,
        "modified": outcome.modified,
        "deleted": outcome.deleted,
        "upserted": list(&outcome.upserted),
    })
}

/// The documents of a batch.
///
/// # Panics
/// When it has not as many as it says.
#[must_use]
pub fn batch(batch: &Batch) -> Json {
    let documents = list(&batch.documents);
    let count = documents.as_array().map(Vec::len);
    assert_eq!(count, Some(batch.count as usize), "a batch that has not what it says");
    documents
}

/// Documents that lie end to end, as a list.
///
/// # Panics
/// When the last one is not whole.
#[must_use]
pub fn list(documents: &[u8]) -> Json {
    let mut rest = documents;
    let mut list = Vec::new();
    while let Some(length) = rest.first_chunk() {
        let (document, after) = rest.split_at(usize::try_from(i32::from_le_bytes(*length)).expect("a length"));
        list.push(Json::from(hex(document)));
        rest = after;
    }
    assert!(rest.is_empty(), "a document that is not whole");
    list.into()
}

/// One document, if there is one.
#[must_use]
pub fn document(document: Option<&[u8]>) -> Json {
    document.map(hex).into()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |digit: u8| char::from(DIGITS[usize::from(digit)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
