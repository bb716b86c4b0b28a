//! From BSON to Rust values.

use bson::RawDocument;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Result;

/// One document as a `T`.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    Ok(bson::deserialize_from_slice(bytes)?)
}

/// Documents as they came. Nothing is copied until it is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Documents(Vec<u8>);

impl Documents {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The documents in order, for looking at single fields of them. Ends after an error.
    pub fn iter(&self) -> impl Iterator<Item = Result<&RawDocument>> {
        Split(&self.0)
    }

    /// Every document as a `T`, whose text and byte fields may borrow.
    ///
    /// # Errors
    /// At the first document that is no `T`.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<Vec<T>> {
        Split(&self.0).map(|document| decode(document?.as_bytes())).collect()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is left of a batch.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    bytes: Vec<u8>,
    read: usize,
}

impl Rest {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, read: 0 }
    }

    /// The next document as a `T`.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Option<Result<T>> {
        let mut split = Split(&self.bytes[self.read..]);
        let document = split.next()?;
        let left = split.0.len();
        let decoded = document.and_then(|document| decode(document.as_bytes()));
        self.read = self.bytes.len() - left;
        Some(decoded)
    }
}

/// Documents that lie end to end; what is none ends it, after an error.
struct Split<'a>(&'a [u8]);

impl<'a> Iterator for Split<'a> {
    type Item = Result<&'a RawDocument>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let length = self.0.first_chunk().map(|length| u32::from_le_bytes(*length) as usize);
        let (document, rest) = length.and_then(|length| self.0.split_at_checked(length)).unwrap_or((self.0, &[]));
        let document = RawDocument::from_bytes(document);
        self.0 = if document.is_ok() { rest } else { &[] };
        Some(document.map_err(Into::into))
    }
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::documents::encode;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Name<'a> {
        name: &'a str,
    }

    #[test]
    fn texts_borrow_from_the_batch() {
        let documents = Documents::new(encode::all(&[doc! { "name": "Ada", "more": 1 }, doc! { "name": "Piet" }]).unwrap());
        assert_eq!(documents.decode::<Name<'_>>().unwrap(), [Name { name: "Ada" }, Name { name: "Piet" }]);
        let names: Result<Vec<&str>> = documents.iter().map(|document| Ok(document?.get_str("name")?)).collect();
        assert_eq!(names.unwrap(), ["Ada", "Piet"]);
        assert!(!documents.is_empty() && Documents::default().is_empty());
    }

    #[test]
    fn a_document_of_another_shape_does_not_end_a_batch() {
        let mut rest = Rest::new(encode::all(&[doc! { "n": 1 }, doc! { "m": 2 }, doc! { "n": 3 }]).unwrap());
        #[derive(Deserialize)]
        struct Number {
            n: i32,
        }
        assert_eq!(rest.next::<Number>().unwrap().unwrap().n, 1);
        assert!(rest.next::<Number>().unwrap().is_err());
        assert_eq!(rest.next::<Number>().unwrap().unwrap().n, 3);
        assert!(rest.next::<Number>().is_none());
    }

    #[test]
    fn bytes_that_are_cut_off_are_an_error_and_the_end() {
        let whole = encode::all(&[doc! { "n": 1 }, doc! { "n": 2 }]).unwrap();
        let first = whole.len() / 2;
        for cut in [first + 1, first + 4, whole.len() - 1] {
            let documents = Documents::new(whole[..cut].to_vec());
            let found: Vec<_> = documents.iter().map(|document| document.is_ok()).collect();
            assert_eq!(found, [true, false], "{cut}");
            assert!(documents.decode::<Document>().is_err());
        }
        // A length of 0 would never end.
        assert_eq!(Documents::new(vec![0; 64]).iter().count(), 1);
    }

    proptest! {
        #[test]
        fn documents_end_to_end_come_apart(documents in vec(encode::tests::document(), 0..5)) {
            let bytes = encode::all(&documents).unwrap();
            prop_assert_eq!(Documents::new(bytes.clone()).decode::<Document>().unwrap(), documents.clone());
            let mut rest = Rest::new(bytes);
            let one_by_one: Result<Vec<Document>> = std::iter::from_fn(|| rest.next()).collect();
            prop_assert_eq!(one_by_one.unwrap(), documents);
        }

        #[test]
        fn any_bytes_come_to_an_end(bytes: Vec<u8>) {
            let documents = Documents::new(bytes.clone());
            let ends = documents.iter().count() <= 1 + bytes.len() / 5;
            prop_assert!(ends);
            let _ = documents.decode::<Document>();
        }
    }
}
