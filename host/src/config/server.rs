//! Reads `[server]` and `[engine]`, and has `[admin]` read, which depends on `server.admin`.

use std::{net::SocketAddr, time::Duration};

use super::{
    admin,
    model::{Admin, Engine, Server},
    reader::{Entry, Field, Table, Text},
    recorder::Kind,
    values::{DAY, GIB, HOUR, KIB, LEAST, MIB, OFF},
};

/// Reads them; each may be absent.
pub(super) fn read(root: &mut Table<'_>) -> (Server, Admin, Engine) {
    let context = root.context;
    let mut table = root.table("server");
    let listen = read_listen(&mut table);
    let admin_address = read_admin(&mut table);
    let server = read_server(&mut table, listen, admin_address.value);
    table.finish();
    let admin = admin::read(root, &admin_address);
    let mut table = root.table("engine");
    let cache = table.path("cache").map_or_else(|| context.base.join(".wharf").join("cache"), |cache| cache.value);
    table.finish();
    (server, admin, Engine { cache })
}

fn read_server(table: &mut Table<'_>, listen: SocketAddr, admin: Option<SocketAddr>) -> Server {
    let seconds = Duration::from_secs;
    Server {
        listen,
        admin,
        max_connections: table.number("max_connections", 1024, 1, 100_000).value,
        max_header_bytes: table.size("max_header_bytes", 64 * KIB, 8 * KIB, 16 * MIB).value,
        max_headers: table.number("max_headers", 100, 1, 10_000).value,
        max_body: table.size("max_body", 10 * MIB, 1, 4 * GIB).value,
        header_timeout: table.duration("header_timeout", seconds(10), LEAST, HOUR).value,
        idle_timeout: table.duration("idle_timeout", seconds(60), LEAST, DAY).value,
        body_stall_timeout: table.duration("body_stall_timeout", seconds(10), LEAST, HOUR).value,
        max_concurrency: table.number("max_concurrency", 256, 1, 2_000).value,
        max_queue: table.number("max_queue", 1024, 0, 1_000_000).value,
        queue_timeout: table.duration("queue_timeout", seconds(1), LEAST, HOUR).value,
        drain_timeout: table.duration("drain_timeout", seconds(10), Duration::ZERO, HOUR).value,
        reclaim_timeout: table.duration("reclaim_timeout", seconds(10), LEAST, HOUR).value,
    }
}

fn read_listen(table: &mut Table<'_>) -> SocketAddr {
    let default = SocketAddr::from(([127, 0, 0, 1], 3000));
    let kind = Kind::Text { form: "an address with a port", default: Some(default.to_string()) };
    let Some(entry) = table.take("listen", kind) else { return default };
    let text = entry.text("an address with a port, such as \"127.0.0.1:3000\"");
    let otherwise = "write \"127.0.0.1:3000\", or \"0.0.0.0:3000\" for every interface; port 0 takes a free one";
    text.and_then(|text| address(&entry, &text, otherwise)).unwrap_or(default)
}

fn read_admin(table: &mut Table<'_>) -> Field<Option<SocketAddr>> {
    let default = SocketAddr::from(([127, 0, 0, 1], 3001));
    let kind = Kind::Text { form: "an address with a port, or `\"off\"`", default: Some(default.to_string()) };
    let default = Some(default);
    let Some(entry) = table.take("admin", kind) else {
        return Field { value: default, at: table.at, given: false, sound: true };
    };
    let read = entry.text("an address with a port, such as \"127.0.0.1:3001\", or \"off\"").and_then(|text| {
        if text.value == OFF {
            return Some(None);
        }
        address(&entry, &text, "write \"127.0.0.1:3001\", or \"off\"; port 0 takes a free one").map(Some)
    });
    Field { sound: read.is_some(), value: read.unwrap_or(default), at: entry.at, given: true }
}

/// `otherwise` says what to write when it is none.
fn address(entry: &Entry<'_>, text: &Text, otherwise: &str) -> Option<SocketAddr> {
    let parsed = text.value.parse().ok();
    if parsed.is_none() {
        let hint = match text.value.strip_prefix("localhost:") {
            Some(port) => format!("names are not looked up; write \"127.0.0.1:{port}\" or \"[::1]:{port}\""),
            None => otherwise.to_owned(),
        };
        entry.context.error(entry.at, format!("{} is not an address with a port", text.shown()), hint);
    }
    parsed
}
