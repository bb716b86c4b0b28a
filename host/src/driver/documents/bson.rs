//! Documents of which every byte has been looked at.

use std::fmt;

use bson::raw::{RawArray, RawArrayBuf, RawDocument, RawDocumentBuf};

use super::scan::{self, Found, MAX_BYTES, Rules, scan, too_long};
use crate::driver::{Failure, FailureKind};

/// Documents that one request may have: the server takes no more writes in one command.
const MAX_COUNT: usize = 100_000;

/// One document that was accepted; there is no other way to make one.
#[derive(Clone, PartialEq)]
pub struct Bson(RawDocumentBuf);

impl Bson {
    /// Takes a guest's bytes.
    ///
    /// # Errors
    /// `Invalid` for what is not BSON, or nested deeper than [`super::MAX_DEPTH`]; `LimitExceeded` for more than [`MAX_BYTES`]; `Denied` for
    /// names that the rules refuse.
    pub fn new(bytes: Vec<u8>, rules: Rules) -> Result<Self, Failure> {
        scan(&bytes, rules)?;
        Ok(Self(RawDocumentBuf::from_bytes(bytes).map_err(unlike)?))
    }

    /// The document.
    #[must_use]
    pub fn raw(&self) -> &RawDocument {
        &self.0
    }

    /// How long it is.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.as_bytes().len()
    }

    /// The name of its first field.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        let (name, _) = self.0.iter().next()?.ok()?;
        Some(name.as_str())
    }
}

impl fmt::Debug for Bson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its values are nobody's business.
        write!(f, "Bson({} bytes)", self.bytes())
    }
}

/// What the scan accepts is a document for everybody else, too; a property test says so.
fn unlike(_: bson::error::Error) -> Failure {
    Failure::new(FailureKind::Invalid, "this is not a BSON document")
}

/// Several documents that were accepted, as the array that a command carries.
#[derive(Clone)]
pub struct BsonList {
    array: RawArrayBuf,
    count: usize,
    found: Found,
}

impl BsonList {
    /// Takes a guest's bytes: documents end to end, or none.
    ///
    /// # Errors
    /// As [`Bson::new`], for each of them and for all together; `LimitExceeded` for more than 100,000.
    pub fn new(bytes: &[u8], rules: Rules) -> Result<Self, Failure> {
        if bytes.len() > MAX_BYTES {
            return Err(too_long());
        }
        let mut list = Self { array: RawArrayBuf::new(), count: 0, found: Found::default() };
        let mut rest = bytes;
        while !rest.is_empty() {
            let (document, after) = scan::split(rest)?;
            list.found.writes |= scan(document, rules)?.writes;
            if list.count == MAX_COUNT {
                let message = format!("one request has {MAX_COUNT} documents at most");
                let failure = Failure::new(FailureKind::LimitExceeded, message);
                return Err(failure.with("limit", "documents").with("maximum", MAX_COUNT));
            }
            list.array.push(RawDocument::from_bytes(document).map_err(unlike)?);
            list.count += 1;
            rest = after;
        }
        Ok(list)
    }

    /// The array of all of them.
    #[must_use]
    pub fn raw(&self) -> &RawArray {
        &self.array
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// How long they are, as an array.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.array.as_bytes().len()
    }

    /// Whether one of them names a stage that writes.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.found.writes
    }
}

impl PartialEq for BsonList {
    fn eq(&self, other: &Self) -> bool {
        self.array.as_bytes() == other.array.as_bytes()
    }
}

impl fmt::Debug for BsonList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BsonList({} documents, {} bytes)", self.count, self.bytes())
    }
}
