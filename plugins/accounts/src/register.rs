//! New accounts.

use serde::Deserialize;
use wharf_sdk::documents::prelude::*;

use crate::profile::Profile;
use crate::store::{Account, accounts};
use crate::{check, password};

/// What somebody says who registers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    email: String,
    name: String,
    password: String,
}

impl NewAccount {
    fn check(&self) -> Result<()> {
        let problem = Problem::new(422, "invalid-account").detail("the account is not valid");
        let problem = check::email(problem, &self.email);
        let problem = check::name(problem, &self.name);
        check::accept(check::password(problem, &self.password))
    }
}

/// `POST /accounts`
pub(crate) fn create(request: &Request) -> Result<Response> {
    let new: NewAccount = request.json()?;
    new.check()?;
    let account = Account {
        id: ObjectId::new(),
        email: check::normal(&new.email),
        name: new.name.trim().to_owned(),
        about: String::new(),
        password: password::hash(&new.password)?,
        created: DateTime::now(),
        generation: 0,
    };
    // Nothing is asked before: of two who register the same address at once, the index lets one through.
    accounts()?.insert_one(&account).map_err(explain_duplicate)?;
    Ok(Response::json(&Profile::of(&account))?.with_status(201).with_header("location", "/profile"))
}

/// Who registers has to be told; whoever wants to know whether somebody has an account can learn it here, and nowhere else.
fn explain_duplicate(error: Error) -> Error {
    match error.key_pattern() {
        Some(keys) if error.is_duplicate_key() && keys.contains_key("email") => {
            Problem::new(409, "email-taken").detail("there is an account with this e-mail address already").into()
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_is_named() {
        let wrong = |email: &str, name: &str, password: &str| -> Vec<String> {
            let new = NewAccount { email: email.into(), name: name.into(), password: password.into() };
            let Err(error) = new.check() else { return Vec::new() };
            let Error::Rejected(problem) = error else { panic!("a rejection: {error}") };
            let problem = serde_json::to_value(&problem).unwrap();
            problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(wrong("ada@example.org", "Ada", "correct horse battery"), Vec::<String>::new());
        assert_eq!(wrong("ada", " ", "horse"), ["email", "name", "password"]);
    }
}
