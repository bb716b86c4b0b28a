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
}

/// Somebody who is logged in.
#[derive(Serialize, Deserialize)]
pub(crate) struct Session {
    /// The hash of the token.
    #[serde(rename = "_id")]
    pub(crate) id: Binary,
    pub(crate) account: ObjectId,
    /// From then on the server may delete it.
    pub(crate) expires: DateTime,
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
