//! Tokens: random, told once, and kept as a hash.

use sha2::{Digest, Sha256};
use wharf_sdk::documents::bson::Binary;
use wharf_sdk::documents::bson::spec::BinarySubtype;
use wharf_sdk::documents::prelude::*;

/// A new token, of 256 random bits, as text.
pub(crate) fn new() -> Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What is kept of a token. It is random enough that nobody could try all of them, so a fast hash will do; and what an index compares is
/// the hash, of which a client cannot choose the beginning.
pub(crate) fn hash(token: &str) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: Sha256::digest(token.as_bytes()).to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_have_64_digits() {
        let token = new().unwrap();
        assert!(token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(new().unwrap(), token);
    }

    #[test]
    fn what_is_kept_is_the_sha_256() {
        let kept = hash("abc");
        assert_eq!(
            (kept.subtype, kept.bytes.len(), &kept.bytes[..4]),
            (BinarySubtype::Generic, 32, &[0xba, 0x78, 0x16, 0xbf][..])
        );
    }
}
