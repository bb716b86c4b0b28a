//! Passwords: kept as Argon2id hashes, compared in constant time.

use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier, password_hash};
use wharf_sdk::documents::prelude::*;

/// A hash that no password is known for, with the cost of a real one. Who has no account is compared with it, so that it takes as long.
pub(crate) const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmUhIQ$lQAGz6UGV2tFb8Ij3yq0kCS1v0vS4kR4v3cJ1o2w9XU";

/// The hash of a password under a new salt, in the PHC format, which names the cost: 19 MiB of memory and two passes, the least that OWASP
/// recommends.
pub(crate) fn hash(password: &str) -> Result<String> {
    let hash: PasswordHash = Argon2::default().hash_password(password.as_bytes()).map_err(Error::other)?;
    Ok(hash.to_string())
}

/// Whether a password is the one that was hashed.
///
/// # Errors
/// When the hash is none.
pub(crate) fn verify(password: &str, hash: &str) -> Result<bool> {
    match Argon2::default().verify_password(password.as_bytes(), hash) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a hash says of how it was made: everything before the salt.
    fn cost(hash: &str) -> &str {
        hash.rsplitn(3, '$').last().unwrap()
    }

    #[test]
    fn only_the_password_itself_is_right() {
        let hashed = hash("correct horse battery").unwrap();
        assert!(verify("correct horse battery", &hashed).unwrap());
        assert!(!verify("correct horse batterx", &hashed).unwrap());
        assert!(!verify("", &hashed).unwrap());
        assert_ne!(hash("correct horse battery").unwrap(), hashed);
    }

    #[test]
    fn nobody_costs_as_much_as_anybody() {
        assert_eq!(cost(&hash("correct horse battery").unwrap()), cost(NOBODY));
        assert_eq!(NOBODY.len(), hash("correct horse battery").unwrap().len());
        assert!(!verify("correct horse battery", NOBODY).unwrap());
    }

    #[test]
    fn a_hash_that_is_none_is_an_error_and_not_a_wrong_password() {
        assert!(verify("correct horse battery", "").is_err());
        assert!(verify("correct horse battery", "$argon2id$v=19$m=19456,t=2,p=1$x").is_err());
    }
}
