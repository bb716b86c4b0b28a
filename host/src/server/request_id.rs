//! The name of one request, in its answer, its log lines and its problem document.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName, HeaderValue};

/// Where a request's id travels, in both directions.
pub(super) const NAME: HeaderName = HeaderName::from_static("x-request-id");

/// A request's id: 1 to 128 letters, digits, dots, underscores and dashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Takes the client's id, if it is one; `None` otherwise.
    #[must_use]
    pub fn accept(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        ((1..=128).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    /// Makes a new one (UUID version 7, so that ids sort by time).
    #[must_use]
    pub fn make() -> Self {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let random: u128 = rand::random();
        let bits = ((millis & 0xffff_ffff_ffff) << 80)
            | (0x7 << 76)
            | (((random >> 64) & 0xfff) << 64)
            | (0b10 << 62)
            | (random & ((1 << 62) - 1));
        let mut digits = bits.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        let text: [u8; 36] = std::array::from_fn(|place| match place {
            8 | 13 | 18 | 23 => b'-',
            _ => b"0123456789abcdef"[usize::from(digits.next().unwrap_or_default())],
        });
        Self(String::from_utf8_lossy(&text).into())
    }

    /// The client's where it is good, otherwise a new one, which then replaces the client's in `headers`.
    pub(super) fn of(headers: &mut HeaderMap) -> Self {
        let mut given = headers.get_all(NAME).iter();
        let accepted = match (given.next(), given.next()) {
            (Some(only), None) => only.to_str().ok().and_then(Self::accept),
            _ => None,
        };
        accepted.unwrap_or_else(|| {
            let id = Self::make();
            headers.insert(NAME, id.header());
            id
        })
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As text that is shared.
    #[must_use]
    pub fn to_shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    pub(super) fn header(&self) -> HeaderValue {
        // The characters of an id are all allowed in a header.
        HeaderValue::from_str(&self.0).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids_are_accepted() {
        for good in ["a", "A-1_b.c", &"x".repeat(128)] {
            assert_eq!(RequestId::accept(good).unwrap().as_str(), good);
        }
        for bad in ["", &"x".repeat(129), "a b", "a\nb", "é", "a/b", "{}"] {
            assert_eq!(RequestId::accept(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn made_ids_are_version_7_and_accepted_themselves() {
        let (first, second) = (RequestId::make(), RequestId::make());
        assert_ne!(first, second);
        assert_eq!(first.as_str().len(), 36);
        assert_eq!(&first.as_str()[14..15], "7");
        assert!(matches!(&first.as_str()[19..20], "8" | "9" | "a" | "b"));
        assert!(first.as_str()[..13] <= second.as_str()[..13]);
        assert!(RequestId::accept(first.as_str()).is_some());
    }

    #[test]
    fn two_ids_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(NAME, HeaderValue::from_static("a"));
        headers.append(NAME, HeaderValue::from_static("b"));
        let id = RequestId::of(&mut headers);
        assert_eq!(id.as_str().len(), 36);
        assert_eq!(headers.get_all(NAME).iter().collect::<Vec<_>>(), [&id.header()]);
    }
}
