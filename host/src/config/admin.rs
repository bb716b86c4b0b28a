//! Reads `[admin]`: who may ask what of the running host.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    diagnostics::Location,
    model::Admin,
    reader::{Entry, Field, Table},
    recorder::Kind,
    secret::Secret,
    values::{HOUR, OFF},
};

/// What Unix allows the path of a socket to be, without the byte that ends it.
const MAX_SOCKET: usize = 107;
const MAX_HOSTS: usize = 16;
/// The longest name that there is.
const MAX_HOST: usize = 253;
const TOKEN: std::ops::RangeInclusive<usize> = 16..=512;

/// `address` is `server.admin`.
pub(super) fn read(root: &mut Table<'_>, address: &Field<Option<SocketAddr>>) -> Admin {
    let context = root.context;
    let mut table = root.table("admin");
    let has_token = table.has("token") || table.has("token_file");
    let admin = Admin {
        token: read_token(&mut table),
        socket: read_socket(&mut table),
        hosts: read_hosts(&mut table),
        open_views: table.boolean("open_views", true).value,
        unready_after: table.duration("unready_after", Duration::from_secs(2), Duration::ZERO, HOUR).value,
    };
    table.finish();
    if address.value.is_some_and(|address| !address.ip().to_canonical().is_loopback()) && !has_token {
        context.missing(
            address.at,
            "`server.admin` can be reached from elsewhere, and there is no `admin.token`",
            "add `token_file` below `[admin]`, or a `token` from the environment; or listen on 127.0.0.1",
        );
    }
    admin
}

fn read_token(table: &mut Table<'_>) -> Option<Secret> {
    let token = table.secret("token", "token_file")?;
    let (text, key) = (token.text.expose(), token.key);
    let problem = if !TOKEN.contains(&text.len()) {
        format!("the token of `{key}` is not {} to {} bytes long", TOKEN.start(), TOKEN.end())
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        format!("the token of `{key}` has a character that no header carries")
    } else {
        return Some(token.text);
    };
    table.context.error(token.at, problem, "`openssl rand -hex 32` makes one");
    None
}

fn read_socket(table: &mut Table<'_>) -> Option<PathBuf> {
    let context = table.context;
    let kind = Kind::Text { form: "a path, or `\"off\"`", default: None };
    let (path, at): (PathBuf, Option<Location>) = match table.take("socket", kind) {
        // A folder of its own, which nobody else may change even where `.wharf` was made for a group.
        None => (context.base.join(".wharf").join("run").join("admin.sock"), None),
        Some(entry) => {
            let text = entry.text("a path or \"off\"")?;
            if text.value == OFF {
                return None;
            }
            (entry.path_of(&text)?.value, Some(entry.at))
        }
    };
    if path.as_os_str().len() > MAX_SOCKET {
        let message = format!("the path of `admin.socket` is longer than {MAX_SOCKET} bytes");
        context.error(at, message, "Unix takes no longer one: give `socket` a shorter path below `[admin]`, or \"off\"");
        return None;
    }
    Some(path)
}

fn read_hosts(table: &mut Table<'_>) -> Vec<String> {
    let Some(entry) = table.take("hosts", Kind::List { of: "names", least: 0, most: MAX_HOSTS }) else { return Vec::new() };
    let Some(items) = entry.items("an array of names") else { return Vec::new() };
    if items.len() > MAX_HOSTS {
        let message = format!("`hosts` has {} names", items.len());
        entry.context.error(entry.at, message, format!("allowed: {MAX_HOSTS} at most"));
    }
    items.iter().filter_map(read_host).collect()
}

fn read_host(entry: &Entry<'_>) -> Option<String> {
    let text = entry.text("an array of names")?;
    let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if text.value.is_empty() || text.value.len() > MAX_HOST || !text.value.bytes().all(is_of_a_name) {
        let message = format!("{} is not the name of a host", text.shown());
        entry.context.error(entry.at, message, "write it without scheme and port, such as \"wharf.internal\"");
        return None;
    }
    Some(text.value.to_ascii_lowercase())
}
