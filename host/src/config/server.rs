//! Reads `[server]` and `[engine]`.

use std::{net::SocketAddr, time::Duration};

use super::{
    model::{Engine, Server},
    reader::Table,
    values::{DAY, GIB, HOUR, KIB, LEAST, MIB},
};

/// Reads both; either may be absent.
pub(super) fn read(root: &mut Table<'_>) -> (Server, Engine) {
    let context = root.context;
    let mut table = root.table("server").unwrap_or_else(|| Table::empty(context));
    let server = read_server(&mut table);
    table.finish();
    let mut table = root.table("engine").unwrap_or_else(|| Table::empty(context));
    let cache = table.path("cache").map_or_else(|| context.base.join(".wharf").join("cache"), |cache| cache.value);
    table.finish();
    (server, Engine { cache })
}

fn read_server(table: &mut Table<'_>) -> Server {
    let seconds = Duration::from_secs;
    let listen = address(table, "listen");
    let hint = "remove it; health and metrics get a listener of their own in a later version";
    table.refuse("admin", "`admin` is not yet offered in this version", hint);
    Server {
        listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 3000))),
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

fn address(table: &mut Table<'_>, key: &'static str) -> Option<SocketAddr> {
    let entry = table.take(key)?;
    let text = entry.text("an address with a port, such as \"127.0.0.1:3000\"")?;
    let parsed = text.value.parse().ok();
    if parsed.is_none() {
        let hint = match text.value.strip_prefix("localhost:") {
            Some(port) => format!("names are not looked up; write \"127.0.0.1:{port}\" or \"[::1]:{port}\""),
            None => "write \"127.0.0.1:3000\", or \"0.0.0.0:3000\" for every interface; port 0 takes a free one".to_owned(),
        };
        entry.context.error(entry.at, format!("{} is not an address with a port", text.shown()), hint);
    }
    parsed
}
