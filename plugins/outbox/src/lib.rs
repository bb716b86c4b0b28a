//! Shows the mails of the accounts example, which nothing sends: it stands in for a mailer, so that a password can be reset in a tour.
//!
//! Whoever reads the mails can take over the accounts. It is a plugin of its own so that leaving it out takes one line away, and the
//! accounts plugin has no way to show a token.
//!
//! It only reads. Its grant is `read-write` all the same: a read-only one needs a user of its own who may not write, and the server that the
//! example starts has no users.

use serde::Deserialize;
use wharf_sdk::documents::prelude::*;

wharf_sdk::handler!(Router::new().get("/outbox/{to}", newest));

#[derive(Deserialize)]
struct Mail {
    token: String,
}

/// `GET /outbox/{to}`: the token of the newest mail to this address.
fn newest(request: &Request) -> Result<Response> {
    let to: String = request.path("to")?;
    let outbox: Collection<Mail> = Database::open("accounts")?.collection("outbox")?;
    let mail = outbox.find(doc! { "to": to, "send": true }).sort(doc! { "expires": -1 }).one()?;
    let mail = mail.ok_or_else(|| Error::not_found("no mail to this address"))?;
    Ok(Response::text(mail.token + "\n").with_header("cache-control", "no-store"))
}
