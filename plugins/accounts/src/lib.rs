//! Accounts over HTTP: registration, log-in, password reset and profiles; the handler of the accounts example.
//!
//! The same component runs on MongoDB and on whatever else speaks its protocol.

mod check;
mod limit;
mod password;
mod profile;
mod register;
mod reset;
mod session;
mod store;
mod token;

use wharf_sdk::documents::prelude::*;

wharf_sdk::handler!(
    Router::new()
        .post("/accounts", register::create)
        .post("/session", session::log_in)
        .delete("/session", session::log_out)
        .post("/password-reset", reset::request)
        .put("/password", reset::redeem)
        .get("/profile", profile::show)
        .put("/profile", profile::replace)
);
