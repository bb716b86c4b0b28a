//! `wharf call cancel`: ends a call.

use anyhow::anyhow;
use http::Method;
use serde::Deserialize;

use super::{
    CallAction, Failure, args,
    client::Client,
    print,
    table::{document as shown, lines},
    view::{block_on, read},
};

/// Does what is asked.
///
/// # Errors
/// [`Failure`].
pub(super) fn run(args::Call { json, asked, action: CallAction::Cancel { id } }: &args::Call) -> Result<(), Failure> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if id.is_empty() || !id.bytes().all(is_allowed) {
        return Err(Failure::Usage(anyhow!("`{}` is neither the number of a call nor a request id", id.escape_debug())));
    }
    let client = Client::find(asked)?;
    block_on(async {
        let document = client.ask(Method::POST, &format!("/calls/{id}/cancel")).await?;
        if *json {
            return print(&shown(&document));
        }
        let Call { id, plugin, request_id, leases } = read(&document)?;
        let taken = match leases.len() {
            0 => String::new(),
            1 => "; its connection is taken back".to_owned(),
            count => format!("; its {count} connections are taken back"),
        };
        print(&lines(&format!("call {id} of {plugin} (request {request_id}) is cancelled{taken}\n")))
    })
}

/// What is read of the call.
#[derive(Deserialize)]
struct Call {
    id: u64,
    plugin: String,
    request_id: String,
    leases: Vec<serde::de::IgnoredAny>,
}
