//! What somebody tells of themselves.

use serde::{Deserialize, Serialize};
use wharf_sdk::documents::prelude::*;

use crate::check;
use crate::session::{account_of, not_logged_in};
use crate::store::{Account, accounts};

/// An account as its owner sees it.
#[derive(Serialize)]
pub(crate) struct Profile<'a> {
    email: &'a str,
    name: &'a str,
    about: &'a str,
    created: TimestampTz,
}

impl<'a> Profile<'a> {
    pub(crate) fn of(account: &'a Account) -> Self {
        Self { email: &account.email, name: &account.name, about: &account.about, created: account.created.into() }
    }
}

/// What may be changed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewProfile {
    name: String,
    about: String,
}

/// `GET /profile`
pub(crate) fn show(request: &Request) -> Result<Response> {
    let account = accounts()?.find(account_of(request)?).one()?.ok_or_else(not_logged_in)?;
    answer(&account)
}

/// `PUT /profile`
pub(crate) fn replace(request: &Request) -> Result<Response> {
    let account = account_of(request)?;
    let new: NewProfile = request.json()?;
    let problem = Problem::new(422, "invalid-profile").detail("the profile is not valid");
    let problem = check::name(problem, &new.name);
    check::accept(check::about(problem, &new.about))?;
    let change = doc! { "$set": { "name": new.name.trim(), "about": new.about.trim() } };
    let account = accounts()?.find_and_update(account, change).return_new().run()?.ok_or_else(not_logged_in)?;
    answer(&account)
}

/// It is nobody else's business, caches between included.
fn answer(account: &Account) -> Result<Response> {
    Ok(Response::json(&Profile::of(account))?.with_header("cache-control", "no-store"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_shows_no_more_than_it_says() {
        let account = Account {
            id: ObjectId::new(),
            email: "ada@example.org".into(),
            name: "Ada".into(),
            about: String::new(),
            password: "$argon2id$secret".into(),
            created: DateTime::from_millis(1_700_000_000_250),
            generation: 0,
        };
        assert_eq!(
            serde_json::to_string(&Profile::of(&account)).unwrap(),
            r#"{"email":"ada@example.org","name":"Ada","about":"","created":"2023-11-14T22:13:20.25Z"}"#
        );
    }
}
