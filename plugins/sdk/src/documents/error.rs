//! An error of a document database, or of the host on the way to it.

use std::fmt;

use bson::{Document, RawDocument};

use crate::documents::outcome::Outcome;
use crate::documents::wire::{self, ErrorKind, WriteError};
use crate::error::Error;

/// An error of a document database, or of the host on the way to it.
#[derive(Clone, PartialEq)]
pub struct DocumentsError(Box<wire::Error>);

impl DocumentsError {
    /// What went wrong, as far as a handler may act on it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// MongoDB's error code, such as 11000.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.0.code
    }

    /// The name of the code, such as `DuplicateKey`; some codes have none.
    #[must_use]
    pub fn code_name(&self) -> Option<&str> {
        self.0.code_name.as_deref()
    }

    /// For people; not stable. Not for the client: it may tell what is in the database.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// One fact: `index`, `limit`, `maximum`, `waited-ms`, `operator`, `granted`.
    #[must_use]
    pub fn detail(&self, key: &str) -> Option<&str> {
        self.0.details.iter().find(|detail| detail.key == key).map(|detail| detail.value.as_str())
    }

    /// What the server adds: `keyPattern` and `keyValue` of a duplicate key, what a validator found wrong.
    #[must_use]
    pub fn info(&self) -> Option<&RawDocument> {
        RawDocument::from_bytes(self.0.info.as_ref()?).ok()
    }

    /// Whether a unique index has this key already.
    #[must_use]
    pub fn is_duplicate_key(&self) -> bool {
        self.kind() == ErrorKind::DuplicateKey
    }

    /// The keys of the index that has this key already, such as `{email: 1}`.
    #[must_use]
    pub fn key_pattern(&self) -> Option<Document> {
        self.info()?.get_document("keyPattern").ok()?.try_into().ok()
    }

    /// Whether the same may succeed when it is tried again; of an operation in a transaction, the whole transaction.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// The writes that failed, by place; empty unless several were sent. Kind, code and message of the error are those of the first.
    #[must_use]
    pub fn write_errors(&self) -> &[WriteError] {
        &self.0.write_errors
    }

    /// What was written all the same; none where it is not known.
    #[must_use]
    pub fn done(&self) -> Option<Outcome> {
        Outcome::read(self.0.done.clone()?).ok()
    }

    /// The name of the kind as the WIT spells it.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind() {
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
}

impl From<wire::Error> for Error {
    fn from(error: wire::Error) -> Self {
        Self::Documents(DocumentsError(Box::new(error)))
    }
}

impl From<bson::error::Error> for Error {
    fn from(error: bson::error::Error) -> Self {
        Self::other(error)
    }
}

impl fmt::Debug for DocumentsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for DocumentsError {
    /// Without `info`, which holds what is in documents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match (self.code(), self.code_name()) {
            (Some(code), Some(name)) => write!(f, " ({code} {name})")?,
            (Some(code), None) => write!(f, " ({code})")?,
            (None, _) => {}
        }
        write!(f, ": {}", self.message())?;
        for (index, detail) in self.0.details.iter().enumerate() {
            let before = if index == 0 { " [" } else { ", " };
            write!(f, "{before}{}={}", detail.key, detail.value)?;
        }
        f.write_str(if self.0.details.is_empty() { "" } else { "]" })
    }
}

impl std::error::Error for DocumentsError {}

#[cfg(test)]
pub(crate) mod tests {
    use bson::{Bson, doc};
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn of_kind(kind: ErrorKind) -> Error {
        with_info(kind, None)
    }

    fn with_info(kind: ErrorKind, info: Option<Vec<u8>>) -> Error {
        let details = vec![wire::Detail { key: "index".into(), value: "email_1".into() }];
        let message = "secret insides".into();
        let (code, code_name) = (Some(11000), Some("DuplicateKey".into()));
        let (transient, write_errors, done) = (kind == ErrorKind::WriteConflict, Vec::new(), None);
        wire::Error { kind, code, code_name, message, details, info, transient, write_errors, done }.into()
    }

    #[test]
    fn a_duplicate_key_tells_the_keys_of_its_index() {
        let info = doc! { "keyPattern": { "tenant": 1, "email": -1 }, "keyValue": { "tenant": 7, "email": "ada@example.org" } };
        let error = with_info(ErrorKind::DuplicateKey, Some(info.to_vec().unwrap()));
        assert!(error.is_duplicate_key() && !error.is_transient());
        assert_eq!(error.key_pattern(), Some(doc! { "tenant": 1, "email": -1 }));
        assert_eq!(error.documents().unwrap().info().unwrap().get_document("keyValue").unwrap().get_i32("tenant").unwrap(), 7);
        assert_eq!(error.documents().unwrap().detail("index"), Some("email_1"));
    }

    #[test]
    fn errors_of_other_kinds_have_no_key() {
        assert_eq!(of_kind(ErrorKind::DuplicateKey).key_pattern(), None);
        let other = of_kind(ErrorKind::WriteConflict);
        assert!(!other.is_duplicate_key() && other.is_transient());
        assert!(!Error::conflict("x").is_duplicate_key() && !Error::conflict("x").is_transient());
    }

    #[test]
    fn what_was_done_before_the_failure_is_told() {
        let upserted = doc! { "index": 1, "_id": "b" }.to_vec().unwrap();
        let done = wire::WriteOutcome { inserted: 1, matched: 0, modified: 0, deleted: 0, upserted };
        let failed = WriteError { index: 2, kind: ErrorKind::DuplicateKey, code: 11000, message: "x".into(), info: None };
        let Error::Documents(DocumentsError(mut error)) = of_kind(ErrorKind::DuplicateKey) else { panic!("of documents") };
        error.done = Some(done);
        error.write_errors = vec![failed];
        let error = DocumentsError(error);
        assert_eq!(error.write_errors()[0].index, 2);
        let done = error.done().unwrap();
        assert_eq!((done.inserted, done.upserted[0].index, &done.upserted[0].id), (1, 1, &Bson::from("b")));
    }

    #[test]
    fn the_text_for_the_log_names_everything_but_what_is_in_documents() {
        let info = doc! { "keyValue": { "email": "ada@example.org" } }.to_vec().unwrap();
        let error = with_info(ErrorKind::DuplicateKey, Some(info));
        assert_eq!(error.to_string(), "duplicate-key (11000 DuplicateKey): secret insides [index=email_1]");
    }

    proptest! {
        #[test]
        fn information_that_is_no_document_is_none(bytes: Vec<u8>) {
            let error = with_info(ErrorKind::DuplicateKey, Some(bytes));
            prop_assert_eq!(error.key_pattern(), None);
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
