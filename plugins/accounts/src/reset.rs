//! A new password for somebody who has lost theirs.

use std::time::Duration;

use serde::Deserialize;
use wharf_sdk::documents::prelude::*;

use crate::limit::{LOG_IN, RESET};
use crate::store::{self, Mail, Reset, Session, accounts, outbox, resets};
use crate::{check, password, token};

const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// How often the change is tried when others are in the way.
const TRIES: u32 = 3;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lost {
    email: String,
}

/// `POST /password-reset`: always the same answer, after as many writes, whether there is an account or not.
pub(crate) fn request(request: &Request) -> Result<Response> {
    let lost: Lost = request.json()?;
    let email = check::normal(&lost.email);
    check::accept(check::email(Problem::new(422, "invalid-email").detail("the e-mail address is not valid"), &email))?;
    RESET.count(&email)?;
    let account = accounts()?.find(doc! { "email": &email }).one()?;
    let send = account.is_some();
    let account = account.map_or_else(ObjectId::new, |account| account.id);
    let token = token::new()?;
    let expires = DateTime::now().saturating_add_duration(LIFETIME);
    resets()?.insert_one(&Reset { id: token::hash(&token), account, expires })?;
    outbox()?.insert_one(&Mail { to: email, send, token, expires })?;
    Ok(Response::status(202))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    token: String,
    password: String,
}

/// Whose password was changed.
#[derive(Deserialize)]
struct Owner {
    email: String,
}

/// `PUT /password`: changes the password, once for a token, and ends all sessions.
pub(crate) fn redeem(request: &Request) -> Result<Response> {
    let new: NewPassword = request.json()?;
    check::accept(check::password(Problem::new(422, "invalid-password").detail("the password is not valid"), &new.password))?;
    let valid = doc! { "_id": token::hash(&new.token), "expires": { "$gt": DateTime::now() } };
    // Looked at before the password is hashed, which is dear, and not used up before everything can be done.
    resets()?.find(valid.clone()).one()?.ok_or_else(no_such_token)?;
    let hash = password::hash(&new.password)?;
    let mut tries = 1;
    let owner = loop {
        match change(&valid, &hash) {
            Err(error) if error.is_transient() && tries < TRIES => tries += 1,
            result => break result?,
        }
    };
    // Whoever has locked the account by wrong passwords locks it no longer. The password is changed, whether this succeeds or not.
    let _ = LOG_IN.forget(&owner.email);
    Ok(Response::no_content())
}

/// All or nothing: no token is lost for nothing, and no old session outlives the old password, not even one that a log-in with it is about
/// to make.
fn change(valid: &Document, hash: &str) -> Result<Owner> {
    store::database()?.transaction(|transaction| {
        let resets = transaction.collection::<Reset>(store::RESETS)?;
        let account = resets.find_and_delete(valid.clone()).run()?.ok_or_else(no_such_token)?.account;
        let accounts = transaction.collection::<Owner>(store::ACCOUNTS)?;
        let change = doc! { "$set": { "password": hash }, "$inc": { "generation": 1_i64 } };
        let owner = accounts.find_and_update(doc! { "_id": account }, change).run()?.ok_or_else(no_such_token)?;
        transaction.collection::<Session>(store::SESSIONS)?.delete_many(doc! { "account": account }).run()?;
        resets.delete_many(doc! { "account": account }).run()?;
        Ok(owner)
    })
}

fn no_such_token() -> Error {
    Problem::new(400, "invalid-token").detail("the token is wrong, used, or too old").into()
}
