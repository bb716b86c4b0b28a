//! Reads `[audit]`: the log of what is asked of databases.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderName, header};

use super::{
    model::{Audit, Server},
    reader::Table,
    recorder::Kind,
    secret::Secret,
    values::{GIB, HOUR, KIB, LEAST, MIB, MINUTE},
};
use crate::telemetry::audit::{Durability, Key, MAX_STATEMENT, MIN_FILE_SIZE, MIN_KEY_BYTES, WhenUnavailable};

/// Reads it; `None` when it is absent, or lacks what was reported.
pub(super) fn read(root: &mut Table<'_>, server: &Server) -> Option<Audit> {
    let context = root.context;
    let mut table = root.table("audit");
    let lacks_file = table.lacks(&["file"]) && table.is_given();
    let lacks_key = table.lacks(&["key", "key_file"]) && table.is_given();
    let (file, key) = (read_file(&mut table), read_key(&mut table));
    let least_size = usize::try_from(MIN_FILE_SIZE).unwrap_or(usize::MAX);
    let durability = table.choice("durability", Durability::default(), &Durability::ALL.map(|it| (it.name(), it))).value;
    let sync_interval = table.duration("sync_interval", Duration::from_secs(1), LEAST, MINUTE).value;
    let choices = WhenUnavailable::ALL.map(|it| (it.name(), it));
    let when_unavailable = table.choice("when_unavailable", WhenUnavailable::default(), &choices).value;
    let max_file_size = table.size("max_file_size", 256 * MIB, least_size, 64 * GIB).value;
    let max_files = table.number("max_files", 0, 0, 100_000).value;
    let statement_bytes = table.size("statement_bytes", 2 * KIB, 0, MAX_STATEMENT).value;
    let head_interval = table.duration("head_interval", MINUTE, LEAST, HOUR).value;
    let who_header = read_who_header(&mut table, server);
    let at = table.at;
    table.finish();
    if lacks_file {
        context.missing(
            at,
            "`audit` has no `file`",
            "add `file = \"audit.log\"`; relative paths begin at the folder of wharf.toml",
        );
    }
    if lacks_key {
        let hint = "add `key_file` with the path of a file that holds it, or a `key` from the environment; `openssl rand -hex 32` makes one";
        context.missing(at, "`audit` has no `key`", hint);
    }
    Some(Audit {
        file: file?,
        key: key?,
        durability,
        sync_interval,
        when_unavailable,
        max_file_size,
        max_files,
        statement_bytes,
        head_interval,
        who_header,
    })
}

fn read_file(table: &mut Table<'_>) -> Option<PathBuf> {
    let file = table.path("file")?;
    let folder = file.value.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let message = format!("the folder of {} does not exist", file.shown);
        table.context.error(file.at, message, "make it; the log itself, and what goes beside it, the host makes");
        return None;
    }
    Some(file.value)
}

fn read_key(table: &mut Table<'_>) -> Option<Secret> {
    let key = table.secret("key", "key_file")?;
    if Key::new(key.text.expose()).is_err() {
        let message = format!("the key of `{}` has fewer than {MIN_KEY_BYTES} bytes", key.key);
        table.context.error(key.at, message, "`openssl rand -hex 32` makes one");
        return None;
    }
    Some(key.text)
}

fn read_who_header(table: &mut Table<'_>, server: &Server) -> Option<HeaderName> {
    let entry = table.take("who_header", Kind::Text { form: "the name of a header", default: None })?;
    let text = entry.text("the name of a header")?;
    let Ok(name) = text.value.parse::<HeaderName>() else {
        let message = format!("{} is not the name of a header", text.shown());
        entry.context.error(entry.at, message, "write it without a colon, such as \"x-forwarded-user\"");
        return None;
    };
    if [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE].contains(&name) {
        let message = format!("`who_header` is {}, in which credentials are", text.shown());
        entry.context.error(
            entry.at,
            message,
            "have your proxy say who asks in a header of its own, such as \"x-forwarded-user\"",
        );
        return None;
    }
    if server.trusted_proxies.is_empty() {
        let message = "`who_header` is given, and no proxy is trusted to write it";
        entry.context.error(
            entry.at,
            message,
            "add the networks of your proxies as `trusted_proxies` below `[server]`, or remove it",
        );
        return None;
    }
    Some(name)
}
