//! What is in the database.

use serde::{Deserialize, Serialize};
use wharf_sdk::documents::bson::Binary;
use wharf_sdk::documents::prelude::*;

/// One account. The index on `email` is unique.
#[derive(Serialize, Deserialize)]
pub(crate) struct Account {
    #[serde(rename = "_id")]
    pub(crate) id: ObjectId,
    /// As [`normal`](crate::check::normal) makes it.
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) about: String,
    /// The password's hash.
    pub(crate) password: String,
    pub(crate) created: DateTime,
    /// How often the password was reset.
    #[serde(default)]
    pub(crate) generation: i64,
}

/// Somebody who is logged in, for as long as the account is of the same generation.
#[derive(Serialize, Deserialize)]
pub(crate) struct Session {
    /// The hash of the token.
    #[serde(rename = "_id")]
    pub(crate) id: Binary,
    pub(crate) account: ObjectId,
    /// That of the account when its password was compared.
    #[serde(default)]
    pub(crate) generation: i64,
    /// From then on the server may delete it.
    pub(crate) expires: DateTime,
}

impl Session {
    /// Matches the account, unless its password was reset since: a log-in with the old one may be on its way when the reset ends all
    /// sessions that there are.
    pub(crate) fn account(&self) -> Document {
        let mut generations = vec![Bson::Int64(self.generation)];
        if self.generation == 0 {
            // An account that was made before there were generations has none.
            generations.push(Bson::Null);
        }
        doc! { "_id": self.account, "generation": { "$in": generations } }
    }
}

/// A password that may be reset, once.
#[derive(Serialize, Deserialize)]
pub(crate) struct Reset {
    /// The hash of the token.
    #[serde(rename = "_id")]
    pub(crate) id: Binary,
    pub(crate) account: ObjectId,
    /// From then on the server may delete it.
    pub(crate) expires: DateTime,
}

/// What a mailer is to send. It holds the token itself, and no longer than the token counts.
#[derive(Serialize)]
pub(crate) struct Mail {
    pub(crate) to: String,
    /// Not for an address that nobody has registered.
    pub(crate) send: bool,
    pub(crate) token: String,
    pub(crate) expires: DateTime,
}

/// How often something was tried.
#[derive(Deserialize)]
pub(crate) struct Attempts {
    pub(crate) count: i64,
    /// From then on it is counted anew, and the server may delete it.
    pub(crate) expires: DateTime,
}

pub(crate) const ACCOUNTS: &str = "accounts";
pub(crate) const SESSIONS: &str = "sessions";
pub(crate) const RESETS: &str = "resets";

/// The database that `wharf.toml` grants under this name.
pub(crate) fn database() -> Result<Database> {
    Database::open("accounts")
}

pub(crate) fn accounts() -> Result<Collection<Account>> {
    database()?.collection(ACCOUNTS)
}

pub(crate) fn sessions() -> Result<Collection<Session>> {
    database()?.collection(SESSIONS)
}

pub(crate) fn resets() -> Result<Collection<Reset>> {
    database()?.collection(RESETS)
}

pub(crate) fn outbox() -> Result<Collection<Mail>> {
    database()?.collection("outbox")
}

pub(crate) fn attempts() -> Result<Collection<Attempts>> {
    database()?.collection("attempts")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(generation: i64) -> Session {
        Session { id: crate::token::hash("abc"), account: ObjectId::from_bytes([1; 12]), generation, expires: DateTime::now() }
    }

    #[test]
    fn a_session_is_of_one_generation() {
        let generations = |generation| session(generation).account().get_document("generation").unwrap().clone();
        assert_eq!(generations(0), doc! { "$in": [0_i64, Bson::Null] });
        assert_eq!(generations(2), doc! { "$in": [2_i64] });
    }

    #[test]
    fn what_has_no_generation_is_of_the_first() {
        let document = doc! { "_id": crate::token::hash("abc"), "account": ObjectId::new(), "expires": DateTime::now() };
        let read: Session = wharf_sdk::documents::bson::deserialize_from_document(document).unwrap();
        assert_eq!(read.generation, 0);
    }
}
