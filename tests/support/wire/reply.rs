//! Answers whose bytes are made once, however often they are given.

use std::sync::Arc;

use bson::{Binary, Bson, Document, Timestamp, doc, spec::BinarySubtype};

use crate::message::{HEADER, OP_MSG};

/// Stands in prepared bytes where a cursor's number belongs.
const CURSOR: i64 = 0x5ca1_ab1e_0dd5_ea75;

/// An answer as it goes out, but for the header and for the number of a cursor.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// Flags, the kind of the only section, a document.
    body: Arc<[u8]>,
    /// Where the number of a cursor is.
    cursor_at: Option<usize>,
    /// It changed what was to be changed.
    pub(crate) is_success: bool,
}

/// An answer to one command.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) prepared: Prepared,
    /// The number of the cursor; 0 for none.
    pub(crate) cursor: i64,
}

/// What a command answers that fails.
#[must_use]
pub fn error(code: i32, name: &str) -> Document {
    doc! { "ok": 0.0, "errmsg": name, "code": code, "codeName": name }
}

impl Prepared {
    /// Makes the bytes. What a member of a replica set adds to each of its answers is added.
    pub(crate) fn new(document: &Document) -> Self {
        let mut document = document.clone();
        let time = Timestamp { time: 1, increment: 1 };
        let hash = Binary { subtype: BinarySubtype::Generic, bytes: vec![0; 20] };
        document.insert("$clusterTime", doc! { "clusterTime": time, "signature": { "hash": hash, "keyId": 0_i64 } });
        document.insert("operationTime", time);
        let is_success = document.get("ok").is_some_and(is_one) && !document.contains_key("writeErrors");
        let mut body = vec![0_u8; 5];
        body.extend(document.to_vec().expect("documents of tests are valid"));
        let cursor_at = body.windows(8).position(|bytes| bytes == CURSOR.to_le_bytes());
        Self { body: body.into(), cursor_at, is_success }
    }

    /// What a cursor's first batch, or another, is given as.
    pub(crate) fn batch(namespace: &str, which: &str, documents: &[Document], is_last: bool) -> Self {
        let id = if is_last { 0 } else { CURSOR };
        let mut cursor = doc! { "id": id, "ns": namespace };
        cursor.insert(which, documents);
        Self::new(&doc! { "cursor": cursor, "ok": 1.0 })
    }
}

impl From<Prepared> for Reply {
    fn from(prepared: Prepared) -> Self {
        Self { prepared, cursor: 0 }
    }
}

impl From<Document> for Reply {
    fn from(document: Document) -> Self {
        Prepared::new(&document).into()
    }
}

impl Reply {
    /// Adds the answer to the message of this number to what goes out.
    pub(crate) fn write(&self, out: &mut Vec<u8>, to: i32) {
        let Prepared { body, cursor_at, .. } = &self.prepared;
        let length = i32::try_from(HEADER + body.len()).expect("answers of tests are short");
        // Nobody looks at an answer's own number.
        for part in [length, 0, to, OP_MSG] {
            out.extend_from_slice(&part.to_le_bytes());
        }
        let at = out.len();
        out.extend_from_slice(body);
        if let Some(cursor_at) = cursor_at {
            out[at + cursor_at..][..8].copy_from_slice(&self.cursor.to_le_bytes());
        }
    }
}

fn is_one(ok: &Bson) -> bool {
    match ok {
        Bson::Int32(ok) => *ok == 1,
        Bson::Int64(ok) => *ok == 1,
        Bson::Double(ok) => *ok == 1.0,
        Bson::Boolean(ok) => *ok,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use bson::RawDocument;

    use super::*;

    #[test]
    fn an_answer_names_its_question_and_its_cursor() {
        let mut out = b"before".to_vec();
        let prepared = Prepared::batch("app.notes", "firstBatch", &[doc! { "_id": 7 }], false);
        Reply { prepared, cursor: 4711 }.write(&mut out, 9);
        let message = &out[6..];
        let number = |at: usize| i32::from_le_bytes(message[at..at + 4].try_into().expect("four bytes"));
        assert_eq!((number(0), number(8), number(12)), (i32::try_from(message.len()).expect("short"), 9, OP_MSG));
        assert_eq!(message[HEADER..HEADER + 5], [0; 5]);
        let document = Document::try_from(RawDocument::from_bytes(&message[HEADER + 5..]).expect("BSON")).expect("BSON");
        let expected = doc! { "id": 4711_i64, "ns": "app.notes", "firstBatch": [{ "_id": 7 }] };
        assert_eq!(document.get_document("cursor").expect("a cursor"), &expected);
    }

    #[test]
    fn what_failed_is_no_success() {
        for (document, is_success) in [
            (doc! { "ok": 1 }, true),
            (doc! { "ok": 1.0, "n": 1 }, true),
            (doc! { "ok": 1, "writeErrors": [{ "index": 0, "code": 11000 }] }, false),
            (error(112, "WriteConflict"), false),
            (doc! {}, false),
        ] {
            assert_eq!(Prepared::new(&document).is_success, is_success, "{document}");
        }
    }
}
