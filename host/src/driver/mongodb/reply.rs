//! What is read of a reply of the server's, whose numbers may be of any kind.

use bson::{Bson, Document, raw::RawDocumentBuf};

use super::error;
use crate::driver::Failure;

/// A number.
pub(super) fn number(reply: &Document, name: &str) -> Option<i64> {
    match reply.get(name)? {
        Bson::Int32(number) => Some((*number).into()),
        Bson::Int64(number) => Some(*number),
        // Whole, and far from the bounds; some servers write 1.0.
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

/// How many; 0 where the server does not say.
pub(super) fn count(reply: &Document, name: &str) -> u64 {
    number(reply, name).and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}

/// The documents of an array; none where there is no array.
pub(super) fn documents<'a>(reply: &'a Document, name: &str) -> impl Iterator<Item = &'a Document> {
    reply.get_array(name).into_iter().flatten().filter_map(Bson::as_document)
}

/// A document as bytes.
///
/// # Errors
/// When the server has sent what cannot be written.
pub(super) fn bytes(document: &Document) -> Result<Vec<u8>, Failure> {
    RawDocumentBuf::try_from(document).map(RawDocumentBuf::into_bytes).map_err(|_| error::unexpected())
}
