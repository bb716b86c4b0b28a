//! Logging in and out, and who is logged in.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wharf_sdk::documents::prelude::*;

use crate::limit::LOG_IN;
use crate::store::{Session, accounts, sessions};
use crate::{check, password, token};

/// Browsers take a cookie of this kind only from the host itself, over TLS (or from `localhost`), and scripts do not see it.
const COOKIE: &str = "__Host-session";
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What somebody says who logs in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    email: String,
    password: String,
}

#[derive(Serialize)]
struct LoggedIn {
    expires: TimestampTz,
}

/// `POST /session`: the same steps whether there is an account or not, so that neither text nor time tells which it was.
pub(crate) fn log_in(request: &Request) -> Result<Response> {
    let given: Credentials = request.json()?;
    let email = check::normal(&given.email);
    LOG_IN.count(&email)?;
    let account = accounts()?.find(doc! { "email": &email }).one()?;
    let hash = account.as_ref().map_or(password::NOBODY, |account| account.password.as_str());
    let is_right = password::verify(&given.password, hash)?;
    let Some(account) = account.filter(|_| is_right) else {
        return Err(Problem::new(401, "wrong-credentials").detail("e-mail address or password is wrong").into());
    };
    LOG_IN.forget(&email)?;

    let token = token::new()?;
    let expires = DateTime::now().saturating_add_duration(LIFETIME);
    sessions()?.insert_one(&Session { id: token::hash(&token), account: account.id, generation: account.generation, expires })?;
    let response = Response::json(&LoggedIn { expires: expires.into() })?.with_status(201);
    Ok(response.with_header("set-cookie", cookie(&token, LIFETIME)).with_header("cache-control", "no-store"))
}

/// `DELETE /session`
pub(crate) fn log_out(request: &Request) -> Result<Response> {
    let token = token_of(request).ok_or_else(not_logged_in)?;
    if sessions()?.delete_one(doc! { "_id": token::hash(token) }).run()?.deleted == 0 {
        return Err(not_logged_in());
    }
    Ok(Response::no_content().with_header("set-cookie", cookie("", Duration::ZERO)))
}

/// A filter for the account that the request is made for. It matches nothing once the password was reset: nobody is logged in then.
///
/// # Errors
/// 401 when nobody is logged in.
pub(crate) fn account_of(request: &Request) -> Result<Document> {
    let token = token_of(request).ok_or_else(not_logged_in)?;
    // The server deletes sessions up to a minute late.
    let valid = doc! { "_id": token::hash(token), "expires": { "$gt": DateTime::now() } };
    sessions()?.find(valid).one()?.map(|session| session.account()).ok_or_else(not_logged_in)
}

pub(crate) fn not_logged_in() -> Error {
    Problem::new(401, "not-logged-in").detail("log in first").into()
}

fn cookie(token: &str, lifetime: Duration) -> String {
    format!("{COOKIE}={token}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Strict", lifetime.as_secs())
}

fn token_of(request: &Request) -> Option<&str> {
    // HTTP/2 may send each cookie in a header of its own.
    let cookies = request.headers().iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    cookies.filter_map(|(_, value)| std::str::from_utf8(value).ok()).find_map(token_in)
}

fn token_in(cookies: &str) -> Option<&str> {
    cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_among_other_cookies() {
        assert_eq!(token_in("__Host-session=abc"), Some("abc"));
        assert_eq!(token_in("theme=dark; __Host-session=abc; x=y"), Some("abc"));
        for other in ["", "theme=dark", "__Host-sessions=abc", "x__Host-session=abc", "__Host-session"] {
            assert_eq!(token_in(other), None, "{other}");
        }
    }

    #[test]
    fn a_cookie_is_for_this_host_only() {
        let cookie = cookie("abc", LIFETIME);
        assert_eq!(cookie, "__Host-session=abc; Path=/; Max-Age=604800; Secure; HttpOnly; SameSite=Strict");
    }
}
